//! Later files onto earlier ones, and services onto those that they extend.

use std::collections::HashMap;

use super::node::{At, Entry, Holds, Map, Node};
use super::notes::{Notes, Settled};
use super::problem::{Problem, code};
use super::trail::Trail;

/// Items of lists that are maps are compared each with each.
const LONGEST: usize = 1_000;

/// `base` with `over` merged onto it: maps merge deep, lists append, other values replace, and some keys have rules of their own. What
/// cannot be merged is noted and stays as `base` says it.
pub fn merge(base: Node, over: Node, trail: &Trail<'_>, notes: &mut Notes) -> Node {
    match rule(trail) {
        Rule::Deep if over.is_null() => {
            notes.settle_one(over.at, Settled::Nothing);
            base
        }
        Rule::Deep => match (base.holds, over.holds) {
            (Holds::Map(below), Holds::Map(above)) => {
                let holds = Holds::Map(maps(below, above, trail, notes));
                Node { at: base.at, holds, tag: None }
            }
            (Holds::List(below), Holds::List(above)) => {
                let holds = Holds::List(append(below, above, over.at, trail, notes));
                Node { at: base.at, holds, tag: None }
            }
            (holds @ (Holds::Map(_) | Holds::List(_)), other) => {
                let base = Node { at: base.at, holds, tag: None };
                cannot(base, &Node::new(over.at, other), trail, notes)
            }
            (below, above) => replace(&Node::new(base.at, below), Node::new(over.at, above), notes),
        },
        Rule::Sequence => {
            let at = if base.is_null() { over.at } else { base.at };
            let (below, above) = (sequence(base, notes), sequence(over, notes));
            Node::new(at, Holds::List(append(below, above, at, trail, notes)))
        }
        Rule::Keys => mapped(base, &over, &[], trail, notes),
        Rule::DependsOn => {
            let defaults = [("condition", Holds::Text("service_started".into())), ("required", Holds::Bool(true))];
            mapped(base, &over, &defaults, trail, notes)
        }
        Rule::Build => {
            let build = |node: Node| match node.holds {
                Holds::Map(map) => map,
                Holds::Text(_) => Map::from_iter([("context".to_owned(), Entry::implied(node))]),
                _ => Map::default(),
            };
            let at = base.at;
            Node::new(at, Holds::Map(maps(build(base), build(over), trail, notes)))
        }
        Rule::Logging => {
            let (Some(below), Some(above)) = (base.as_map(), over.as_map()) else {
                return cannot(base, &over, trail, notes);
            };
            match (below.get("driver"), above.get("driver")) {
                (Some(below), Some(above)) if below != above => replace(&base, over, notes),
                _ => both_maps(base, over, trail, notes),
            }
        }
        Rule::Ulimit if base.as_map().is_some() && over.as_map().is_some() => both_maps(base, over, trail, notes),
        Rule::Ulimit | Rule::Replace => replace(&base, over, notes),
        Rule::AddressPools => pools(base, &over, trail, notes),
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Deep,
    Replace,
    /// As a list of `key=value`.
    Sequence,
    /// A list of names is a map of them.
    Keys,
    DependsOn,
    Build,
    Logging,
    Ulimit,
    AddressPools,
}

fn rule(trail: &Trail<'_>) -> Rule {
    let is = |pattern: &str| trail.is(pattern);
    match (trail.depth, trail.step) {
        (3, "command" | "entrypoint") if is("services.*.*") => Rule::Replace,
        (
            3,
            "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "environment"
            | "extra_hosts" | "labels" | "sysctls" | "tmpfs",
        ) if is("services.*.*") => Rule::Sequence,
        (3, "labels") if is("networks.*.*") || is("volumes.*.*") => Rule::Sequence,
        (3, "depends_on") if is("services.*.*") => Rule::DependsOn,
        (3, "models" | "networks") if is("services.*.*") => Rule::Keys,
        (3, "build") if is("services.*.*") => Rule::Build,
        (3, "logging") if is("services.*.*") => Rule::Logging,
        (4, "args" | "additional_contexts" | "extra_hosts" | "labels") if is("services.*.build.*") => Rule::Sequence,
        (4, "labels") if is("services.*.deploy.*") => Rule::Sequence,
        (4, "test") if is("services.*.healthcheck.*") => Rule::Replace,
        (4, _) if is("services.*.ulimits.*") => Rule::Ulimit,
        (4, "config") if is("networks.*.ipam.*") => Rule::AddressPools,
        _ => Rule::Deep,
    }
}

fn replace(base: &Node, over: Node, notes: &mut Notes) -> Node {
    if base.at != over.at {
        notes.settle(base, Settled::Overridden(over.at));
    }
    over
}

fn cannot(base: Node, over: &Node, trail: &Trail<'_>, notes: &mut Notes) -> Node {
    let message = format!("this is {}, and cannot be merged onto {}", over.kind(), base.kind());
    let problem = Problem::error(code::MERGE, over.at, message).on(trail).and(base.at);
    notes.say(problem.help("write both in the same form, or put !override before this value"));
    base
}

fn both_maps(base: Node, over: Node, trail: &Trail<'_>, notes: &mut Notes) -> Node {
    match (base.holds, over.holds) {
        (Holds::Map(below), Holds::Map(above)) => Node::new(base.at, Holds::Map(maps(below, above, trail, notes))),
        (_, above) => Node::new(over.at, above),
    }
}

fn maps(mut below: Map, above: Map, trail: &Trail<'_>, notes: &mut Notes) -> Map {
    for (key, over) in above {
        let merged = match below.get_mut(&key) {
            None => over,
            Some(base) => {
                let was = std::mem::replace(&mut base.value, Node::new(At::NOWHERE, Holds::Null));
                let value = merge(was, over.value, &trail.to(&key), notes);
                if over.at != base.at {
                    // Where both say something, the later key stands for it.
                    notes.settle_one(base.at, Settled::Overridden(over.at));
                }
                Entry { at: over.at, value }
            }
        };
        below.insert(key, merged);
    }
    below
}

fn append(mut below: Vec<Node>, above: Vec<Node>, at: At, trail: &Trail<'_>, notes: &mut Notes) -> Vec<Node> {
    let is_text = |item: &&Node| item.as_text().is_some();
    let others = |items: &[Node]| items.len() - items.iter().filter(is_text).count();
    if others(&below) > LONGEST || others(&above) > LONGEST {
        let message = format!("lists with more than {LONGEST} maps are not merged");
        notes.say(Problem::error(code::TOO_MUCH, at, message).on(trail));
        return below;
    }
    let mut texts: HashMap<String, At> =
        below.iter().filter_map(|item| Some((item.as_text()?.to_owned(), item.at))).collect();
    for item in above {
        let same = match item.as_text() {
            Some(text) => texts.get(text).copied(),
            None => below.iter().find(|there| **there == item).map(|there| there.at),
        };
        match same {
            Some(there) => notes.settle(&item, Settled::Same(there)),
            None => {
                texts.extend(item.as_text().map(|text| (text.to_owned(), item.at)));
                below.push(item);
            }
        }
    }
    below
}

/// A map as `key=value`, sorted; a text as a list of one.
fn sequence(node: Node, notes: &mut Notes) -> Vec<Node> {
    match node.holds {
        Holds::List(items) => items,
        Holds::Text(_) => vec![node],
        Holds::Map(map) => {
            let mut items: Vec<(String, Node)> = Vec::with_capacity(map.len());
            for (key, entry) in map {
                let pair = |value: &Node| format!("{key}={}", value.printed().unwrap_or_default());
                match &entry.value.holds {
                    Holds::Null => items.push((key.clone(), Node::text(entry.at, key))),
                    Holds::List(values) => {
                        items.extend(values.iter().map(|value| (pair(value), Node::text(value.at, pair(value)))));
                    }
                    _ => {
                        let at = pair_at(&entry);
                        notes.template_of_pair(&key, entry.value.at, at);
                        items.push((pair(&entry.value), Node::text(at, pair(&entry.value))));
                    }
                }
            }
            items.sort_by(|a, b| a.0.cmp(&b.0));
            items.into_iter().map(|(_, item)| item).collect()
        }
        _ => Vec::new(),
    }
}

/// From key to value.
fn pair_at(entry: &Entry) -> At {
    let (key, value) = (entry.at, entry.value.at);
    if key.file == value.file && key.start <= value.start { At { end: value.end, ..key } } else { key }
}

fn mapped(base: Node, over: &Node, defaults: &[(&str, Holds)], trail: &Trail<'_>, notes: &mut Notes) -> Node {
    let at = base.at;
    match (keyed(base.clone(), defaults), keyed(over.clone(), defaults)) {
        (Some(below), Some(above)) => Node::new(at, Holds::Map(maps(below, above, trail, notes))),
        _ => cannot(base, over, trail, notes),
    }
}

/// A list of names, or one name, as a map of them.
pub fn keyed(node: Node, defaults: &[(&str, Holds)]) -> Option<Map> {
    let entry = |name: Node| {
        let defaults = defaults
            .iter()
            .map(|(key, holds)| ((*key).to_owned(), Entry::implied(Node::new(At::NOWHERE, holds.clone()))));
        let map: Map = defaults.collect();
        let value = Node::new(name.at, if map.is_empty() { Holds::Null } else { Holds::Map(map) });
        match name.holds {
            Holds::Text(text) => Some((text, Entry { at: name.at, value })),
            _ => None,
        }
    };
    match node.holds {
        Holds::Map(map) => Some(map),
        Holds::List(items) => items.into_iter().map(entry).collect(),
        Holds::Text(_) => Some(Map::from_iter(entry(node))),
        _ => None,
    }
}

/// Pools of one subnet merge, others stand beside each other; every pool meets every other, as in the reference.
fn pools(base: Node, over: &Node, trail: &Trail<'_>, notes: &mut Notes) -> Node {
    let (Some(below), Some(above)) = (base.as_list(), over.as_list()) else { return cannot(base, over, trail, notes) };
    if below.len() > 100 || above.len() > 100 {
        notes.say(Problem::error(code::TOO_MUCH, over.at, "more than 100 address pools are not merged").on(trail));
        return base;
    }
    let mut merged: Vec<Node> = Vec::new();
    for original in below {
        let mut right = original.clone();
        for left in above {
            let there: HashMap<Option<String>, usize> =
                merged.iter().enumerate().map(|(index, pool)| (subnet(pool), index)).collect();
            if subnet(left) != subnet(&right) && !there.contains_key(&subnet(left)) {
                merged.push(left.clone());
                continue;
            }
            right = both_maps(right, left.clone(), trail, notes);
            match there.get(&subnet(&right)).and_then(|index| merged.get_mut(*index)) {
                Some(pool) => *pool = right.clone(),
                None => merged.push(right.clone()),
            }
        }
    }
    Node::new(base.at, Holds::List(merged))
}

fn subnet(pool: &Node) -> Option<String> {
    pool.get("subnet").and_then(Node::printed)
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn merged(base: &str, over: &str) -> (Node, Notes) {
        let one = |text: &str, file| yaml::documents(text, file, &mut 999).unwrap().remove(0);
        let mut notes = Notes::default();
        (merge(one(base, 0), one(over, 1), &Trail::TOP, &mut notes), notes)
    }

    #[test]
    fn what_was_overridden_knows_by_what() {
        let (node, notes) = merged("services: {a: {image: x}}", "services: {a: {image: y}}");
        assert_eq!(node.find(&["services", "a", "image"]).unwrap().as_text(), Some("y"));
        let was = At { file: 0, start: 15, end: 20 };
        assert!(matches!(notes.settled(was), Some(Settled::Overridden(by)) if by.file == 1));
    }

    #[test]
    fn shapes_that_do_not_fit_are_named_all_of_them() {
        let (_, notes) =
            merged("services: {a: {ports: [1], deploy: {mode: x}}}", "services: {a: {ports: x, deploy: [1]}}");
        let paths: Vec<_> = notes.problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["services.a.ports", "services.a.deploy"]);
    }
}
