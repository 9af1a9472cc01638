//! `volumes` of the project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::choices::VolumeAs;
use super::storage::Declared;
use super::{Mapper, code, names};
use crate::api::{AccessMode, Populate, Quantity, Retention, Volume, numbers};
use crate::compose::files;
use crate::compose::node::{At, Entry, Node};
use crate::compose::project;
use crate::compose::units;

/// `x-appstack` of a volume.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extension {
    #[schemars(with = "Option<String>")]
    size: Option<Quantity>,
    storage_class_name: Option<String>,
    access_mode: Option<AccessMode>,
    retention: Option<Retention>,
    claim_name: Option<String>,
    per_replica: Option<bool>,
    populate: Option<Populate>,
}

impl<'a> Mapper<'a> {
    /// The volumes of the project that some service mounts, and the folders that become volumes.
    pub(super) fn all_volumes(&mut self) {
        let project = self.project;
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for (_, service) in project.services() {
            let service = &service.value;
            for from in service.items("volumes_from").iter().filter_map(Node::as_text) {
                self.storage.givers.insert(from.split(':').next().unwrap_or_default());
            }
            let context = service.find(&["build", "context"]).and_then(Node::as_text);
            self.storage.contexts.extend(context.filter(|context| context.starts_with('/')).map(Path::new));
            // kompose reads them there too.
            let hint = |key: &str| service.find(&["labels", key]).and_then(Node::printed);
            let (size, class) = (hint("kompose.volume.size"), hint("kompose.volume.storage-class-name"));
            let names: BTreeSet<&str> = project::uses(service, "volumes").into_iter().collect();
            for name in names {
                used.insert(name);
                *self.storage.users.entry(name).or_default() += 1;
                if size.is_some() || class.is_some() {
                    self.storage.hints.insert(name, (size.clone(), class.clone()));
                }
            }
        }
        for (name, entry) in project.root.entries("volumes") {
            if used.contains(name.as_str()) {
                let declared = self.volume(name, entry);
                self.storage.volumes.insert(name, declared);
            } else {
                self.says.nothing(entry, "no service mounts it");
            }
        }
        self.bound_folders();
    }

    fn volume(&mut self, name: &'a str, entry: &'a Entry) -> Declared {
        let node = &entry.value;
        let label = self.volumes.get(name);
        let field = format!("spec.volumes.{label}");
        self.storage.places.insert(label.clone(), entry.at);
        let extension = node.entry("x-appstack").filter(|entry| !entry.value.is_null());
        let mut own: Extension = extension.and_then(|entry| self.extension(entry)).unwrap_or_default();
        if let Some(entry) = extension {
            if own.size.as_ref().is_some_and(|size| !is_size(size)) {
                let place = entry.value.entry("size").unwrap_or(entry);
                self.says.refused(place, code::EXTENSION, numbers::STORAGE, "");
                own.size = None;
            }
            self.says.mapped(entry, field.clone());
        }
        let external = node.entry("external").filter(|entry| entry.value.is_true());
        if external.is_some() || own.claim_name.is_some() {
            let claim = self.claim(name, node, own.claim_name);
            let volume =
                Volume { claim_name: Some(claim), access_mode: own.access_mode, populate: own.populate, ..empty() };
            self.says.mapped(entry, format!("{field}.claimName"));
            self.spec.volumes.insert(label.clone(), volume);
            return Declared::Volume { name: label, is_external: true };
        }
        if let Some(entry) = node.entry("name") {
            self.says.nothing(entry, "the key names the volume, and its claim is called after the stack and the key");
        }
        let mut volume = Volume {
            size: own.size,
            storage_class_name: own.storage_class_name,
            access_mode: own.access_mode,
            retention: own.retention,
            per_replica: own.per_replica,
            populate: own.populate,
            ..empty()
        };
        self.labels_of(node, &field, &mut volume);
        if let Some((size, class)) = self.storage.hints.get(name).cloned() {
            volume.size = volume.size.or_else(|| size.map(Quantity::Text).filter(is_size));
            volume.storage_class_name = volume.storage_class_name.or(class);
        }
        if let Some(declared) = self.driver(name, node, &field, &mut volume) {
            self.says.mapped(entry, field);
            return declared;
        }
        self.says.mapped(entry, field);
        match self.volume_choice(name, &label) {
            VolumeAs::Ephemeral => {
                let size = volume.size.unwrap_or_else(|| self.default_size());
                return Declared::Ephemeral(size, volume.storage_class_name);
            }
            VolumeAs::Secret => return Declared::Secret(self.volume_secret(&label, entry.at)),
            chosen => volume.access_mode = chosen.access_mode().or(volume.access_mode),
        }
        self.add_volume(&label, volume);
        Declared::Volume { name: label, is_external: false }
    }

