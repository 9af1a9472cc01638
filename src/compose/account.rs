//! Every key of the input, and what became of it.

use std::collections::{HashMap, HashSet};

use super::Loaded;
use super::node::{At, FileId, Holds, Node};
use super::notes::Settled;
use super::trail::shortened;
use super::yaml;

/// A key with a value, or an item of a list, that has no keys or items of its own.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it is written: the key, or the item.
    pub at: At,
    /// Its path in its file, as `services.web.ports[0]`.
    pub path: String,
    /// Whether the project has it.
    pub stands: Stands,
}

/// Whether the project has what a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It is in the project: whoever maps the project says what becomes of it.
    InProject,
    /// The loader has settled it.
    Settled(Settled),
    /// Nobody knows: a fault of this program.
    Lost,
}

/// The keys of all files of a project, and what was said of each; `O` is what is said.
///
/// Keys are known by where they are written: every entry of a map and every item of a list in the project has that place (`Entry::at`, the
/// item's `Node::at`), also after short forms were made long.
#[derive(Debug)]
pub struct Account<O> {
    keys: Vec<Key>,
    said: HashMap<(FileId, u32), Vec<O>>,
}

impl<O: Clone> Account<O> {
    /// The keys of a project that was loaded.
    pub fn of(loaded: &Loaded) -> Account<O> {
        let mut kept = HashSet::new();
        if let Some(project) = &loaded.project {
            places(&project.root, &mut kept);
        }
        let mut keys = Vec::new();
        for (number, source) in loaded.sources.iter().enumerate().filter(|(_, source)| source.is_compose) {
            let file = FileId::try_from(number).unwrap_or(FileId::MAX);
            for document in yaml::documents(&source.text, file, &mut yaml::MOST_NODES.clone()).unwrap_or_default() {
                leaves(&document, document.at, String::new(), &mut keys);
            }
        }
        let mut seen = HashSet::new();
        keys.retain(|key: &Key| seen.insert(place(key.at)));
        for key in &mut keys {
            key.stands = match loaded.settled(key.at) {
                _ if kept.contains(&place(key.at)) => Stands::InProject,
                Some(how) => Stands::Settled(how),
                None => Stands::Lost,
            };
        }
        Account { keys, said: HashMap::new() }
    }

    /// All keys, in the order of the files.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Says what became of the key or item at `at`; places that no file has are passed over.
    pub fn say(&mut self, at: At, what: O) {
        if at.is_written() {
            self.said.entry(place(at)).or_default().push(what);
        }
    }

    /// Says the same of everything in `node`.
    pub fn say_all(&mut self, node: &Node, what: &O) {
        match &node.holds {
            Holds::Map(map) => map.values().for_each(|entry| {
                self.say(entry.at, what.clone());
                self.say_all(&entry.value, what);
            }),
            Holds::List(items) => items.iter().for_each(|item| {
                self.say(item.at, what.clone());
                self.say_all(item, what);
            }),
            _ => {}
        }
    }

    /// Says `what` of the key or item at `at` and of everything in `node` of which nothing was said yet; whether there was any such.
    pub fn say_rest(&mut self, at: At, node: &Node, what: &O) -> bool {
        let mut new = at.is_written() && !self.has_said(at);
        if new {
            self.say(at, what.clone());
        }
        match &node.holds {
            Holds::Map(map) => map.values().for_each(|entry| new |= self.say_rest(entry.at, &entry.value, what)),
            Holds::List(items) => items.iter().for_each(|item| new |= self.say_rest(item.at, item, what)),
            _ => {}
        }
        new
    }

    /// Whether something was said of the key or item at `at`.
    pub fn has_said(&self, at: At) -> bool {
        self.said.contains_key(&place(at))
    }

    /// What was said of the key or item at `at`.
    pub fn said_at(&self, at: At) -> &[O] {
        self.said.get(&place(at)).map(Vec::as_slice).unwrap_or_default()
    }

    /// What was said of a key.
    pub fn said(&self, key: &Key) -> &[O] {
        self.said.get(&place(key.at)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Keys of the project of which nothing was said, and lost ones.
    pub fn unsaid(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| match key.stands {
            Stands::InProject => self.said(key).is_empty(),
            Stands::Settled(_) => false,
            Stands::Lost => true,
        })
    }
}

fn place(at: At) -> (FileId, u32) {
    (at.file, at.start)
}

/// Where all entries and items of a value are written.
fn places(node: &Node, found: &mut HashSet<(FileId, u32)>) {
    match &node.holds {
        Holds::Map(map) => map.values().for_each(|entry| {
            found.insert(place(entry.at));
            places(&entry.value, found);
        }),
        Holds::List(items) => items.iter().for_each(|item| {
            found.insert(place(item.at));
            places(item, found);
        }),
        _ => {}
    }
}

fn leaves(node: &Node, at: At, path: String, keys: &mut Vec<Key>) {
    match &node.holds {
        Holds::Map(map) if !map.is_empty() => {
            for (key, entry) in map {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&entry.value, entry.at, format!("{path}{dot}{}", shortened(key)), keys);
            }
        }
        Holds::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, item.at, format!("{path}[{index}]"), keys);
            }
        }
        _ => keys.push(Key { at, path, stands: Stands::Lost }),
    }
}
