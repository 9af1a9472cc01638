//! How many stacks stand how, for the metrics.

use std::sync::Arc;

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
        for stack in self.0.stacks() {
            stacks.get_or_create(&[("state", state(&stack))]).inc();
        }
        stacks.encode(encoder.encode_descriptor("stacks", "Stacks, by how they stand", None, stacks.metric_type())?)
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
