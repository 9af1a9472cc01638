//! A text as YAML documents whose every part knows its place.
//!
//! Parser events instead of serde: only they keep the place of every key, both places of a duplicate, and Compose's tags. Aliases share one
//! value until the whole document is weighed, so that a bomb is refused and never built.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::map::Entry as Slot;
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag as YamlTag};

use super::node::{At, Entry, FileId, Holds, Map, Node, Tag};
use super::problem::{Problem, code};
use super::scalar;

/// Nesting of maps and lists; Compose itself needs 9.
const DEEPEST: usize = 100;
/// Values of all documents of a project once their aliases are expanded. The reference loader visits 100,000 per document, not expanded.
pub const MOST_NODES: usize = 250_000;
/// Bytes of its texts, the same way.
const MOST_TEXT: usize = 32 << 20;
/// Keys that all `<<` of a document may look at.
const MOST_MERGED: usize = 250_000;

/// Reads all documents of a text. Duplicate keys are all named; a syntax error ends the reading. `room` is how many values there may be, and
/// is how many more there may be afterwards.
pub fn documents(text: &str, file: FileId, room: &mut usize) -> Result<Vec<Node>, Vec<Problem>> {
    let mut builder = Builder { file, room: *room, ..Builder::default() };
    let outcome = builder.run(text);
    *room = builder.room;
    match outcome {
        Err(problem) => builder.problems.push(*problem),
        Ok(()) if builder.problems.is_empty() => return Ok(builder.documents),
        Ok(()) => {}
    }
    Err(builder.problems)
}

/// A value that aliases may share.
struct Shared {
    at: At,
    holds: Part,
    tag: Option<Tag>,
    nodes: usize,
    text: usize,
}

enum Part {
    Scalar(Holds),
    List(Vec<Rc<Shared>>),
    Map(indexmap::IndexMap<String, (At, Rc<Shared>)>),
}

impl Shared {
    /// Expanded; its weight is known to fit.
    fn node(&self) -> Node {
        let holds = match &self.holds {
            Part::Scalar(holds) => holds.clone(),
            Part::List(items) => Holds::List(items.iter().map(|item| item.node()).collect()),
            Part::Map(entries) => {
                let entry = |(key, (at, value)): (&String, &(At, Rc<Shared>))| {
                    (key.clone(), Entry { at: *at, value: value.node() })
                };
                Holds::Map(entries.iter().map(entry).collect::<Map>())
            }
        };
        Node { at: self.at, holds, tag: self.tag }
    }
}

/// A map or list that is being read.
struct Open {
    at: At,
    anchor: usize,
    tag: Option<Tag>,
    holds: Unfinished,
}

enum Unfinished {
    List(Vec<Rc<Shared>>),
    Map { entries: Vec<(String, At, Rc<Shared>)>, merged: Vec<Rc<Shared>>, key: Option<Key> },
}

struct Key {
    text: String,
    at: At,
    is_merge: bool,
}

#[derive(Default)]
struct Builder {
    file: FileId,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Shared>>,
    root: Option<Rc<Shared>>,
    documents: Vec<Node>,
    problems: Vec<Problem>,
    merged: usize,
    room: usize,
}

type Step<T> = Result<T, Box<Problem>>;

