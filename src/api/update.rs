//! How pods are replaced by those of a changed definition.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, numbers};

/// How running pods are replaced when the definition changes. Changing this replaces none.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// `StartFirst`: a new pod is ready before an old one stops. `StopFirst`: an old one stops before a new one starts. Unset: `StartFirst`; but
    /// `StopFirst` for `mode: Global`, `perReplica` volumes, and who writes a volume that one node mounts or holds ports of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<UpdateOrder>,
    /// How many pods are replaced at a time; 0: all at once. Unset: 1. With `perReplica` volumes it is always 1.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i32>,
    /// How long a new pod has to be ready before it counts as available and the next one is replaced; unset: 0s.
    #[schemars(schema_with = "numbers::duration")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<Duration>,
    /// How long a rollout may go without progress until it has failed; more than `minReady`. Unset: 10m, or twice the time in which the health check
    /// may say no for good if that is longer; and `minReady` on top.
    #[schemars(schema_with = "numbers::duration")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// What follows when a rollout has failed. `Pause`: it stays as it is, old pods go on serving, and services that depend on it fail. `Continue`: it goes on
    /// trying, and they wait for as long as it takes. `Rollback`: pods are made from the last definition whose rollout was complete, and what failed is not tried
    /// again until the definition changes; services that depend on it fail. A first rollout has none, and pauses. Unset: `Pause`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// How many definitions whose rollout was complete are kept, for `onFailure: Rollback` and for `appstack rollback`. Unset: 5 with `onFailure: Rollback`,
    /// else none.
    #[schemars(range(min = 1, max = 20))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<i32>,
}

/// What follows when a rollout has made no progress until its deadline.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum OnFailure {
    #[default]
    Pause,
    Continue,
    Rollback,
}

/// What comes first when a pod is replaced.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum UpdateOrder {
    StartFirst,
    StopFirst,
}
