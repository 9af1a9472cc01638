//! `volumes`, `tmpfs` and `volumes_from` of a service.

use super::known_images::{self, Known};
use super::storage::{Declared, Placed};
use super::volumes::empty;
use super::{Mapper, Of, code, field, names};
use crate::api::{Ephemeral, ImageSource, Mount, Seed, Service, Volume};
use crate::compose::node::{Holds, Node};
use crate::compose::units;

/// Something that is to be mounted.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// The item that says so.
    pub(super) item: &'a Node,
    /// The path in the container.
    pub(super) target: String,
    /// Whether it is only read.
    pub(super) read_only: bool,
    /// What differs from what the item says.
    pub(super) remarks: Vec<String>,
}

impl<'a> Mapper<'a> {
    /// What a service finds at which path.
    pub(super) fn mounts(&mut self, of: &Of<'a>, to: &mut Service) {
        for item in of.node.items("tmpfs") {
            self.tmpfs(of, item, to);
        }
        let sources = of.node.items("volumes").iter().filter(|item| {
            let read_only = item.get("read_only").is_some_and(Node::is_true);
            let target = item.get("target").and_then(Node::as_text).unwrap_or_default();
            let source = self.source_of(item);
            source.is_some_and(|source| self.bind_of(&source, target, read_only) == super::binds::Bind::Source)
        });
        let of_sources: Vec<&str> = sources.filter_map(|item| item.get("target")?.as_text()).collect();
        for item in of.node.items("volumes") {
            self.volume_mount(of, item, &of_sources, to);
        }
        self.files_of(of, to);
        for item in of.node.items("volumes_from") {
            self.volumes_from(of, item);
        }
    }

    fn volume_mount(&mut self, of: &Of<'a>, item: &'a Node, of_sources: &[&str], to: &mut Service) {
        let text = |key: &str| item.get(key).and_then(Node::as_text).unwrap_or_default();
        let read_only = item.get("read_only").is_some_and(Node::is_true);
        let wish = Wish { item, target: text("target").to_owned(), read_only, remarks: Vec::new() };
        if let Some(entry) = item.entry("consistency").filter(|entry| entry.at != item.at) {
            self.says.nothing(entry, "it is about Docker Desktop");
        }
        match (text("type"), text("source")) {
            ("volume", "") => self.anonymous(of, &wish, of_sources, to),
            ("volume", source) => self.named(of, wish, source, to),
            ("bind", _) => {
                if let Some(source) = self.source_of(item) {
                    self.bind(of, &wish, &source, to);
                }
            }
            ("tmpfs", _) => {
                let size = match item.find(&["tmpfs", "size"]).map(|node| &node.holds) {
                    Some(Holds::Bytes(size)) => Some(*size),
                    _ => None,
                };
                let mode =
                    item.get("tmpfs").and_then(|tmpfs| tmpfs.entry("mode")).filter(|entry| !entry.value.is_null());
                if let Some(entry) = mode.filter(|entry| !matches!(entry.value.holds, Holds::Int(0o777 | 0o1777))) {
                    self.says.ignored(entry, code::MOUNT_OPTION, "everybody may write to memory that is mounted", "");
                }
                self.memory(of, &wish, size, to);
            }
            ("image", reference) => {
                let image = ImageSource { reference: reference.to_owned(), pull_policy: None };
                let sub_path = item.find(&["image", "subpath"]).and_then(Node::as_text).map(str::to_owned);
                let mount = Mount { image: Some(image), sub_path, ..Mount::default() };
                if let Some(field) = self.put(of, &wish, mount, to) {
                    self.says.mapped(item, field);
                }
            }
            (kind, _) => {
                let message = format!("Kubernetes has no mounts of type {kind}");
                self.says.refused(
                    item,
                    code::MOUNT_KIND,
                    &message,
                    "use a volume, whose storage class decides what is behind it",
                );
            }
        }
    }

