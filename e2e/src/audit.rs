//! What the API server was asked, by its own audit log.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::Client;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::{Kind, eventually, json};

/// The audit log of the test cluster.
#[derive(Clone)]
pub struct Audit {
    path: PathBuf,
    client: Client,
    namespace: String,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One answered request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `patch`, `create`, `delete`, `get`, `list`, `watch`, ...
    pub verb: String,
    /// The resource, with its subresource: `deployments`, `appstacks/status`.
    pub resource: String,
    /// The object.
    pub name: String,
    /// HTTP status of the answer.
    pub code: i64,
}

impl Request {
    /// Whether it changes something of a stack's children.
    pub fn is_child_write(&self) -> bool {
        self.is_write() && !self.resource.starts_with("appstacks") && self.resource != "events"
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

impl Audit {
    /// The log, for requests of a namespace. Fails where the cluster has none: a count without a log would be a guess.
    pub fn new(client: Client, namespace: &str) -> Audit {
        let path =
            Cluster::get().audit_log.clone().expect("E2E_AUDIT_LOG must name the audit log of E2E_KUBECONFIG's server");
        Audit { path, client, namespace: namespace.to_owned() }
    }

    /// Here and now: everything answered so far lies before it.
    pub async fn mark(&self) -> Mark {
        Mark(self.fence().await)
    }

    /// The operator's requests in this namespace since a mark, up to now. The operator is known by its user agent.
    pub async fn since(&self, mark: Mark) -> Requests {
        let end = self.fence().await;
        let mut requests = Requests::default();
        for event in self.lines(mark.0, end) {
            let ours = json::text(&event, "/userAgent").starts_with("appstack/");
            if !ours || json::text(&event, "/objectRef/namespace") != self.namespace {
                continue;
            }
            // A watch is told when it starts, anything else when it is answered.
            let told = if event["verb"] == "watch" { "ResponseStarted" } else { "ResponseComplete" };
            if event["stage"] == told {
                requests.take(&event);
            }
        }
        requests
    }

    /// Sends a request that nobody else would and waits for it in the log; returns where the log ends then. The server
    /// writes the line before it answers, but other answers may be a moment late: hence the pause.
    async fn fence(&self) -> u64 {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let name = format!("fence-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let begin = self.length();
        let _ = Kind::ConfigMap.api(self.client.clone(), &self.namespace).get_opt(&name).await;
        eventually(Duration::from_secs(10), "the audit log to tell of a request", async || {
            let end = self.length();
            let told = self.lines(begin, end).iter().any(|e| json::text(e, "/objectRef/name") == name);
            if told { Ok(end) } else { Err(format!("{end} bytes")) }
        })
        .await
    }

    fn length(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap_or_else(|e| panic!("no audit log at {}: {e}", self.path.display())).len()
    }

    fn lines(&self, from: u64, to: u64) -> Vec<Value> {
        let mut file = File::open(&self.path).expect("the audit log");
        file.seek(SeekFrom::Start(from)).expect("the audit log");
        let mut bytes = Vec::new();
        file.take(to.saturating_sub(from)).read_to_end(&mut bytes).expect("the audit log");
        // A line cut by the mark is one of neither side; the fence sees to it that none of interest is.
        String::from_utf8_lossy(&bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// What was asked, sorted by what it costs.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// Everything but what follows: reads of single objects and all writes.
    pub acts: Vec<Request>,
    /// Lists, which a watch begins with.
    pub lists: Vec<Request>,
    /// Watches opened.
    pub watches: usize,
    /// Requests for the lease.
    pub leases: usize,
}

impl Requests {
    fn take(&mut self, event: &Value) {
        let resource = match json::text(event, "/objectRef/subresource") {
            "" => json::text(event, "/objectRef/resource").to_owned(),
            sub => format!("{}/{sub}", json::text(event, "/objectRef/resource")),
        };
        let request = Request {
            verb: json::text(event, "/verb").to_owned(),
            name: json::text(event, "/objectRef/name").to_owned(),
            code: json::number(event, "/responseStatus/code"),
            resource,
        };
        match (request.verb.as_str(), request.resource.as_str()) {
            (_, "leases") => self.leases += 1,
            ("watch", _) => self.watches += 1,
            ("list", _) => self.lists.push(request),
            _ => self.acts.push(request),
        }
    }

    /// Without what was asked about objects of these names; for a second stack that only served as a signal.
    #[must_use]
    pub fn without(mut self, is_other: impl Fn(&str) -> bool) -> Requests {
        self.acts.retain(|r| !is_other(&r.name));
        self
    }

    /// The writes of children.
    pub fn child_writes(&self) -> Vec<&Request> {
        self.acts.iter().filter(|r| r.is_child_write()).collect()
    }

    /// How often this resource was written.
    pub fn writes_of(&self, resource: &str) -> usize {
        self.acts.iter().filter(|r| r.is_write() && r.resource == resource).count()
    }

    /// Fails, showing what was asked, unless nothing was but watches, lists and the lease.
    pub fn assert_none(&self, case: &str) {
        println!(
            "{case}: {} requests; {} watches, {} lists, {} for the lease apart",
            self.acts.len(),
            self.watches,
            self.lists.len(),
            self.leases
        );
        assert!(self.acts.is_empty(), "{case}: expected 0 requests, saw\n{self}");
    }
}

impl fmt::Display for Requests {
    /// A table: verb, resource, answer, how often, and the first names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: BTreeMap<(&str, &str, i64), Vec<&str>> = BTreeMap::new();
        for r in &self.acts {
            rows.entry((&r.resource, &r.verb, r.code)).or_default().push(&r.name);
        }
        for ((resource, verb, code), names) in rows {
            let some = names.iter().take(6).copied().collect::<Vec<_>>().join(" ");
            writeln!(f, "  {verb:<7} {resource:<26} {code} {:>4}x  {some}", names.len())?;
        }
        write!(f, "  apart: {} watches, {} lists, {} for the lease", self.watches, self.lists.len(), self.leases)
    }
}
