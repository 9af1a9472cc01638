//! A text as documents.
//!
//! Parser events instead of serde: only they keep the place of every key, both places of a duplicate, the difference between a null and
//! nothing, and the tags of Compose. What an alias stands for is weighed where it stands and copied when the document is whole: so a bomb is
//! refused and never built.

use std::borrow::Cow;
use std::collections::HashMap;

use hashbrown::DefaultHashBuilder;
use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, Span, Tag as YamlTag};

use super::node::{At, Entry, FileId, Holds, Map, Node, Tag};

/// Bytes of a document, aliases expanded, and bytes that are copied on the way there.
const MOST_TEXT: usize = 32 << 20;
/// Keys that all `<<` of a text may look at.
const MOST_MERGED: usize = 250_000;
/// Values that are kept for aliases: they may lie within each other.
const MOST_ANCHORED: usize = 500_000;
/// The file of a value that stands for an alias until the document is whole; its start is the number of the anchor.
const ALIAS: FileId = FileId::MAX - 1;

/// What a scalar is, from its text, its quotes and its tag; else what is wrong with it.
pub type Scalar = fn(Cow<'_, str>, ScalarStyle, Option<&YamlTag>) -> Result<Holds, String>;

/// How programs differ in what they make of YAML.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Nesting of maps and lists.
    pub deepest: usize,
    /// Values, aliases expanded.
    pub most_values: usize,
    /// What a scalar is.
    pub scalar: Scalar,
    /// What a key that is no text is, from its value and how it is written.
    pub key: fn(&Holds, &str) -> Key,
    /// The tags that values keep.
    pub tag: fn(&YamlTag) -> Option<Tag>,
}

/// What a key that is no text is.
#[derive(Clone, Debug)]
pub enum Key {
    /// This text.
    Text(String),
    /// This text, and that is said to be wrong.
    Respelt(String, String),
    /// No key: what is wrong, and what to write instead.
    Wrong(String, &'static str),
}

/// Something wrong with the YAML itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Of which kind.
    pub what: What,
    /// Where.
    pub at: At,
    /// Where its other half is: the first of two keys.
    pub other: Option<At>,
    /// What is wrong.
    pub message: String,
    /// What to write instead; may be empty.
    pub help: &'static str,
}

/// Kinds of flaws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// No YAML.
    Syntax,
    /// Too deep, or too many values.
    TooMuch,
    /// A key that stands twice in its map.
    Twice,
    /// A key that cannot be one.
    Key,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// The documents up to the flaw that ended the reading. Of two equal keys they have the last.
    pub documents: Vec<Node>,
    /// All that is wrong.
    pub flaws: Vec<Flaw>,
    /// Whether the reading came to the end of the text.
    pub is_whole: bool,
}

/// Reads all documents of a text. `room` is how many values there may be, and is how many more there may be afterwards.
pub fn read(text: &str, file: FileId, dialect: &Dialect, room: &mut usize) -> Read {
    let mut builder = Builder {
        text,
        file,
        dialect,
        room: *room,
        written: 0,
        copied: 0,
        anchored: 0,
        merged: 0,
        open: Vec::new(),
        parts: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        read: Read::default(),
    };
    match builder.run() {
        Ok(()) => builder.read.is_whole = true,
        Err(flaw) => builder.read.flaws.push(flaw),
    }
    *room = builder.room;
    builder.read
}

/// Of a value, its aliases expanded.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    values: usize,
    text: usize,
    /// Nesting of maps and lists.
    depth: usize,
}

impl Weight {
    fn add(&mut self, other: Weight) {
        self.values = self.values.saturating_add(other.values);
        self.text = self.text.saturating_add(other.text);
        self.depth = self.depth.max(other.depth);
    }
}

/// A map or list that is being read; what it has so far is in [`Builder::parts`], from `start` on.
struct Open {
    at: At,
    anchor: usize,
    tag: Option<Tag>,
    start: usize,
    is_map: bool,
    key: Option<(String, At, bool)>,
    merged: Vec<Node>,
    weight: Weight,
}

