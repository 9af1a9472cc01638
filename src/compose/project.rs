//! The result: a project whose values are merged, long, typed and checked, each with its place.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::interpolate::Variables;
use super::model::VALUE;
use super::node::{Entry, Node};

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The folder that its paths are seen from.
    pub folder: PathBuf,
    /// The variables of the project: environment and `.env`.
    pub environment: Variables,
    /// The profiles that are on.
    pub profiles: Vec<String>,
    /// All of it in long form: `services`, `networks`, `volumes`, `secrets`, `configs`, `models`, and extensions. Services that are off are
    /// here too, their env files unread, and so is what only they use.
    pub root: Node,
    /// The services that are on.
    pub on: BTreeSet<String>,
}

impl Project {
    /// All services, those that are off included, in the order of the files.
    pub fn services(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.root.entries("services")
    }

    /// Whether a service is on.
    pub fn is_on(&self, service: &str) -> bool {
        self.on.contains(service)
    }

    /// What the services that are on use of a section (`networks`, `volumes`, `secrets`, `configs`, `models`).
    pub fn used(&self, section: &str) -> BTreeSet<&str> {
        let on = self.services().filter(|(name, _)| self.is_on(name));
        on.flat_map(|(_, service)| uses(&service.value, section)).collect()
    }

    /// The value of a config or secret whose source is a variable, if that is set.
    pub fn variable_of(file: &Node) -> Option<&str> {
        file.get(VALUE).and_then(Node::as_text)
    }
}

/// What a service uses of a section.
pub fn uses<'a>(service: &'a Node, section: &str) -> Vec<&'a str> {
    let sources = |items: &'a [Node]| items.iter().filter_map(|item| item.get("source")?.as_text());
    match section {
        "networks" | "models" => {
            let map = service.get(section).and_then(Node::as_map).into_iter().flatten();
            map.map(|(name, _)| name.as_str()).collect()
        }
        "volumes" => {
            let mounts = service.get("volumes").and_then(Node::as_list).unwrap_or_default();
            let named = mounts.iter().filter(|mount| mount.get("type").and_then(Node::as_text) == Some("volume"));
            named.filter_map(|mount| mount.get("source")?.as_text()).collect()
        }
        "configs" | "secrets" => {
            let list = |node: Option<&'a Node>| node.and_then(Node::as_list).unwrap_or_default();
            let own = sources(list(service.get(section)));
            let build = service.get("build").filter(|_| section == "secrets").and_then(|build| build.get(section));
            own.chain(sources(list(build))).collect()
        }
        _ => Vec::new(),
    }
}

/// The services that are on: those without profiles, and those of which one is on; `*` is all.
pub fn switched_on(root: &Node, profiles: &[String]) -> BTreeSet<String> {
    let is_on = |service: &Node| {
        let own = service.items("profiles");
        own.is_empty()
            || profiles.iter().any(|on| on == "*" || own.iter().any(|profile| profile.as_text() == Some(on.as_str())))
    };
    root.entries("services").filter(|(_, entry)| is_on(&entry.value)).map(|(name, _)| name.clone()).collect()
}
