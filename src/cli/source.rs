//! A YAML file as documents that know where each of their parts is written.
//!
//! Parser events instead of serde: only they keep the place of every key, both places of a duplicate, and the difference between a value
//! that is null and one that is not there. Each fully expanded document is bounded, so an alias bomb is refused and not built.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::field::Step;
use super::scalar;

/// Larger files are refused: the API server takes no object over 3 MiB.
const LARGEST_FILE: usize = 32 << 20;
/// Nesting of maps and lists; a stack needs 7.
const DEEPEST: usize = 64;
/// Bytes and nodes of a document with all its aliases expanded.
const HEAVIEST: usize = 32 << 20;

/// Keys that all `<<` of a file may bring in.
const MOST_MERGED: usize = 100_000;

/// A place in the file: bytes from, to.
pub type Place = Range<usize>;

/// A file and what is written in it.
#[derive(Debug)]
pub struct Source {
    /// What to call it.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: String,
    /// Its documents that hold anything; none where there is a syntax error.
    pub documents: Vec<Document>,
    /// What is wrong with it as YAML.
    pub flaws: Vec<Flaw>,
}

/// Something wrong with the YAML itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What.
    pub message: String,
    /// Where.
    pub at: Place,
    /// Where its other half is: the first of two keys.
    pub other: Option<Place>,
}

/// One document.
#[derive(Debug)]
pub struct Document {
    root: Rc<Node>,
}

#[derive(Debug)]
struct Node {
    at: Place,
    holds: Holds,
    /// Bytes and nodes of it, aliases expanded.
    weight: usize,
}

#[derive(Debug)]
enum Holds {
    Scalar(Value),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    at: Place,
    value: Rc<Node>,
}

impl Source {
    /// Reads `bytes`. Never fails: what is wrong becomes a [`Flaw`].
    pub fn parse(name: &str, bytes: Vec<u8>) -> Self {
        let mut source =
            Source { name: name.to_owned(), text: String::new(), documents: Vec::new(), flaws: Vec::new() };
        if bytes.len() > LARGEST_FILE {
            source.flaw(format!("is larger than {} MiB", LARGEST_FILE >> 20), 0..0);
            return source;
        }
        match String::from_utf8(bytes) {
            Ok(text) => source.text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let bad = error.as_bytes().get(good).copied().unwrap_or_default();
                source.text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                source.flaw(format!("byte {good} ({bad:#04x}) is not UTF-8"), good..good);
                return source;
            }
        }
        let mut builder = Builder::default();
        let outcome = builder.run(&source.text);
        source.flaws = builder.flaws;
        match outcome {
            Ok(()) => source.documents = builder.documents,
            Err(flaw) => source.flaws.push(flaw),
        }
        source
    }

    fn flaw(&mut self, message: String, at: Place) {
        self.flaws.push(Flaw { message, at, other: None });
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.text.get(..end).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
    }
}

impl Document {
    /// The document as the API server would get it, nulls included.
    pub fn value(&self) -> Value {
        value(&self.root)
    }

    /// Where `field` is written: its value where that is one word, else its key; where it does not exist, its nearest parent.
    pub fn place(&self, field: &[Step]) -> Place {
        self.find(field, false)
    }

    /// Where the key of `field` is written; where it does not exist, its nearest parent.
    pub fn key(&self, field: &[Step]) -> Place {
        self.find(field, true)
    }

    fn find(&self, field: &[Step], always_key: bool) -> Place {
        let mut node = &self.root;
        let mut at = match &node.holds {
            Holds::Map(entries) => entries.first().map_or(node.at.clone(), |entry| entry.at.clone()),
            _ => node.at.clone(),
        };
        for step in field {
            let (next, key) = match (&node.holds, step) {
                (Holds::Map(entries), Step::Key(key)) => {
                    let Some(entry) = entries.iter().rev().find(|entry| entry.key == *key) else { break };
                    (&entry.value, Some(&entry.at))
                }
                (Holds::List(items), Step::Index(index)) => match items.get(*index) {
                    Some(item) => (item, None),
                    None => break,
                },
                _ => break,
            };
            node = next;
            at = match (&node.holds, key) {
                (Holds::Scalar(Value::Null) | Holds::Map(_) | Holds::List(_), Some(key)) => key.clone(),
                (_, Some(key)) if always_key => key.clone(),
                _ => node.at.clone(),
            };
        }
        at
    }

