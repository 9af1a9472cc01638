//! The shapes of the checked model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::api::{
    AccessMode, Condition, HttpScheme, Isolation, PodSecurity, Protocol, Publish, PullPolicy, Retention,
    SecurityContext,
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
    /// Its services.
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
pub struct Service {
    /// Its name in the stack and in DNS.
    pub name: String,
    /// Hash of everything its pods are made from; pods are replaced when it changes, and only then.
    pub revision: String,
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
    /// In the order in which they are written to the pod.
    pub env: Vec<EnvVar>,
    /// Container ports, each (number, protocol) once.
    pub ports: Vec<Port>,
    /// What is published of them. Empty where no network of the service has a way in.
    pub published: Vec<Published>,
    /// How it is published.
    pub publish: Publish,
    /// Never empty.
    pub networks: BTreeSet<String>,
    /// None: healthy once its containers run.
    pub health: Option<Health>,
    /// Conditions on other services, by name.
    pub needs: BTreeMap<String, Need>,
    /// In path order.
    pub mounts: Vec<Mount>,
    /// How many pods.
    pub scale: Scale,
    /// Requests and limits.
    pub resources: Resources,
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

/// A port of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique in the service; Services and policies refer to it, so that each pod answers by its own revision.
    pub name: String,
    /// 1 to 65535.
    pub number: i32,
    /// Its protocol.
    pub protocol: Protocol,
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
    /// Writing is refused.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A volume of the stack.
    Volume {
        /// Its name.
        name: String,
        /// A folder in it.
        sub_path: Option<String>,
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
    pub requests: BTreeMap<&'static str, String>,
    /// Never exceeded.
    pub limits: BTreeMap<&'static str, String>,
}

/// A network that some service joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// No way out, none in but from members.
    pub internal: bool,
}

/// A volume that some service mounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// In bytes.
    pub size: i128,
    /// None: the cluster's default.
    pub storage_class_name: Option<String>,
    /// Who may mount it.
    pub access_mode: AccessMode,
    /// Whether it outlives the stack.
    pub retention: Retention,
}

/// An inline config that some service mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// File name to text.
    pub data: BTreeMap<String, String>,
    /// Hash of the content, part of the ConfigMap's name.
    pub hash: String,
}
