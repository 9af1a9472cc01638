//! What the operator says about a stack.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator has seen and is waiting for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppStackStatus {
    /// The generation of the spec that this status is about; -1 before the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Which requests this status takes into account: a hash of the annotations `appstack.dev/restart.*` and `rollback.*`, which do not move the generation. None
    /// where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_requests: Option<String>,
    /// `Ready`; `Reconciling` while work is under way; `Stalled` while waiting alone will not help.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"], "maxItems" = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Services that are ready, of all: `3/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// One line: who waits for what, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<String>,
    /// Each service, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceStatus>,
}

/// What the operator has seen of one service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Where it stands.
    pub state: ServiceState,
    /// Kind of its workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Pods wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,
    /// Pods of the wanted revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i32>,
    /// What it waits for: `db (Healthy)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<String>,
    /// One word on why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The image it runs, or will run once its turn has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Revision of its definition that is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it entered this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Where its published ports are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Where a service stands. `Pending`: nothing done yet. `Waiting`: for a dependency. `Progressing`: rolling out. `Ready`. `Completed`: its Job is
/// done. `Degraded`: rolled out once, not all pods ready. `Failed`: help is needed. `RolledBack`: the last definition failed, or a person put an earlier one back, and that runs. `Stopped`: no pods wanted.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described above
pub enum ServiceState {
    #[default]
    Pending,
    Waiting,
    Progressing,
    Ready,
    Completed,
    Degraded,
    Failed,
    RolledBack,
    Stopped,
}

impl ServiceState {
    /// The word that stands in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            ServiceState::Pending => "Pending",
            ServiceState::Waiting => "Waiting",
            ServiceState::Progressing => "Progressing",
            ServiceState::Ready => "Ready",
            ServiceState::Completed => "Completed",
            ServiceState::Degraded => "Degraded",
            ServiceState::Failed => "Failed",
            ServiceState::RolledBack => "RolledBack",
            ServiceState::Stopped => "Stopped",
        }
    }
}
