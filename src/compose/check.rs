//! Whether a project is consistent: what its active services refer to exists, and what they say twice is the same.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::node::{At, Holds, Node};
use super::notes::Notes;
use super::problem::{Code, Problem, code};

/// Notes all that is inconsistent. `on` names the active services.
pub fn check(project: &Node, on: &BTreeSet<String>, notes: &mut Notes) {
    let mut check = Check { project, on, notes };
    for (name, entry) in project.entries("services").filter(|(name, _)| on.contains(*name)) {
        Service { check: &mut check, name, node: &entry.value, at: entry.at }.all();
    }
    check.secrets();
    check.cycles();
    check.container_names();
}

struct Check<'a> {
    project: &'a Node,
    on: &'a BTreeSet<String>,
    notes: &'a mut Notes,
}

impl Check<'_> {
    fn has(&self, section: &str, name: &str) -> bool {
        self.project.get(section).and_then(|node| node.get(name)).is_some()
    }

    fn secrets(&mut self) {
        for (name, entry) in self.project.entries("secrets") {
            let secret = &entry.value;
            let given = |key: &str| secret.get(key).and_then(Node::as_text).is_some_and(|text| !text.is_empty());
            if !secret.get("external").is_some_and(Node::is_true) && !given("file") && !given("environment") {
                let problem = Problem::error(code::NO_SOURCE, entry.at, format!("the secret '{name}' has no source"));
                let help = "give it 'file' or 'environment', or say external: true";
                self.notes.say(problem.on(format!("secrets.{name}")).help(help));
            }
        }
    }

    /// Services that wait for each other, one message per knot.
    fn cycles(&mut self) {
        let mut graph: DiGraphMap<&str, At> = DiGraphMap::new();
        for (name, entry) in self.project.entries("services").filter(|(name, _)| self.on.contains(*name)) {
            graph.add_node(name);
            for (of, dependency) in entry.value.entries("depends_on").filter(|(of, _)| self.on.contains(*of)) {
                graph.add_edge(name, of, dependency.at);
            }
        }
        let mut problems = Vec::new();
        for knot in tarjan_scc(&graph) {
            let Some(&first) = knot.iter().min() else { continue };
            if knot.len() == 1 && !graph.contains_edge(first, first) {
                continue;
            }
            let inside: BTreeSet<&str> = knot.into_iter().collect();
            let mut path = vec![first];
            let mut here = first;
            while let Some(next) = graph.neighbors(here).filter(|next| inside.contains(next)).min() {
                let seen = path.iter().position(|name| *name == next);
                path.push(next);
                here = next;
                if let Some(start) = seen {
                    path.drain(..start);
                    break;
                }
            }
            let (from, to) = (path.first().copied().unwrap_or(first), path.get(1).copied().unwrap_or(first));
            let at = graph.edge_weight(from, to).copied().unwrap_or(At::NOWHERE);
            let message = format!("services wait for each other: {}", path.join(" -> "));
            let path = format!("services.{from}.depends_on.{to}");
            problems.push(Problem::error(code::CYCLE, at, message).on(path).help("take one of these dependencies out"));
        }
        problems.sort_by_key(|problem| problem.at);
        self.notes.problems.extend(problems);
    }

    fn container_names(&mut self) {
        let mut names: BTreeMap<&str, At> = BTreeMap::new();
        for (name, entry) in self.project.entries("services").filter(|(name, _)| self.on.contains(*name)) {
            let Some(node) = entry.value.get("container_name") else { continue };
            let Some(container) = node.as_text().filter(|text| !text.is_empty()) else { continue };
            if let Some(first) = names.insert(container, node.at) {
                let message = format!("another service has the container name '{container}' too");
                let problem = Problem::error(code::CONTAINER_NAME, node.at, message);
                self.notes.say(problem.on(format!("services.{name}.container_name")).and(first));
            }
        }
    }
}

struct Service<'a, 'c> {
    check: &'a mut Check<'c>,
    name: &'a str,
    node: &'a Node,
    at: At,
}

impl Service<'_, '_> {
    fn all(&mut self) {
        self.source();
        self.networks();
        self.health_check();
        self.dependencies();
        self.references();
        self.scale();
        self.same();
        self.watch();
        self.mounts();
    }

    fn say(&mut self, code: Code, at: At, path: &str, message: impl Into<String>, help: &str) -> usize {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("services.{}{dot}{path}", self.name);
        self.check.notes.say(Problem::error(code, at, message).on(path).help(help));
        self.check.notes.problems.len() - 1
    }

    fn text(&self, path: &[&str]) -> Option<(&str, At)> {
        let node = self.node.find(path)?;
        node.as_text().filter(|text| !text.is_empty()).map(|text| (text, node.at))
    }