    /// A volume without a name: the pod's own, with what the image has there.
    fn anonymous(&mut self, of: &Of<'a>, wish: &Wish<'a>, of_sources: &[&str], to: &mut Service) {
        let below = |folder: &str| wish.target.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if of_sources.iter().any(|folder| below(folder)) {
            let why = "it kept the image's files from being hidden by the source code that is mounted above it, which is gone";
            return self.says.nothing(wish.item, why);
        }
        let seed = Self::seed(to, &wish.target, wish.read_only);
        let read_only = wish.read_only.then_some(true);
        if self.choices.anonymous_volumes || self.storage.givers.contains(of.name) {
            let path = names::label(&wish.target);
            let mut name: String = format!("{}-{path}", self.services.get(of.name)).chars().take(40).collect();
            name.truncate(name.trim_end_matches('-').len());
            while self.spec.volumes.contains_key(&name) {
                name.truncate(35);
                name =
                    format!("{}-{}", name.trim_end_matches('-'), names::digits(&format!("{}{}", of.name, wish.target)));
                if self.spec.volumes.contains_key(&name) {
                    break;
                }
            }
            let mount = Mount { volume: Some(name.clone()), read_only, seed, ..Mount::default() };
            if let Some(field) = self.put(of, wish, mount, to) {
                self.add_volume(&name, Volume { ..empty() });
                self.storage.places.entry(name).or_insert(wish.item.at);
                self.says.mapped(wish.item, field);
            }
            return;
        }
        let ephemeral = Ephemeral { size: self.default_size(), storage_class_name: None };
        let mount = Mount { ephemeral: Some(ephemeral), read_only, seed, ..Mount::default() };
        if let Some(field) = self.put(of, wish, mount, to) {
            let message = "each pod has a volume of its own there, and its data goes with the pod";
            let help = "name the volume to keep its data, or --anonymous=volume";
            self.says.approximated(wish.item, code::ANONYMOUS, field, message, help);
        }
    }

    fn named(&mut self, of: &Of<'a>, mut wish: Wish<'a>, source: &'a str, to: &mut Service) {
        let item = wish.item;
        let options = item.get("volume");
        if let Some(entry) = options.and_then(|options| options.entry("labels")).filter(|entry| entry.at != item.at) {
            self.says.nothing(entry, "a mount has no labels");
        }
        let no_copy = options.and_then(|options| options.get("nocopy")).is_some_and(Node::is_true);
        let own_path =
            options.and_then(|options| options.get("subpath")).and_then(Node::as_text).filter(|path| !path.is_empty());
        let seed = if no_copy { None } else { Self::seed(to, &wish.target, wish.read_only) };
        let read_only = wish.read_only.then_some(true);
        match self.storage.volumes.get(source).cloned() {
            Some(Declared::Volume { name, is_external }) => {
                let known = known_images::of(&to.image);
                let data = known.and_then(|known| data_folder(of, known, &wish.target)).filter(|_| !is_external);
                let sub_path = own_path.or(data).map(str::to_owned);
                let seed = seed.filter(|_| !is_external);
                let mount = Mount { volume: Some(name), sub_path, read_only, seed, ..Mount::default() };
                if let Some(field) = self.put(of, &wish, mount, to) {
                    self.says.mapped(item, field);
                }
            }
            Some(Declared::Memory(size)) => {
                if self.storage.users.get(source).is_some_and(|users| *users > 1) {
                    wish.remarks.push("each pod has memory of its own there, which no other service sees".to_owned());
                }
                self.memory(of, &wish, size, to);
            }
            Some(Declared::Folder(path)) => self.bind(of, &wish, &path, to),
            Some(Declared::Ephemeral(size, storage_class_name)) => {
                let ephemeral = Ephemeral { size, storage_class_name };
                let sub_path = own_path.map(str::to_owned);
                let mount = Mount { ephemeral: Some(ephemeral), sub_path, read_only, seed, ..Mount::default() };
                if let Some(field) = self.put(of, &wish, mount, to) {
                    self.says.resolved(item, field, "--volume makes it storage that goes with the pod");
                }
            }
            Some(Declared::Secret(name)) => self.secret_mount(of, &wish, name, own_path, to),
            Some(Declared::Refused) | None => {
                let message = format!("the volume '{source}' cannot be in the stack");
                self.says.refused(item, code::WITH_REFUSED, &message, "what is said of the volume says why");
            }
        }
    }

    /// A volume that is a Secret: its files, or the one that is meant.
    pub(super) fn secret_mount(
        &mut self,
        of: &Of<'a>,
        wish: &Wish<'a>,
        secret: String,
        file: Option<&str>,
        to: &mut Service,
    ) {
        let mount = Mount { secret: Some(secret), key: file.map(str::to_owned), ..Mount::default() };
        let Some(field) = self.put(of, wish, mount, to) else { return };
        if wish.read_only {
            return self.says.resolved(wish.item, field, "--volume makes it a Secret");
        }
        let message = "--volume makes it a Secret, which the container cannot write to";
        self.says.approximated(
            wish.item,
            code::MOUNT_OPTION,
            field,
            message,
            "write :ro if the container only reads it",
        );
    }

