//! What is mounted, and what is behind it.

use std::collections::BTreeMap;

use super::EnvVar;
use crate::api::{AccessMode, HostPathType, PodSecurity, Propagation, PullPolicy, Retention};

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

/// Whom pods share a node with: all users of volumes that hang together, since the scheduler holds a pod only to those that match all of its terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// Users of this existing claim, in whichever stack of the namespace.
    Claim(String),
    /// Users of this volume of the stack.
    Volume(String),
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
