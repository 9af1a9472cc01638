//! The order of a rollout, and what services share, in four ways.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows;
use crate::api::Condition;
use crate::stack::{Need, Network, Service, Stack, Workload};

/// In which step of the rollout each service comes, from 1: one after the last of those that it waits for.
fn levels(stack: &Stack) -> BTreeMap<&str, usize> {
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    for service in stack.order.iter().filter_map(|name| stack.services.get(name)) {
        let below = service.needs.keys().filter_map(|on| levels.get(on.as_str())).max();
        levels.insert(&service.name, below.map_or(1, |below| below + 1));
    }
    levels
}

/// By level, then by name.
fn in_order(stack: &Stack) -> Vec<(usize, &Service)> {
    let levels = levels(stack);
    let mut all: Vec<(usize, &Service)> =
        stack.services.values().filter_map(|service| Some((*levels.get(service.name.as_str())?, service))).collect();
    all.sort_by_key(|(level, service)| (*level, service.name.as_str()));
    all
}

pub(super) fn table(stack: &Stack, columns: usize) -> String {
    let services = in_order(stack);
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let last = services.last().map_or(0, |(level, _)| *level);
    let mut text = format!(
        "{}: {} in {}; a level starts when what it waits for holds\n\n",
        stack.name,
        plural(services.len(), "service"),
        plural(last, "level")
    );
    if !stack.depends_on.is_empty() {
        let names: Vec<&str> = stack.depends_on.iter().map(String::as_str).collect();
        text.push_str(&format!(
            "the first level starts when these stacks of its namespace are Ready: {}\n\n",
            names.join(", ")
        ));
    }
    let mut order = vec![["LEVEL", "SERVICE", "KIND", "WAITS-FOR"].map(str::to_owned).to_vec()];
    order.extend(services.iter().map(|(level, service)| {
        let waits: Vec<String> =
            service.needs.iter().map(|(on, need)| format!("{on} ({})", condition(*need))).collect();
        vec![level.to_string(), service.name.clone(), kind(service).to_owned(), waits.join(", ")]
    }));
    text.push_str(&rows(&order, columns));
    let mut networks = vec![["NETWORK", "MEMBERS"].map(str::to_owned).to_vec()];
    networks.extend(
        stack
            .networks
            .iter()
            .map(|(name, network)| vec![format!("{name}{}", said(network)), members(stack, name).join(", ")]),
    );
    let mut volumes = vec![["VOLUME", "USERS"].map(str::to_owned).to_vec()];
    volumes.extend(stack.volumes.keys().map(|name| vec![name.clone(), users(stack, name).join(", ")]));
    for (table, empty) in [(networks, stack.networks.is_empty()), (volumes, stack.volumes.is_empty())] {
        if !empty {
            text.push('\n');
            text.push_str(&rows(&table, columns));
        }
    }
    text
}

pub(super) fn json(stack: &Stack) -> String {
    let services: Vec<Value> = in_order(stack)
        .into_iter()
        .map(|(level, service)| {
            let waits = service
                .needs
                .iter()
                .map(|(on, need)| json!({"service": on, "condition": word(need.condition), "required": need.required}));
            json!({
                "name": service.name, "level": level, "kind": kind(service), "waitsFor": waits.collect::<Vec<_>>(),
                "networks": service.networks, "volumes": volumes_of(service),
            })
        })
        .collect();
    let networks = stack.networks.iter().map(|(name, network)| {
        json!({"name": name, "internal": network.internal, "sharedName": network.shared, "members": members(stack, name)})
    });
    let volumes = stack.volumes.keys().map(|name| json!({"name": name, "users": users(stack, name)}));
    let graph = json!({
        "stack": stack.name, "waitsForStacks": stack.depends_on, "services": services,
        "networks": networks.collect::<Vec<_>>(), "volumes": volumes.collect::<Vec<_>>(),
    });
    format!("{graph:#}\n")
}

