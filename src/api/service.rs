//! One service of the stack.

use std::collections::{BTreeMap, BTreeSet};

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Autoscale, DnsConfig, Duration, EndpointMode, EnvFrom, Gpu, Healthcheck, Hook, Job, Membership, Mode, Mount,
    NetworkMode, PodSecurity, PodTemplatePatch, PreStart, Publish, Quantity, Resources, Route, SecretKey,
    SecurityContext, ServicePort, Spread, Toleration, Update, numbers, schema,
};

/// A service, as in Compose: one container image, kept running.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.replicas) && has(self.autoscale))").message("replicas and autoscale exclude each other: the autoscaler sets the count"))]
#[x_kube(validation = Rule::new("!has(self.autoscale) || !has(self.autoscale.cpuPercent) || (has(self.resources) && ((has(self.resources.requests) && has(self.resources.requests.cpu)) || (has(self.resources.limits) && has(self.resources.limits.cpu))))")
    .message("autoscale.cpuPercent is a share of resources.requests.cpu, which must be set"))]
#[x_kube(validation = Rule::new("!has(self.autoscale) || !has(self.autoscale.memoryPercent) || (has(self.resources) && ((has(self.resources.requests) && has(self.resources.requests.memory)) || (has(self.resources.limits) && has(self.resources.limits.memory))))")
    .message("autoscale.memoryPercent is a share of resources.requests.memory, which must be set"))]
#[x_kube(validation = Rule::new("[has(self.env) && has(self.secretEnv) && self.env.exists(k, k in self.secretEnv), has(self.env) && has(self.envTemplate) && self.env.exists(k, k in self.envTemplate), has(self.secretEnv) && has(self.envTemplate) && self.secretEnv.exists(k, k in self.envTemplate)].all(x, !x)")
    .message("a variable may be in one of env, secretEnv and envTemplate only"))]
#[x_kube(validation = Rule::new("!has(self.mode) || self.mode == 'Replicated' || !(has(self.replicas) || has(self.autoscale))").message("replicas and autoscale go with mode Replicated"))]
#[x_kube(validation = Rule::new("!has(self.job) || (has(self.mode) && self.mode == 'Job')").message("job goes with mode Job"))]
#[x_kube(validation = Rule::new("!has(self.shmSize) || !has(self.mounts) || !('/dev/shm' in self.mounts)").message("shmSize mounts /dev/shm, which is among the mounts already; drop one of the two"))]
#[x_kube(validation = Rule::new("!has(self.networks) || !has(self.networkMode) || self.networkMode == 'Stack'").message("networks go with networkMode Stack"))]
pub struct Service {
    /// The container image, as `docker pull` takes it.
    #[schemars(schema_with = "schema::image")]
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
    /// Give the pod a first process that clears up after the others, by a process namespace that its containers share; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Environment variables, taken literally; an empty value is a variable that is there and empty.
    #[schemars(schema_with = "schema::env_values")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables from keys of `spec.secrets`. A changed Secret does not restart pods.
    #[schemars(schema_with = "schema::env::<SecretKey>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, SecretKey>,
    /// Environment variables put together from others: `$(NAME)` is the value of a variable of `env` or `secretEnv` of this service, `$$` a dollar.
    /// A URL with a password in it is one.
    #[schemars(schema_with = "schema::env_values")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_template: BTreeMap<String, String>,
    /// Configs and secrets whose every entry becomes a variable; a later one wins over an earlier, `env`, `secretEnv` and `envTemplate` over all.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
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
    /// How HTTP requests from outside reach it, by name: each is an HTTPRoute or an Ingress of its own.
    #[schemars(schema_with = "schema::routes::<Route>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, Route>,
    /// `VIP`: its name is one address that spreads connections. `DNSRR`: its name is the address of every pod. Unset: `DNSRR` for `mode: Global`,
    /// `perReplica` volumes and services without ports, else `VIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_mode: Option<EndpointMode>,
    /// Whether its name answers for pods that are not ready; unset: true for `perReplica` volumes, for `DNSRR` with more than one replica, and where its
    /// health check dials its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_not_ready: Option<bool>,
    /// `Stack`: the networks of the stack. `None`: no network at all. `Host`: that of the node, without walls; needs `podSecurity: Privileged`. Unset: `Stack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
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
    /// Graphics processors or other devices for each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Size of `/dev/shm`, which is memory; unset: 64Mi on most nodes.
    #[schemars(schema_with = "numbers::storage")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Quantity>,
    /// `Replicated`: so many pods are kept running. `Global`: one on every node. `Job`: run once for each definition, until it ends well. Unset: `Replicated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How a service of `mode: Job` runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// How running pods are replaced when the definition changes; unset: one after the other, each new pod ready before an old one stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    /// Steps that have to end well, one after the other, before each pod's own process starts.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_start: Vec<PreStart>,
    /// Run in the container right after its start; if it fails, the container is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_start: Option<Hook>,
    /// Run in the container before it is asked to stop; counts as part of `stopGracePeriod`. Unset: a pod with ports that is replaced `StartFirst` goes on
    /// serving for 5 s, so that no client is sent to one that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<Hook>,
    /// Time to stop in before it is killed; unset: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,
    /// The Pod Security level this service keeps to; unset: `spec.podSecurity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// Which user it runs as and what it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// It runs only while one of these is among `spec.profiles`; unset: always.
    #[schemars(schema_with = "schema::profiles")]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub profiles: BTreeSet<String>,
    /// Labels that a node must have.
    #[schemars(schema_with = "schema::labels")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that its pods put up with.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Whether its pods keep apart; unset: as the cluster does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// A PriorityClass of the cluster.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// A RuntimeClass of the cluster.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// A ServiceAccount of the namespace, whose token its pods then get; unset: no token.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Further labels of its pods; not those of `appstack.dev`. They win over those of `app.kubernetes.io` that pods have anyway.
    #[schemars(schema_with = "schema::labels")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// Further annotations of its pods; not those of `appstack.dev`.
    #[schemars(schema_with = "schema::annotations")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// Addresses of further host names, as in Compose's `extra_hosts`.
    #[schemars(schema_with = "schema::hosts")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_aliases: BTreeMap<String, String>,
    /// Added to the cluster's name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Merged over the pod template last: maps deep, lists of named items by `name`, anything else replaced. What no other field can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template_patch: Option<PodTemplatePatch>,
}

/// When the node pulls the image.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // the words are Kubernetes' own
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// What must hold of another service first.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Dependency {
    /// `Started`: its container has run. `Healthy`: its rollout is complete. `Completed`: its Job succeeded. Unset: `Completed` for a Job, else `Healthy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Whether to wait for ever; false: go on with a warning when it fails. Unset: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Whether this service is replaced when the dependency is; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<bool>,
}

/// What a dependency must have reached.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Condition {
    Started,
    Healthy,
    Completed,
}