impl Builder {
    fn run(&mut self, text: &str) -> Step<()> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let byte = error.marker().byte_offset().unwrap_or_default();
                let at = At { file: self.file, start: number(byte), end: number(byte) };
                if *error.kind() == ErrorKind::RecursionLimitExceeded {
                    return Box::new(too_deep(at));
                }
                let message = format!("this is not YAML: {}", error.info());
                let tab = text.get(..byte).is_some_and(ends_in_tab);
                let help = if tab { "indent with spaces; YAML takes no tabs" } else { "" };
                Box::new(Problem::error(code::SYNTAX, at, message).help(help))
            })?;
            let at = self.place(span, text);
            match event {
                Event::DocumentStart(..) => {
                    self.root = None;
                    self.anchors.clear();
                }
                Event::DocumentEnd => {
                    if let Some(root) = self.root.take() {
                        self.weigh(root.at, root.nodes, root.text)?;
                        self.room -= root.nodes;
                        self.documents.push(root.node());
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let is_merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                    let (holds, compose_tag) = scalar_of(&text, style, tag.as_deref(), at)?;
                    let node = Shared { at, holds: Part::Scalar(holds), tag: compose_tag, nodes: 1, text: text.len() };
                    self.add(Rc::new(node), anchor, is_merge)?;
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).cloned() else {
                        return fail(code::SYNTAX, at, "an alias may not stand inside the value that it names");
                    };
                    self.add(node, 0, false)?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.open(at, anchor, tag.as_deref(), Unfinished::List(Vec::new()))?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    let map = Unfinished::Map { entries: Vec::new(), merged: Vec::new(), key: None };
                    self.open(at, anchor, tag.as_deref(), map)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(at)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Without the white space that ends a plain or block scalar.
    fn place(&self, span: Span, text: &str) -> At {
        let (start, end) = (span.start.byte_offset().unwrap_or_default(), span.end.byte_offset().unwrap_or_default());
        let length = text.get(start..end).unwrap_or_default().trim_end().len();
        At { file: self.file, start: number(start), end: number(start + length) }
    }

    fn open(&mut self, at: At, anchor: usize, tag: Option<&YamlTag>, holds: Unfinished) -> Step<()> {
        if self.open.len() >= DEEPEST {
            return Err(Box::new(too_deep(at)));
        }
        self.open.push(Open { at, anchor, tag: tag.and_then(compose_tag), holds });
        Ok(())
    }

    fn close(&mut self, end: At) -> Step<()> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let (holds, nodes, text) = match open.holds {
            Unfinished::List(items) => {
                let (nodes, text) = items.iter().fold((1, 0), |sum, item| add(sum, item, 0));
                (Part::List(items), nodes, text)
            }
            Unfinished::Map { entries, merged, .. } => {
                let entries = self.entries(entries, merged)?;
                let weight = |sum, (key, (_, value)): (&String, &(At, Rc<Shared>))| add(sum, value, key.len());
                let (nodes, text) = entries.iter().fold((1, 0), weight);
                (Part::Map(entries), nodes, text)
            }
        };
        self.weigh(open.at, nodes, text)?;
        let at = At { end: end.end.max(open.at.end), ..open.at };
        self.add(Rc::new(Shared { at, holds, tag: open.tag, nodes, text }), open.anchor, false)
    }

    fn weigh(&self, at: At, nodes: usize, text: usize) -> Step<()> {
        if nodes <= self.room && text <= MOST_TEXT {
            return Ok(());
        }
        let most = MOST_TEXT >> 20;
        let message =
            format!("with its aliases expanded the project has more than {MOST_NODES} values or {most} MiB of text");
        fail(code::TOO_MUCH, at, message)
    }

    /// What a map holds: its own keys, then merged ones that it does not have.
    fn entries(
        &mut self,
        written: Vec<(String, At, Rc<Shared>)>,
        merged: Vec<Rc<Shared>>,
    ) -> Step<indexmap::IndexMap<String, (At, Rc<Shared>)>> {
        let mut entries = indexmap::IndexMap::with_capacity(written.len());
        for (key, at, value) in written {
            match entries.entry(key) {
                Slot::Occupied(first) => {
                    let (first_at, _): &(At, Rc<Shared>) = first.get();
                    let message = format!("the key '{}' stands here twice", first.key());
                    let problem = Problem::error(code::DUPLICATE_KEY, at, message).and(*first_at);
                    self.problems.push(problem.help("join the two into one"));
                }
                Slot::Vacant(slot) => {
                    slot.insert((at, value));
                }
            }
        }
        for node in merged {
            let maps: Vec<&Rc<Shared>> = match &node.holds {
                Part::List(items) => items.iter().collect(),
                _ => vec![&node],
            };
            for map in maps {
                let Part::Map(more) = &map.holds else {
                    return fail(code::SYNTAX, map.at, "'<<' takes a map or a list of maps");
                };
                self.merged += more.len();
                if self.merged > MOST_MERGED {
                    return fail(code::TOO_MUCH, map.at, format!("more than {MOST_MERGED} keys are merged with '<<'"));
                }
                for (key, value) in more {
                    if !entries.contains_key(key) {
                        entries.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Ok(entries)
    }

    fn add(&mut self, node: Rc<Shared>, anchor: usize, is_merge: bool) -> Step<()> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut().map(|open| &mut open.holds) {
            None => self.root = Some(node),
            Some(Unfinished::List(items)) => items.push(node),
            Some(Unfinished::Map { entries, merged, key }) => match key.take() {
                None => *key = Some(Key { text: key_text(&node)?, at: node.at, is_merge }),
                Some(Key { at, is_merge: true, .. }) if !merged.is_empty() => {
                    self.problems.push(Problem::error(code::DUPLICATE_KEY, at, "the key '<<' stands here twice"));
                }
                Some(Key { is_merge: true, .. }) => merged.push(node),
                Some(Key { text, at, .. }) => entries.push((text, at, node)),
            },
        }
        Ok(())
    }
}

fn add((nodes, text): (usize, usize), node: &Rc<Shared>, key: usize) -> (usize, usize) {
    (nodes.saturating_add(node.nodes), text.saturating_add(node.text).saturating_add(key))
}

fn too_deep(at: At) -> Problem {
    Problem::error(code::TOO_MUCH, at, format!("maps and lists are nested more than {DEEPEST} deep"))
}

fn fail<T>(code: super::problem::Code, at: At, message: impl Into<String>) -> Step<T> {
    Err(Box::new(Problem::error(code, at, message)))
}

fn number(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

/// Whether the line that ends here begins with a tab.
fn ends_in_tab(before: &str) -> bool {
    before.rsplit('\n').next().is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'))
        || before.ends_with('\t')
}

/// Keys are texts: the reference loader refuses `80: x` and `true: x`.
fn key_text(node: &Shared) -> Step<String> {
    match &node.holds {
        Part::Scalar(Holds::Text(text)) => Ok(text.clone()),
        Part::Scalar(holds) => {
            let word = Node::new(node.at, holds.clone()).printed().unwrap_or_default();
            let problem = Problem::error(code::KEY, node.at, format!("the key {word} is no text"));
            Err(Box::new(problem.help("write it in quotes")))
        }
        _ => fail(code::KEY, node.at, "a key must be a single word"),
    }
}

fn compose_tag(tag: &YamlTag) -> Option<Tag> {
    match (tag.is_yaml_core_schema(), tag.suffix()) {
        (false, "reset") => Some(Tag::Reset),
        (false, "override") => Some(Tag::Override),
        _ => None,
    }
}

fn scalar_of(text: &str, style: ScalarStyle, tag: Option<&YamlTag>, at: At) -> Step<(Holds, Option<Tag>)> {
    let word = || Holds::Text(text.to_owned());
    let holds = match tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix())) {
        None | Some((false, "reset" | "override")) if style == ScalarStyle::Plain => scalar::plain(text),
        Some((true, "float")) => match scalar::plain(text) {
            #[allow(clippy::cast_precision_loss)] // as the tag asks
            Holds::Int(whole) => Holds::Float(whole as f64),
            holds @ Holds::Float(_) => holds,
            _ => return fail(code::SYNTAX, at, format!("'{text}' is no number")),
        },
        Some((true, wanted @ ("null" | "bool" | "int" | "timestamp"))) => {
            let holds = scalar::plain(text);
            let fits = match &holds {
                Holds::Null => wanted == "null",
                Holds::Bool(_) => wanted == "bool",
                Holds::Int(_) | Holds::Big(_) => wanted == "int",
                Holds::Date(_) => wanted == "timestamp",
                _ => false,
            };
            if !fits {
                return fail(code::SYNTAX, at, format!("'{text}' is not what the tag !!{wanted} says"));
            }
            holds
        }
        // Quoted, `!!str`, or a tag of another program, which says nothing here.
        _ => word(),
    };
    Ok((holds, tag.and_then(compose_tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        documents(text, 0, &mut MOST_NODES.clone()).unwrap().remove(0)
    }

    fn message(text: &str) -> String {
        documents(text, 0, &mut MOST_NODES.clone()).unwrap_err().remove(0).message
    }

    #[test]
    fn anchors_and_merge_keys_are_expanded_and_own_keys_win() {
        let node = one("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: [{x: 4}, *a]}\n");
        assert_eq!(node.find(&["b", "x"]).unwrap().holds, Holds::Int(3));
        assert_eq!(node.find(&["b", "y"]).unwrap().holds, Holds::Int(2));
        assert_eq!(node.find(&["c", "x"]).unwrap().holds, Holds::Int(4));
        assert_eq!(node.find(&["c", "y"]).unwrap().at.start, 16);
    }

    #[test]
    fn both_places_of_a_duplicate_key_are_known_and_all_are_named() {
        let problems = documents("a: 1\nb: 2\na: 3\nb: 4\n", 0, &mut 99).unwrap_err();
        let places: Vec<_> = problems.iter().map(|p| (p.at.start, p.other.unwrap().start)).collect();
        assert_eq!(places, [(10, 0), (15, 5)]);
    }

    #[test]
    fn bombs_and_depth_are_refused_and_not_built() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}, ", n - 1).repeat(9);
            bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
        }
        assert!(message(&bomb).contains("aliases expanded"));
        assert!(message(&format!("a: {}", "[".repeat(10_000))).contains("nested more than 100 deep"));
        assert!(message("a: &a [*a]").contains("inside the value"));
    }

    #[test]
    fn tags_of_compose_are_kept_and_core_tags_obeyed() {
        let node = one("a: !reset null\nb: !override [1]\nc: !!str 123\nd: !!float 3\ne: !foo 5\n");
        assert_eq!(node.get("a").unwrap().tag, Some(Tag::Reset));
        assert_eq!(node.get("b").unwrap().tag, Some(Tag::Override));
        assert_eq!(node.get("c").unwrap().as_text(), Some("123"));
        assert_eq!(node.get("d").unwrap().holds, Holds::Float(3.0));
        assert_eq!(node.get("e").unwrap().as_text(), Some("5"));
    }

    #[test]
    fn keys_are_texts() {
        assert_eq!(message("ports: {80: x}"), "the key 80 is no text");
        assert!(documents("yes: x", 0, &mut 99).is_ok());
        assert!(documents("? [a]\n: x", 0, &mut 99).is_err());
    }
}
