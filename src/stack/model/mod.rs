//! The shapes of the checked model.

mod endpoint;
mod env;
mod route;
mod service;
mod storage;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use endpoint::{Health, Port, PortRef, Probe, Published};
pub use env::{EnvFrom, EnvSource, EnvVar, Value};
pub use route::{Route, RouteParent};
pub use service::{Autoscale, Job, Need, Placement, PreStart, Resources, Scale, Service, Workload};
pub use storage::{Claim, Mount, Populate, Source, Storage, Tie, Volume};
pub use update::{Pods, Strategy, Update};

use crate::api::{Isolation, Teardown};

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
    /// How it goes when it is deleted.
    pub teardown: Teardown,
    /// The service account in whose name it is written; none: the operator's own.
    pub apply_as: Option<String>,
    /// Stacks of its namespace that it waits for.
    pub depends_on: BTreeSet<String>,
    /// Its services, less those that are off by profile.
    pub services: BTreeMap<String, Service>,
    /// Service names, dependencies before dependants.
    pub order: Vec<String>,
    /// The networks that some service joins.
    pub networks: BTreeMap<String, Network>,
    /// What keeps the users of a volume on one node, by volume.
    pub ties: BTreeMap<String, Tie>,
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

/// A network that some service joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// No way out, none in but from members.
    pub internal: bool,
    /// Name under which stacks of the namespace share it.
    pub shared: Option<String>,
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