    /// Whether the image's files go into a new volume, as Docker has it: where no program fills it by itself.
    fn seed(to: &Service, target: &str, read_only: bool) -> Option<Seed> {
        let known = known_images::of(&to.image);
        let fills_itself = known.is_some_and(|known| known.keeps_data_at(target) || !known.has_shell);
        (!read_only && !fills_itself).then_some(Seed::FromImage)
    }

    /// `PATH[:OPTIONS]`.
    fn tmpfs(&mut self, of: &Of<'a>, item: &'a Node, to: &mut Service) {
        let text = item.as_text().unwrap_or_default();
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        let target = crate::compose::files::clean(std::path::Path::new(path)).display().to_string();
        let mut wish = Wish { item, target, read_only: false, remarks: Vec::new() };
        let mut size = None;
        let mut lost = Vec::new();
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", amount)) if units::bytes(amount).is_some() => size = units::bytes(amount),
                Some(("mode", "777" | "0777" | "1777" | "01777")) => {}
                None if option == "ro" => wish.read_only = true,
                None if matches!(option, "rw" | "exec") => {}
                _ => lost.push(option),
            }
        }
        if !lost.is_empty() {
            wish.remarks.push(format!("memory that is mounted belongs to everybody, without {}", lost.join(", ")));
        }
        self.memory(of, &wish, size, to);
    }

    fn volumes_from(&mut self, of: &Of<'a>, item: &'a Node) {
        let text = item.as_text().unwrap_or_default();
        let mut parts = text.split(':');
        let (name, mode) = (parts.next().unwrap_or_default(), parts.next());
        if name == "container" {
            let message = "containers of other projects are not in the stack";
            return self.says.refused(item, code::VOLUMES_FROM, message, "name the volumes that it mounts");
        }
        self.storage.takes.push((of.name, name, mode == Some("ro"), item));
        let message = format!(
            "what '{name}' mounts is written here once more; a volume that one node mounts ties both to that node"
        );
        let to = field(of, &self.services, "mounts");
        self.says.approximated(item, code::VOLUMES_FROM, to, &message, "name the volumes that it needs");
    }

    /// Adds a mount; the field that it is. None if it cannot be at its path, which is said then.
    pub(super) fn put(&mut self, of: &Of<'a>, wish: &Wish<'a>, mount: Mount, to: &mut Service) -> Option<String> {
        let path = wish.target.as_str();
        if !is_mount_path(path) {
            let message = format!("nothing can be mounted at '{path}'");
            let help = "write an absolute path other than '/', without ':'";
            self.says.refused(wish.item, code::MOUNT_OPTION, &message, help);
            return None;
        }
        if to.mounts.contains_key(path) {
            let message = format!("something else is mounted at '{path}' already");
            self.says.refused(wish.item, code::MOUNT_OPTION, &message, "take one of them out");
            return None;
        }
        to.mounts.insert(path.to_owned(), mount);
        Some(field(of, &self.services, &format!("mounts[{path}]")))
    }

    /// Adds the mount of a file or of a folder of files.
    pub(super) fn put_placed(
        &mut self,
        of: &Of<'a>,
        wish: &Wish<'a>,
        placed: &Placed,
        mode: Option<String>,
        to: &mut Service,
    ) -> Option<String> {
        let Placed { config, secret, key, is_executable } = placed.clone();
        let mode = mode.or_else(|| is_executable.then(|| "0555".to_owned()));
        self.put(of, wish, Mount { config, secret, key, mode, ..Mount::default() }, to)
    }
}

/// The folder of a new claim that a data store takes, unless it is told of another.
pub(super) fn data_folder(of: &Of<'_>, known: &'static Known, target: &str) -> Option<&'static str> {
    let elsewhere = of.node.find(&["environment", "PGDATA"]).and_then(Node::as_text).is_some_and(|path| path != target);
    known.sub_path_at(target).filter(|_| !elsewhere)
}

/// A path that the API takes for a mount.
fn is_mount_path(path: &str) -> bool {
    path.len() <= 512
        && path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|step| !matches!(step, "" | "." | "..") && step.chars().all(|c| c != ':' && !c.is_control()))
        })
}
