//! What all users of a volume decide together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::storage::Take;
use super::{Mapper, code};
use crate::api::{AccessMode, Mode, Mount, Service};
use crate::compose::files;
use crate::compose::node::At;

/// What the API lets one service mount.
const MOST_MOUNTS: usize = 64;

impl Mapper<'_> {
    /// Drops what no service of the stack mounts, and says what people may not expect of volumes.
    pub(super) fn judge_volumes(&mut self) {
        self.drop_unused();
        self.say_unknown_choices();
        self.say_sizes();
        self.say_pinned();
        self.say_logs();
    }

    /// `volumes_from`: mounts of the other service, where the service has none of its own at the path. Also says of the configs and secrets
    /// that no service names that they are not needed.
    pub(super) fn take_volumes(&mut self) {
        let takes = std::mem::take(&mut self.storage.takes);
        let mut by_giver: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        takes.iter().enumerate().for_each(|(number, (_, from, ..))| by_giver.entry(from).or_default().push(number));
        // Who was given something gives it on.
        let mut open: VecDeque<usize> = (0..takes.len()).collect();
        let mut is_open = vec![true; takes.len()];
        let mut too_many: BTreeSet<&str> = BTreeSet::new();
        while let Some(number) = open.pop_front() {
            is_open.get_mut(number).into_iter().for_each(|is_open| *is_open = false);
            let mut changed = false;
            let Some((receiver, from, read_only, _)) = takes.get(number) else { continue };
            let Some(from) = self.spec.services.get(&self.services.get(from)) else { continue };
            let (given, pod_security) = (from.mounts.clone(), from.pod_security);
            let Some(to) = self.spec.services.get_mut(&self.services.get(receiver)) else { continue };
            for (path, mount) in given {
                if mount.tmpfs.is_some() || mount.ephemeral.is_some() || to.mounts.contains_key(&path) {
                    continue;
                }
                if to.mounts.len() >= MOST_MOUNTS {
                    too_many.insert(receiver);
                    break;
                }
                let may_write = mount.volume.is_some() || mount.host_path.is_some();
                let read_only = if may_write && *read_only { Some(true) } else { mount.read_only };
                if mount.host_path.is_some() {
                    to.pod_security = pod_security;
                }
                to.mounts.insert(path, Mount { read_only, seed: None, ..mount });
                changed = true;
            }
            for number in by_giver.get(receiver).into_iter().flatten().filter(|_| changed) {
                if let Some(is_open) = is_open.get_mut(*number).filter(|is_open| !**is_open) {
                    *is_open = true;
                    open.push_back(*number);
                }
            }
        }
        for (to, _, _, item) in takes.iter().filter(|(to, ..)| too_many.contains(to)) {
            self.says.service = Some((*to).to_owned());
            let message = format!("with what it takes from others it mounts more than {MOST_MOUNTS} volumes and files");
            self.says.refused(*item, code::VOLUMES_FROM, &message, "name the volumes that it needs");
            self.says.service = None;
        }
        self.takers_of_refused(&takes, &by_giver);
        self.unsaid_files();
    }

    /// Refuses who takes volumes of a service that is refused, and who takes theirs.
    fn takers_of_refused(&mut self, takes: &[Take<'_>], by_giver: &BTreeMap<&str, Vec<usize>>) {
        let mut gone: Vec<&str> = by_giver.keys().copied().filter(|from| self.says.is_refused(from)).collect();
        while let Some(from) = gone.pop() {
            for (to, _, _, item) in by_giver.get(from).into_iter().flatten().filter_map(|number| takes.get(*number)) {
                if self.says.is_refused(to) {
                    continue;
                }
                self.says.service = Some((*to).to_owned());
                let message = format!("'{from}', whose volumes it takes, cannot be in the stack");
                self.says.refused(*item, code::WITH_REFUSED, &message, "name the volumes that it needs");
                self.says.service = None;
                if self.says.is_refused(to) {
                    gone.push(to);
                }
            }
        }
    }

    /// Volumes and configs that no service of the stack mounts.
    fn drop_unused(&mut self) {
        let services = &self.spec.services;
        let mounts = || services.values().flat_map(|service| service.mounts.values());
        let volumes: BTreeSet<String> = mounts().filter_map(|mount| mount.volume.clone()).collect();
        let from_env = services.values().flat_map(|service| &service.env_from).filter_map(|from| from.config.clone());
        let configs: BTreeSet<String> = mounts().filter_map(|mount| mount.config.clone()).chain(from_env).collect();
        self.spec.volumes.retain(|name, _| volumes.contains(name));
        self.spec.configs.retain(|name, _| configs.contains(name));
        self.carries.retain(|carry| volumes.contains(&carry.volume));
        self.comments.retain(|path, _| path.strip_prefix("spec.volumes.").is_none_or(|name| volumes.contains(name)));
    }

    /// Configs and secrets of the project that no service names.
    fn unsaid_files(&mut self) {
        let project = self.project;
        for section in ["configs", "secrets"] {
            for (name, entry) in project.root.entries(section) {
                if !self.storage.files.contains_key(&(section, name.as_str())) {
                    self.says.nothing(entry, "no service mounts it");
                }
            }
        }
    }

    /// Choices of the command line that choose nothing, which is a slip of the pen more often than not.
    fn say_unknown_choices(&mut self) {
        let root = &self.project.root;
        let Some(at) = ["volumes", "services"].iter().find_map(|key| root.entry(key)).map(|entry| entry.at) else {
            return;
        };
        let bound: BTreeSet<String> =
            self.storage.bound.iter().flat_map(|(path, name)| [name.clone(), self.shown(path)]).collect();
        let has_volume =
            |name: &str| self.storage.volumes.contains_key(name) || self.volumes.has(name) || bound.contains(name);
        let has_path = |path: &str| self.storage.sources.contains(&files::join(&self.project.folder, path));
        let volumes =
            self.choices.volumes.keys().filter(|name| !has_volume(name)).map(|name| format!("--volume {name}"));
        let paths = self.choices.binds.keys().filter(|path| !has_path(path)).map(|path| format!("--bind {path}"));
        let unknown: Vec<String> = volumes.chain(paths).collect();
        for choice in unknown {
            let message = format!("{choice} chooses nothing: no service mounts that");
            self.says.noted(at, code::UNKNOWN_CHOICE, &message, "name a volume or path as the Compose file does");
        }
    }

    fn say_sizes(&mut self) {
        let named: Vec<&String> =
            self.storage.sizeless.iter().filter(|name| self.spec.volumes.contains_key(*name)).collect();
        let Some(at) = named.iter().filter_map(|name| self.storage.places.get(*name)).min().copied() else { return };
        let list = listed(&named);
        let size = &self.choices.default_size;
        let message = format!("nothing says how much these volumes hold, so each has {size}: {list}");
        let help = "write x-appstack: {size: 10Gi} under a volume, or choose another size for all with --default-size";
        self.says.noted(at, code::DEFAULT_SIZE, &message, help);
    }

    /// Claims that one node mounts at a time, and whose users are more than one pod.
    fn say_pinned(&mut self) {
        let is_on: BTreeSet<String> = self
            .project
            .services()
            .filter(|(name, _)| self.project.is_on(name))
            .map(|(name, _)| self.services.get(name))
            .collect();
        let mut users: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut copied: BTreeMap<String, &str> = BTreeMap::new();
        for (name, service) in self.spec.services.iter().filter(|(name, _)| is_on.contains(*name)) {
            let mounted: BTreeSet<&String> =
                service.mounts.values().filter_map(|mount| mount.volume.as_ref()).collect();
            for volume in mounted {
                users.entry(volume.clone()).or_default().push(name);
                if has_copies(service) {
                    copied.entry(volume.clone()).or_insert(name);
                }
            }
        }
        let mut found: Vec<(At, String, String)> = Vec::new();
        for (name, volume) in &self.spec.volumes {
            let on_one_node = matches!(
                volume.access_mode.unwrap_or_default(),
                AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod
            );
            let users = users.get(name).map(Vec::as_slice).unwrap_or_default();
            if !on_one_node || volume.per_replica == Some(true) || volume.claim_name.is_some() {
                continue;
            }
            let who = match (copied.get(name), users) {
                (_, [_, _, ..]) => format!("all pods of {} run on that node", listed(users)),
                (Some(service), _) => format!("all pods of {service} run on that node"),
                _ => continue,
            };
            let at = self.storage.places.get(name).copied().unwrap_or(At::NOWHERE);
            let message = format!("one node mounts '{name}' at a time: {who}");
            let help = format!(
                "--volume {name}=rwx where the cluster has a class for it, or --volume {name}=ephemeral if each pod may have its own"
            );
            found.push((at, message, help));
        }
        for (at, message, help) in found {
            self.says.noted(at, code::PINNED, &message, &help);
        }
    }

    /// Volumes that only keep logs, which a cluster gathers from the output of containers.
    fn say_logs(&mut self) {
        let named = |name: &str| name.split('-').any(|part| matches!(part, "log" | "logs"));
        let at_path =
            |path: &str| path.starts_with("/var/log") || matches!(path.rsplit('/').next(), Some("log" | "logs"));
        let mounts = self.spec.services.values().flat_map(|service| &service.mounts);
        let found: BTreeSet<&String> = mounts
            .filter_map(|(path, mount)| mount.volume.as_ref().filter(|name| named(name) || at_path(path)))
            .filter(|name| self.spec.volumes.get(*name).is_some_and(|volume| volume.claim_name.is_none()))
            .collect();
        let found: Vec<&String> = found.into_iter().collect();
        let Some(at) = found.iter().filter_map(|name| self.storage.places.get(*name)).min().copied() else { return };
        let Some(first) = found.first() else { return };
        let message =
            format!("these look like logs, and as volumes they tie their services to one node: {}", listed(&found));
        let help = format!("--volume {first}=ephemeral lets them go with the pod");
        self.says.noted(at, code::LOG_VOLUME, &message, &help);
    }
}

/// Whether a service may have more than one pod.
fn has_copies(service: &Service) -> bool {
    let autoscaled = service.autoscale.as_ref().is_some_and(|autoscale| autoscale.max > 1);
    autoscaled || service.replicas.is_some_and(|replicas| replicas > 1) || service.mode == Some(Mode::Global)
}

/// Names in one message: more would fill the terminal.
const MOST_NAMES: usize = 10;

/// `a, b and c`; of very many the first, and how many more there are.
fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= MOST_NAMES => format!("{} and {last}", first.join(", ")),
        _ => {
            let first: Vec<&str> = names.iter().take(MOST_NAMES).copied().collect();
            format!("{} and {} more", first.join(", "), names.len() - MOST_NAMES)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn of_very_many_names_the_first_stand_in_a_message() {
        let names: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
        assert_eq!(listed(&names), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
        assert_eq!(listed(&names[..10]), "1, 2, 3, 4, 5, 6, 7, 8, 9 and 10");
        assert_eq!((listed(&names[..1]), listed(&names[..0])), ("1".to_owned(), String::new()));
    }
}
