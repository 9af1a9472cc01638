//! Volumes, configs and paths of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::names::selects;
use super::{Running, containers, expect, main_container};
use crate::expected::{ConfigMount, Expected, Volume, folder, key};
use crate::{Kind, json};

/// A mount of a container, with the pod's volume behind it.
struct Mount<'a> {
    of: &'a Value,
    volume: &'a Value,
}

impl Mount<'_> {
    fn is_read_only(&self) -> bool {
        let claim = &self.volume["persistentVolumeClaim"]["readOnly"];
        self.of["readOnly"] == true || *claim == true
    }
}

fn mounts<'a>(template: &'a Value, container: &'a Value) -> Vec<Mount<'a>> {
    let volume = |name: &Value| json::items(template, "/spec/volumes").find(|v| v["name"] == *name);
    let all = json::items(container, "/volumeMounts");
    all.filter_map(|of| Some(Mount { of, volume: volume(&of["name"])? })).collect()
}

impl Running {
    pub(super) fn mounts(&self, expected: &Expected, found: &mut Vec<String>) {
        let claims: BTreeMap<String, &Volume> =
            expected.volumes.iter().map(|(name, volume)| (self.named(&key(name)), volume)).collect();
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (service, (_, workload)) in self.workloads() {
            let template = &workload["spec"]["template"];
            let mut paths = BTreeSet::new();
            for mount in containers(template).flat_map(|c| mounts(template, c)) {
                if let Some(claim) = mount.volume["persistentVolumeClaim"]["claimName"].as_str() {
                    users.entry(claim.to_owned()).or_default().insert(service.clone());
                    let may_write = claims.get(claim).is_some_and(|v| !v.read_only_users.contains(&service));
                    if !may_write && !mount.is_read_only() {
                        found.push(format!("{service} could write to {claim} at {}", mount.of["mountPath"]));
                    }
                }
                if let Some(path) = mount.volume["hostPath"]["path"].as_str() {
                    paths.insert(path.to_owned());
                    if !mount.is_read_only() {
                        found.push(format!("{service} could write to {path} of the machine"));
                    }
                }
            }
            let wanted = expected.host_mounts.get(&service).cloned().unwrap_or_default();
            expect(&format!("paths of the machine in {service}"), &wanted, &paths, found);
        }
        let wanted = claims.iter().map(|(claim, v)| (claim.clone(), v.users.clone())).collect();
        expect("users of volumes", &wanted, &users, found);
        for (name, volume) in &expected.volumes {
            self.claim(&key(name), volume, found);
        }
        for (source, mount) in &expected.config_mounts {
            for user in &mount.users {
                self.config(source, mount, user, found);
            }
        }
    }

    fn claim(&self, name: &str, volume: &Volume, found: &mut Vec<String>) {
        let Some(claim) = self.object(Kind::PersistentVolumeClaim, &self.named(name)) else {
            found.push(format!("volume {name} has no claim"));
            return;
        };
        if json::label(claim, "appstack.dev/volume") != name || !self.is_ours(claim) {
            found.push(format!("the claim of {name} is labelled {}", claim["metadata"]["labels"]));
        }
        if json::text(claim, "/status/phase") != "Bound" {
            found.push(format!("the claim of {name} is not bound: {}", claim["status"]));
        }
        let mode = json::text(claim, "/spec/accessModes/0");
        if volume.single_writer && mode != "ReadWriteOncePod" {
            found.push(format!("several pods could write to {name}: it is {mode}"));
        }
        if mode == "ReadWriteOnce" {
            let claim = self.named(name);
            let mounts = |p: &&(Kind, Value)| {
                json::items(&p.1, "/spec/volumes").any(|v| v["persistentVolumeClaim"]["claimName"] == claim.as_str())
            };
            let pods = self.objects.iter().filter(|(kind, _)| *kind == Kind::Pod).filter(mounts);
            let nodes: BTreeMap<&str, &str> =
                pods.map(|(_, p)| (json::text(p, "/spec/nodeName"), json::name(p))).collect();
            if nodes.len() > 1 {
                found.push(format!("{name} can be on one node only, its users are on {nodes:?}"));
            }
        }
        let workloads = self.workloads();
        for user in &volume.users {
            let Some((_, workload)) = workloads.get(user) else { continue };
            if mode == "ReadWriteOnce" {
                let others = volume.users.iter().filter_map(|u| Some((u, workloads.get(u)?.1)));
                for (other, _) in others.filter(|(_, other)| !keeps_to(workload, other)) {
                    found.push(format!("nothing keeps {user} on the node of {other}, with which it shares {name}"));
                }
            }
            let one_by_one = json::text(workload, "/spec/strategy/type") != "RollingUpdate";
            if mode != "ReadWriteMany" && !volume.read_only_users.contains(user) && !one_by_one {
                found.push(format!("an update of {user} would have two pods write to {name}"));
            }
        }
    }

