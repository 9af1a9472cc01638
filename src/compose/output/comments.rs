//! Comments in the written stack, beside the fields that say something else than the Compose files (pure).
//!
//! A comment names the key of the file and no line of it: a line that is added above would change all comments below, and the next import is to
//! give a small diff. The report has the lines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::Peekable;

use hashbrown::DefaultHashBuilder;
use serde_json::{Map, Value};

use super::report::Places;
use crate::compose::Loaded;
use crate::compose::mapping::Mapped;
use crate::compose::mapping::says::{Class, Finding};
use crate::compose::node::{At, FileId};

/// How deep a field must be for a comment on it to be about something: `spec.services.web`.
const SHALLOWEST: usize = 2;

/// The text of a stack with its comments; `text` is `stack` as YAML.
pub(super) fn with_comments(text: String, stack: &Value, mapped: &Mapped, loaded: &Loaded) -> String {
    let found: Vec<(String, String)> = all(mapped, loaded).collect();
    if found.is_empty() {
        return text;
    }
    let outline = Outline::of(&text, stack);
    let mut at_line: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut seen: HashSet<(usize, &str), DefaultHashBuilder> = HashSet::default();
    for (path, comment) in &found {
        let Some(start) = outline.place(path) else { continue };
        if seen.insert((start, comment.as_str())) {
            at_line.entry(start).or_default().push(comment);
        }
    }
    let added: usize = found.iter().map(|(path, comment)| path.len() + comment.len()).sum();
    let mut commented = String::with_capacity(text.len() + added);
    let mut done = 0;
    for (start, comments) in at_line {
        let (before, rest) = (text.get(done..start).unwrap_or_default(), text.get(start..).unwrap_or_default());
        commented.push_str(before);
        let indent = rest.split_once(|c| c != ' ').map_or("", |(indent, _)| indent);
        for comment in comments {
            commented.extend([indent, "# ", comment, "\n"]);
        }
        done = start;
    }
    commented.push_str(text.get(done..).unwrap_or_default());
    commented
}

/// Each comment with the path of its field: what was put down on the way, then what differs, in the order of the files.
fn all<'a>(mapped: &'a Mapped, loaded: &'a Loaded) -> impl Iterator<Item = (String, String)> + 'a {
    let places = Places::of(loaded);
    let keys: HashMap<(FileId, u32), &str, DefaultHashBuilder> =
        mapped.account.keys().iter().map(|key| (order(key.at), &*key.path)).collect();
    let written = mapped.comments.iter().map(|(path, comment)| {
        let is_volume = path.strip_prefix("spec.volumes.").is_some();
        let comment = if is_volume { format!("in place of {comment}") } else { comment.clone() };
        (path.clone(), in_one_line(&comment))
    });
    let differs = |finding: &&Finding| finding.outcome.class == Class::Approximated && !finding.outcome.to.is_empty();
    let different = mapped.findings.iter().filter(differs).map(move |finding| {
        let (said, at) = (&finding.outcome, order(finding.at));
        let file = places.file(finding.at).unwrap_or_default();
        let key = keys.get(&at).copied().unwrap_or_default();
        let place = [file, key].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        (said.to.clone(), in_one_line(&format!("{} {place}: {}", said.code.0, said.message)))
    });
    written.chain(different)
}

