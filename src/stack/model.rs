//! The shapes of the checked model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::api::{
    AccessMode, Condition, DnsConfig, HostPathType, HttpScheme, Isolation, NetworkMode, OpenTo, PodSecurity,
    PodTemplatePatch, Propagation, Protocol, Publish, PullPolicy, Retention, SecurityContext, Spread, Toleration,
};

/// A stack whose parts fit together.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// Its name, at most 40 characters.
    pub name: String,
    /// The namespace of all its objects.
    pub namespace: String,
    /// The uid that its children carry as owner.
    pub uid: String,
    /// How services are kept apart.
    pub isolation: Isolation,
    /// No service is to have pods.
    pub stopped: bool,
    /// Its services, less those that are off by profile.
    pub services: BTreeMap<String, Service>,
    /// Service names, dependencies before dependants.
    pub order: Vec<String>,
    /// The networks that some service joins.
    pub networks: BTreeMap<String, Network>,
    /// The volumes that some service mounts.
    pub volumes: BTreeMap<String, Volume>,
    /// The inline configs that some service mounts.
    pub configs: BTreeMap<String, Config>,
    /// What is legal and probably not meant.
    pub warnings: Vec<Problem>,
}

impl Stack {
    /// Every further name, with the services that answer to it.
    pub fn aliases(&self) -> BTreeMap<&String, Vec<&Service>> {
        let mut all: BTreeMap<&String, Vec<&Service>> = BTreeMap::new();
        for service in self.services.values() {
            for alias in &service.aliases {
                all.entry(alias).or_default().push(service);
            }
        }
        all
    }
}

/// One thing to put right, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// As the API server writes it: `spec.services[db].image`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Problem {
    /// At `field`, `message`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Every problem of a stack: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// All of them, by field.
    pub all: Vec<Problem>,
    /// Service names of a cycle in `dependsOn`, when there is one.
    pub cycle: Option<Vec<String>>,
}

/// One service, all defaults decided.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is a field of the API with its default decided
pub struct Service {
    /// Its name in the stack and in DNS.
    pub name: String,
    /// Hash of everything its pods are made from; pods are replaced when it changes, and only then.
    pub revision: String,
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
    /// Without progress for so long, a rollout has failed.
    pub deadline: Duration,
    /// Whether it writes to a claim that one node mounts at a time.
    pub writes_exclusive_claim: bool,
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

/// A variable of the container.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: Value,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Written in the stack.
    Literal(String),
    /// Put together from others by the kubelet: `$(NAME)` and `$$` mean something in it.
    Template(String),
    /// A key of a Secret of the namespace.
    Secret {
        /// The Secret's own name.
        secret_name: String,
        /// The key in it.
        key: String,
        /// The container starts without it.
        optional: bool,
    },
}

/// A whole ConfigMap or Secret as variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// Of what.
    pub source: EnvSource,
    /// Before each key.
    pub prefix: Option<String>,
    /// The container starts without it.
    pub optional: bool,
}

/// What variables are taken from as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    /// Our ConfigMap of this inline config.
    Config(String),
    /// Somebody else's ConfigMap.
    ConfigMap(String),
    /// A Secret.
    Secret(String),
}

impl EnvSource {
    /// The inline config that it is.
    pub fn config(&self) -> Option<&String> {
        if let EnvSource::Config(name) = self { Some(name) } else { None }
    }
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

/// A port of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique in the service; Services and policies refer to it, so that each pod answers by its own revision.
    pub name: String,
    /// 1 to 65535.
    pub number: i32,
    /// Its protocol.
    pub protocol: Protocol,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
    /// Who may dial it besides the members of its networks.
    pub open_to: OpenTo,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The user's name for it.
    pub name: String,
    /// The number outside.
    pub number: i32,
    /// Its protocol.
    pub protocol: Protocol,
    /// Name of the container port behind it.
    pub target: String,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
}

/// A container port as a probe names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    /// Not among the declared ports.
    Number(i32),
    /// Name of a container port.
    Name(String),
}

/// A health check with every number decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// How it is asked.
    pub probe: Probe,
    /// Between checks.
    pub interval: Duration,
    /// Of one check.
    pub timeout: Duration,
    /// Failures in a row until unhealthy.
    pub retries: i32,
    /// In which failures do not count.
    pub start_period: Duration,
    /// Between checks while it starts.
    pub start_interval: Duration,
    /// An unhealthy container is killed.
    pub restart: bool,
}

