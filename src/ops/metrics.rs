//! What the operator counts of its own work, as Prometheus reads it. No label names an object: the series stay few however many stacks there are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::child::Kind;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One label, and its value: words of ours, never of a user's.
pub type Label = [(&'static str, &'static str); 1];
type Labels = [(&'static str, &'static str); 2];
type Histograms = Family<Label, Histogram, fn() -> Histogram>;

/// Of work that is done in memory, in seconds.
const QUICK: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];
/// Of what the API server or a pod takes, in seconds.
const SLOW: [f64; 6] = [0.1, 1.0, 5.0, 15.0, 60.0, 300.0];

/// How a pass over a stack ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Until something changes there is nothing more to do.
    Settled,
    /// It is looked at again at a certain time.
    Later,
    /// It is tried again.
    Failed,
    /// A bug.
    Panicked,
}

impl Pass {
    const ALL: [Pass; 4] = [Pass::Settled, Pass::Later, Pass::Failed, Pass::Panicked];

    fn word(self) -> &'static str {
        match self {
            Pass::Settled => "settled",
            Pass::Later => "later",
            Pass::Failed => "failed",
            Pass::Panicked => "panicked",
        }
    }
}

/// The counters, and the text that has them all.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    passes: Family<Label, Counter>,
    pass_seconds: Histogram,
    turn_seconds: Histogram,
    queued: Gauge,
    gate_seconds: Histograms,
    requests: Family<Labels, Counter>,
    request_seconds: Histogram,
    repairs: Family<Label, Counter>,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let slow: fn() -> Histogram = || Histogram::new(SLOW);
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("appstack")),
            passes: Family::default(),
            pass_seconds: Histogram::new(QUICK),
            turn_seconds: Histogram::new(QUICK),
            queued: Gauge::default(),
            gate_seconds: Family::new_with_constructor(slow),
            requests: Family::default(),
            request_seconds: Histogram::new(QUICK),
            repairs: Family::default(),
            leader: Gauge::default(),
        };
        let mut registry = metrics.registry();
        registry.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("reconciles", "Passes over a stack, by how they ended", metrics.passes.clone());
        registry.register("reconcile_duration_seconds", "Time a pass took", metrics.pass_seconds.clone());
        registry.register(
            "queue_wait_seconds",
            "Time from a change to the pass that looks at it",
            metrics.turn_seconds.clone(),
        );
        registry.register("queue_length", "Stacks that wait for a pass", metrics.queued.clone());
        registry.register(
            "gate_wait_seconds",
            "Time a service was held back, by the condition it waited for last",
            metrics.gate_seconds.clone(),
        );
        registry.register("api_requests", "Requests to the API server", metrics.requests.clone());
        registry.register(
            "api_request_duration_seconds",
            "Time until the API server answered, watches aside",
            metrics.request_seconds.clone(),
        );
        registry.register(
            "drift_repairs",
            "Children put right that somebody else had changed or deleted",
            metrics.repairs.clone(),
        );
        registry.register("leader", "1 on the replica that writes", metrics.leader.clone());
        drop(registry);
        // A counter that begins at 1 has not risen for Prometheus: its first panic would raise no alert.
        for how in Pass::ALL {
            drop(metrics.passes.get_or_create(&[("outcome", how.word())]));
        }
        metrics
    }
}

impl Metrics {
    /// All of it, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A String takes every write.
        let _ = encode(&mut text, &self.registry());
        text
    }

    /// What is looked at with every scrape.
    pub fn collect(&self, collector: Box<dyn Collector>) {
        self.registry().register_collector(collector);
    }

    /// A pass has ended, that began so long after the change it is about.
    pub fn pass(&self, how: Pass, took: Duration) {
        self.passes.get_or_create(&[("outcome", how.word())]).inc();
        self.pass_seconds.observe(took.as_secs_f64());
    }

    /// A pass begins, so long after its stack was woken.
    pub fn turn(&self, waited: Duration) {
        self.turn_seconds.observe(waited.as_secs_f64());
    }

    /// So many stacks wait for a pass now.
    pub fn queued(&self, stacks: usize) {
        self.queued.set(i64::try_from(stacks).unwrap_or(i64::MAX));
    }

    /// A service was let through its gate.
    pub fn gate(&self, condition: &'static str, waited: Duration) {
        self.gate_seconds.get_or_create(&[("condition", condition)]).observe(waited.as_secs_f64());
    }

    /// The API server has answered, or has not. A watch is answered when it begins.
    pub fn request(&self, verb: &'static str, result: &'static str, took: Duration) {
        self.requests.get_or_create(&[("verb", verb), ("result", result)]).inc();
        if verb != "watch" {
            self.request_seconds.observe(took.as_secs_f64());
        }
    }

    /// A child is again what it was before somebody else changed or deleted it.
    pub fn repaired(&self, kind: Kind) {
        self.repairs.get_or_create(&[("kind", kind.names().kind)]).inc();
    }

    /// Whether this replica may write.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ops::needs::{LEASE, NEIGHBOURS, Needs, STACKS, SilenceOf};
    use crate::ops::requests::{RESULTS, VERBS};

    /// What a fleet of clusters can be asked to keep of one operator.
    pub(crate) const MOST_SERIES: usize = 150;

    /// All that can happen has happened, and all is watched that can be.
    pub(crate) fn busy() -> Metrics {
        let metrics = Metrics::default();
        for how in Pass::ALL {
            metrics.pass(how, Duration::from_millis(3));
        }
        for condition in ["Started", "Healthy", "Completed", "Ready"] {
            metrics.gate(condition, Duration::from_secs(2));
        }
        for verb in VERBS {
            for result in RESULTS {
                metrics.request(verb, result, Duration::from_millis(3));
            }
        }
        let needs = std::sync::Arc::new(Needs::default());
        for name in [LEASE, STACKS, NEIGHBOURS] {
            needs.heard(name);
        }
        for kind in Kind::ALL {
            metrics.repaired(kind);
            needs.heard(kind.names().kind);
        }
        metrics.collect(Box::new(SilenceOf(needs)));
        metrics
    }

    #[test]
    fn requests_have_their_verb_and_result() {
        let text = busy().text();
        assert!(text.contains("appstack_build_info{version="), "{text}");
        assert!(text.contains("appstack_api_requests_total{verb=\"patch\",result=\"conflict\"} 1"), "{text}");
    }

    #[test]
    fn the_first_failure_is_a_rise_from_zero() {
        let text = Metrics::default().text();
        for outcome in ["failed", "panicked"] {
            assert!(text.contains(&format!("appstack_reconciles_total{{outcome=\"{outcome}\"}} 0")), "{text}");
        }
    }
}
