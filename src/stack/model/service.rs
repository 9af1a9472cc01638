//! One service of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{EnvFrom, EnvVar, Health, Mount, Port, Published, Route, Update};
use crate::api::{
    Condition, DnsConfig, NetworkMode, PodSecurity, PodTemplatePatch, Publish, PullPolicy, SecurityContext, Spread,
    Toleration,
};

/// One service, all defaults decided.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is a field of the API with its default decided
pub struct Service {
    /// Its name in the stack and in DNS.
    pub name: String,
    /// Hash of everything its pods are made from; pods are replaced when it changes, and only then.
    pub revision: String,
    /// Hash of its definition alone: restarts do not move it.
    pub definition: String,
    /// An earlier revision that a person wants its pods made from, for as long as the definition stays as it is.
    pub put_back: Option<String>,
    /// What runs its pods.
    pub workload: Workload,
    /// Image reference.
    pub image: String,
    /// As written.
    pub pull_policy: Option<PullPolicy>,
    /// Names of Secrets.
    pub pull_secrets: BTreeSet<String>,
    /// Kubernetes' `command`.
    pub entrypoint: Vec<String>,
    /// Kubernetes' `args`.
    pub command: Vec<String>,
    /// Folder to start in.
    pub working_dir: Option<String>,
    /// Standard input stays open.
    pub stdin: bool,
    /// Has a terminal.
    pub tty: bool,
    /// A first process clears up after the others.
    pub init: bool,
    /// In the order in which they are written to the pod: those that are put together from others come last.
    pub env: Vec<EnvVar>,
    /// Whole ConfigMaps and Secrets as variables, a later one before an earlier.
    pub env_from: Vec<EnvFrom>,
    /// Container ports, each (number, protocol) once.
    pub ports: Vec<Port>,
    /// Its name is the address of every pod.
    pub headless: bool,
    /// Its name answers for pods that are not ready.
    pub publish_not_ready: bool,
    /// What is published of them. Empty where no network of the service has a way in.
    pub published: Vec<Published>,
    /// How it is published.
    pub publish: Publish,
    /// How requests from outside reach it. Empty where no network of the service has a way in.
    pub routes: Vec<Route>,
    /// Whose network its pods live in.
    pub network_mode: NetworkMode,
    /// Empty only where the mode is not `Stack`.
    pub networks: BTreeSet<String>,
    /// Further names it answers to.
    pub aliases: BTreeSet<String>,
    /// None: healthy once its containers run.
    pub health: Option<Health>,
    /// Conditions on other services, by name.
    pub needs: BTreeMap<String, Need>,
    /// In path order.
    pub mounts: Vec<Mount>,
    /// How many pods.
    pub scale: Scale,
    /// Requests and limits, devices among them.
    pub resources: Resources,
    /// Before its own process.
    pub pre_start: Vec<PreStart>,
    /// In the container, right after its start.
    pub post_start: Option<Vec<String>>,
    /// In the container, before it is asked to stop.
    pub pre_stop: Option<Vec<String>>,
    /// Where its pods may run.
    pub placement: Placement,
    /// Whose token its pods get.
    pub service_account: Option<String>,
    /// Further labels of its pods.
    pub pod_labels: BTreeMap<String, String>,
    /// Further annotations of its pods.
    pub pod_annotations: BTreeMap<String, String>,
    /// Further host names, by address.
    pub host_aliases: BTreeMap<String, Vec<String>>,
    /// Added to name resolution.
    pub dns_config: Option<DnsConfig>,
    /// Merged over the pod template last.
    pub patch: Option<PodTemplatePatch>,
    /// Until it is killed.
    pub stop_grace: Duration,
    /// Its Pod Security level.
    pub pod_security: PodSecurity,
    /// As written.
    pub security: SecurityContext,
    /// How its pods are replaced.
    pub update: Update,
    /// Whether it writes to a claim that one node mounts at a time, or mounts one that is for one pod.
    pub writes_exclusive_claim: bool,
}

impl Service {
    /// Whether an old and a new pod of it cannot live side by side: they write one claim that one node mounts, mount one that is for one pod, or hold ports of the node.
    pub fn is_alone_on_its_node(&self) -> bool {
        self.writes_exclusive_claim || self.holds_node_ports()
    }

    /// Whether its ports are those of the node.
    pub fn holds_node_ports(&self) -> bool {
        self.network_mode == NetworkMode::Host && !self.ports.is_empty()
    }
}

/// What runs a service's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workload {
    /// So many, all alike.
    Deployment,
    /// So many, each with claims of its own.
    StatefulSet,
    /// One on every node.
    DaemonSet,
    /// Until it ends well.
    Job(Job),
}

/// How a Job runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Further tries.
    pub retries: i32,
    /// For all tries together.
    pub deadline: Option<Duration>,
    /// Pods that have to succeed.
    pub completions: i32,
}

/// A step before the start.
#[derive(Clone, Debug, PartialEq)]
pub struct PreStart {
    /// Its name among the steps.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Program and arguments; empty: the image's.
    pub command: Vec<String>,
    /// Its variables.
    pub env: Vec<EnvVar>,
}

/// Where pods may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Labels a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are put up with.
    pub tolerations: Vec<Toleration>,
    /// Whether pods keep apart.
    pub spread: Spread,
    /// Of the cluster.
    pub priority_class: Option<String>,
    /// Of the cluster.
    pub runtime_class: Option<String>,
}

/// What must hold of another service first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it must have reached.
    pub condition: Condition,
    /// Whether its failure is ours.
    pub required: bool,
}

/// How many pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// So many; unset means one on creation.
    Fixed(Option<i32>),
    /// As load wants.
    Auto(Autoscale),
}

/// Bounds and aims of an autoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscale {
    /// At least 1.
    pub min: i32,
    /// At least `min`.
    pub max: i32,
    /// Percent of the request.
    pub cpu_percent: Option<i32>,
    /// Percent of the request.
    pub memory_percent: Option<i32>,
    /// Low load for so long before pods are taken away.
    pub scale_down_after: Option<Duration>,
}

/// Requests and limits, canonical, by Kubernetes' resource name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Set aside.
    pub requests: BTreeMap<String, String>,
    /// Never exceeded.
    pub limits: BTreeMap<String, String>,
}
