//! Comments in the written stack, beside the fields that say something else than the Compose files (pure).
//!
//! A comment names the key of the file and no line of it: a line that is added above would change all comments below, and the next import is to
//! give a small diff. The report has the lines.

use std::collections::{BTreeMap, BTreeSet};

use super::report::short;
use crate::compose::Loaded;
use crate::compose::mapping::Mapped;
use crate::compose::mapping::says::{Class, Finding};
use crate::compose::node::{At, Entry, FileId, Node};
use crate::compose::yaml::{MOST_NODES, documents};
use crate::yaml::Lines;

/// How deep a field must be for a comment on it to be about something: `spec.services.web`.
const SHALLOWEST: usize = 2;

/// The text of a stack with its comments. A text that cannot be read again, which none of ours is, stays as it is.
pub(super) fn with_comments(text: String, mapped: &Mapped, loaded: &Loaded) -> String {
    let found: Vec<(String, String)> = all(mapped, loaded).collect();
    if found.is_empty() {
        return text;
    }
    let Ok(documents) = documents(&text, 0, &mut MOST_NODES.clone()) else { return text };
    let Some(root) = documents.first() else { return text };
    let lines = Lines::default();
    let mut at_line: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (path, comment) in &found {
        let Some(start) = place(root, path) else { continue };
        let (line, _) = lines.place(&text, start);
        if seen.insert((line, comment.as_str())) {
            at_line.entry(line).or_default().push(comment);
        }
    }
    let mut commented = String::with_capacity(text.len() * 2);
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        for comment in at_line.get(&(number + 1)).into_iter().flatten() {
            commented.extend([line.get(..indent).unwrap_or_default(), "# ", comment, "\n"]);
        }
        commented.extend([line, "\n"]);
    }
    commented
}

/// Each comment with the path of its field: what was put down on the way, then what differs, in the order of the files.
fn all<'a>(mapped: &'a Mapped, loaded: &'a Loaded) -> impl Iterator<Item = (String, String)> + 'a {
    let keys: BTreeMap<(FileId, u32), &str> =
        mapped.account.keys().iter().map(|key| (order(key.at), key.path.as_str())).collect();
    let written = mapped.comments.iter().map(|(path, comment)| {
        let is_volume = path.strip_prefix("spec.volumes.").is_some();
        let comment = if is_volume { format!("in place of {comment}") } else { comment.clone() };
        (path.clone(), in_one_line(&comment))
    });
    let differs = |finding: &&Finding| finding.outcome.class == Class::Approximated && !finding.outcome.to.is_empty();
    let different = mapped.findings.iter().filter(differs).map(move |finding| {
        let (said, at) = (&finding.outcome, order(finding.at));
        let file = loaded.sources.line_column(finding.at).map_or("", |(file, _, _)| short(loaded, file));
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

/// Where the key of a field is written, or that of the nearest one above it that is there.
fn place(root: &Node, path: &str) -> Option<usize> {
    let (mut node, mut rest, mut found, mut depth) = (root, path, None, 0);
    while path.len() <= LONGEST_PATH
        && let Some((entry, after)) = step(node, rest)
    {
        (node, rest, found, depth) = (&entry.value, after, Some(entry.at), depth + 1);
    }
    found.filter(|_| depth >= SHALLOWEST).map(|at| at.bytes().start)
}

/// The entry that a path begins with, and the rest of the path. A name may have dots in it: the longest that fits is meant.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(&'n Entry, &'p str)> {
    let ends = |after: &str| after.is_empty() || after.starts_with(['.', '[']);
    let (name, close) = match path.strip_prefix('[') {
        Some(inside) => (inside, "]"),
        None => (path.strip_prefix('.').unwrap_or(path), ""),
    };
    let last = (0..=name.len()).rev().filter(|at| name.is_char_boundary(*at));
    last.filter_map(|at| Some((name.get(..at)?, name.get(at..)?.strip_prefix(close)?)))
        .filter(|(_, after)| ends(after))
        .find_map(|(key, after)| Some((node.entry(key)?, after)))
}

#[cfg(test)]
mod tests {
    use super::super::super::mapping::choices::Choices;
    use super::super::super::mapping::tests::mapped_and_loaded;
    use super::super::{STACK, files};
    use super::*;

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
            let written = files(mapped, loaded, "shop", false).unwrap();
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
        let text =
            "spec:\n  services:\n    web:\n      mounts:\n        /a.b:\n          x: 1\n      a.b: 2\n      a: 3\n";
        let root = documents(text, 0, &mut MOST_NODES.clone()).unwrap().remove(0);
        let line = |path: &str| place(&root, path).map(|start| text[..start].matches('\n').count());
        assert_eq!(line("spec.services.web.mounts[/a.b].x"), Some(5));
        assert_eq!(line("spec.services.web.a.b"), Some(6));
        assert_eq!(line("spec.services.web.gone.x"), Some(2));
        assert_eq!(line("spec.services.gone"), Some(1));
        assert_eq!(line("spec.gone"), None);
    }
}
