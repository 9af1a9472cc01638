//! One live test from beginning to end.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;

use crate::audit::Audit;
use crate::cluster::{Cluster, runtime};
use crate::observer::Observer;
use crate::operator::operator_log;
use crate::{Kind, Space, json, order, statuses, steered};

/// A test that takes longer hangs. Real nodes take their time to start a pod, and to end one.
const PATIENCE: [Duration; 2] = [Duration::from_mins(4), Duration::from_mins(15)];

/// What a test works with.
pub struct Live {
    /// Its namespace.
    pub space: Space,
    /// Who has watched it from the start.
    pub observer: Observer,
    shown: Mutex<Vec<String>>,
}

impl Live {
    /// A figure or a fact for the table that `make e2e` prints.
    pub fn shows(&self, what: impl Into<String>) {
        let what = what.into();
        println!("{what}");
        self.shown.lock().unwrap().push(what);
    }

    /// The audit log, for this namespace.
    pub fn audit(&self) -> Audit {
        Audit::new(self.space.client.clone(), &self.space.name)
    }

    /// Fails if the order law was broken; returns how many writes were judged.
    pub async fn assert_order(&self) -> usize {
        let history = self.observer.history().await;
        let crossing = if Cluster::get().real { order::CROSSING_ON_REAL_NODES } else { order::CROSSING };
        let broken = order::violations(&history, crossing);
        let list: Vec<String> = broken.iter().map(ToString::to_string).collect();
        assert!(broken.is_empty(), "{} writes came too early:\n  {}", broken.len(), list.join("\n  "));
        order::judged(&history).len()
    }

    /// Fails if a law of statuses was broken.
    pub async fn assert_statuses(&self) {
        let history = self.observer.history().await;
        let mut wrong = statuses::violations(&history);
        let mut events = self.space.list(Kind::Event).await;
        events.retain(|event| json::text(event, "/involvedObject/kind") == "AppStack");
        wrong.extend(statuses::repeated(&history, &events));
        assert!(wrong.is_empty(), "{} statuses are not as they should be:\n  {}", wrong.len(), wrong.join("\n  "));
    }
}

/// Runs a test in a namespace of its own, with the observer watching, and checks the laws at the end. When it
/// fails, shows what the operator and the namespace's events say.
pub fn live<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Arc<Live>) -> F) {
    Cluster::get(); // may build for minutes; no test's time
    runtime().block_on(live_within(test, body));
}

/// [`live`], for a test that is made of several.
pub async fn live_within<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Arc<Live>) -> F) {
    let _ = std::fs::remove_file(operator_log(test)); // of an earlier run, if any
    let begun = Instant::now();
    let space = Space::open(test).await;
    let watcher = Cluster::get().client(&format!("observer-{test}")).await;
    let live = Arc::new(Live {
        space: space.clone(),
        observer: Observer::start(watcher, &space.name).await,
        shown: Mutex::default(),
    });
    let decider = steered::are_pods_steered().then(|| steered::decide_failures(&live));
    let whole = async {
        let patience = PATIENCE[usize::from(Cluster::get().real)];
        let in_time = tokio::time::timeout(patience, body(live.clone())).await;
        assert!(in_time.is_ok(), "{test} hangs: {patience:?} are over");
        live.assert_order().await;
        live.assert_statuses().await;
    };
    let outcome = AssertUnwindSafe(whole).catch_unwind().await;
    if let Some(decider) = decider {
        decider.abort();
    }
    note(test, outcome.is_ok(), begun.elapsed(), &live.shown.lock().unwrap());
    if outcome.is_err() {
        let events = AssertUnwindSafe(space.events()).catch_unwind().await.unwrap_or_default();
        let log = operator_log(test);
        let said = std::fs::read_to_string(&log).unwrap_or_else(|e| format!("(none: {e})"));
        eprintln!("--- {test} failed in namespace {}\n--- the operator's last words ({}):", space.name, log.display());
        eprintln!("{}\n--- events:\n{}", tail(&said, 40), tail(&events, 80));
    }
    if outcome.is_ok() || std::env::var_os("E2E_KEEP").is_none() {
        space.remove().await;
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Adds a line to the file of `E2E_TABLE`: the test, how it ended, its seconds, what it has shown. One write, since tests
/// run side by side.
fn note(label: &str, passed: bool, took: Duration, shown: &[String]) {
    let Some(table) = std::env::var_os("E2E_TABLE") else { return };
    let thread = std::thread::current();
    let test = thread.name().filter(|name| name.contains("::")).unwrap_or(label);
    let outcome = if passed { "passed" } else { "FAILED" };
    let line =
        format!("{test}\t{outcome}\t{:.0}\t{}\n", took.as_secs_f64(), shown.join("; ").replace(['\t', '\n'], " "));
    let file = std::fs::File::options().create(true).append(true).open(&table);
    file.and_then(|mut f| f.write_all(line.as_bytes())).unwrap_or_else(|e| panic!("{}: {e}", table.display()));
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
