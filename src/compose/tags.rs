//! `!reset` and `!override`.

use super::node::{At, Holds, Node, Tag};
use super::notes::{Notes, Settled};
use super::problem::{Problem, code};

/// Paths whose earlier values a document takes away, by steps, with the place that says so.
pub type Paths = Vec<(Vec<String>, At)>;

/// Takes the tags off a document: what is `!reset` goes, and the paths of both tags are returned.
pub fn take(document: &mut Node, notes: &mut Notes) -> Paths {
    if !is_tagged(document) {
        return Paths::new();
    }
    let mut walk = Walk { at: Vec::new(), paths: Vec::new(), notes };
    walk.node(document);
    let paths = walk.paths;
    if paths.len() > MOST {
        let problem = Problem::error(code::TOO_MUCH, document.at, format!("more than {MOST} tags in one document"));
        notes.say(problem);
        return Paths::new();
    }
    paths
}

fn is_tagged(node: &Node) -> bool {
    node.tag.is_some()
        || match &node.holds {
            Holds::Map(map) => map.values().any(|entry| is_tagged(&entry.value)),
            Holds::List(items) => items.iter().any(is_tagged),
            _ => false,
        }
}

/// Tags of a document.
const MOST: usize = 1_000;

struct Walk<'a> {
    at: Vec<String>,
    paths: Paths,
    notes: &'a mut Notes,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.holds {
            Holds::Map(map) => map.retain(|key, entry| {
                self.at.push(key.clone());
                let keep = self.keep(&mut entry.value, entry.at);
                self.at.pop();
                keep
            }),
            Holds::List(items) => {
                let mut index = 0;
                items.retain_mut(|item| {
                    self.at.push(index.to_string());
                    let place = item.at;
                    let keep = self.keep(item, place);
                    self.at.pop();
                    index += 1;
                    keep
                });
            }
            _ => {}
        }
    }

    fn keep(&mut self, node: &mut Node, place: At) -> bool {
        match node.tag.take() {
            Some(tag) => {
                self.paths.push((self.at.clone(), place));
                if tag == Tag::Reset {
                    self.notes.settle_one(place, Settled::TookAway);
                    self.notes.settle(node, Settled::TookAway);
                }
                tag == Tag::Override
            }
            None => {
                self.node(node);
                true
            }
        }
    }
}

/// Takes what `paths` name out of `target`. Items of lists are not named, as in the reference.
pub fn apply(target: &mut Node, paths: &Paths, notes: &mut Notes) {
    for (path, by) in paths {
        let Some((last, above)) = path.split_last() else { continue };
        let parent = above.iter().try_fold(&mut *target, |node, step| node.get_mut(step));
        if let Some(gone) = parent.and_then(Node::as_map_mut).and_then(|map| map.shift_remove(last)) {
            notes.settle_one(gone.at, Settled::Reset(*by));
            notes.settle(&gone.value, Settled::Reset(*by));
        }
    }
}
