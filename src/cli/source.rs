//! A file of AppStacks as documents that know where each of their parts is written.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Number, Value};

use super::field::Step;
use super::scalar;
use crate::yaml::node::{At, Entry, Holds, Node};
use crate::yaml::{self, Dialect, Key, Lines, ScalarStyle, What, YamlTag};

/// Larger files are refused: the API server takes no object over 3 MiB.
pub const LARGEST_FILE: usize = 32 << 20;

/// A stack nests 7 deep.
const DIALECT: Dialect = Dialect { deepest: 64, most_values: 1_000_000, scalar: read_scalar, key, tag: |_| None };

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
    /// Its lines.
    pub lines: Lines,
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
    root: Node,
}

impl Source {
    /// Reads `bytes`. Never fails: what is wrong becomes a [`Flaw`].
    pub fn parse(name: &str, bytes: Vec<u8>) -> Self {
        let mut source = Source {
            name: name.to_owned(),
            text: String::new(),
            documents: Vec::new(),
            flaws: Vec::new(),
            lines: Lines::default(),
        };
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
        let read = yaml::read(&source.text, 0, &DIALECT, &mut DIALECT.most_values.clone());
        if read.is_whole {
            let filled = read.documents.into_iter().filter(|root| !root.is_null());
            source.documents = filled.map(|root| Document { root }).collect();
        }
        for flaw in read.flaws {
            let help = match flaw.what {
                What::Twice => "; clients drop one without a word".to_owned(),
                _ if flaw.help.is_empty() => String::new(),
                _ => format!("; {}", flaw.help),
            };
            let other = flaw.other.map(At::bytes);
            source.flaws.push(Flaw { message: flaw.message + &help, at: flaw.at.bytes(), other });
        }
        source
    }

    fn flaw(&mut self, message: String, at: Place) {
        self.flaws.push(Flaw { message, at, other: None });
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        self.lines.place(&self.text, byte)
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
        let mut at = node.as_map().and_then(|map| map.values().next()).map_or(node.at, |entry| entry.at);
        for step in field {
            let (next, key) = match (&node.holds, step) {
                (Holds::Map(map), Step::Key(key)) => {
                    let Some(Entry { at, value }) = map.get(key) else { break };
                    (value, Some(*at))
                }
                (Holds::List(items), Step::Index(index)) => match items.get(*index) {
                    Some(item) => (item, None),
                    None => break,
                },
                _ => break,
            };
            node = next;
            at = match (&node.holds, key) {
                (Holds::Null | Holds::Map(_) | Holds::List(_), Some(key)) => key,
                (_, Some(key)) if always_key => key,
                _ => node.at,
            };
        }
        at.bytes()
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
        Holds::List(items) => Value::Array(items.iter().map(value).collect()),
        Holds::Map(map) => {
            Value::Object(map.iter().map(|(key, entry)| (key.clone(), value(&entry.value))).collect::<Map<_, _>>())
        }
        scalar => of_scalar(scalar),
    }
}

fn of_scalar(holds: &Holds) -> Value {
    match holds {
        Holds::Bool(value) => (*value).into(),
        Holds::Int(value) => (*value).into(),
        Holds::Big(value) => (*value).into(),
        Holds::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        Holds::Text(text) => text.as_str().into(),
        _ => Value::Null,
    }
}

fn nulls(node: &Node, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let mut below = |step: Step, node: &Node| {
        path.push(step);
        if node.is_null() {
            found.push(path.clone());
        }
        nulls(node, path, found);
        path.pop();
    };
    match &node.holds {
        Holds::Map(map) => map.iter().for_each(|(key, entry)| below(Step::key(key), &entry.value)),
        Holds::List(items) => items.iter().enumerate().for_each(|(index, item)| below(Step::Index(index), item)),
        _ => {}
    }
}

/// Keys of other types become text, as in the JSON that clients send. An unquoted `y` or `0777` is then another key: legal, and never meant.
fn key(holds: &Holds, written: &str) -> Key {
    match holds {
        Holds::Null | Holds::List(_) | Holds::Map(_) => Key::Wrong("a key must be a single word".to_owned(), ""),
        holds => {
            let text = of_scalar(holds).to_string();
            if text == written {
                return Key::Text(text);
            }
            let message = format!("clients read the key '{written}' as '{text}'; write it in quotes");
            Key::Respelt(text, message)
        }
    }
}

fn read_scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&YamlTag>) -> Result<Holds, String> {
    match tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix())) {
        Some((true, "str")) => return Ok(Holds::Text(text.into_owned())),
        None if style != ScalarStyle::Plain => return Ok(Holds::Text(text.into_owned())),
        None | Some((true, "null" | "bool" | "int" | "float")) => {}
        Some((_, name)) => return Err(format!("the tag '{name}' means nothing here")),
    }
    scalar::plain(&text).ok_or_else(|| format!("'{text}' cannot be sent to the API server; write it in quotes"))
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
