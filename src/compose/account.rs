//! Every key of the input, and what became of it.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use super::Loaded;
use super::node::{At, FileId, Holds, Node};
use super::notes::Settled;
use super::trail::shortened;

/// A key with a value, or an item of a list, that has no keys or items of its own.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it is written: the key, or the item.
    pub at: At,
    /// Its path in its file, as `services.web.ports[0]`.
    pub path: Arc<str>,
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
    said: HashMap<(FileId, u32), Said<O>, DefaultHashBuilder>,
}

impl<O: Clone> Account<O> {
    /// The keys of a project that was loaded.
    pub fn of(loaded: &Loaded) -> Account<O> {
        let mut kept = Places::default();
        if let Some(project) = &loaded.project {
            kept.add(&project.root);
        }
        let mut seen = Places::default();
        let stands = |key: &Key| match loaded.settled(key.at) {
            _ if kept.has(key.at) => Stands::InProject,
            Some(how) => Stands::Settled(how),
            None => Stands::Lost,
        };
        // What several aliases stand for is written once.
        let keys = loaded.keys.iter().filter(|key| seen.insert(key.at));
        let keys = keys.map(|key| Key { stands: stands(key), ..key.clone() }).collect();
        Account { keys, said: HashMap::default() }
    }

    /// All keys, in the order of the files.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Says what became of the key or item at `at`; places that no file has are passed over.
    pub fn say(&mut self, at: At, what: O) {
        if at.is_written() {
            match self.said.entry(place(at)) {
                hash_map::Entry::Vacant(place) => {
                    place.insert(Said::Once(what));
                }
                hash_map::Entry::Occupied(mut place) => place.get_mut().add(what),
            }
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
        self.said.get(&place(at)).map(Said::all).unwrap_or_default()
    }

    /// What was said of a key.
    pub fn said(&self, key: &Key) -> &[O] {
        self.said_at(key.at)
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

/// What was said of a key: of most one thing.
#[derive(Debug)]
enum Said<O> {
    Once(O),
    Often(Vec<O>),
}

impl<O: Clone> Said<O> {
    fn all(&self) -> &[O] {
        match self {
            Said::Once(one) => std::slice::from_ref(one),
            Said::Often(all) => all,
        }
    }

    fn add(&mut self, what: O) {
        match self {
            Said::Once(one) => *self = Said::Often(vec![one.clone(), what]),
            Said::Often(all) => all.push(what),
        }
    }
}

fn place(at: At) -> (FileId, u32) {
    (at.file, at.start)
}

/// Places where something begins: a bit for each byte of each file.
#[derive(Default)]
struct Places(Vec<Vec<u64>>);

impl Places {
    fn bit(at: At) -> Option<(usize, usize, u64)> {
        let (file, byte) = (usize::try_from(at.file).ok()?, usize::try_from(at.start).ok()?);
        at.is_written().then_some((file, byte / 64, 1 << (byte % 64)))
    }

    /// Whether it is new.
    fn insert(&mut self, at: At) -> bool {
        let Some((file, word, bit)) = Places::bit(at) else { return false };
        if self.0.len() <= file {
            self.0.resize_with(file + 1, Vec::new);
        }
        let Some(words) = self.0.get_mut(file) else { return false };
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let Some(word) = words.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn has(&self, at: At) -> bool {
        let found = Places::bit(at).and_then(|(file, word, bit)| Some(self.0.get(file)?.get(word)? & bit != 0));
        found == Some(true)
    }

    /// All entries and items of a value.
    fn add(&mut self, node: &Node) {
        match &node.holds {
            Holds::Map(map) => map.values().for_each(|entry| {
                self.insert(entry.at);
                self.add(&entry.value);
            }),
            Holds::List(items) => items.iter().for_each(|item| {
                self.insert(item.at);
                self.add(item);
            }),
            _ => {}
        }
    }
}

/// Bytes of a path: there may be one for each of 250,000 values.
const LONGEST: usize = 400;

/// Adds the keys and items of documents that have none below them. What stands is not known yet.
pub(super) fn leaves(documents: &[Node], keys: &mut Vec<Key>) {
    let mut path = String::new();
    for document in documents {
        leaf(document, document.at, &mut path, keys);
    }
}

fn leaf(node: &Node, at: At, path: &mut String, keys: &mut Vec<Key>) {
    let length = path.len();
    match &node.holds {
        Holds::Map(map) if !map.is_empty() => {
            for (key, entry) in map {
                if length < LONGEST {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(shortened(key));
                }
                leaf(&entry.value, entry.at, path, keys);
                path.truncate(length);
            }
        }
        Holds::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if length < LONGEST {
                    path.push('[');
                    path.push_str(&index.to_string());
                    path.push(']');
                }
                leaf(item, item.at, path, keys);
                path.truncate(length);
            }
        }
        // A file with an empty map in it says nothing.
        _ if path.is_empty() => {}
        _ => keys.push(Key { at, path: Arc::from(path.as_str()), stands: Stands::Lost }),
    }
}
