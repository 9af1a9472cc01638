//! What the loader notes on its way: problems, and what it has settled itself.

use std::collections::{BTreeSet, HashMap};

use super::interpolate::Variables;
use super::node::{At, FileId, Holds, Map, Node};
use super::problem::{Problem, Severity, Told, code};
use super::schema::nearest;
use super::trail::shortened;

/// Why something that is written is not in the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What is written there took its place.
    Overridden(At),
    /// `!reset` there took it away.
    Reset(At),
    /// It took something away: `!reset`.
    TookAway,
    /// It is as what is written there.
    Same(At),
    /// It named another file or service, whose parts are in the project.
    Followed,
    /// It says nothing: `version`, or an empty name server.
    Nothing,
    /// It stands in a file of which only some services are extended.
    Unused,
}

/// Ports that short forms of a project may mean: one line can name 65,536.
const MOST_PORTS: usize = 20_000;

/// Bytes that variables may bring into the values of a project.
const MOST_FILLED: usize = 64 << 20;
/// Bytes of a value that may be a secret.
const SHORTEST_SECRET: usize = 4;
/// Problems that are told; there may be one for each of 250,000 values.
const MOST_PROBLEMS: usize = 1_000;

/// Problems, and what became of what.
#[derive(Debug)]
pub struct Notes {
    /// All problems so far.
    pub problems: Vec<Problem>,
    /// How many more ports short forms may mean.
    pub ports: usize,
    /// How many more bytes variables may bring in.
    pub filled: usize,
    failed: bool,
    settled: HashMap<(FileId, u32), Settled>,
    templates: HashMap<(FileId, u32), Template>,
    scopes: Vec<Variables>,
    /// Values into which variables brought something.
    filled_at: BTreeSet<(FileId, u32)>,
    /// These variables, with what they brought in: it may be a secret.
    hidden: BTreeSet<(String, String)>,
}

/// A value as it stands in the file, and which variables it saw.
#[derive(Debug)]
struct Template {
    text: String,
    scope: usize,
}

impl Default for Notes {
    fn default() -> Self {
        Notes {
            problems: Vec::new(),
            ports: MOST_PORTS,
            filled: MOST_FILLED,
            failed: false,
            settled: HashMap::new(),
            templates: HashMap::new(),
            scopes: Vec::new(),
            filled_at: BTreeSet::new(),
            hidden: BTreeSet::new(),
        }
    }
}

impl Notes {
    /// Notes a problem.
    pub fn say(&mut self, problem: Problem) {
        let first = problem.severity == Severity::Error && !self.failed;
        self.failed |= problem.severity == Severity::Error;
        if first || self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// Counts bytes that variables bring in; false if it is too many.
    pub fn fits(&mut self, bytes: usize) -> bool {
        let left = self.filled.checked_sub(bytes);
        self.filled = left.unwrap_or(0);
        left.is_some()
    }

    /// Notes what variables brought into the value at `at`.
    pub fn hide(&mut self, at: At, used: Variables) {
        // Shorter words are no secrets, and stand in any message.
        let mut used = used.into_iter().filter(|(_, value)| value.len() >= SHORTEST_SECRET).peekable();
        if used.peek().is_some() && at.is_written() {
            self.filled_at.insert((at.file, at.start));
            self.hidden.extend(used);
        }
    }

    /// Puts the names of variables where a problem has their values.
    pub fn redact(&self, problem: &mut Problem) {
        let At { file, start, end } = problem.at;
        let places = (file, start)..(file, end.max(start.saturating_add(1)));
        if !problem.at.is_written() || self.filled_at.range(places).next().is_none() {
            return;
        }
        for (name, value) in &self.hidden {
            let (name, lower) = (format!("${{{name}}}"), value.to_lowercase());
            for text in [&mut problem.message, &mut problem.help, &mut problem.path] {
                if text.contains(value.as_str()) {
                    *text = text.replace(value.as_str(), &name);
                }
                // A part of it, as where it is cut at colons.
                let is_part = |word: &str| word.len() >= SHORTEST_SECRET && lower.contains(&word.to_lowercase());
                if text.split('\'').skip(1).step_by(2).any(is_part) {
                    let words = text.split('\'').enumerate();
                    let words = words.map(|(at, word)| if at % 2 == 1 && is_part(word) { &*name } else { word });
                    *text = words.collect::<Vec<_>>().join("'");
                }
            }
        }
    }

    /// Fails if there is an error among the problems.
    pub fn sound(&self) -> Result<(), Told> {
        if self.failed { Err(Told) } else { Ok(()) }
    }

    /// Notes what became of the key or item at `at`.
    pub fn settle_one(&mut self, at: At, how: Settled) {
        if at.is_written() {
            self.settled.insert((at.file, at.start), how);
        }
    }

    /// Notes what became of `node` and of all in it.
    pub fn settle(&mut self, node: &Node, how: Settled) {
        self.settle_one(node.at, how);
        match &node.holds {
            Holds::List(items) => items.iter().for_each(|item| self.settle(item, how)),
            Holds::Map(map) => map.values().for_each(|entry| {
                self.settle_one(entry.at, how);
                self.settle(&entry.value, how);
            }),
            _ => {}
        }
    }

    /// Notes what became of all in `node` of which nothing was noted yet.
    pub fn settle_rest(&mut self, node: &Node, how: Settled) {
        let mut rest = Notes::default();
        rest.settle(node, how);
        for (place, how) in rest.settled {
            self.settled.entry(place).or_insert(how);
        }
    }

    /// Warns of keys that the reference loader takes and forgets: all but `known`. Those that begin with `x-` are meant for others.
    pub fn passed_over(&mut self, map: &Map, known: &[&str], path: &dyn std::fmt::Display) {
        for (key, entry) in map.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            self.settle_one(entry.at, Settled::Nothing);
            self.settle(&entry.value, Settled::Nothing);
            if !key.starts_with("x-") {
                let message = format!("there is no key '{}' here: Compose passes over it", shortened(key));
                let help = nearest(key, known.iter().copied()).map(|known| format!("did you mean '{known}'?"));
                let warning = Problem::warning(code::UNKNOWN_KEY, entry.at, message);
                self.say(warning.on(format!("{path}.{}", shortened(key))).help(help.unwrap_or_default()));
            }
        }
    }

    /// A number for `environment`, by which values say which variables they saw.
    pub fn scope(&mut self, environment: &Variables) -> usize {
        self.scopes.iter().position(|scope| scope == environment).unwrap_or_else(|| {
            self.scopes.push(environment.clone());
            self.scopes.len() - 1
        })
    }

    /// Notes that the value at `from` is now in an item `NAME=VALUE` at `to`.
    pub fn template_of_pair(&mut self, name: &str, from: At, to: At) {
        let of = self.templates.get(&(from.file, from.start)).filter(|_| from != to);
        if let Some((text, scope)) = of.map(|of| (format!("{name}={}", of.text), of.scope)) {
            self.template(to, text, scope);
        }
    }

    /// Notes how a value with variables stands in the file.
    pub fn template(&mut self, at: At, text: String, scope: usize) {
        if at.is_written() {
            self.templates.insert((at.file, at.start), Template { text, scope });
        }
    }

    /// The value at `at` before its variables were filled in, and the variables; none if it has none.
    pub fn templated(&self, at: At) -> Option<(&str, &Variables)> {
        let template = self.templates.get(&(at.file, at.start))?;
        Some((&template.text, self.scopes.get(template.scope)?))
    }

    /// What became of the key or item that begins at `at`.
    pub fn settled(&self, at: At) -> Option<Settled> {
        self.settled.get(&(at.file, at.start)).copied()
    }
}
