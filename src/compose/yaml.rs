//! What Compose makes of YAML.

use std::borrow::Cow;

use super::node::{FileId, Holds, Node, Tag};
use super::problem::{Problem, code};
use super::scalar;
use crate::yaml::{self, Dialect, Flaw, Key, ScalarStyle, What, YamlTag};

/// Values of all documents of a project once their aliases are expanded. The reference loader visits 100,000 per document, not expanded.
pub const MOST_NODES: usize = 250_000;

/// Compose itself nests 9 deep.
const DIALECT: Dialect = Dialect { deepest: 100, most_values: MOST_NODES, scalar, key, tag };

/// Reads all documents of a text. Duplicate keys are all named; a syntax error ends the reading. `room` is how many values there may be, and
/// is how many more there may be afterwards.
pub fn documents(text: &str, file: FileId, room: &mut usize) -> Result<Vec<Node>, Vec<Problem>> {
    let read = yaml::read(text, file, &DIALECT, room);
    if read.flaws.is_empty() { Ok(read.documents) } else { Err(read.flaws.into_iter().map(problem).collect()) }
}

fn problem(flaw: Flaw) -> Problem {
    let code = match flaw.what {
        What::Syntax => code::SYNTAX,
        What::TooMuch => code::TOO_MUCH,
        What::Twice => code::DUPLICATE_KEY,
        What::Key => code::KEY,
    };
    Problem { other: flaw.other, ..Problem::error(code, flaw.at, flaw.message).help(flaw.help) }
}

/// Keys are texts: the reference loader refuses `80: x` and `true: x`.
fn key(holds: &Holds, _: &str) -> Key {
    match holds.printed() {
        Some(word) => Key::Wrong(format!("the key {word} is no text"), "write it in quotes"),
        None => Key::Wrong("a key must be a single word".to_owned(), ""),
    }
}

fn tag(tag: &YamlTag) -> Option<Tag> {
    match (tag.is_yaml_core_schema(), tag.suffix()) {
        (false, "reset") => Some(Tag::Reset),
        (false, "override") => Some(Tag::Override),
        _ => None,
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&YamlTag>) -> Result<Holds, String> {
    match tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix())) {
        None | Some((false, "reset" | "override")) if style == ScalarStyle::Plain => Ok(scalar::plain(&text)),
        Some((true, "float")) => match scalar::plain(&text) {
            #[allow(clippy::cast_precision_loss)] // as the tag asks
            Holds::Int(whole) => Ok(Holds::Float(whole as f64)),
            holds @ Holds::Float(_) => Ok(holds),
            _ => Err(format!("'{text}' is no number")),
        },
        Some((true, wanted @ ("null" | "bool" | "int" | "timestamp"))) => {
            let holds = scalar::plain(&text);
            let fits = match &holds {
                Holds::Null => wanted == "null",
                Holds::Bool(_) => wanted == "bool",
                Holds::Int(_) | Holds::Big(_) => wanted == "int",
                Holds::Date(_) => wanted == "timestamp",
                _ => false,
            };
            if fits { Ok(holds) } else { Err(format!("'{text}' is not what the tag !!{wanted} says")) }
        }
        // Quoted, `!!str`, or a tag of another program, which says nothing here.
        _ => Ok(Holds::Text(text.into_owned())),
    }
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
    fn aliases_are_as_deep_and_as_heavy_as_what_they_stand_for() {
        let chain = |links: usize| -> String {
            let link = |n: usize| format!("x{n}: &a{n} [*a{}]\n", n - 1);
            format!("x0: &a0 [1]\n{}", (1..links).map(link).collect::<String>())
        };
        assert_eq!(one(&chain(99)).get("x98").unwrap().as_list().unwrap().len(), 1);
        assert!(message(&chain(200)).contains("nested more than 100 deep"));
        let text = "a: &a {x: 1, y: [2, 3]}\nb: *a\n? &k z\n: [*a, *k]\nc: {*k : 1}\n";
        let mut room = 20;
        let node = documents(text, 0, &mut room).unwrap().remove(0);
        // Values, not keys: the whole, a and b of 5 each, a list of 5 and 1, a map of 1.
        assert_eq!(room, 20 - (1 + 5 + 5 + 7 + 2));
        assert_eq!(node.get("b").unwrap(), node.get("a").unwrap());
        assert_eq!(node.items("z")[0].items("y")[1].at, node.find(&["a", "y"]).unwrap().as_list().unwrap()[1].at);
        assert_eq!(node.find(&["c", "z"]).unwrap().holds, Holds::Int(1));
        assert!(documents(text, 0, &mut 19).is_err());
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
    fn comments_may_be_of_any_length_anywhere() {
        let comment = "  # a line\n".repeat(300);
        let text = format!(
            "{comment}a:\n{comment}  - 1\n{comment}  - x: 2\n{comment}    y: 3\n{comment}b: [1,\n{comment}  2]\n{comment}"
        );
        let node = one(&text);
        assert_eq!((node.items("a").len(), node.items("b").len()), (2, 2));
    }

    #[test]
    fn keys_are_texts() {
        assert_eq!(message("ports: {80: x}"), "the key 80 is no text");
        assert!(documents("yes: x", 0, &mut 99).is_ok());
        assert!(documents("? [a]\n: x", 0, &mut 99).is_err());
    }
}
