//! A YAML value that knows where it is written.

use std::ops::Range;

use hashbrown::DefaultHashBuilder;
use indexmap::IndexMap;

/// A file that was read, by its number in the list of those that were.
pub type FileId = u32;

/// A place in a file: bytes from, to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Which file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl At {
    /// Of what no file says: defaults, and what follows from something else.
    pub const NOWHERE: At = At { file: FileId::MAX, start: 0, end: 0 };

    /// Whether a file says it.
    pub fn is_written(self) -> bool {
        self.file != FileId::MAX
    }

    /// The bytes.
    pub fn bytes(self) -> Range<usize> {
        let byte = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        byte(self.start)..byte(self.end)
    }
}

/// What a file asks for with a tag of Compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `!reset`: what earlier files say of it is gone, and it with it.
    Reset,
    /// `!override`: it takes the place of what earlier files say, instead of merging.
    Override,
}

/// A value.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where its text is; of an alias, where the anchor is.
    pub at: At,
    /// What it is.
    pub holds: Holds,
    /// Until the tags have been applied.
    pub tag: Option<Tag>,
}

/// The types of values: YAML's, and those that the typed end of the loader gives to texts with a unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Holds {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64`.
    Big(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// An unquoted date, in the words in which the reference loader prints it.
    Date(String),
    /// Nanoseconds; typed values only.
    Duration(i64),
    /// Bytes; typed values only.
    Bytes(i64),
    /// A file mode; typed values only.
    Mode(i64),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Map),
}

/// A map's keys, in the order of the file.
pub type Map = IndexMap<String, Entry, DefaultHashBuilder>;

/// What a key has.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key is.
    pub at: At,
    /// Its value.
    pub value: Node,
}

/// Values are equal wherever they are written.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.holds == other.holds
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.value == other.value
    }
}

impl Entry {
    /// A key that no file has, with `value`.
    pub fn implied(value: Node) -> Entry {
        Entry { at: value.at, value }
    }
}

impl Node {
    /// A value written at `at`.
    pub fn new(at: At, holds: Holds) -> Node {
        Node { at, holds, tag: None }
    }

    /// A text written at `at`.
    pub fn text(at: At, text: impl Into<String>) -> Node {
        Node::new(at, Holds::Text(text.into()))
    }

    /// A map, all of it written at `at`.
    pub fn map_of<const N: usize>(at: At, entries: [(&str, Holds); N]) -> Node {
        let entries = entries.into_iter().map(|(key, holds)| (key.to_owned(), Entry::implied(Node::new(at, holds))));
        Node::new(at, Holds::Map(entries.collect()))
    }

    /// Its text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.holds {
            Holds::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its number, if it is a whole one: also nanoseconds of a duration, bytes of an amount, bits of a mode.
    pub fn as_int(&self) -> Option<i64> {
        match self.holds {
            Holds::Int(number) | Holds::Duration(number) | Holds::Bytes(number) | Holds::Mode(number) => Some(number),
            _ => None,
        }
    }

    /// Its number, whole or not.
    pub fn as_float(&self) -> Option<f64> {
        match self.holds {
            Holds::Float(number) => Some(number),
            #[allow(clippy::cast_precision_loss)] // amounts of processors and the like
            Holds::Int(number) => Some(number as f64),
            _ => None,
        }
    }

    /// Its keys, if it is a map.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.holds {
            Holds::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The same, to change.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.holds {
            Holds::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Its items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.holds {
            Holds::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.holds == Holds::Null
    }

    /// Whether it says `true`.
    pub fn is_true(&self) -> bool {
        self.holds == Holds::Bool(true)
    }

    /// The value of `key`, if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|entry| &entry.value)
    }

    /// The key `key` and its value, if it is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_map()?.get(key)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_map_mut()?.get_mut(key).map(|entry| &mut entry.value)
    }

    /// The value at a path of keys.
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The keys and values of `key`, if that is a map; nothing otherwise.
    pub fn entries(&self, key: &str) -> impl Iterator<Item = (&String, &Entry)> {
        self.get(key).and_then(Node::as_map).into_iter().flatten()
    }

    /// The items of `key`, if that is a list; nothing otherwise.
    pub fn items(&self, key: &str) -> &[Node] {
        self.get(key).and_then(Node::as_list).unwrap_or_default()
    }

    /// What kind of value it is, in words for people.
    pub fn kind(&self) -> &'static str {
        match &self.holds {
            Holds::Null => "nothing (null)",
            Holds::Bool(_) => "true or false",
            Holds::Int(_) | Holds::Big(_) | Holds::Float(_) | Holds::Bytes(_) | Holds::Mode(_) => "a number",
            Holds::Text(_) | Holds::Duration(_) => "a text",
            Holds::Date(_) => "a date",
            Holds::List(_) => "a list",
            Holds::Map(_) => "a map",
        }
    }

    /// A scalar as text, in the spelling of the reference loader (Go's `%v`); none of lists and maps.
    pub fn printed(&self) -> Option<String> {
        self.holds.printed()
    }
}

impl Holds {
    /// A scalar as text, in the spelling of the reference loader (Go's `%v`); none of lists and maps.
    pub fn printed(&self) -> Option<String> {
        Some(match self {
            Holds::Null => "<nil>".to_owned(),
            Holds::Bool(value) => value.to_string(),
            Holds::Int(value) | Holds::Duration(value) | Holds::Bytes(value) | Holds::Mode(value) => value.to_string(),
            Holds::Big(value) => value.to_string(),
            Holds::Float(value) => float(*value),
            Holds::Text(text) | Holds::Date(text) => text.clone(),
            Holds::List(_) | Holds::Map(_) => return None,
        })
    }
}

/// A float in Go's `%v`: the shortest digits that give it back, with an exponent below 1e-4 and from 1e6.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let short = format!("{value:e}");
        let (digits, exponent) = short.split_once('e').unwrap_or((&short, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value}")
}
