//! Folders and files of this computer that services mount: what each becomes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::choices::{BindAs, VolumeAs};
use super::mounts::{Wish, data_folder};
use super::storage::{Files, Placed};
use super::volumes::empty;
use super::{Carry, Mapper, Of, code, made};
use crate::api::{Ephemeral, HostPath, HostPathType, Mount, PodSecurity, Propagation, Service, Tmpfs, Volume};
use crate::compose::files::{self, Kind};
use crate::compose::node::Node;

/// What a bound path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bind {
    /// The user does not want it.
    Dropped,
    /// Source code for development.
    Source,
    /// The computer's time zone.
    TimeZone,
    /// Memory that processes of the computer share.
    SharedMemory,
    /// Part of the computer itself.
    Host,
    /// A file.
    File,
    /// A folder of a few files that are only read.
    Files,
    /// It looks like a file, and is not there.
    Missing,
    /// A folder.
    Volume,
    /// A folder whose data need not stay.
    Ephemeral,
}

/// Paths that are part of a computer, with all below them.
const OF_THE_COMPUTER: [&str; 9] =
    ["/var/run/docker.sock", "/dev", "/proc", "/sys", "/lib/modules", "/etc", "/var/run", "/run", "/var/lib/docker"];

/// Files that only keep a folder in version control.
const KEEPERS: [&str; 3] = [".gitkeep", ".gitignore", ".DS_Store"];

/// Of one file of a config.
pub(super) const LARGEST_IN_CONFIG: usize = 262_144;

impl<'a> Mapper<'a> {
    /// What a bound path is: the first rule that fits.
    pub(super) fn bind_of(&mut self, source: &Path, target: &str, read_only: bool) -> Bind {
        let kind = self.files.kind(source);
        match self.bind_choice(source) {
            Some(BindAs::Drop) => return Bind::Dropped,
            Some(BindAs::Ephemeral) => return Bind::Ephemeral,
            Some(BindAs::Volume) => return Bind::Volume,
            Some(BindAs::HostPath) => return Bind::Host,
            Some(BindAs::Config) => return if kind == Some(Kind::Folder) { Bind::Files } else { Bind::File },
            None => {}
        }
        if ["/etc/localtime", "/etc/timezone"].iter().any(|zone| source == Path::new(zone)) {
            return Bind::TimeZone;
        }
        if source == Path::new("/dev/shm") {
            return Bind::SharedMemory;
        }
        if self.is_of_the_computer(source) {
            return Bind::Host;
        }
        if kind != Some(Kind::File) && self.is_source(source) {
            return Bind::Source;
        }
        match kind {
            Some(Kind::File) => Bind::File,
            Some(Kind::Other) => Bind::Host,
            Some(Kind::Folder) if read_only && self.small_folder(source).is_some() => Bind::Files,
            None if looks_like_a_file(source) && looks_like_a_file(Path::new(target)) => Bind::Missing,
            Some(Kind::Folder) | None => Bind::Volume,
        }
    }

    /// Whether a path is part of the computer; what lies in the project folder is not, wherever that is.
    fn is_of_the_computer(&self, source: &Path) -> bool {
        let root = Path::new("/");
        let own = self.project.folder != root && source.starts_with(&self.project.folder);
        source == root || !own && OF_THE_COMPUTER.iter().any(|path| source.starts_with(path))
    }

    /// Whether a folder is one that an image is built from, or has one in it.
    fn is_source(&self, source: &Path) -> bool {
        // In this order a folder stands right before what is in it.
        self.storage.contexts.range(source..).next().is_some_and(|context| context.starts_with(source))
    }

