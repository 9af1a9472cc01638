//! Short forms made long.

use super::merge::keyed;
use super::mounts;
use super::node::{At, Entry, Holds, Map, Node};
use super::notes::{Notes, Settled};
use super::ports;
use super::problem::{Code, Problem, code};
use super::trail::Trail;
use super::unique::maps_of;

/// Makes all short forms of a project long. What cannot be is noted and stays as it is.
pub fn lengthen(project: &mut Node, notes: &mut Notes) {
    let top = Trail::TOP;
    let services = top.to("services");
    for (name, node) in maps_of(project, "services") {
        let trail = services.to(name);
        for (key, entry) in node.as_map_mut().into_iter().flatten() {
            let mut form = Form { trail: trail.to(key), notes: &mut *notes };
            form.service(key, &mut entry.value);
        }
    }
    for key in ["networks", "volumes", "secrets", "configs"] {
        let section = top.to(key);
        for (name, node) in maps_of(project, key) {
            let mut form = Form { trail: section.to(name), notes: &mut *notes };
            form.external(node);
        }
    }
}

struct Form<'a> {
    trail: Trail<'a>,
    notes: &'a mut Notes,
}

impl Form<'_> {
    fn service(&mut self, key: &str, node: &mut Node) {
        match key {
            "build" => self.build(node),
            "depends_on" => self.depends_on(node),
            "env_file" => env_file(node),
            "label_file" => one_as_list(node),
            "dns" => {
                one_as_list(node);
                self.without_empty(node);
            }
            "extends" => as_map(node, "service"),
            "gpus" => self.gpus(node),
            "networks" | "models" if node.as_list().is_some() => self.names(node, &[]),
            "secrets" | "configs" => items(node, |item| as_map(item, "source")),
            "volumes" => self.each(node, |text, at| {
                mounts::parse(text).map(|mount| vec![mount.node(at)]).map_err(|unfit| unfit.at(at))
            }),
            "devices" => self.each(node, |text, at| device(text, at).map(|device| vec![device])),
            "ports" => self.ports(node),
            "ulimits" => self.ulimits(node),
            "develop" => {
                if let Some(watch) = node.get_mut("watch") {
                    items(watch, |rule| {
                        for key in ["ignore", "include"] {
                            rule.get_mut(key).into_iter().for_each(one_as_list);
                        }
                    });
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, code: Code, at: At, message: impl Into<String>) {
        self.notes.say(Problem::error(code, at, message).on(self.trail));
    }

    fn build(&mut self, node: &mut Node) {
        as_map(node, "context");
        for (key, entry) in node.as_map_mut().into_iter().flatten() {
            let value = &mut entry.value;
            match key.as_str() {
                "secrets" => items(value, |item| as_map(item, "source")),
                "provenance" | "sbom" => {
                    if let Some(text) = value.printed() {
                        value.holds = Holds::Text(text);
                    }
                }
                "additional_contexts" => self.pairs(value, |_| false),
                "ssh" => self.pairs(value, |id| id == "default"),
                "ulimits" => self.ulimits(value),
                _ => {}
            }
        }
    }

    fn gpus(&mut self, node: &mut Node) {
        if node.as_text().is_some() {
            let all = Node::map_of(node.at, [("count", Holds::Text("all".into()))]);
            *node = Node::new(node.at, Holds::List(vec![all]));
        }
        for (index, request) in node.as_list().into_iter().flatten().enumerate() {
            let Some(map) = request.as_map() else { continue };
            // The schema leaves these open, and those of `deploy` not.
            let known = ["capabilities", "count", "device_ids", "driver", "options"];
            self.notes.passed_over(map, &known, &self.trail.to(&format!("[{index}]")));
        }
    }

    /// `name=value` items as a map; only names that `alone` knows need no value.
    fn pairs(&mut self, node: &mut Node, alone: fn(&str) -> bool) {
        let Holds::List(items) = &mut node.holds else { return };
        let mut map = Map::default();
        for item in std::mem::take(items) {
            let text = item.as_text().unwrap_or_default();
            let value = match text.split_once('=') {
                Some((key, value)) => (key.to_owned(), Holds::Text(value.to_owned())),
                None if alone(text) => (text.to_owned(), Holds::Null),
                None => {
                    self.say(code::PAIR, item.at, format!("'{text}' is not NAME=VALUE"));
                    continue;
                }
            };
            map.insert(value.0, Entry::implied(Node::new(item.at, value.1)));
        }
        node.holds = Holds::Map(map);
    }

    fn names(&mut self, node: &mut Node, defaults: &[(&str, Holds)]) {
        match keyed(node.clone(), defaults) {
            Some(map) => node.holds = Holds::Map(map),
            None => self.say(code::TYPE, node.at, "must be a list of names"),
        }
    }

    fn depends_on(&mut self, node: &mut Node) {
        let defaults = [("condition", Holds::Text("service_started".into())), ("required", Holds::Bool(true))];
        if node.as_map().is_none() {
            return self.names(node, &defaults);
        }
        for (name, entry) in node.as_map_mut().into_iter().flatten() {
            match entry.value.as_map_mut() {
                None => {
                    let problem = Problem::error(code::TYPE, entry.at, format!("'{name}' says nothing of how to wait"));
                    let help = format!("write {name}: {{condition: service_started}}");
                    self.notes.say(problem.on(self.trail.to(name)).help(help));
                }
                Some(map) => {
                    for (key, holds) in &defaults {
                        let at = At::NOWHERE;
                        map.entry((*key).to_owned()).or_insert_with(|| Entry::implied(Node::new(at, holds.clone())));
                    }
                }
            }
        }
    }

    fn without_empty(&mut self, node: &mut Node) {
        let Holds::List(items) = &mut node.holds else { return };
        for item in std::mem::take(items) {
            if item.is_null() || item.as_text() == Some("") {
                self.notes.settle(&item, Settled::Nothing);
            } else {
                items.push(item);
            }
        }
    }

    /// Texts of a list, each as its long forms.
    fn each(&mut self, node: &mut Node, long: impl Fn(&str, At) -> Result<Vec<Node>, Problem>) {
        let Holds::List(items) = &mut node.holds else { return };
        for (index, item) in std::mem::take(items).into_iter().enumerate() {
            match item.as_text().map(|text| long(text, item.at)) {
                Some(Ok(nodes)) => items.extend(nodes),
                Some(Err(problem)) => {
                    self.notes.say(Problem { at: item.at, ..problem.on(self.trail.to(&format!("[{index}]"))) });
                    items.push(item);
                }
                None => items.push(item),
            }
        }
    }

    fn ports(&mut self, node: &mut Node) {
        for item in node.as_list().unwrap_or_default() {
            if let Holds::Float(_) | Holds::Big(_) = item.holds {
                self.say(code::PORT, item.at, "this is no port: write it in quotes");
            }
        }
        items(node, |item| {
            if let (Holds::Int(_), Some(text)) = (&item.holds, item.printed()) {
                item.holds = Holds::Text(text);
            }
        });
        let room = std::cell::Cell::new(self.notes.ports);
        self.each(node, |text, at| {
            let ports = ports::parse(text, room.get())?;
            room.set(room.get() - ports.len());
            Ok(ports.into_iter().map(|port| port.node(at)).collect())
        });
        self.notes.ports = room.get();
    }

    fn ulimits(&mut self, node: &mut Node) {
        for (name, entry) in node.as_map().into_iter().flatten() {
            if !matches!(entry.value.holds, Holds::Int(_) | Holds::Map(_)) {
                let message = format!("must be a whole number or {{soft, hard}}, not {}", entry.value.kind());
                self.notes.say(Problem::error(code::NUMBER, entry.value.at, message).on(self.trail.to(name)));
            }
        }
    }

    /// `external: {name: x}`, the old form.
    fn external(&mut self, node: &mut Node) {
        let Some(map) = node.as_map_mut() else { return };
        let Some(entry) = map.get_mut("external").filter(|entry| entry.value.as_map().is_some()) else { return };
        let at = entry.value.at;
        let was = std::mem::replace(&mut entry.value, Node::new(at, Holds::Bool(true)));
        if let Some(was) = was.as_map() {
            self.notes.passed_over(was, &["name"], &self.trail.to("external"));
        }
        let Some(name) = was.as_map().and_then(|map| map.get("name")).cloned() else { return };
        match map.get("name") {
            Some(other) if other.value != name.value => {
                let problem =
                    Problem::error(code::EXCLUSIVE, name.at, "'name' and 'external.name' say different things");
                self.notes.say(problem.on(self.trail).and(other.at).help("keep 'name', and write external: true"));
            }
            Some(other) => {
                let same = Settled::Same(other.at);
                self.notes.settle_one(name.at, same);
            }
            None => {
                map.insert("name".to_owned(), name);
            }
        }
    }
}

fn env_file(node: &mut Node) {
    one_as_list(node);
    items(node, |item| {
        as_map(item, "path");
        if let Some(map) = item.as_map_mut() {
            let required = Entry::implied(Node::new(At::NOWHERE, Holds::Bool(true)));
            map.entry("required".to_owned()).or_insert(required);
        }
    });
}

fn one_as_list(node: &mut Node) {
    if node.as_text().is_some() {
        *node = Node::new(node.at, Holds::List(vec![node.clone()]));
    }
}

fn as_map(node: &mut Node, key: &str) {
    if let Holds::Text(_) = node.holds {
        let entry = Entry::implied(node.clone());
        *node = Node::new(node.at, Holds::Map(Map::from_iter([(key.to_owned(), entry)])));
    }
}

fn items(node: &mut Node, change: impl FnMut(&mut Node)) {
    if let Holds::List(items) = &mut node.holds {
        items.iter_mut().for_each(change);
    }
}

fn device(text: &str, at: At) -> Result<Node, Problem> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            let problem = Problem::error(code::DEVICE, at, format!("'{text}' has too many colons"));
            return Err(problem.help("write {source, target, permissions}"));
        }
    };
    let target = if target.is_empty() { source } else { target };
    let text = |text: &str| Holds::Text(text.to_owned());
    Ok(Node::map_of(at, [("source", text(source)), ("target", text(target)), ("permissions", text(permissions))]))
}
