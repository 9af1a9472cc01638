//! What is known of volumes and files while services are mapped: what was declared, what bound paths became, each once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Mapper;
use super::choices::{BindAs, VolumeAs};
use super::names;
use crate::api::Quantity;
use crate::compose::files;
use crate::compose::node::{At, Node};

/// Volumes and files so far.
#[derive(Debug, Default)]
pub(super) struct Storage<'a> {
    /// Volumes of the project, by their names in Compose.
    pub(super) volumes: BTreeMap<&'a str, Declared>,
    /// Bound folders that are volumes, none inside another, and how these are called in the stack.
    pub(super) bound: BTreeMap<PathBuf, String>,
    /// How many services mount each volume of the project.
    pub(super) users: BTreeMap<&'a str, usize>,
    /// All paths of this computer that services mount.
    pub(super) sources: HashSet<PathBuf>,
    /// Where each volume of the stack is written first.
    pub(super) places: BTreeMap<String, At>,
    /// Volumes of the stack whose size nobody gave.
    pub(super) sizeless: BTreeSet<String>,
    /// Configs and secrets of the project that services use, by section and name; none where one cannot be.
    pub(super) files: BTreeMap<(&'static str, &'a str), Option<Placed>>,
    /// Bound files and folders that went along.
    pub(super) placed: HashMap<PathBuf, Result<Placed, Unfit>>,
    /// Bound folders that were looked at; none where one does not fit a config.
    pub(super) folders: HashMap<PathBuf, Option<Rc<Files>>>,
    /// Bytes of all configs.
    pub(super) config_bytes: usize,
    /// Who mounts what another mounts.
    pub(super) takes: Vec<Take<'a>>,
    /// Services of which others take volumes.
    pub(super) givers: BTreeSet<&'a str>,
    /// Folders that images of the project are built from.
    pub(super) contexts: BTreeSet<&'a Path>,
    /// Size and class of volumes by the labels of services that mount them.
    pub(super) hints: BTreeMap<&'a str, (Option<String>, Option<String>)>,
    /// Secrets that stand for volumes: their names in the stack and in the namespace.
    pub(super) secrets: BTreeSet<String>,
}

/// Who mounts what another mounts: both names in Compose, whether it only reads, and the item that says so.
pub(super) type Take<'a> = (&'a str, &'a str, bool, &'a Node);

/// What a volume of the project became.
#[derive(Clone, Debug)]
pub(super) enum Declared {
    /// The volume of the stack with this name.
    Volume {
        /// Its name there.
        name: String,
        /// Whether somebody else keeps it.
        is_external: bool,
    },
    /// Memory of each pod: at most so many bytes.
    Memory(Option<i64>),
    /// A folder of this computer.
    Folder(PathBuf),
    /// Storage that goes with each pod.
    Ephemeral(Quantity, Option<String>),
    /// The secret of the stack with this name.
    Secret(String),
    /// It cannot be.
    Refused,
}

/// Where a file, or a folder of files, is in the stack.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The config; none: it is a secret.
    pub(super) config: Option<String>,
    /// The secret.
    pub(super) secret: Option<String>,
    /// The entry, where it has several.
    pub(super) key: Option<String>,
    /// Whether it is a program.
    pub(super) is_executable: bool,
}

/// Why a file does not go along, and what to do.
#[derive(Clone, Debug)]
pub(super) struct Unfit {
    pub(super) message: String,
    pub(super) help: String,
}

/// The files of a folder.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) is_executable: bool,
}

impl Mapper<'_> {
    /// What the user chose of a volume, named as in Compose or as in the stack.
    pub(super) fn volume_choice(&self, name: &str, label: &str) -> VolumeAs {
        let chosen = self.choices.volumes.get(name).or_else(|| self.choices.volumes.get(label));
        chosen.copied().unwrap_or(VolumeAs::Claim)
    }

    /// What the user chose of a path.
    pub(super) fn bind_choice(&self, source: &Path) -> Option<BindAs> {
        let named = |path: &str| files::join(&self.project.folder, path) == source;
        self.choices.binds.iter().find(|(path, _)| named(path)).map(|(_, chosen)| *chosen)
    }

    /// A path as people write it: from the project folder where it is near that.
    pub(super) fn shown(&self, path: &Path) -> String {
        let (folder, mut up) = (&self.project.folder, 0);
        for above in folder.ancestors().filter(|above| above.parent().is_some()) {
            if let Ok(rest) = path.strip_prefix(above) {
                let start = if up == 0 { "./".to_owned() } else { "../".repeat(up) };
                return format!("{start}{}", rest.display()).trim_end_matches('/').to_owned();
            }
            up += 1;
        }
        path.display().to_string()
    }

    /// A name for what a path became: of its last `steps` steps, of all of them, and then with digits, until it is free.
    pub(super) fn named_after(&self, path: &Path, steps: usize, is_taken: impl Fn(&str) -> bool) -> String {
        let shown = self.shown(path);
        let parts: Vec<&str> = shown.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
        let last = parts.get(parts.len().saturating_sub(steps)..).unwrap_or_default().join("-");
        let fits = |name: &String| name.len() <= 40 && !is_taken(name);
        let whole = names::label(&parts.join("-"));
        if let Some(name) = [names::label(&last), whole.clone()].into_iter().find(fits) {
            return name;
        }
        let short: String = whole.chars().take(35).collect();
        format!("{}-{}", short.trim_end_matches('-'), names::digits(&shown))
    }
}