    fn source(&mut self) {
        let build = self.node.get("build").filter(|node| !node.is_null());
        if build.is_none() && self.text(&["image"]).is_none() && self.node.get("provider").is_none() {
            let message = format!("the service '{}' has neither 'image' nor 'build'", self.name);
            self.say(code::NO_IMAGE, self.at, "", message, "give it an image");
        }
        let Some(build) = build else { return };
        if let (Some((_, inline)), Some(_)) =
            (self.text(&["build", "dockerfile_inline"]), self.text(&["build", "dockerfile"]))
        {
            let message = "'dockerfile' and 'dockerfile_inline' exclude each other";
            self.say(code::EXCLUSIVE, inline, "build.dockerfile_inline", message, "keep one of them");
        }
        for (name, context) in build.entries("additional_contexts") {
            let Some(service) = context.value.as_text().and_then(|text| text.strip_prefix("service:")) else {
                continue;
            };
            let path = format!("build.additional_contexts.{name}");
            let other = self.check.project.find(&["services", service]).filter(|_| self.check.on.contains(service));
            match other {
                None => self.undefined("service", service, context.value.at, &path),
                Some(other) if other.get("build").is_none_or(Node::is_null) => {
                    let message = format!("the service '{service}' is not built, so it is no context");
                    self.say(code::UNDEFINED, context.value.at, &path, message, "");
                }
                Some(_) => {}
            }
        }
        let platforms = build.items("platforms");
        if let Some((platform, at)) = self.text(&["platform"])
            && !platforms.is_empty()
            && !platforms.iter().any(|one| one.as_text() == Some(platform))
        {
            let message = format!("build.platforms does not have the platform '{platform}'");
            self.say(code::DISAGREE, at, "platform", message, "add it there");
        }
    }

    fn undefined(&mut self, what: &str, name: &str, at: At, path: &str) {
        let section = match what {
            "service" => "services",
            "network" => "networks",
            "volume" => "volumes",
            "config" => "configs",
            "secret" | "build secret" => "secrets",
            _ => "models",
        };
        let names = self.check.project.entries(section).map(|(name, _)| name.as_str());
        let near = names.map(|other| (strsim::damerau_levenshtein(name, other), other)).min();
        let help = match near.filter(|(distance, other)| name.len() <= 64 && *distance <= 1 + other.len() / 4) {
            Some((_, other)) => format!("did you mean '{other}'?"),
            None => format!("define it under '{section}'"),
        };
        self.say(code::UNDEFINED, at, path, format!("there is no {what} '{name}'"), &help);
    }

    fn networks(&mut self) {
        let joined = self.node.get("networks").and_then(Node::as_map).filter(|map| !map.is_empty());
        if let (Some((_, at)), Some(_)) = (self.text(&["network_mode"]), joined) {
            let message = "'network_mode' and 'networks' exclude each other";
            self.say(code::EXCLUSIVE, at, "network_mode", message, "keep one of them");
        }
        for (network, entry) in joined.into_iter().flatten() {
            if !self.check.has("networks", network) {
                self.undefined("network", network, entry.at, &format!("networks.{network}"));
            }
        }
    }

    fn health_check(&mut self) {
        let Some(first) = self.node.get("healthcheck").and_then(|check| check.items("test").first()) else { return };
        let word = first.as_text().unwrap_or_default();
        if !matches!(word, "CMD" | "CMD-SHELL" | "NONE") {
            let message = format!("the list begins with '{word}', not with CMD, CMD-SHELL or NONE");
            let at = first.at;
            self.say(code::WORD, at, "healthcheck.test[0]", message, "write [\"CMD\", ...]");
        }
    }

    fn dependencies(&mut self) {
        for (of, entry) in self.node.entries("depends_on") {
            if self.check.on.contains(of) {
                continue;
            }
            let required = entry.value.get("required").is_none_or(|node| node.holds != Holds::Bool(false));
            let path = format!("depends_on.{of}");
            if !self.check.has("services", of) {
                self.undefined("service", of, entry.at, &path);
            } else if required {
                let message = format!("'{}' needs '{of}', which is off by its profiles", self.name);
                self.say(code::OFF, entry.at, &path, message, "switch on a profile of it, or say required: false");
            }
        }
    }

    fn references(&mut self) {
        for (index, mount) in self.node.items("volumes").iter().enumerate() {
            let of = |key: &str| mount.get(key).and_then(Node::as_text);
            if let (Some("volume"), Some(source)) = (of("type"), of("source").filter(|source| !source.is_empty()))
                && !self.check.has("volumes", source)
            {
                let at = mount.get("source").map_or(mount.at, |node| node.at);
                self.undefined("volume", source, at, &format!("volumes[{index}]"));
            }
        }
        let build = self.node.get("build").map(|build| build.items("secrets")).unwrap_or_default();
        for (what, section, key, items) in [
            ("build secret", "secrets", "build.secrets", build),
            ("config", "configs", "configs", self.node.items("configs")),
            ("secret", "secrets", "secrets", self.node.items("secrets")),
        ] {
            for (index, item) in items.iter().enumerate() {
                let source = item.get("source").and_then(Node::as_text).unwrap_or_default();
                if !self.check.has(section, source) {
                    self.undefined(what, source, item.at, &format!("{key}[{index}]"));
                }
            }
        }
        for (model, entry) in self.node.entries("models") {
            if !self.check.has("models", model) {
                self.undefined("model", model, entry.at, &format!("models.{model}"));
            }
        }
    }

