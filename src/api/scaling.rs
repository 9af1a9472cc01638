//! How many pods there are, and what each may use.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Quantity, numbers};

/// Let load choose the number of pods, between two bounds.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.min) || self.min <= self.max").message("min must not be more than max"))]
#[x_kube(validation = Rule::new("has(self.cpuPercent) || has(self.memoryPercent)").message("autoscale must have cpuPercent, memoryPercent or both"))]
pub struct Autoscale {
    /// The fewest pods; unset: 1.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// The most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
    /// Processor use to aim at, in percent of `resources.requests.cpu`.
    #[schemars(range(min = 1, max = 500))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<i32>,
    /// Memory use to aim at, in percent of `resources.requests.memory`.
    #[schemars(range(min = 1, max = 500))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<i32>,
    /// How long load must be low before pods are taken away, at most 1h; unset: 5m.
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("must be at most 1h"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_after: Option<Duration>,
}

/// Graphics processors, or another device that a plugin of the cluster offers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Gpu {
    /// How many for each pod.
    #[schemars(range(min = 1, max = 64))]
    pub count: i32,
    /// What the plugin calls it, such as `amd.com/gpu`; unset: `nvidia.com/gpu`.
    #[schemars(length(min = 3, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$') && !self.contains('kubernetes.io/')")
        .message("must be the name of a device such as 'nvidia.com/gpu'"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// Requests are set aside for each pod, limits are never exceeded. A limit without a request reserves the limit.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0")
    .message("requests.cpu must not be more than limits.cpu"))]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0")
    .message("requests.memory must not be more than limits.memory"))]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.ephemeral__dash__storage) || !has(self.limits.ephemeral__dash__storage) || quantity(string(self.requests.ephemeral__dash__storage)).compareTo(quantity(string(self.limits.ephemeral__dash__storage))) <= 0")
    .message("requests.ephemeral-storage must not be more than limits.ephemeral-storage"))]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,
    /// What the container may not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of what a node has.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Amounts {
    /// Cores: `0.5` or `500m`.
    #[schemars(schema_with = "numbers::cpu")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes of memory: `512Mi`.
    #[schemars(schema_with = "numbers::memory")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Bytes of the node's disk for logs and the writable layer: `1Gi`.
    #[schemars(schema_with = "numbers::memory")]
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<Quantity>,
}