    /// Every null that is the value of a key or an item of a list, by path.
    pub fn nulls(&self) -> Vec<Vec<Step>> {
        let mut found = Vec::new();
        nulls(&self.root, &mut Vec::new(), &mut found);
        found
    }
}

fn value(node: &Node) -> Value {
    match &node.holds {
        Holds::Scalar(scalar) => scalar.clone(),
        Holds::List(items) => Value::Array(items.iter().map(|item| value(item)).collect()),
        Holds::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect())
        }
    }
}

fn nulls(node: &Node, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let mut below = |step: Step, node: &Node| {
        path.push(step);
        match &node.holds {
            Holds::Scalar(Value::Null) => found.push(path.clone()),
            _ => nulls(node, path, found),
        }
        path.pop();
    };
    match &node.holds {
        Holds::Map(entries) => entries.iter().for_each(|entry| below(Step::key(&entry.key), &entry.value)),
        Holds::List(items) => items.iter().enumerate().for_each(|(index, item)| below(Step::Index(index), item)),
        Holds::Scalar(_) => {}
    }
}

/// A map or list that is being read.
struct Open {
    at: Place,
    anchor: usize,
    holds: Unfinished,
}

enum Unfinished {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, merged: Vec<Rc<Node>>, key: Option<(String, Place, bool)> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    documents: Vec<Document>,
    flaws: Vec<Flaw>,
    /// Keys that merges have looked at.
    merged: usize,
}