    fn int(&self, path: &[&str]) -> Option<(i64, At)> {
        let node = self.node.find(path)?;
        match node.holds {
            Holds::Int(value) => Some((value, node.at)),
            _ => None,
        }
    }

    fn scale(&mut self) {
        let (scale, replicas) = (self.int(&["scale"]), self.int(&["deploy", "replicas"]));
        if let (Some((scale, at)), Some((replicas, other))) = (scale, replicas)
            && scale != replicas
        {
            let message = format!("'scale' says {scale} and 'deploy.replicas' says {replicas}");
            let index = self.say(code::DISAGREE, at, "scale", message, "keep one of them");
            self.and(index, other);
        }
        for (path, value) in [("scale", scale), ("deploy.replicas", replicas)] {
            if let Some((value, at)) = value.filter(|(value, _)| *value < 0) {
                self.say(code::BOUNDS, at, path, format!("{value} is less than 0"), "");
            }
        }
        if let (Some((count, _)), Some((_, at))) = (scale.or(replicas), self.text(&["container_name"]))
            && count > 1
        {
            let message = format!("{count} containers cannot all have this name");
            self.say(code::CONTAINER_NAME, at, "container_name", message, "take it out");
        }
    }

    fn and(&mut self, index: usize, other: At) {
        if let Some(problem) = self.check.notes.problems.get_mut(index) {
            problem.other = Some(other).filter(|at| at.is_written());
        }
    }

    /// Keys that say the same as one of `deploy.resources` must agree with it as soon as that part is there.
    fn same(&mut self) {
        for (key, part, other) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ] {
            let Some(here) = self.node.get(key) else { continue };
            let Some(there) = self.node.find(&["deploy", "resources", part]).filter(|node| !node.is_null()) else {
                continue;
            };
            let ours = number(Some(here));
            let theirs = there.get(other);
            if ours == 0.0 || same(ours, number(theirs), key == "cpus") {
                continue;
            }
            let path = format!("deploy.resources.{part}.{other}");
            let (message, at) = match theirs {
                Some(node) => (format!("'{key}' and '{path}' say different things"), node.at),
                None => (format!("'{key}' is given, and '{path}' is not"), there.at),
            };
            let index =
                self.say(code::DISAGREE, here.at, key, message, "say it in one of the two places, or the same in both");
            self.and(index, at);
        }
    }

    fn watch(&mut self) {
        let rules = self.node.get("develop").map(|develop| develop.items("watch")).unwrap_or_default();
        for (index, rule) in rules.iter().enumerate() {
            let of = |key: &str| rule.get(key).and_then(Node::as_text).unwrap_or_default();
            if of("target").is_empty() && !matches!(of("action"), "rebuild" | "restart") {
                let at = rule.get("action").map_or(rule.at, |node| node.at);
                self.say(
                    code::MISSING,
                    at,
                    &format!("develop.watch[{index}]"),
                    "'target' is required for this action",
                    "",
                );
            }
        }
    }

    fn mounts(&mut self) {
        let mut targets: BTreeMap<String, At> = BTreeMap::new();
        let of_tmpfs = self.node.items("tmpfs").iter().enumerate().map(|(index, item)| {
            let target = item.as_text().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
            (format!("tmpfs[{index}]"), target, item.at)
        });
        let of_volumes = self.node.items("volumes").iter().enumerate().map(|(index, item)| {
            let target = item.get("target").and_then(Node::as_text).unwrap_or_default().to_owned();
            (format!("volumes[{index}]"), target, item.get("target").map_or(item.at, |node| node.at))
        });
        for (path, target, at) in of_tmpfs.chain(of_volumes).collect::<Vec<_>>() {
            let message = format!("'{target}' is mounted twice");
            if let Some(first) = targets.insert(target, at) {
                let index = self.say(code::MOUNTED_TWICE, at, &path, message, "take one of them out");
                self.and(index, first);
            }
        }
    }
}

fn number(node: Option<&Node>) -> f64 {
    match node.map(|node| &node.holds) {
        #[allow(clippy::cast_precision_loss)] // beyond 2^52 bytes nothing differs that matters
        Some(Holds::Int(value) | Holds::Bytes(value)) => *value as f64,
        Some(Holds::Float(value)) => *value,
        _ => 0.0,
    }
}

/// CPUs are compared as the reference holds them, in 32 bits.
#[allow(clippy::cast_possible_truncation, clippy::float_cmp)]
fn same(a: f64, b: f64, short: bool) -> bool {
    if short { a as f32 == b as f32 } else { a == b }
}
