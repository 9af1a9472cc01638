//! Lists in which the later of two entries for one thing takes the place of the earlier.

use hashbrown::DefaultHashBuilder;
use indexmap::IndexMap;

use super::mounts;
use super::node::{Holds, Node};
use super::notes::{Notes, Settled};
use super::problem::{Problem, code};
use super::trail::Trail;

/// Reduces the lists of a project that have such a rule.
pub fn reduce(project: &mut Node, notes: &mut Notes) {
    let top = Trail::TOP;
    let services = top.to("services");
    for (name, service) in maps_of(project, "services") {
        let trail = services.to(name);
        let Some(keys) = service.as_map_mut() else { continue };
        for (key, entry) in keys {
            let trail = trail.to(key);
            if let Some(rule) = of_service(key) {
                list(&mut entry.value, rule, &trail, notes);
            }
            match key.as_str() {
                "build" => {
                    below(
                        &mut entry.value,
                        &["args", "additional_contexts", "platform", "tags", "labels"],
                        &trail,
                        notes,
                    );
                }
                "deploy" => below(&mut entry.value, &["labels"], &trail, notes),
                "networks" => {
                    for (name, network) in entry.value.as_map_mut().into_iter().flatten() {
                        below(&mut network.value, &["aliases", "link_local_ips"], &trail.to(name), notes);
                    }
                }
                _ => {}
            }
        }
    }
    let networks = top.to("networks");
    for (name, network) in maps_of(project, "networks") {
        let trail = networks.to(name);
        below(network, &["labels"], &trail, notes);
        if let Some(ipam) = network.get_mut("ipam") {
            below(ipam, &["options"], &trail.to("ipam"), notes);
        }
    }
}

/// The values of the map `key`, by name.
pub fn maps_of<'a>(project: &'a mut Node, key: &str) -> impl Iterator<Item = (&'a String, &'a mut Node)> {
    let map = project.get_mut(key).and_then(Node::as_map_mut);
    map.into_iter().flatten().map(|(name, entry)| (name, &mut entry.value))
}

#[derive(Clone, Copy)]
enum Rule {
    /// `key=value`, by key.
    Pair,
    Mount,
    Device,
    EnvFile,
    Expose,
    Port,
    /// Configs and secrets, by target; relative ones lie in the folder.
    File(&'static str),
}

fn of_service(key: &str) -> Option<Rule> {
    Some(match key {
        "annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "environment" | "labels"
        | "links" | "profiles" | "sysctls" | "tmpfs" => Rule::Pair,
        "volumes" => Rule::Mount,
        "devices" => Rule::Device,
        "env_file" => Rule::EnvFile,
        "expose" => Rule::Expose,
        "ports" => Rule::Port,
        "configs" => Rule::File(""),
        "secrets" => Rule::File("/run/secrets"),
        _ => return None,
    })
}

fn below(node: &mut Node, keys: &[&str], trail: &Trail<'_>, notes: &mut Notes) {
    for key in keys {
        if let Some(node) = node.get_mut(key) {
            list(node, Rule::Pair, &trail.to(key), notes);
        }
    }
}

fn list(node: &mut Node, rule: Rule, trail: &Trail<'_>, notes: &mut Notes) {
    let Holds::List(items) = &mut node.holds else { return };
    let mut kept: IndexMap<String, Node, DefaultHashBuilder> =
        IndexMap::with_capacity_and_hasher(items.len(), DefaultHashBuilder::default());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        match key(&item, rule) {
            Ok(key) => {
                let by = item.at;
                if let Some(earlier) = kept.insert(key, item)
                    && earlier.at != by
                {
                    notes.settle(&earlier, Settled::Overridden(by));
                }
            }
            Err(problem) => {
                let step = format!("[{index}]");
                notes.say(problem.on(trail.to(&step)));
                kept.insert(step, item);
            }
        }
    }
    items.extend(kept.into_values());
}

fn key(item: &Node, rule: Rule) -> Result<String, Problem> {
    let wrong = |code, message: &str| Err(Problem::error(code, item.at, message));
    let other = || wrong(code::TYPE, &format!("must be a text, not {}", item.kind()));
    let of = |key: &str| item.get(key).and_then(Node::printed);
    match (rule, &item.holds) {
        (Rule::Pair, Holds::Text(text)) => Ok(text.split('=').next().unwrap_or_default().to_owned()),
        (Rule::Mount | Rule::Device, Holds::Map(_)) => match item.get("target").and_then(Node::as_text) {
            Some(target) => Ok(target.to_owned()),
            None if matches!(rule, Rule::Mount) => wrong(code::MOUNT, "the mount has no target"),
            None => wrong(code::DEVICE, "the device has no target"),
        },
        (Rule::Mount, Holds::Text(text)) => {
            mounts::parse(text).map(|mount| mount.target).map_err(|what| what.at(item.at))
        }
        (Rule::Device, Holds::Text(text)) => {
            let mut parts = text.split(':');
            let source = parts.next().unwrap_or_default();
            Ok(parts.next().unwrap_or(source).to_owned())
        }
        (Rule::EnvFile, Holds::Map(_)) => of("path").map_or_else(|| wrong(code::MISSING, "'path' is required"), Ok),
        (Rule::EnvFile | Rule::Port, Holds::Text(text)) => Ok(text.clone()),
        (Rule::Expose, Holds::Text(_) | Holds::Int(_)) | (Rule::Port, Holds::Int(_)) => {
            Ok(item.printed().unwrap_or_default())
        }
        (Rule::Expose, _) => wrong(code::PORT, "must be a port or a range of ports"),
        (Rule::Port, Holds::Map(_)) => {
            let Some(target) = of("target") else { return wrong(code::PORT, "the port has no target") };
            let host = of("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
            // As in the reference, the number 80 is another port than the text "80".
            let published = item.get("published").map(|node| format!("{:?}", node.holds)).unwrap_or_default();
            Ok(format!("{host}:{published}:{target}/{}", of("protocol").unwrap_or_else(|| "tcp".to_owned())))
        }
        (Rule::File(folder), Holds::Text(text)) => Ok(format!("{folder}/{text}")),
        (Rule::File(folder), Holds::Map(_)) => {
            Ok(of("target").unwrap_or_else(|| format!("{folder}/{}", of("source").unwrap_or_default())))
        }
        (Rule::Pair | Rule::File(_), _) => other(),
        // Of another type: the structural check says so.
        (_, _) => Ok(String::new()),
    }
}