struct Builder<'t> {
    text: &'t str,
    file: FileId,
    dialect: &'t Dialect,
    room: usize,
    /// Values of this document so far, aliases not expanded.
    written: usize,
    /// Bytes that have been copied.
    copied: usize,
    /// Values that are kept for aliases.
    anchored: usize,
    merged: usize,
    open: Vec<Open>,
    /// Keys (empty in lists) and values of all that is open.
    parts: Vec<(String, At, Node)>,
    anchors: HashMap<usize, (Node, Weight)>,
    root: Option<(Node, Weight)>,
    read: Read,
}

type Step<T> = Result<T, Flaw>;

impl Builder<'_> {
    fn run(&mut self) -> Step<()> {
        let mut options = Options::default();
        // The parser keeps no more than a few of a block of comments, and gives up at the next.
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = event.map_err(|error| {
                let byte = error.marker().byte_offset().unwrap_or_default();
                let at = At { file: self.file, start: number(byte), end: number(byte) };
                if *error.kind() == ErrorKind::RecursionLimitExceeded {
                    return self.too_deep(at);
                }
                let tab = self.text.get(..byte).is_some_and(ends_in_tab);
                let help = if tab { "indent with spaces; YAML takes no tabs" } else { "" };
                flaw(What::Syntax, at, format!("this is not YAML: {}", error.info()), help)
            })?;
            let at = self.place(span);
            match event {
                Event::DocumentStart(..) => {
                    (self.root, self.written) = (None, 0);
                    self.anchors.clear();
                }
                Event::DocumentEnd => self.end()?,
                Event::Scalar(text, style, anchor, tag) => {
                    let is_merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                    self.count(at)?;
                    let weight = Weight { values: 1, text: text.len(), depth: 0 };
                    let holds = (self.dialect.scalar)(text, style, tag.as_deref());
                    let holds = holds.map_err(|message| flaw(What::Syntax, at, message, ""))?;
                    let tag = tag.as_deref().and_then(self.dialect.tag);
                    self.add(Node { at, holds, tag }, weight, anchor, is_merge)?;
                }
                Event::Alias(anchor) => {
                    self.count(at)?;
                    let (node, weight) = self.alias(anchor, at)?;
                    self.add(node, weight, 0, false)?;
                }
                Event::SequenceStart(_, anchor, tag) => self.open(at, anchor, tag.as_deref(), false)?,
                Event::MappingStart(_, anchor, tag) => self.open(at, anchor, tag.as_deref(), true)?,
                Event::SequenceEnd | Event::MappingEnd => self.close(at)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Without the white space that ends a plain or block scalar.
    fn place(&self, span: Span) -> At {
        let (start, end) = (span.start.byte_offset().unwrap_or_default(), span.end.byte_offset().unwrap_or_default());
        let length = self.text.get(start..end).unwrap_or_default().trim_end().len();
        At { file: self.file, start: number(start), end: number(start + length) }
    }

    fn wants_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_map && open.key.is_none())
    }

    fn wants_merge(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.key, Some((_, _, true))))
    }

    /// Counts a value; keys are none.
    fn count(&mut self, at: At) -> Step<()> {
        self.written += usize::from(!self.wants_key());
        if self.written > self.room { Err(self.too_much(at)) } else { Ok(()) }
    }

    fn weigh(&self, at: At, weight: Weight) -> Step<()> {
        if weight.values > self.room || weight.text > MOST_TEXT {
            return Err(self.too_much(at));
        }
        if self.open.len() + weight.depth > self.dialect.deepest { Err(self.too_deep(at)) } else { Ok(()) }
    }

    fn too_much(&self, at: At) -> Flaw {
        let (values, text) = (self.dialect.most_values, MOST_TEXT >> 20);
        let message =
            format!("with its aliases expanded there are more than {values} values or {text} MiB of text in this");
        flaw(What::TooMuch, at, message, "")
    }

    fn too_deep(&self, at: At) -> Flaw {
        let message = format!("maps and lists are nested more than {} deep", self.dialect.deepest);
        flaw(What::TooMuch, at, message, "")
    }

    /// What stands for an alias; of what is small, or a key, a copy.
    fn alias(&mut self, anchor: usize, at: At) -> Step<(Node, Weight)> {
        let Some((node, weight)) = self.anchors.get(&anchor) else {
            let message = "an alias may not stand inside the value that it names";
            return Err(flaw(What::Syntax, at, message, ""));
        };
        self.weigh(at, *weight)?;
        if weight.values > 1 && !self.wants_key() {
            return Ok((Node::new(At { file: ALIAS, start: number(anchor), end: 0 }, Holds::Null), *weight));
        }
        self.copied += weight.text;
        if self.copied > MOST_TEXT { Err(self.too_much(at)) } else { Ok((node.clone(), *weight)) }
    }

    /// The value itself, not what stands for it.
    fn resolved(&self, node: Node) -> Node {
        if node.at.file != ALIAS {
            return node;
        }
        let anchor = usize::try_from(node.at.start).ok().and_then(|anchor| self.anchors.get(&anchor));
        anchor.map_or(node, |(node, _)| node.clone())
    }

    fn weight(&self, node: &Node) -> Weight {
        if node.at.file == ALIAS {
            let anchor = usize::try_from(node.at.start).ok().and_then(|anchor| self.anchors.get(&anchor));
            return anchor.map_or_else(Weight::default, |(_, weight)| *weight);
        }
        let text = node.as_text().map_or(0, str::len);
        let mut weight = Weight { values: 1, text, depth: 0 };
        match &node.holds {
            Holds::List(items) => items.iter().for_each(|item| weight.add(self.weight(item))),
            Holds::Map(map) => map.iter().for_each(|(key, entry)| {
                weight.text += key.len();
                weight.add(self.weight(&entry.value));
            }),
            _ => return weight,
        }
        Weight { depth: weight.depth + 1, ..weight }
    }

    /// The same for all in it.
    fn resolve(&self, node: &mut Node) {
        if node.at.file == ALIAS {
            *node = self.resolved(std::mem::replace(node, Node::new(At::NOWHERE, Holds::Null)));
        }
        match &mut node.holds {
            Holds::List(items) => items.iter_mut().for_each(|item| self.resolve(item)),
            Holds::Map(map) => map.values_mut().for_each(|entry| self.resolve(&mut entry.value)),
            _ => {}
        }
    }

    fn end(&mut self) -> Step<()> {
        let Some((mut root, weight)) = self.root.take() else { return Ok(()) };
        self.weigh(root.at, weight)?;
        self.room -= weight.values;
        if !self.anchors.is_empty() {
            self.resolve(&mut root);
        }
        self.read.documents.push(root);
        Ok(())
    }

    fn open(&mut self, at: At, anchor: usize, tag: Option<&YamlTag>, is_map: bool) -> Step<()> {
        if self.open.len() >= self.dialect.deepest {
            return Err(self.too_deep(at));
        }
        self.count(at)?;
        let (tag, start) = (tag.and_then(self.dialect.tag), self.parts.len());
        let weight = Weight { values: 1, text: 0, depth: 0 };
        self.open.push(Open { at, anchor, tag, start, is_map, key: None, merged: Vec::new(), weight });
        Ok(())
    }

    fn close(&mut self, end: At) -> Step<()> {
        let Some(mut open) = self.open.pop() else { return Ok(()) };
        let holds = if open.is_map {
            Holds::Map(self.map(open.start, open.merged, &mut open.weight)?)
        } else {
            Holds::List(self.parts.drain(open.start..).map(|(_, _, value)| value).collect())
        };
        let at = At { end: end.end.max(open.at.end), ..open.at };
        let weight = Weight { depth: open.weight.depth + 1, ..open.weight };
        // What is merged is weighed as far as it is used.
        if !self.wants_merge() {
            self.weigh(open.at, weight)?;
        }
        self.add(Node { at, holds, tag: open.tag }, weight, open.anchor, false)
    }

    /// What a map holds: its own keys, then merged ones that it does not have.
    fn map(&mut self, start: usize, merged: Vec<Node>, weight: &mut Weight) -> Step<Map> {
        let mut map = Map::with_capacity_and_hasher(self.parts.len() - start, DefaultHashBuilder::default());
        for (key, at, value) in self.parts.drain(start..) {
            match map.entry(key) {
                indexmap::map::Entry::Vacant(slot) => {
                    slot.insert(Entry { at, value });
                }
                indexmap::map::Entry::Occupied(mut slot) => {
                    let message = format!("the key '{}' stands here twice", slot.key());
                    let first = slot.insert(Entry { at, value });
                    let twice = flaw(What::Twice, at, message, "join the two into one");
                    self.read.flaws.push(Flaw { other: Some(first.at), ..twice });
                }
            }
        }
        for node in merged {
            let node = self.resolved(node);
            let maps = match node.holds {
                Holds::List(items) => items,
                _ => vec![node],
            };
            for more in maps {
                let more = self.resolved(more);
                let Holds::Map(entries) = more.holds else {
                    return Err(flaw(What::Syntax, more.at, "'<<' takes a map or a list of maps", ""));
                };
                self.merged += entries.len();
                if self.merged > MOST_MERGED {
                    let message = format!("more than {MOST_MERGED} keys are merged with '<<'");
                    return Err(flaw(What::TooMuch, more.at, message, ""));
                }
                for (key, entry) in entries {
                    if let indexmap::map::Entry::Vacant(slot) = map.entry(key) {
                        weight.add(self.weight(&entry.value));
                        self.weigh(more.at, *weight)?;
                        slot.insert(entry);
                    }
                }
            }
        }
        Ok(map)
    }

    fn add(&mut self, node: Node, weight: Weight, anchor: usize, is_merge: bool) -> Step<()> {
        if anchor != 0 {
            self.anchored += weight.values;
            if self.anchored > MOST_ANCHORED {
                return Err(self.too_much(node.at));
            }
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some((node, weight));
            return Ok(());
        };
        match &open.key {
            None if open.is_map => open.weight.add(Weight { values: 0, ..weight }),
            Some((_, _, true)) => {}
            _ => open.weight.add(weight),
        }
        if !open.is_map {
            self.parts.push((String::new(), node.at, node));
            return Ok(());
        }
        match open.key.take() {
            Some((_, at, true)) if !open.merged.is_empty() => {
                self.read.flaws.push(flaw(What::Twice, at, "the key '<<' stands here twice", ""));
            }
            Some((_, _, true)) => open.merged.push(node),
            Some((key, at, false)) => self.parts.push((key, at, node)),
            None => {
                let at = node.at;
                let key = match node.holds {
                    Holds::Text(text) => text,
                    holds => match (self.dialect.key)(&holds, self.text.get(at.bytes()).unwrap_or_default()) {
                        Key::Text(text) => text,
                        Key::Respelt(text, message) => {
                            self.read.flaws.push(flaw(What::Key, at, message, ""));
                            text
                        }
                        Key::Wrong(message, help) => return Err(flaw(What::Key, at, message, help)),
                    },
                };
                open.key = Some((key, at, is_merge));
            }
        }
        Ok(())
    }
}

fn flaw(what: What, at: At, message: impl Into<String>, help: &'static str) -> Flaw {
    Flaw { what, at, other: None, message: message.into(), help }
}

fn number(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

/// Whether the line that ends here begins with a tab.
fn ends_in_tab(before: &str) -> bool {
    before.rsplit('\n').next().is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'))
        || before.ends_with('\t')
}