    /// Mounts what a bound path became.
    pub(super) fn bind(&mut self, of: &Of<'a>, wish: &Wish<'a>, source: &Path, to: &mut Service) {
        let place = wish.item;
        let shown = self.shown(source);
        let bind = self.bind_of(source, &wish.target, wish.read_only);
        if bind != Bind::Host {
            self.options_of(wish);
        }
        match bind {
            Bind::Dropped => self.says.resolved(place, "", "--bind leaves it out"),
            Bind::Source => {
                let message =
                    "the folder is what an image is built from: in a cluster the image has it, so it is not mounted";
                let help = format!("if it holds data, --bind {shown}=volume keeps it");
                self.says.approximated(place, code::SOURCE_MOUNT, "", message, &help);
            }
            Bind::TimeZone => {
                let message = "nodes have the time zone of the cluster, and pods none of a node";
                self.says.ignored(place, code::TIME_ZONE, message, "set the variable TZ, as TZ=Europe/Berlin");
            }
            Bind::SharedMemory => self.memory(of, wish, None, to),
            Bind::Host => self.host_path(of, wish, source, to),
            Bind::File | Bind::Files => {
                let placed = if bind == Bind::File {
                    self.placed_file(source, wish.read_only)
                } else {
                    self.placed_folder(source)
                };
                match placed {
                    Ok(placed) => self.bound_file(of, wish, &placed, bind, to),
                    Err(unfit) => self.says.refused(place, code::UNFIT_FILE, &unfit.message, &unfit.help),
                }
            }
            Bind::Missing => {
                let message = format!("{shown} looks like a file and is not there");
                self.says.refused(place, code::NO_FILE, &message, "make the file, or import where it is");
            }
            Bind::Ephemeral => {
                let ephemeral = Ephemeral { size: self.default_size(), storage_class_name: None };
                let mount =
                    Mount { ephemeral: Some(ephemeral), read_only: wish.read_only.then_some(true), ..Mount::default() };
                if let Some(field) = self.put(of, wish, mount, to) {
                    self.says.resolved(place, field, "--bind makes it storage that goes with the pod");
                }
            }
            Bind::Volume if self.files.kind(source) == Some(Kind::File) => {
                let help = "bind the folder that it is in";
                self.says.refused(place, code::UNFIT_FILE, "a file cannot be a volume", help);
            }
            Bind::Volume => self.bound_volume(of, wish, source, to),
        }
    }

    fn bound_file(&mut self, of: &Of<'a>, wish: &Wish<'a>, placed: &Placed, bind: Bind, to: &mut Service) {
        let is_secret = placed.secret.is_some();
        let Some(field) = self.put_placed(of, wish, placed, None, to) else { return };
        let place = wish.item;
        if is_secret {
            let how = "it looks like a credential, so it is in a Secret beside the stack";
            self.says.resolved(place, field, how);
        } else if wish.read_only || bind == Bind::Files {
            self.says.resolved(place, field, "what is in it now is in the stack: after a change, import again");
        } else {
            let message = "the file is in the stack as a config, which the container cannot write to";
            self.says.approximated(place, code::BOUND_FILE, field, message, "write :ro if the container only reads it");
        }
    }

