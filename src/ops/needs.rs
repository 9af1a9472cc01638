//! What the operator needs: the definition of its kind, rights on every child kind, and a lease. `/readyz` says which of them is missing, and what to do.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::runtime::watcher;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// The row of the lease.
pub const LEASE: &str = "Lease";
/// The row of the stacks.
pub const STACKS: &str = "AppStack";
/// The row of all stacks, where only some are looked after.
pub const NEIGHBOURS: &str = "AppStack of any label";

/// Each need by name (a kind that is watched, or the lease), and how it stands.
#[derive(Debug, Default)]
pub struct Needs(Mutex<BTreeMap<&'static str, Need>>);

#[derive(Clone, Debug, Default)]
struct Need {
    /// It was there once.
    met: bool,
    /// When it was last heard of.
    heard: Option<Instant>,
    /// What is wrong with it now.
    trouble: Option<String>,
    note: Option<&'static str>,
}

impl Needs {
    /// It will be needed; until something is heard of it, the operator is not ready.
    pub fn expect(&self, name: &'static str) {
        self.rows().entry(name).or_default();
    }

    /// It is there.
    pub fn heard(&self, name: &'static str) {
        let mut rows = self.rows();
        let row = rows.entry(name).or_default();
        *row = Need { met: true, heard: Some(Instant::now()), ..Need::default() };
    }

    /// It is there, and there is a word to say of it.
    pub fn noted(&self, name: &'static str, note: &'static str) {
        self.heard(name);
        self.rows().entry(name).or_default().note = Some(note);
    }

    /// It is not there and need not be: the cluster lacks a kind that is optional.
    pub fn spared(&self, name: &'static str, why: &'static str) {
        let mut rows = self.rows();
        let row = rows.entry(name).or_default();
        *row = Need { met: true, heard: None, trouble: None, note: Some(why) };
    }

    /// It cannot be had, at least now.
    pub fn lacks(&self, name: &'static str, trouble: String) {
        self.rows().entry(name).or_default().trouble = Some(trouble);
    }

    /// Whether all that is needed has been there once, and a line for each. What fails later is for the metrics and the log: an operator that is cut off for a while
    /// has seen everything, and a restart would only lose that.
    pub fn readiness(&self) -> (bool, String) {
        let rows = self.rows();
        let is_ready = !rows.is_empty() && rows.values().all(|row| row.met);
        let mut text = String::new();
        for (name, row) in rows.iter() {
            let (sign, word) = match (&row.trouble, row.note) {
                (Some(trouble), _) => (if row.met { '!' } else { '-' }, trouble.as_str()),
                (None, Some(note)) => ('+', note),
                (None, None) if row.met => ('+', "ok"),
                (None, None) => ('-', "not listed yet"),
            };
            let _ = writeln!(text, "[{sign}] {name}: {word}");
        }
        let _ = writeln!(text, "{}", if is_ready { "ready" } else { "not ready" });
        (is_ready, text)
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<&'static str, Need>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failed watch lacks, for whoever can give it.
pub fn lack(kind: &str, error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let status = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status,
        other => return other.to_string(),
    };
    match (status.code, kind) {
        (404, STACKS) => {
            "the CustomResourceDefinition is not installed: apply crds/appstack.yaml of this version".to_owned()
        }
        (403, _) => format!("apply the roles of this version (`appstack rbac`): {}", status.message),
        _ => status.message.clone(),
    }
}

/// For how long each watch has brought nothing: one that is cut off without a word shows here first.
#[derive(Debug)]
pub struct SilenceOf(pub Arc<Needs>);

impl Collector for SilenceOf {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let silence: Family<super::metrics::Label, Gauge> = Family::default();
        for (name, row) in self.0.rows().iter() {
            if let Some(heard) = row.heard {
                let seconds = i64::try_from(heard.elapsed().as_secs()).unwrap_or(i64::MAX);
                silence.get_or_create(&[("kind", *name)]).set(seconds);
            }
        }
        let help = "Time since a watch or the lease last brought anything";
        silence.encode(encoder.encode_descriptor("silence_seconds", help, None, silence.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing_and_stays_once_all_was_there() {
        let needs = Needs::default();
        assert!(!needs.readiness().0, "nothing is known yet");
        needs.expect(STACKS);
        needs.expect("Pod");
        needs.heard("Pod");
        let (is_ready, text) = needs.readiness();
        assert!(!is_ready && text.contains("[-] AppStack: not listed yet") && text.contains("[+] Pod: ok"), "{text}");
        needs.lacks(STACKS, "the CustomResourceDefinition is not installed".into());
        assert!(needs.readiness().1.contains("[-] AppStack: the CustomResourceDefinition"), "{}", needs.readiness().1);
        needs.heard(STACKS);
        needs.spared("HTTPRoute", "not known to this cluster");
        assert_eq!(
            needs.readiness(),
            (true, "[+] AppStack: ok\n[+] HTTPRoute: not known to this cluster\n[+] Pod: ok\nready\n".into())
        );
        needs.heard("HTTPRoute");
        assert!(needs.readiness().1.contains("[+] HTTPRoute: ok\n"), "the cluster has learnt it");
        needs.lacks("Pod", "cut off".into());
        let (is_ready, text) = needs.readiness();
        assert!(is_ready && text.contains("[!] Pod: cut off"), "{text}");
    }
}