    /// The secret of the stack that stands for a volume: one that somebody else makes.
    pub(super) fn volume_secret(&mut self, label: &str, at: At) -> String {
        let stack = self.stack_name();
        let is_taken = self.secrets.has(label) || label == stack;
        let name = if is_taken { format!("{label}-volume") } else { label.to_owned() };
        let name: String = name.chars().take(40).collect();
        if self.storage.secrets.contains(&name) {
            return name;
        }
        let secret_name = format!("{stack}-{label}");
        let message = format!("the volume is the Secret '{secret_name}', which must be there");
        let help = format!("kubectl create secret generic {secret_name} --from-file=FOLDER");
        self.says.noted(at, code::BOUND_FILE, &message, &help);
        self.storage.secrets.extend([name.clone(), secret_name.clone()]);
        self.spec.secrets.insert(name.clone(), crate::api::Secret { secret_name, key: None });
        name
    }

    /// The claim that an external volume is.
    fn claim(&mut self, name: &str, node: &'a Node, chosen: Option<String>) -> String {
        let written = node.get("name").and_then(Node::as_text).filter(|name| !name.is_empty()).unwrap_or(name);
        let claim = chosen.unwrap_or_else(|| written.to_owned());
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if claim.chars().all(is_name) && claim.starts_with(ends) && claim.ends_with(ends) && claim.len() <= 253 {
            return claim;
        }
        let label = names::label(&claim);
        if let Some(entry) = node.entry("name").filter(|entry| entry.at.is_written()).or_else(|| node.entry("external"))
        {
            let message = format!("no claim can be called '{claim}': the stack mounts '{label}'");
            let to = format!("spec.volumes.{}.claimName", self.volumes.get(name));
            self.says.approximated(entry, code::RENAMED, to, &message, "make a claim of that name in the namespace");
        }
        label
    }

    /// Adds a volume to the stack; one without a size gets the default.
    pub(super) fn add_volume(&mut self, label: &str, mut volume: Volume) {
        if volume.size.is_none() && volume.claim_name.is_none() {
            volume.size = Some(self.default_size());
            self.storage.sizeless.insert(label.to_owned());
        }
        self.spec.volumes.insert(label.to_owned(), volume);
    }

    /// How much a volume holds of which nobody says it.
    pub(super) fn default_size(&self) -> Quantity {
        Quantity::Text(self.choices.default_size.clone())
    }

    /// Labels: what kompose and k8ify read there, and annotations.
    fn labels_of(&mut self, node: &'a Node, field: &str, volume: &mut Volume) {
        for (name, entry) in node.entries("labels") {
            let text = entry.value.printed().filter(|_| !entry.value.is_null()).unwrap_or_default();
            match name.as_str() {
                "k8ify.size" | "kompose.volume.size" => {
                    let size = Quantity::Text(text);
                    if is_size(&size) {
                        volume.size.get_or_insert(size);
                        self.says.resolved(entry, format!("{field}.size"), "the hint says how much it holds");
                    } else {
                        self.says.ignored(
                            entry,
                            code::DEFAULT_SIZE,
                            numbers::STORAGE,
                            "write x-appstack: {size: 10Gi}",
                        );
                    }
                }
                "k8ify.storageClass" | "kompose.volume.storage-class-name" => {
                    volume.storage_class_name.get_or_insert(text);
                    self.says.resolved(entry, format!("{field}.storageClassName"), "the hint names the class");
                }
                "k8ify.shared" => {
                    if text == "true" {
                        volume.access_mode.get_or_insert(AccessMode::ReadWriteMany);
                    }
                    self.says.resolved(entry, format!("{field}.accessMode"), "the hint says who mounts it");
                }
                _ if super::process::is_annotation(name) => {
                    volume.annotations.insert(name.clone(), text);
                    self.says.mapped(entry, format!("{field}.annotations.{name}"));
                }
                _ => {
                    let message = "Kubernetes takes letters, digits, '-', '_' and '.' in the name of an annotation";
                    self.says.ignored(entry, code::ANNOTATION, message, "");
                }
            }
        }
    }

