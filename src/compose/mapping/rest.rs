//! What no other file has spoken of: keys with one fate whatever they say, from the [`table`](super::table).

use super::table::{Fate, Row};
use super::{Mapper, code, says};
use crate::compose::node::{Entry, Holds, Node};

impl<'a> Mapper<'a> {
    /// Keys with one fate whatever they say, and those of which nothing was said.
    pub(super) fn rest(&mut self) {
        let of_services = Row::top().to("services").to("*");
        for (name, entry) in self.project.services() {
            self.says.service = Some(name.clone());
            self.settle(&entry.value, &mut vec!["services", "*"], of_services);
        }
        self.says.service = None;
        let root = &self.project.root;
        for (key, entry) in root.as_map().into_iter().flatten().filter(|(key, _)| *key != "services") {
            self.settle_entry(entry, &mut vec![key.as_str()], Row::top().to(key));
        }
    }

    pub(super) fn settle(&mut self, node: &'a Node, path: &mut Vec<&'a str>, row: Row) {
        match &node.holds {
            Holds::Map(map) => {
                for (key, entry) in map {
                    path.push(key);
                    self.settle_entry(entry, path, row.to(key));
                    path.pop();
                }
            }
            Holds::List(items) => {
                for item in items {
                    path.push("*");
                    self.settle_item(item, path, row.to("*"));
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// `row` is that of the entry.
    fn settle_entry(&mut self, entry: &'a Entry, path: &mut Vec<&'a str>, row: Row) {
        if path.last().is_some_and(|key| key.starts_with("x-") && *key != "x-appstack") {
            return self.says.nothing(entry, "only x-appstack is read");
        }
        let fate = row.fate;
        let reads_own = matches!(path.as_slice(), ["x-appstack"] | ["services" | "volumes", _, "x-appstack"]);
        if path.last() == Some(&"x-appstack") && !reads_own {
            let help = "write it under a service, a volume, or at the top of the file";
            return self.says.refused(entry, code::EXTENSION, "x-appstack says nothing here", help);
        }
        if !matches!(fate, Some(Fate::To(_)) | None) {
            return self.say_fate(entry.into(), fate);
        }
        self.settle(&entry.value, path, row);
        if !entry.at.is_written() || self.says.has_said(entry.at) {
            return;
        }
        // A short form, such as a text that became a list, is what its parts are; so is a map, of which the file has all keys.
        match self.says.worst_below(&entry.value) {
            Some(outcome) => self.says.repeat(entry.at, outcome),
            None if is_empty(&entry.value) => self.says.nothing(entry, "it says nothing"),
            None => self.say_fate(entry.into(), fate),
        }
    }

    fn settle_item(&mut self, item: &'a Node, path: &mut Vec<&'a str>, row: Row) {
        self.settle(item, path, row);
        let whole = matches!(item.holds, Holds::Map(_) | Holds::List(_));
        if item.at.is_written() && !whole && !self.says.has_said(item.at) {
            self.say_fate(item.into(), row.fate);
        }
    }

    fn say_fate(&mut self, place: says::Place<'_>, fate: Option<Fate>) {
        match fate {
            Some(Fate::Nothing(why)) => self.says.nothing(place, why),
            Some(Fate::Settled(how)) => self.says.resolved(place, "", how),
            Some(Fate::Ignored(code, why, help)) => self.says.ignored(place, code, why, help),
            Some(Fate::Refused(code, why, help)) => self.says.refused(place, code, why, help),
            Some(Fate::To(_)) | None => {
                let help = "this is a fault of appstack: please report it with the lines of the file";
                self.says.refused(place, code::LOST, "nothing is known of what became of this", help);
            }
        }
    }
}

/// Whether a value says nothing.
pub(super) fn is_empty(node: &Node) -> bool {
    match &node.holds {
        Holds::Null => true,
        Holds::Map(map) => map.is_empty(),
        Holds::List(items) => items.is_empty(),
        _ => false,
    }
}