impl Builder {
    fn run(&mut self, text: &str) -> Result<(), Flaw> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or_default();
                Flaw { message: format!("is not YAML: {}", error.info()), at: at..at, other: None }
            })?;
            let at = place(span);
            match event {
                Event::DocumentStart(..) => {
                    self.root = None;
                    self.anchors.clear();
                }
                Event::DocumentEnd => {
                    let root = self.root.take();
                    let filled = root.filter(|root| !matches!(root.holds, Holds::Scalar(Value::Null)));
                    self.documents.extend(filled.map(|root| Document { root }));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let scalar = scalar(&text, style, tag.as_deref(), &at)?;
                    let merge = text == "<<" && style == ScalarStyle::Plain;
                    self.key_stays_itself(&text, &scalar, &at);
                    let weight = 1 + text.len();
                    self.add(Rc::new(Node { at, holds: Holds::Scalar(scalar), weight }), anchor, merge)?;
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).cloned() else {
                        return Err(flaw("an alias may not stand inside the value that it names", at));
                    };
                    self.add(node, 0, false)?;
                }
                Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Unfinished::List(Vec::new()))?,
                Event::MappingStart(_, anchor, _) => {
                    let map = Unfinished::Map { entries: Vec::new(), merged: Vec::new(), key: None };
                    self.open(at, anchor, map)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, at: Place, anchor: usize, holds: Unfinished) -> Result<(), Flaw> {
        if self.open.len() >= DEEPEST {
            return Err(flaw(format!("maps and lists are nested more than {DEEPEST} deep"), at));
        }
        self.open.push(Open { at, anchor, holds });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Flaw> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let holds = match open.holds {
            Unfinished::List(items) => Holds::List(items),
            Unfinished::Map { entries, merged, .. } => Holds::Map(self.entries(entries, merged)?),
        };
        let below: usize = match &holds {
            Holds::List(items) => items.iter().map(|item| item.weight).sum(),
            Holds::Map(entries) => entries.iter().map(|entry| entry.key.len() + 1 + entry.value.weight).sum(),
            Holds::Scalar(_) => 0,
        };
        let weight = below.saturating_add(1);
        if weight > HEAVIEST {
            return Err(flaw(format!("holds more than {} MiB once its aliases are expanded", HEAVIEST >> 20), open.at));
        }
        self.add(Rc::new(Node { at: open.at, holds, weight }), open.anchor, false)
    }

    /// What a map holds: its own keys, the last of two equal ones winning as with kubectl, then merged ones that it does not have.
    fn entries(&mut self, written: Vec<Entry>, merged: Vec<Rc<Node>>) -> Result<Vec<Entry>, Flaw> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(written.len());
        for entry in written {
            if let Some(first) = places.get(&entry.key).and_then(|place| entries.get_mut(*place)) {
                let message = format!("the key '{}' stands here twice; clients drop one without a word", entry.key);
                self.flaws.push(Flaw { message, at: entry.at.clone(), other: Some(first.at.clone()) });
                *first = entry;
            } else {
                places.insert(entry.key.clone(), entries.len());
                entries.push(entry);
            }
        }
        for node in merged {
            let maps = match &node.holds {
                Holds::List(items) => items.iter().collect(),
                _ => vec![&node],
            };
            for map in maps {
                let Holds::Map(more) = &map.holds else {
                    return Err(flaw("'<<' takes a map or a list of maps", map.at.clone()));
                };
                self.merged += more.len();
                if self.merged > MOST_MERGED {
                    return Err(flaw(format!("more than {MOST_MERGED} keys are merged with '<<'"), map.at.clone()));
                }
                for entry in more {
                    if !places.contains_key(&entry.key) {
                        places.insert(entry.key.clone(), entries.len());
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(entries)
    }

    /// An unquoted `y` or `0777` as a key is another one once a client has read it: legal, and never meant.
    fn key_stays_itself(&mut self, text: &str, scalar: &Value, at: &Place) {
        let awaited = matches!(self.open.last().map(|open| &open.holds), Some(Unfinished::Map { key: None, .. }));
        if awaited && matches!(scalar, Value::Bool(_) | Value::Number(_)) && scalar.to_string().as_str() != text {
            let message = format!("clients read the key '{text}' as '{scalar}'; write it in quotes");
            self.flaws.push(Flaw { message, at: at.clone(), other: None });
        }
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize, is_merge: bool) -> Result<(), Flaw> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut().map(|open| &mut open.holds) {
            None => self.root = Some(node),
            Some(Unfinished::List(items)) => items.push(node),
            Some(Unfinished::Map { entries, merged, key }) => match key.take() {
                None => *key = Some((key_text(&node)?, node.at.clone(), is_merge)),
                Some((_, _, true)) => merged.push(node),
                Some((key, at, false)) => entries.push(Entry { key, at, value: node }),
            },
        }
        Ok(())
    }
}

/// Keys of other types become text, as in the JSON that clients send.
fn key_text(node: &Node) -> Result<String, Flaw> {
    match &node.holds {
        Holds::Scalar(Value::String(text)) => Ok(text.clone()),
        Holds::Scalar(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value.to_string()),
        _ => Err(flaw("a key must be a single word", node.at.clone())),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: &Place) -> Result<Value, Flaw> {
    match tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix())) {
        Some((true, "str")) => return Ok(Value::String(text.to_owned())),
        None if style != ScalarStyle::Plain => return Ok(Value::String(text.to_owned())),
        None | Some((true, "null" | "bool" | "int" | "float")) => {}
        Some((_, name)) => return Err(flaw(format!("the tag '{name}' means nothing here"), at.clone())),
    }
    scalar::plain(text)
        .ok_or_else(|| flaw(format!("'{text}' cannot be sent to the API server; write it in quotes"), at.clone()))
}

fn flaw(message: impl Into<String>, at: Place) -> Flaw {
    Flaw { message: message.into(), at, other: None }
}

/// Without the line break that ends a plain or block scalar.
fn place(span: Span) -> Place {
    let (start, end) = (span.start.byte_offset().unwrap_or_default(), span.end.byte_offset().unwrap_or_default());
    start..end.max(start)
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
