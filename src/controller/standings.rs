//! How many stacks stand how, for the metrics.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::store::{Store, Written};
use crate::api::AppStackStatus;
use crate::ops::metrics::Label;

/// All of them, so that one that has become none is a zero and not a gap.
const STATES: [&str; 6] = ["ready", "reconciling", "stalled", "suspended", "deleting", "unreadable"];

/// Counts stacks by how they stand, with every scrape.
pub(super) struct Standings(pub(super) Arc<Store>);

impl std::fmt::Debug for Standings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Standings")
    }
}

impl Collector for Standings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stacks: Family<Label, Gauge> = Family::default();
        for state in STATES {
            stacks.get_or_create(&[("state", state)]).set(0);
        }
        let (now, mut longest) = (Timestamp::now(), 0);
        for stack in self.0.stacks() {
            stacks.get_or_create(&[("state", state(&stack))]).inc();
            if let Some(since) = &stack.meta().deletion_timestamp {
                longest = longest.max(now.as_second() - since.0.as_second());
            }
        }
        stacks.encode(encoder.encode_descriptor(
            "stacks",
            "Stacks, by how they stand",
            None,
            stacks.metric_type(),
        )?)?;
        let deletion: Gauge = Gauge::default();
        deletion.set(longest);
        let help = "Time since the deletion of a stack that is still there, of the oldest one";
        deletion.encode(encoder.encode_descriptor("deletion_seconds", help, None, deletion.metric_type())?)
    }
}

fn state(stack: &Written) -> &'static str {
    if stack.meta().deletion_timestamp.is_some() {
        return "deleting";
    }
    let Ok(stack) = &stack.0 else { return "unreadable" };
    let holds = |status: &AppStackStatus, r#type: &str| {
        status.conditions.iter().any(|condition| condition.type_ == r#type && condition.status == "True")
    };
    match &stack.status {
        _ if stack.spec.suspend == Some(true) => "suspended",
        Some(status) if holds(status, "Stalled") => "stalled",
        // What was ready is not what is wanted now.
        Some(status) if holds(status, "Ready") && status.observed_generation == stack.metadata.generation => "ready",
        _ => "reconciling",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::ops::metrics::tests::{MOST_SERIES, busy};

    /// The names of series, with their labels.
    fn names(text: &str) -> Vec<&str> {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect()
    }

    // What the dashboard and the alert rules are held against.
    #[test]
    fn the_series_are_those_of_the_golden_list_and_few_whatever_happens() {
        let metrics = busy();
        metrics.collect(Box::new(Standings(Arc::default())));
        let text = metrics.text();
        let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
        let series: BTreeSet<String> = names(&text).iter().map(|name| name.replace(&version, "\"...\"")).collect();
        println!("{} series of all kinds", series.len());
        assert!(series.len() < MOST_SERIES, "{series:#?}");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/series.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(file, series.iter().map(|name| format!("{name}\n")).collect::<String>()).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        let kept: BTreeSet<String> = kept.lines().map(str::to_owned).collect();
        assert_eq!(kept, series, "src/ops/series.txt: make golden");
    }

    #[test]
    fn the_oldest_deletion_is_told_by_its_age() {
        let store = Arc::new(Store::default());
        let text = |store: &Arc<Store>| {
            let metrics = crate::ops::Metrics::default();
            metrics.collect(Box::new(Standings(store.clone())));
            metrics.text()
        };
        assert!(text(&store).contains("appstack_deletion_seconds 0\n"), "{}", text(&store));
        for (name, ago) in [("young", 60), ("old", 7200)] {
            let since = Timestamp::from_second(Timestamp::now().as_second() - ago).unwrap().to_string();
            let stack = json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
                "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1", "deletionTimestamp": since, "finalizers": ["x"]},
                "spec": {"services": {"a": {"image": "a"}}}});
            store.stack_event(Event::Apply(serde_json::from_value(stack).unwrap()));
        }
        let text = text(&store);
        let line = text.lines().find_map(|line| line.strip_prefix("appstack_deletion_seconds ")).unwrap();
        assert!((7200..7260).contains(&line.parse::<i64>().unwrap()), "{line}");
        assert!(text.contains("appstack_stacks{state=\"deleting\"} 2"), "{text}");
    }
}