    /// What the driver and its options make of a volume, where that is no claim of the stack.
    fn driver(&mut self, name: &str, node: &'a Node, field: &str, volume: &mut Volume) -> Option<Declared> {
        let text = |path: &[&str]| node.find(path).and_then(Node::printed).unwrap_or_default();
        let driver = node.entry("driver").filter(|entry| !entry.value.is_null());
        let named = driver.and_then(|entry| entry.value.as_text()).filter(|driver| !matches!(*driver, "" | "local"));
        let options = node.entry("driver_opts").filter(|entry| entry.value.as_map().is_some_and(|map| !map.is_empty()));
        if let (Some(entry), Some(plugin)) = (driver, named) {
            let to = format!("{field}.storageClassName");
            if let Some(class) = self.choices.storage_classes.get(plugin) {
                volume.storage_class_name = Some(class.clone());
                self.says.resolved(entry, to, "--storage-class-map names the class");
            } else {
                let message =
                    format!("Kubernetes has no volume driver '{plugin}': the cluster's default class makes the volume");
                let help = format!("name a class with --storage-class-map {plugin}=CLASS");
                self.says.approximated(entry, code::VOLUME_DRIVER, to, &message, &help);
            }
            if let Some(entry) = options {
                self.says.ignored(entry, code::VOLUME_DRIVER, "options of a volume are those of its storage class", "");
            }
            return None;
        }
        let options = options?;
        let (kind, o, device) =
            (text(&["driver_opts", "type"]), text(&["driver_opts", "o"]), text(&["driver_opts", "device"]));
        let flags: Vec<&str> = o.split(',').map(str::trim).collect();
        if kind == "tmpfs" {
            self.says.mapped(options, "mounts.*.tmpfs");
            let size = flags.iter().find_map(|flag| flag.strip_prefix("size=")).and_then(units::bytes);
            return Some(Declared::Memory(size));
        }
        if flags.iter().any(|flag| matches!(*flag, "bind" | "rbind")) && !device.is_empty() {
            self.says.resolved(options, field, "it is the folder that it names, and goes by the rules for folders");
            return Some(Declared::Folder(files::join(&self.project.folder, &device)));
        }
        if let Some(class) = self.choices.storage_classes.get(&kind) {
            volume.storage_class_name = Some(class.clone());
            self.says.resolved(options, format!("{field}.storageClassName"), "--storage-class-map names the class");
            return None;
        }
        let on_network = matches!(kind.as_str(), "nfs" | "nfs4" | "cifs" | "smb3")
            || flags.iter().any(|flag| flag.starts_with("addr="));
        if !on_network {
            let message = "these are options of Docker's own driver";
            self.says.ignored(options, code::VOLUME_DRIVER, message, "a storage class says how volumes are made");
            return None;
        }
        let message = "pods mount no file servers: an administrator makes a volume and a claim of one";
        let help = format!("make a claim and name it: x-appstack: {{claimName: NAME}} under volumes.{name}");
        self.says.refused(options, code::VOLUME_DRIVER, message, &help);
        (!self.choices.allows(code::VOLUME_DRIVER)).then_some(Declared::Refused)
    }

    /// Finds the folders that become volumes: of folders inside each other the outermost.
    fn bound_folders(&mut self) {
        let project = self.project;
        let mut found: BTreeSet<PathBuf> = BTreeSet::new();
        for (_, service) in project.services() {
            for item in service.value.items("volumes") {
                let Some(source) = self.source_of(item) else { continue };
                self.storage.sources.insert(source.clone());
                let read_only = item.get("read_only").is_some_and(Node::is_true);
                let target = item.get("target").and_then(Node::as_text).unwrap_or_default();
                if self.bind_of(&source, target, read_only) == super::binds::Bind::Volume {
                    found.insert(source);
                }
            }
        }
        let declared: BTreeMap<PathBuf, String> = self
            .storage
            .volumes
            .iter()
            .filter_map(|(name, is)| match is {
                Declared::Folder(path) => Some((path.clone(), self.volumes.get(name))),
                _ => None,
            })
            .collect();
        // In this order a folder stands right before what is in it.
        let mut outermost: Option<PathBuf> = None;
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for path in found {
            if outermost.as_ref().is_some_and(|outermost| path.starts_with(outermost)) {
                continue;
            }
            let is_taken = |name: &str| self.volumes.has(name) || taken.contains(name);
            let label = declared.get(&path).cloned().unwrap_or_else(|| self.named_after(&path, usize::MAX, is_taken));
            taken.insert(label.clone());
            self.storage.bound.insert(path.clone(), label);
            outermost = Some(path);
        }
    }

    /// The folder or file of this computer that an item of a service's `volumes` mounts.
    pub(super) fn source_of(&self, item: &Node) -> Option<PathBuf> {
        let source = item.get("source").and_then(Node::as_text)?;
        match item.get("type").and_then(Node::as_text)? {
            "bind" => Some(files::clean(Path::new(source))),
            "volume" => match self.storage.volumes.get(source)? {
                Declared::Folder(path) => Some(path.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A volume that says nothing yet.
pub(super) fn empty() -> Volume {
    Volume {
        size: None,
        storage_class_name: None,
        access_mode: None,
        retention: None,
        claim_name: None,
        per_replica: None,
        populate: None,
        annotations: BTreeMap::new(),
    }
}

/// Whether the API takes it for the size of a volume: whole bytes from 1 MiB to 1 PiB.
fn is_size(size: &Quantity) -> bool {
    let text = match size {
        Quantity::Int(_) => "",
        Quantity::Text(text) => text,
    };
    let bounds = (1_i128 << 20) * 1000..=(1_i128 << 50) * 1000;
    !text.ends_with('m') && size.millis().is_some_and(|millis| bounds.contains(&millis) && millis % 1000 == 0)
}
