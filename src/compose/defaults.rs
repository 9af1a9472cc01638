//! What the reference fills in once all files are merged, and the checks that it makes there.

use std::net::IpAddr;

use super::node::{At, Entry, Holds, Node};
use super::notes::Notes;
use super::problem::{Problem, code};
use super::trail::Trail;
use super::unique::maps_of;

/// Fills in what an absent key means.
pub fn set(project: &mut Node) {
    for (_, service) in maps_of(project, "services") {
        for (key, entry) in service.as_map_mut().into_iter().flatten() {
            let node = &mut entry.value;
            match key.as_str() {
                "build" => default(node, "context", Holds::Text(".".into())),
                "secrets" => each(node, |item| {
                    let source = item.get("source").and_then(Node::printed).unwrap_or_default();
                    default(item, "target", Holds::Text(format!("/run/secrets/{source}")));
                }),
                "ports" => each(node, |item| {
                    default(item, "protocol", Holds::Text("tcp".into()));
                    default(item, "mode", Holds::Text("ingress".into()));
                }),
                "gpus" => each(node, device),
                "deploy" => {
                    let reservations = node.get_mut("resources").and_then(|node| node.get_mut("reservations"));
                    if let Some(devices) = reservations.and_then(|node| node.get_mut("devices")) {
                        each(devices, device);
                    }
                }
                "volumes" => each(node, |item| {
                    if let Some(bind) = item.get_mut("bind") {
                        default(bind, "create_host_path", Holds::Bool(true));
                    }
                }),
                _ => {}
            }
        }
    }
}

fn device(request: &mut Node) {
    if request.get("count").is_none() && request.get("device_ids").is_none() {
        default(request, "count", Holds::Text("all".into()));
    }
}

fn each(node: &mut Node, change: impl FnMut(&mut Node)) {
    if let Holds::List(items) = &mut node.holds {
        items.iter_mut().for_each(change);
    }
}

fn default(node: &mut Node, key: &str, holds: Holds) {
    if let Some(map) = node.as_map_mut() {
        map.entry(key.to_owned()).or_insert_with(|| Entry::implied(Node::new(At::NOWHERE, holds)));
    }
}

/// Notes what cannot stand together, or not alone.
pub fn check(project: &Node, notes: &mut Notes) {
    let top = Trail::TOP;
    let services = top.to("services");
    for (name, entry) in project.entries("services") {
        let trail = services.to(name);
        let service = &entry.value;
        for (index, port) in service.items("ports").iter().enumerate() {
            let address = port.get("host_ip").filter(|ip| ip.as_text().is_none_or(|ip| ip.parse::<IpAddr>().is_err()));
            if let Some(address) = address {
                let message = format!("'{}' is no address", address.printed().unwrap_or_default());
                let path = format!("{trail}.ports[{index}].host_ip");
                notes.say(Problem::error(code::PORT, address.at, message).on(path));
            }
        }
        for (index, mount) in service.items("volumes").iter().enumerate() {
            if mount.get("type").and_then(Node::as_text) == Some("bind") && mount.get("source").is_none() {
                let problem = Problem::error(code::MOUNT, mount.at, "a mount of type bind needs a source");
                notes.say(problem.on(format!("{trail}.volumes[{index}]")).help("name a path, or write type: volume"));
            }
        }
        let devices = service.find(&["deploy", "resources", "reservations"]).map(|node| node.items("devices"));
        for (key, requests) in
            [("deploy.resources.reservations.devices", devices.unwrap_or_default()), ("gpus", service.items("gpus"))]
        {
            for (index, request) in requests.iter().enumerate() {
                if let (Some(count), Some(ids)) = (request.get("count"), request.get("device_ids")) {
                    let problem =
                        Problem::error(code::EXCLUSIVE, count.at, "'count' and 'device_ids' exclude each other");
                    notes.say(problem.on(format!("{trail}.{key}[{index}].count")).and(ids.at).help("keep one of them"));
                }
            }
        }
        for (index, rule) in service.get("develop").map_or(&[][..], |node| node.items("watch")).iter().enumerate() {
            if let Some(path) = rule.get("path").filter(|path| path.as_text() == Some("")) {
                let path_of = format!("{trail}.develop.watch[{index}].path");
                notes.say(Problem::error(code::FORM, path.at, "the path is empty").on(path_of));
            }
        }
    }
    for (name, entry) in project.entries("volumes") {
        let Some(external) = entry.value.entry("external").filter(|external| external.value.is_true()) else {
            continue;
        };
        for (key, other) in entry.value.as_map().into_iter().flatten() {
            if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
                let message = format!("an external volume has only a name: '{key}' says nothing of it");
                let problem = Problem::error(code::EXCLUSIVE, other.at, message).on(format!("volumes.{name}.{key}"));
                notes.say(problem.and(external.at).help(format!("take '{key}' out, or external: true")));
            }
        }
    }
    sources(project, "configs", &["file", "environment", "content"], notes);
    sources(project, "secrets", &["file", "environment"], notes);
}

fn sources(project: &Node, section: &str, keys: &[&str], notes: &mut Notes) {
    for (name, entry) in project.entries(section) {
        let given: Vec<At> = keys.iter().filter_map(|key| entry.value.get(key)).map(|node| node.at).collect();
        let path = format!("{section}.{name}");
        match given.as_slice() {
            [first, second, ..] => {
                let message = format!("{} exclude each other", keys.join(", "));
                notes.say(
                    Problem::error(code::EXCLUSIVE, *second, message).on(path).and(*first).help("keep one of them"),
                );
            }
            [] if entry.value.get("driver").is_none() && entry.value.get("external").is_none() => {
                let message = format!("'{name}' has no source: one of {} is needed", keys.join(", "));
                notes.say(Problem::error(code::NO_SOURCE, entry.at, message).on(path));
            }
            _ => {}
        }
    }
}