    fn bound_volume(&mut self, of: &Of<'a>, wish: &Wish<'a>, source: &Path, to: &mut Service) {
        let place = wish.item;
        let outer = self.storage.bound.range(..=source.to_owned()).next_back();
        let outer = outer.filter(|(root, _)| source.starts_with(root)).map(|(root, name)| (root.clone(), name.clone()));
        let Some((root, name)) = outer else { return }; // all were found before
        let inside =
            source.strip_prefix(&root).ok().map(|path| path.display().to_string()).filter(|path| !path.is_empty());
        let shown = self.shown(&root);
        let read_only = wish.read_only.then_some(true);
        let choice = self.volume_choice(&shown, &name);
        if choice == VolumeAs::Ephemeral {
            let ephemeral = Ephemeral { size: self.default_size(), storage_class_name: None };
            let mount = Mount { ephemeral: Some(ephemeral), sub_path: inside, read_only, ..Mount::default() };
            if let Some(field) = self.put(of, wish, mount, to) {
                self.says.resolved(place, field, "--volume makes it storage that goes with the pod");
            }
            return;
        }
        if choice == VolumeAs::Secret {
            let secret = self.volume_secret(&name, place.at);
            return self.secret_mount(of, wish, secret, inside.as_deref(), to);
        }
        let image = to.image.clone();
        let known = super::known_images::of(&image).filter(|_| inside.is_none());
        let sub_path = known.and_then(|known| data_folder(of, known, &wish.target)).map(str::to_owned);
        let mount = Mount { volume: Some(name.clone()), sub_path: inside.or(sub_path), read_only, ..Mount::default() };
        let Some(field) = self.put(of, wish, mount, to) else { return };
        if !self.spec.volumes.contains_key(&name) {
            self.add_volume(&name, Volume { access_mode: choice.access_mode(), ..empty() });
            self.storage.places.entry(name.clone()).or_insert(place.at);
            self.comments.insert(format!("spec.volumes.{name}"), shown.clone());
            if self.files.kind(&root) == Some(Kind::Folder) {
                self.carries.push(Carry { from: shown.clone(), volume: name.clone() });
            }
        }
        let has_data = self.files.kind(&root) == Some(Kind::Folder);
        let message = if has_data {
            format!("the folder becomes the volume '{name}'; what is in it is not copied by itself")
        } else {
            format!("there is no folder {shown} here; the volume '{name}' in its place is empty at first")
        };
        let stack = super::names::label(&self.project.name);
        let mut help = if has_data { format!("appstack cp {shown} {stack}/{name}") } else { String::new() };
        if wish.read_only && has_data {
            help += &format!("; or, if the image can bring the files, --bind {}=drop", self.shown(source));
        } else if of
            .node
            .find(&["build", "context"])
            .and_then(Node::as_text)
            .is_some_and(|context| source.starts_with(context))
        {
            help += &format!("; if it is source code that the image has too, --bind {}=drop", self.shown(source));
        }
        self.says.approximated(place, code::FOLDER_VOLUME, field, &message, help.trim_start_matches("; "));
    }

