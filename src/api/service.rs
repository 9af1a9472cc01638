//! One service of the stack.

use std::collections::{BTreeMap, BTreeSet};

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Healthcheck, Mount, PodSecurity, Publish, Quantity, SecurityContext, schema};

/// A service, as in Compose: one container image, kept running.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.replicas) && has(self.autoscale))").message("replicas and autoscale exclude each other: the autoscaler sets the count"))]
#[x_kube(validation = Rule::new("!has(self.autoscale) || !has(self.autoscale.cpuPercent) || (has(self.resources) && ((has(self.resources.requests) && has(self.resources.requests.cpu)) || (has(self.resources.limits) && has(self.resources.limits.cpu))))")
    .message("autoscale.cpuPercent is a share of resources.requests.cpu, which must be set"))]
#[x_kube(validation = Rule::new("!has(self.autoscale) || !has(self.autoscale.memoryPercent) || (has(self.resources) && ((has(self.resources.requests) && has(self.resources.requests.memory)) || (has(self.resources.limits) && has(self.resources.limits.memory))))")
    .message("autoscale.memoryPercent is a share of resources.requests.memory, which must be set"))]
#[x_kube(validation = Rule::new("!has(self.env) || !has(self.secretEnv) || self.env.all(k, !(k in self.secretEnv))").message("a variable may be in one of env and secretEnv only"))]
pub struct Service {
    /// The container image, as `docker pull` takes it.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^[a-z0-9]+([-._:/a-zA-Z0-9]*[a-zA-Z0-9_])?(@sha256:[a-f0-9]{64})?$')")
        .message("must be an image reference such as 'registry.example/shop/web:1.4.0', optionally with '@sha256:' and 64 hex digits; no spaces, no upper case host"))]
    pub image: String,
    /// When to pull the image; unset: `Always` for `latest` or no tag, else `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of type `kubernetes.io/dockerconfigjson` to pull with, by name.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub image_pull_secrets: BTreeSet<String>,
    /// The program to run, instead of the image's entrypoint. Taken literally: `$(X)` and `$$` are not expanded.
    #[schemars(schema_with = "schema::words")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments, instead of the image's command. Taken literally.
    #[schemars(schema_with = "schema::words")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Folder to start in; unset: the image's.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("must be absolute: it begins with '/'"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Keep standard input open; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
    /// Give the container a terminal; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Environment variables, taken literally; an empty value is a variable that is there and empty.
    #[schemars(schema_with = "schema::env_values")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables from keys of `spec.secrets`. A changed Secret does not restart pods.
    #[schemars(schema_with = "schema::env::<SecretKey>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, SecretKey>,
    /// The ports the container listens on, by name.
    #[schemars(schema_with = "schema::ports::<ServicePort>")]
    #[x_kube(validation = Rule::new("self.all(a, self.all(b, a >= b || self[a].port != self[b].port || self[a].protocol != self[b].protocol || (has(self[a].published) && has(self[b].published) && self[a].published != self[b].published)))")
        .message("the same port and protocol may stand twice only with different published ports"))]
    #[x_kube(validation = Rule::new("self.all(a, self.all(b, a >= b || !has(self[a].published) || !has(self[b].published) || self[a].published != self[b].published || self[a].protocol != self[b].protocol || self[a].port == self[b].port))")
        .message("two ports may not be published as the same number with the same protocol"))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, ServicePort>,
    /// How this service's published ports are exposed; unset: as `spec.publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
    /// The networks it joins, by name; unset: `default`.
    #[schemars(schema_with = "schema::memberships::<Membership>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Membership>,
    /// How to tell that it is healthy; unset: it is once its containers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Services that must have reached a condition before this one is started or changed.
    #[schemars(schema_with = "schema::edges::<Dependency>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// What it finds at which path.
    #[schemars(schema_with = "schema::mounts::<Mount>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mounts: BTreeMap<String, Mount>,
    /// How many pods; unset: 1. Excludes `autoscale`.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Let load choose the number of pods. Excludes `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// What it may use, and what is set aside for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Time to stop in before it is killed; unset: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,
    /// The Pod Security level this service keeps to; unset: `spec.podSecurity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// Which user it runs as and what it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
}

/// When the node pulls the image.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // the words are Kubernetes' own
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// One key of a secret.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct SecretKey {
    /// A secret of `spec.secrets`.
    #[schemars(length(min = 1, max = 40))]
    pub secret: String,
    /// Its key; unset: the `key` of that secret.
    #[schemars(schema_with = "schema::data_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Start without the variable when the Secret or key is missing; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A port the container listens on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ServicePort {
    /// The number inside the container, which is also what other services dial.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default)]
    pub protocol: Protocol,
    /// The number under which it is published; unset: it is not.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<i32>,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }
}

/// A service's place in a network.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Membership {}

/// What must hold of another service first.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Dependency {
    /// `Started`: its container has run. `Healthy`: its rollout is complete. `Completed`: its Job succeeded. Unset: `Completed` for a Job, else `Healthy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Whether to wait for ever; false: go on with a warning when it fails. Unset: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
}

/// What a dependency must have reached.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

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
    #[schemars(schema_with = "schema::cpu")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes of memory: `512Mi`.
    #[schemars(schema_with = "schema::memory")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Bytes of the node's disk for logs and the writable layer: `1Gi`.
    #[schemars(schema_with = "schema::memory")]
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<Quantity>,
}