    /// The text is that of the compose project, and cannot be written to.
    fn config(&self, source: &str, mount: &ConfigMount, user: &str, found: &mut Vec<String>) {
        let workloads = self.workloads();
        let Some((_, workload)) = workloads.get(user) else { return };
        let template = &workload["spec"]["template"];
        let all = mounts(template, main_container(user, workload));
        let Some(at) = all.iter().find(|m| m.of["mountPath"] == mount.target.as_str()) else {
            found.push(format!("{user} has nothing at {}", mount.target));
            return;
        };
        if !at.is_read_only() {
            found.push(format!("{user} could write to {}", mount.target));
        }
        let wanted = if mount.inline { inline(&self.folder, source) } else { read(&folder(&self.folder).join(source)) };
        let seen = self.mounted(at);
        // A file has no name of its own: where it lies is its name.
        let seen =
            if wanted.contains_key("") { seen.into_values().map(|v| (String::new(), v)).collect() } else { seen };
        expect(&format!("{} of {user}", mount.target), &wanted, &seen, found);
    }

    /// What a mount of a config shows, by file.
    fn mounted(&self, mount: &Mount) -> BTreeMap<String, String> {
        let config = &mount.volume["configMap"];
        let data = self.object(Kind::ConfigMap, json::text(config, "/name"));
        let files = json::entries(data.unwrap_or(&Value::Null), "/data");
        let items: Vec<&Value> = json::items(config, "/items").collect();
        let path = |key: &str| match items.iter().find(|i| i["key"] == key) {
            Some(item) => Some(json::text(item, "/path").to_owned()),
            None => items.is_empty().then(|| key.to_owned()),
        };
        let sub = mount.of["subPath"].as_str();
        files
            .filter_map(|(key, text)| Some((path(key)?, text.as_str()?.to_owned())))
            .filter(|(path, _)| sub.is_none_or(|s| s == path))
            .collect()
    }
}

/// Whether the scheduler puts pods of the one on the node of the other's: a running pod counts only if it matches **every**
/// required term of the new one (`filtering.go` of its inter-pod affinity: "if targetPod matches ALL terms").
fn keeps_to(workload: &Value, other: &Value) -> bool {
    let at = "/spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let labels = &other["spec"]["template"]["metadata"]["labels"];
    let mut terms = json::items(workload, at).peekable();
    terms.peek().is_some() && terms.all(|term| selects(&term["labelSelector"], labels))
}

/// A file under the empty name, or the files of a folder.
fn read(path: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if !path.is_dir() {
        return BTreeMap::from([(String::new(), text(path))]);
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    entries
        .map(|entry| entry.expect("an entry of a folder").path())
        .map(|file| (file.file_name().unwrap_or_default().to_string_lossy().into_owned(), text(&file)))
        .collect()
}

/// The text of a config inside one of the stack's compose files.
fn inline(stack: &str, config: &str) -> BTreeMap<String, String> {
    fn look(folder: &Path, config: &str) -> Option<String> {
        let mut paths: Vec<_> = std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
        paths.sort();
        paths.into_iter().find_map(|path| {
            if path.is_dir() {
                return look(&path, config);
            }
            let compose: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).ok()?).ok()?;
            Some(compose["configs"][config]["content"].as_str()?.to_owned())
        })
    }
    let text = look(&folder(stack), config).unwrap_or_else(|| panic!("no compose file of {stack} has {config}"));
    BTreeMap::from([(String::new(), text)])
}