    /// A path of the node, where that is allowed.
    fn host_path(&mut self, of: &Of<'a>, wish: &Wish<'a>, source: &Path, to: &mut Service) {
        let place = wish.item;
        let chosen = self.bind_choice(source) == Some(BindAs::HostPath);
        if !chosen && !self.choices.allows(code::HOST_PATH) {
            let is_socket = source.file_name().is_some_and(|name| name == "docker.sock");
            let message = if is_socket {
                "nodes of a cluster run no Docker to talk to, and who reaches the engine's socket rules the node"
                    .to_owned()
            } else {
                format!("{} is a part of this computer: on a cluster each node has its own", source.display())
            };
            let help = format!(
                "take it out, or mount the node's own with --allow hostpath or --bind {}=hostpath, which needs podSecurity: Privileged",
                source.display()
            );
            return self.says.refused(place, code::HOST_PATH, &message, &help);
        }
        let bind = wish.item.get("bind");
        let text = |key: &str| bind.and_then(|bind| bind.get(key)).and_then(Node::as_text).unwrap_or_default();
        let privileged = of.node.get("privileged").is_some_and(Node::is_true) && self.choices.allows(code::PRIVILEGED);
        let propagation = match text("propagation") {
            "rshared" | "shared" if privileged => Some(Propagation::Bidirectional),
            "rshared" | "shared" | "rslave" | "slave" => Some(Propagation::HostToContainer),
            _ => None,
        };
        let makes_folder = bind.and_then(|bind| bind.get("create_host_path")).is_none_or(Node::is_true);
        let r#type = (chosen && makes_folder && self.files.kind(source).is_none_or(|kind| kind == Kind::Folder))
            .then_some(HostPathType::DirectoryOrCreate);
        let host_path = HostPath { path: source.display().to_string(), r#type };
        let read_only = wish.read_only.then_some(true);
        let mount = Mount { host_path: Some(host_path), read_only, propagation, ..Mount::default() };
        let Some(field) = self.put(of, wish, mount, to) else { return };
        to.pod_security = Some(PodSecurity::Privileged);
        for (key, entry) in bind.and_then(Node::as_map).into_iter().flatten().filter(|(_, entry)| entry.at != place.at)
        {
            match key.as_str() {
                "propagation" => self.says.mapped(entry, format!("{field}.propagation")),
                "create_host_path" => self.says.mapped(entry, format!("{field}.hostPath.type")),
                _ => self.says.ignored(
                    entry,
                    code::MOUNT_OPTION,
                    "a path of a node is mounted with all below it, and keeps its labels",
                    "",
                ),
            }
        }
        let message =
            "it is the path of whichever node the pod runs on, and the namespace has to admit privileged pods";
        self.says.approximated(
            place,
            code::HOST_PATH,
            field,
            message,
            "label the namespace pod-security.kubernetes.io/enforce=privileged",
        );
    }

    /// Options of a bind that is none any more.
    fn options_of(&mut self, wish: &Wish<'a>) {
        for (key, entry) in wish.item.entries("bind").filter(|(_, entry)| entry.at != wish.item.at) {
            match (key.as_str(), entry.value.as_text().unwrap_or_default()) {
                ("propagation", "" | "private" | "rprivate") => self.says.nothing(entry, "it is so anyway"),
                ("propagation", _) => {
                    let message = "mounts are passed on between a node and a container only below a path of the node";
                    self.says.ignored(entry, code::MOUNT_OPTION, message, "");
                }
                ("selinux", _) => self.says.ignored(entry, code::MOUNT_OPTION, "the node labels volumes by itself", ""),
                _ => self.says.nothing(entry, "there is no path of a computer behind it"),
            }
        }
    }

    /// Memory that is mounted.
    pub(super) fn memory(&mut self, of: &Of<'a>, wish: &Wish<'a>, size: Option<i64>, to: &mut Service) {
        let sized = of.entry("shm_size").is_some() || of.text("ipc") == Some("host");
        if wish.target == "/dev/shm" && sized {
            let field = super::field(of, &self.services, "shmSize");
            return self.says.resolved(wish.item, field, "memory is mounted there anyway");
        }
        let size = size.filter(|size| *size > 0).map(|size| super::units::bytes(size.max(1 << 20)));
        let mount =
            Mount { tmpfs: Some(Tmpfs { size }), read_only: wish.read_only.then_some(true), ..Mount::default() };
        let Some(field) = self.put(of, wish, mount, to) else { return };
        if wish.remarks.is_empty() {
            self.says.mapped(wish.item, field);
        } else {
            self.says.approximated(wish.item, code::MOUNT_OPTION, field, &wish.remarks.join("; "), "");
        }
    }

    /// The files of a flat folder, if they fit a config.
    pub(super) fn small_folder(&mut self, folder: &Path) -> Option<Rc<Files>> {
        if let Some(known) = self.storage.folders.get(folder) {
            return known.clone();
        }
        let read = self.read_folder(folder).map(Rc::new);
        self.storage.folders.insert(folder.to_owned(), read.clone());
        read
    }

    fn read_folder(&mut self, folder: &Path) -> Option<Files> {
        let mut files = BTreeMap::new();
        let (mut is_executable, mut bytes) = (false, 0);
        for name in self.reader.list(folder, 64)? {
            let path: PathBuf = files::join(folder, &name);
            if self.files.kind(&path)? != Kind::File {
                return None;
            }
            if KEEPERS.contains(&name.as_str()) {
                continue;
            }
            let content = self.reader.bytes(&path).ok()?;
            bytes += content.len();
            if content.len() > LARGEST_IN_CONFIG || bytes > made::LARGEST || !is_key(&name) {
                return None;
            }
            is_executable |= self.reader.is_executable(&path);
            files.insert(name, content);
        }
        let visible = files.keys().any(|name| !name.starts_with('.'));
        visible.then_some(Files { files, is_executable })
    }
}

/// Whether a file name can be the key of a ConfigMap or Secret.
pub(super) fn is_key(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 253 && name != "." && !name.starts_with("..") && name.chars().all(plain)
}

/// Whether the name of something that is not there has the ending of a file.
fn looks_like_a_file(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    (1..=6).contains(&ending.len()) && ending != "d" && ending.chars().any(|c| c.is_ascii_alphabetic())
}