/// Arrows in the direction of the rollout, dotted where the dependency may fail; networks and volumes hang on lines.
pub(super) fn mermaid(stack: &Stack) -> String {
    let ids = ids(stack);
    let id = |name: &str| ids.get(name).copied().unwrap_or_default();
    let mut text = String::from("flowchart LR\n");
    for name in stack.services.keys() {
        text.push_str(&format!("  s{}[\"{name}\"]\n", id(name)));
    }
    for (name, service) in &stack.services {
        for (on, need) in &service.needs {
            let arrow = if need.required { "-->" } else { "-.->" };
            text.push_str(&format!("  s{} {arrow}|{}| s{}\n", id(on), word(need.condition), id(name)));
        }
    }
    for (at, name) in stack.depends_on.iter().enumerate() {
        text.push_str(&format!("  k{at}[[\"stack {name}\"]]\n"));
        for service in first(stack) {
            text.push_str(&format!("  k{at} -->|Ready| s{}\n", id(service)));
        }
    }
    for (at, (name, network)) in stack.networks.iter().enumerate() {
        text.push_str(&format!("  n{at}([\"{name}{}\"])\n", said(network)));
        for member in members(stack, name) {
            text.push_str(&format!("  n{at} --- s{}\n", id(member)));
        }
    }
    for (at, name) in stack.volumes.keys().enumerate() {
        text.push_str(&format!("  v{at}[(\"{name}\")]\n"));
        for user in users(stack, name) {
            text.push_str(&format!("  v{at} --- s{}\n", id(user)));
        }
    }
    text
}

/// The same for Graphviz.
pub(super) fn dot(stack: &Stack) -> String {
    let mut text = String::from("digraph {\n  rankdir=LR;\n  node [shape=box];\n");
    for name in stack.services.keys() {
        text.push_str(&format!("  \"{name}\";\n"));
    }
    for (name, service) in &stack.services {
        for (on, need) in &service.needs {
            let style = if need.required { "" } else { ", style=dashed" };
            text.push_str(&format!("  \"{on}\" -> \"{name}\" [label=\"{}\"{style}];\n", word(need.condition)));
        }
    }
    for name in &stack.depends_on {
        text.push_str(&format!("  \"stack/{name}\" [shape=box3d, label=\"stack {name}\"];\n"));
        for service in first(stack) {
            text.push_str(&format!("  \"stack/{name}\" -> \"{service}\" [label=\"Ready\"];\n"));
        }
    }
    let mut shared = |what: &str, shape: &str, name: &str, label: String, users: Vec<&str>| {
        text.push_str(&format!("  \"{what}/{name}\" [shape={shape}, label=\"{label}\"];\n"));
        for user in users {
            text.push_str(&format!("  \"{what}/{name}\" -> \"{user}\" [dir=none, style=dotted];\n"));
        }
    };
    for (name, network) in &stack.networks {
        shared("network", "ellipse", name, format!("{name}{}", said(network)), members(stack, name));
    }
    for name in stack.volumes.keys() {
        shared("volume", "cylinder", name, name.clone(), users(stack, name));
    }
    text + "}\n"
}

/// Services that wait for no other: they wait for other stacks.
fn first(stack: &Stack) -> impl Iterator<Item = &str> {
    stack.services.values().filter(|service| service.needs.is_empty()).map(|service| service.name.as_str())
}

fn ids(stack: &Stack) -> BTreeMap<&str, usize> {
    stack.services.keys().enumerate().map(|(at, name)| (name.as_str(), at)).collect()
}

fn members<'a>(stack: &'a Stack, network: &str) -> Vec<&'a str> {
    stack
        .services
        .iter()
        .filter(|(_, service)| service.networks.contains(network))
        .map(|(name, _)| name.as_str())
        .collect()
}

fn users<'a>(stack: &'a Stack, volume: &str) -> Vec<&'a str> {
    let uses = |service: &&Service| volumes_of(service).contains(&volume);
    stack.services.values().filter(uses).map(|service| service.name.as_str()).collect()
}

fn volumes_of(service: &Service) -> Vec<&str> {
    let mut all: Vec<&str> =
        service.mounts.iter().filter_map(|mount| mount.source.volume()).map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn said(network: &Network) -> String {
    match (network.internal, &network.shared) {
        (false, None) => String::new(),
        (true, None) => " (internal)".into(),
        (false, Some(shared)) => format!(" (shared as {shared})"),
        (true, Some(shared)) => format!(" (internal, shared as {shared})"),
    }
}

fn condition(need: Need) -> String {
    format!("{}{}", word(need.condition), if need.required { "" } else { ", not required" })
}

fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "Started",
        Condition::Healthy => "Healthy",
        Condition::Completed => "Completed",
    }
}

fn kind(service: &Service) -> &'static str {
    match service.workload {
        Workload::Deployment => "Deployment",
        Workload::StatefulSet => "StatefulSet",
        Workload::DaemonSet => "DaemonSet",
        Workload::Job(_) => "Job",
    }
}