/// How health is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// A command in the container.
    Exec(Vec<String>),
    /// A GET.
    Http {
        /// Where.
        port: PortRef,
        /// What.
        path: String,
        /// Plain or TLS.
        scheme: HttpScheme,
        /// Sent along.
        headers: BTreeMap<String, String>,
    },
    /// A connection.
    Tcp {
        /// Where.
        port: PortRef,
    },
    /// A call of the gRPC health service.
    Grpc {
        /// Where: Kubernetes takes no name here.
        port: i32,
        /// About which service; none: the server.
        service: Option<String>,
    },
}

/// What must hold of another service first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it must have reached.
    pub condition: Condition,
    /// Whether its failure is ours.
    pub required: bool,
}

/// Something at a path of the container.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// Absolute.
    pub path: String,
    /// What.
    pub source: Source,
    /// A folder in it.
    pub sub_path: Option<String>,
    /// Writing is refused.
    pub read_only: bool,
    /// Filled from the image while it is empty.
    pub seed: bool,
    /// Of mounts made later on either side.
    pub propagation: Option<Propagation>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A volume of the stack.
    Volume {
        /// Its name.
        name: String,
    },
    /// Our ConfigMap of an inline config.
    Config {
        /// The config's name.
        name: String,
        /// One entry, as a file.
        key: Option<String>,
        /// Permissions.
        mode: i32,
    },
    /// Somebody else's ConfigMap.
    ConfigMap {
        /// Name of the config in the stack, which names the volume.
        config: String,
        /// The ConfigMap's name.
        config_map_name: String,
        /// One entry, as a file.
        key: Option<String>,
        /// Permissions.
        mode: i32,
    },
    /// A Secret.
    Secret {
        /// Name of the secret in the stack, which names the volume.
        secret: String,
        /// The Secret's name.
        secret_name: String,
        /// One entry, as a file.
        key: Option<String>,
        /// Permissions.
        mode: i32,
    },
    /// Memory.
    Tmpfs {
        /// In bytes.
        size: Option<i128>,
    },
    /// A volume that goes with the pod.
    Ephemeral {
        /// In bytes.
        size: i128,
        /// None: the cluster's default.
        storage_class_name: Option<String>,
    },
    /// A path of the node.
    HostPath {
        /// Absolute.
        path: String,
        /// What has to be there.
        r#type: Option<HostPathType>,
    },
    /// The files of an image.
    Image {
        /// Which.
        reference: String,
        /// As written.
        pull_policy: Option<PullPolicy>,
    },
}

impl Source {
    /// The volume of the stack that it is.
    pub fn volume(&self) -> Option<&String> {
        if let Source::Volume { name } = self { Some(name) } else { None }
    }

    /// The inline config that it is.
    pub fn config(&self) -> Option<&String> {
        if let Source::Config { name, .. } = self { Some(name) } else { None }
    }
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

/// A network that some service joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// No way out, none in but from members.
    pub internal: bool,
    /// Name under which stacks of the namespace share it.
    pub shared: Option<String>,
}

/// A volume that some service mounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Which claim is behind it.
    pub claim: Claim,
    /// Who may mount it.
    pub access_mode: AccessMode,
    /// The Job that fills it.
    pub populate: Option<Populate>,
}

impl Volume {
    /// Whether all its users have to share a node.
    pub fn ties_to_node(&self) -> bool {
        self.access_mode == AccessMode::ReadWriteOnce && !self.is_per_replica()
    }

    /// Whether each pod has a claim of its own.
    pub fn is_per_replica(&self) -> bool {
        matches!(self.claim, Claim::PerReplica(_))
    }
}

/// Which claim is behind a volume.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// One of the stack.
    Own(Storage),
    /// One for each pod.
    PerReplica(Storage),
    /// One that somebody else keeps.
    Existing(String),
}

/// What a claim asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// In bytes.
    pub size: i128,
    /// None: the cluster's default.
    pub storage_class_name: Option<String>,
    /// Whether it outlives the stack.
    pub retention: Retention,
    /// Of the claim.
    pub annotations: BTreeMap<String, String>,
}

/// How a volume is filled.
#[derive(Clone, Debug, PartialEq)]
pub struct Populate {
    /// Hash of the definition: another one is another Job.
    pub revision: String,
    /// Image reference.
    pub image: String,
    /// Program and arguments; empty: the image's.
    pub command: Vec<String>,
    /// Its variables.
    pub env: Vec<EnvVar>,
    /// Where the volume is mounted.
    pub mount_path: String,
    /// Further tries.
    pub retries: i32,
    /// Its Pod Security level: the stack's.
    pub pod_security: PodSecurity,
}

/// An inline config that some service uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// File name to text.
    pub data: BTreeMap<String, String>,
    /// File name to base64.
    pub binary_data: BTreeMap<String, String>,
    /// Hash of the content, part of the ConfigMap's name.
    pub hash: String,
}