fn order(at: At) -> (FileId, u32) {
    (at.file, at.start)
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Longer paths are not looked for.
const LONGEST_PATH: usize = 1024;

/// Where the keys of a YAML text begin their lines.
///
/// The text is the block YAML of a value that is at hand: keys come in its order, each on a line of its own, and all that belongs to a key is
/// indented deeper or is an item (`- `). So the lines tell which is which, and nothing is parsed.
struct Outline<'v> {
    /// Of each key the line, as the byte that it begins with, by the line of the key above; keys of the text itself are below [`TOP`].
    lines: HashMap<(usize, &'v str), usize, DefaultHashBuilder>,
}

/// Above all keys.
const TOP: usize = usize::MAX;

/// A line of block YAML.
struct Line {
    /// The byte that it begins with.
    start: usize,
    /// Of blank ones more than any: they stand inside texts.
    indent: usize,
    /// Whether it goes on with a value that its indent does not tell apart from a key: the item of a list, or what a long key has.
    is_value: bool,
    /// Whether its key is too long for the `key: value` of YAML: it is written `? key`, and what it has may begin on the line of the `:`.
    is_long_key: bool,
}

impl Line {
    fn of(line: &str, start: usize) -> Line {
        let inside = line.trim_start_matches(' ');
        let is_blank = inside.trim_end().is_empty();
        let indent = if is_blank { usize::MAX } else { line.len() - inside.len() };
        let is_value = inside.strip_prefix(['-', ':']).is_some_and(|rest| rest.starts_with([' ', '\n']));
        Line { start, indent, is_value, is_long_key: inside.starts_with("? ") }
    }
}

impl<'v> Outline<'v> {
    fn of(text: &str, value: &'v Value) -> Outline<'v> {
        let mut outline = Outline { lines: HashMap::default() };
        let mut start = 0;
        let lines = text.split_inclusive('\n').map(|line| {
            start += line.len();
            Line::of(line, start - line.len())
        });
        if let Value::Object(map) = value {
            outline.add(TOP, map, &mut lines.peekable());
        }
        outline
    }

    fn add(&mut self, above: usize, map: &'v Map<String, Value>, lines: &mut Peekable<impl Iterator<Item = Line>>) {
        let Some(indent) = lines.peek().map(|line| line.indent) else { return };
        for (key, value) in map {
            while lines.next_if(|line| line.indent > indent || line.is_value).is_some() {}
            let Some(line) = lines.next_if(|line| line.indent == indent) else { return };
            self.lines.insert((above, key), line.start);
            if let (Value::Object(below), false) = (value, line.is_long_key) {
                self.add(line.start, below, lines);
            }
        }
    }

    /// The line of a field, or that of the nearest one above it that is there.
    fn place(&self, path: &str) -> Option<usize> {
        let (mut here, mut rest, mut depth) = (TOP, path, 0);
        while path.len() <= LONGEST_PATH
            && let Some((line, after)) = self.step(here, rest)
        {
            (here, rest, depth) = (line, after, depth + 1);
        }
        (depth >= SHALLOWEST).then_some(here)
    }

    /// The line of the key that a path begins with, and the rest of the path. A name may have dots in it: the longest that fits is meant.
    fn step<'p>(&self, above: usize, path: &'p str) -> Option<(usize, &'p str)> {
        let ends = |after: &str| after.is_empty() || after.starts_with(['.', '[']);
        let (name, close) = match path.strip_prefix('[') {
            Some(inside) => (inside, "]"),
            None => (path.strip_prefix('.').unwrap_or(path), ""),
        };
        let last = (0..=name.len()).rev().filter(|at| name.is_char_boundary(*at));
        last.filter_map(|at| Some((name.get(..at)?, name.get(at..)?.strip_prefix(close)?)))
            .filter(|(_, after)| ends(after))
            .find_map(|(key, after)| Some((*self.lines.get(&(above, key))?, after)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::mapping::choices::Choices;
    use super::super::super::mapping::tests::mapped_and_loaded;
    use super::super::{STACK, document, files};
    use super::*;
    use crate::compose::yaml::documents;

    #[test]
    fn what_differs_has_a_comment_beside_its_field_and_the_text_says_the_same() {
        let text = "name: shop
services:
  web:
    image: web:1
    ports: ['127.0.0.1:8000:8000', '10.0.0.1:9000:9000']
    volumes: [/cache]
";
        let (mapped, loaded) = mapped_and_loaded(&[("compose.yaml", text)], &Choices::default());
        let stack = |mapped: &Mapped, loaded: &Loaded| {
            let written = files(mapped, document(&mapped.stack), loaded, "shop", false).unwrap();
            written.into_iter().find(|file| file.name == STACK).unwrap().text
        };
        let commented = stack(&mapped, &loaded);
        for lines in [
            "        # loopback only in Compose; appstack port-forward\n        tcp-8000:\n",
            ": each pod has a volume of its own there, and its data goes with the pod\n        /cache:\n",
        ] {
            assert!(commented.contains(lines), "{commented}");
        }
        assert!(commented.contains("        # C1306 compose.yaml services.web.volumes[0]: each pod"), "{commented}");
        let plain: String =
            commented.lines().filter(|line| !line.trim_start().starts_with('#')).map(|l| l.to_owned() + "\n").collect();
        let value = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&plain), value(&commented));

        // A line more above moves none of them.
        let (moved, of_moved) = mapped_and_loaded(&[("compose.yaml", &format!("# mine\n{text}"))], &Choices::default());
        assert_eq!(commented, stack(&moved, &of_moved));
    }

    #[test]
    fn a_name_with_dots_is_found_and_what_is_not_there_falls_to_what_is_above() {
        let value = json!({"spec": {"services": {"web": {"a": 3, "a.b": 2, "mounts": {"/a.b": {"x": 1}}}}}});
        let text = serde_saphyr::to_string(&value).unwrap();
        let outline = Outline::of(&text, &value);
        let line = |path: &str| outline.place(path).map(|start| text[start..].split(':').next().unwrap().trim());
        assert_eq!(line("spec.services.web.mounts[/a.b].x"), Some("x"));
        assert_eq!(line("spec.services.web.a.b"), Some("a.b"));
        assert_eq!(line("spec.services.web.gone.x"), Some("web"));
        assert_eq!(line("spec.services.gone"), Some("services"));
        assert_eq!(line("spec.gone"), None);
    }

    #[test]
    fn every_key_is_on_the_line_where_a_parser_finds_it() {
        let texts = [
            "x",
            "8080",
            "a:\n  b: 1\n\n- c\n",
            "a: 1\n: b\n",
            "\n\n  x: y",
            "- a",
            "? b",
            "#",
            "x\n\n\n",
            "é\u{85}\t",
        ];
        let long = "word: ".repeat(300);
        let names = texts.into_iter().chain(["yes", "", "a: b", "key ", long.as_str()]);
        let lists = json!([[], {}, [["a"]], [{"name": "x", "env": {"A": ["b"]}}], ["a:\nb\n", {"c": null}, "long ".repeat(99)]]);
        let values = texts.map(Value::from).into_iter().chain(lists.as_array().unwrap().clone()).chain([json!({})]);
        let values: Vec<Value> = values.collect();
        let inner: Map<String, Value> =
            names.clone().enumerate().map(|(n, name)| (name.to_owned(), values[n % values.len()].clone())).collect();
        let middle: Map<String, Value> = names.clone().map(|name| (name.to_owned(), json!(inner))).collect();
        let all: Map<String, Value> =
            (0..values.len()).map(|n| (format!("k{n}"), json!([values[n], middle])[n % 2].clone())).collect();
        let (value, mut seen) = (json!(all), 0);
        let text = serde_saphyr::to_string(&value).unwrap();
        let outline = Outline::of(&text, &value);
        let document = documents(&text, 0, &mut 99_999).unwrap().remove(0);
        let mut open = vec![(TOP, &document)];
        while let Some((above, node)) = open.pop() {
            for (key, entry) in node.as_map().into_iter().flatten() {
                let line = text[..entry.at.bytes().start].rfind('\n').map_or(0, |end| end + 1);
                assert_eq!(outline.lines.get(&(above, key.as_str())), Some(&line), "{key}");
                seen += 1;
                // No path of a comment is as long as this.
                if key.len() <= LONGEST_PATH {
                    open.push((line, &entry.value));
                }
            }
        }
        assert!(seen > 1000, "{seen}");
    }
}
