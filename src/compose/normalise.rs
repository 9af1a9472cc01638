//! What follows from what: networks that nobody named, dependencies that other keys imply, names of things.

use super::interpolate::Variables;
use super::mounts;
use super::node::{At, Entry, Holds, Map, Node};
use super::notes::{Notes, Settled};
use super::unique::maps_of;

/// Adds what follows, and settles variables without a value.
pub fn normalise(project: &mut Node, name: &str, environment: &Variables, notes: &mut Notes) {
    networks(project);
    for (_, service) in maps_of(project, "services") {
        let Some(keys) = service.as_map_mut() else { continue };
        if let Some(policy) = keys.get_mut("pull_policy")
            && policy.value.as_text() == Some("if_not_present")
        {
            policy.value.holds = Holds::Text("missing".into());
        }
        if let Some(build) = keys.get_mut("build") {
            let put = |build: &mut Node, key: &str, text: &str| {
                if build.get(key).is_none_or(Node::is_null)
                    && let Some(map) = build.as_map_mut()
                {
                    map.insert(key.to_owned(), Entry::implied(Node::text(At::NOWHERE, text)));
                }
            };
            put(&mut build.value, "context", ".");
            if build.value.get("dockerfile_inline").is_none_or(Node::is_null) {
                put(&mut build.value, "dockerfile", "Dockerfile");
            }
            if let Some(args) = build.value.get_mut("args") {
                variables(args, environment, false, notes);
            }
        }
        if let Some(own) = keys.get_mut("environment") {
            variables(&mut own.value, environment, true, notes);
        }
        for mount in keys.get_mut("volumes").into_iter().flat_map(|entry| match &mut entry.value.holds {
            Holds::List(items) => items.iter_mut(),
            _ => [].iter_mut(),
        }) {
            if let Some(Node { holds: Holds::Text(target), .. }) = mount.get_mut("target") {
                *target = if target.is_empty() { ".".to_owned() } else { mounts::clean_target(target) };
            }
        }
        implied(keys);
        hook_images(keys);
    }
    names(project, name);
}

/// A service that names no network joins `default`, also when the project has others.
fn networks(project: &mut Node) {
    let mut uses_default = false;
    for (_, service) in maps_of(project, "services") {
        let Some(keys) = service.as_map_mut() else { continue };
        if keys.contains_key("provider") || keys.contains_key("network_mode") {
            continue;
        }
        let joined = keys.get("networks").and_then(|entry| entry.value.as_map()).filter(|map| !map.is_empty());
        match joined {
            Some(map) => uses_default |= map.contains_key("default"),
            None => {
                uses_default = true;
                let at = keys.get("networks").map_or(At::NOWHERE, |entry| entry.at);
                let none = Entry::implied(Node::new(At::NOWHERE, Holds::Null));
                let value = Node::new(At::NOWHERE, Holds::Map(Map::from_iter([("default".to_owned(), none)])));
                keys.insert("networks".to_owned(), Entry { at, value });
            }
        }
    }
    if let (true, Some(top)) = (uses_default, project.as_map_mut()) {
        let networks = top.entry("networks".to_owned());
        let networks = networks.or_insert_with(|| Entry::implied(Node::new(At::NOWHERE, Holds::Map(Map::default()))));
        if let Some(map) = networks.value.as_map_mut() {
            map.entry("default".to_owned()).or_insert_with(|| Entry::implied(Node::new(At::NOWHERE, Holds::Null)));
        }
    }
}

/// A name without a value takes the value that the project knows; without one it stays (or goes, unless `keep`).
fn variables(node: &mut Node, environment: &Variables, keep: bool, notes: &mut Notes) {
    let scope = notes.scope(environment);
    match &mut node.holds {
        Holds::Map(map) => map.retain(|key, entry| {
            if entry.value.is_null()
                && let Some(value) = environment.get(key)
            {
                notes.template(entry.at, format!("${{{key}}}"), scope);
                entry.value.holds = Holds::Text(value.clone());
            }
            let keep = keep || !entry.value.is_null();
            if !keep {
                notes.settle_one(entry.at, Settled::Nothing);
            }
            keep
        }),
        Holds::List(items) => items.retain_mut(|item| {
            let Holds::Text(text) = &mut item.holds else { return false };
            if text.contains('=') {
                return true;
            }
            match environment.get(text.as_str()) {
                Some(value) => {
                    notes.template(item.at, format!("{text}=${{{text}}}"), scope);
                    *text = format!("{text}={value}");
                    true
                }
                None => {
                    if !keep {
                        notes.settle_one(item.at, Settled::Nothing);
                    }
                    keep
                }
            }
        }),
        _ => {}
    }
}

/// Dependencies that other keys imply.
fn implied(keys: &mut Map) {
    let mut found: Vec<(String, At, bool)> = Vec::new();
    let list = |key: &str| keys.get(key).and_then(|entry| entry.value.as_list()).unwrap_or_default();
    for link in list("links") {
        let text = link.as_text().unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        let service = if let [service, _] = parts.as_slice() { service } else { text };
        found.push((service.to_owned(), link.at, true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(entry) = keys.get(key) else { continue };
        if let Some(service) = entry.value.as_text().and_then(|text| text.strip_prefix("service:")) {
            found.push((service.to_owned(), entry.value.at, true));
        }
    }
    for from in list("volumes_from") {
        let text = from.as_text().unwrap_or_default();
        if !text.starts_with("container:") {
            found.push((text.split(':').next().unwrap_or_default().to_owned(), from.at, false));
        }
    }
    if found.is_empty() {
        return;
    }
    let depends_on = keys.entry("depends_on".to_owned());
    let depends_on = depends_on.or_insert_with(|| Entry::implied(Node::new(At::NOWHERE, Holds::Map(Map::default()))));
    let Some(map) = depends_on.value.as_map_mut() else { return };
    for (service, at, restart) in found {
        // The key that implies it is what says it.
        map.entry(service).or_insert_with(|| {
            let condition = Holds::Text("service_started".into());
            let how = [("condition", condition), ("restart", Holds::Bool(restart)), ("required", Holds::Bool(true))];
            Entry { at, value: Node::map_of(At::NOWHERE, how) }
        });
    }
}

/// A `pre_start` hook runs in the service's own image unless it names one.
fn hook_images(keys: &mut Map) {
    let Some(image) =
        keys.get("image").map(|entry| entry.value.clone()).filter(|i| i.as_text().is_some_and(|i| !i.is_empty()))
    else {
        return;
    };
    let Some(Entry { value: Node { holds: Holds::List(hooks), .. }, .. }) = keys.get_mut("pre_start") else { return };
    for hook in hooks {
        if let Some(map) = hook.as_map_mut() {
            let inherited = || Entry::implied(Node::new(At::NOWHERE, image.holds.clone()));
            map.entry("image".to_owned()).or_insert_with(inherited);
        }
    }
}

/// Things without a name are called after the project and their key.
fn names(project: &mut Node, name: &str) {
    for section in ["networks", "volumes", "configs", "secrets"] {
        for (key, node) in maps_of(project, section) {
            if node.is_null() {
                node.holds = Holds::Map(Map::default());
            }
            let external = node.get("external").is_some_and(|node| {
                matches!(node.printed().as_deref(), Some("true" | "True" | "TRUE" | "t" | "T" | "1"))
            });
            let full = if external { key.clone() } else { format!("{name}_{key}") };
            if let Some(map) = node.as_map_mut()
                && map.get("name").is_none_or(|entry| entry.value.is_null())
            {
                map.insert("name".to_owned(), Entry::implied(Node::text(At::NOWHERE, full)));
            }
        }
    }
}
