//! What the user has chosen where a project can become more than one stack.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{AccessMode, PublishType};
use crate::compose::problem::Code;

/// What a folder or file of the computer becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindAs {
    /// A volume of the stack.
    Volume,
    /// Storage that goes with the pod.
    Ephemeral,
    /// A config.
    Config,
    /// A path of the node.
    HostPath,
    /// Nothing.
    Drop,
}

/// What a volume becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeAs {
    /// One claim for all who mount it, writable on one node: what is done anyway.
    Claim,
    /// The same, writable on all nodes.
    ReadWriteMany,
    /// The same, for one pod at a time.
    ReadWriteOncePod,
    /// Storage that goes with the pod.
    Ephemeral,
    /// A Secret that exists already: files that are only read.
    Secret,
}

impl VolumeAs {
    /// Who may mount the claim, where that was chosen.
    pub(super) fn access_mode(self) -> Option<AccessMode> {
        match self {
            VolumeAs::ReadWriteMany => Some(AccessMode::ReadWriteMany),
            VolumeAs::ReadWriteOncePod => Some(AccessMode::ReadWriteOncePod),
            VolumeAs::Claim | VolumeAs::Ephemeral | VolumeAs::Secret => None,
        }
    }
}

/// The choices; services, volumes and paths by their names in Compose.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches of a command line
pub struct Choices {
    /// Codes that are no failure: what they refuse is left out, or taken over where it can be.
    pub allow: BTreeSet<String>,
    /// Images of services that are built.
    pub images: BTreeMap<String, String>,
    /// Where images that are built are pushed to: `PREFIX/PROJECT-SERVICE:TAG`.
    pub registry: Option<String>,
    /// The tag of those.
    pub tag: Option<String>,
    /// How published ports are exposed.
    pub publish: PublishType,
    /// The class of Ingress that routes belong to, where the project names no other and no gateway.
    pub ingress_class: Option<String>,
    /// What bound paths become, by path as in the file or as a whole.
    pub binds: BTreeMap<String, BindAs>,
    /// What volumes become.
    pub volumes: BTreeMap<String, VolumeAs>,
    /// How much a volume holds that does not say so.
    pub default_size: String,
    /// Storage classes, by volume driver.
    pub storage_classes: BTreeMap<String, String>,
    /// Services that run to their end.
    pub jobs: BTreeSet<String>,
    /// Services that do not.
    pub no_jobs: BTreeSet<String>,
    /// Graphics processors of services.
    pub gpus: BTreeMap<String, u32>,
    /// Services whose check is inside their image: they count as healthy once they run.
    pub assume_healthy: BTreeSet<String>,
    /// Addresses of models.
    pub models: BTreeMap<String, String>,
    /// Environment blocks of three services or more become a config of their own.
    pub share_env: bool,
    /// All that env files set is a secret.
    pub env_files_secret: bool,
    /// Write requests of nothing beside limits, as in Compose.
    pub no_requests: bool,
    /// Make HTTP checks of checks by curl and wget.
    pub http_probes: bool,
    /// Anonymous volumes are kept as volumes.
    pub anonymous_volumes: bool,
    /// Secrets that are made have a hash of what is in them in their names: another value is another name, and rolls out like any change.
    pub secret_hash: bool,
}

impl Default for Choices {
    fn default() -> Self {
        Choices {
            allow: BTreeSet::new(),
            images: BTreeMap::new(),
            registry: None,
            tag: None,
            publish: PublishType::LoadBalancer,
            ingress_class: None,
            binds: BTreeMap::new(),
            volumes: BTreeMap::new(),
            default_size: "1Gi".to_owned(),
            storage_classes: BTreeMap::new(),
            jobs: BTreeSet::new(),
            no_jobs: BTreeSet::new(),
            gpus: BTreeMap::new(),
            assume_healthy: BTreeSet::new(),
            models: BTreeMap::new(),
            share_env: false,
            env_files_secret: false,
            no_requests: false,
            http_probes: false,
            anonymous_volumes: false,
            secret_hash: false,
        }
    }
}

impl Choices {
    /// Whether `--allow` has the code, or its word (`privileged`, `hostpath`, `hostnetwork`, `hostipc`, `hostpid`).
    pub fn allows(&self, code: Code) -> bool {
        let word = super::code::WORDS.iter().find(|(of, _)| *of == code).map(|(_, word)| *word);
        self.allow.contains(code.0) || word.is_some_and(|word| self.allow.contains(word))
    }
}
