//! What the loader notes on its way: problems, and what it has settled itself.

use std::collections::HashMap;

use super::node::{At, FileId, Holds, Node};
use super::problem::{Problem, Severity, Told};

/// Why something that is written is not in the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What is written there took its place.
    Overridden(At),
    /// `!reset` there took it away.
    Reset(At),
    /// It took something away: `!reset`.
    TookAway,
    /// It is as what is written there.
    Same(At),
    /// It named another file or service, whose parts are in the project.
    Followed,
    /// It says nothing: `version`, or an empty name server.
    Nothing,
    /// It stands in a file of which only some services are extended.
    Unused,
}

/// Ports that short forms of a project may mean: one line can name 65,536.
const MOST_PORTS: usize = 20_000;

/// Problems, and what became of what.
#[derive(Debug)]
pub struct Notes {
    /// All problems so far.
    pub problems: Vec<Problem>,
    /// How many more ports short forms may mean.
    pub ports: usize,
    settled: HashMap<(FileId, u32), Settled>,
}

impl Default for Notes {
    fn default() -> Self {
        Notes { problems: Vec::new(), ports: MOST_PORTS, settled: HashMap::new() }
    }
}

impl Notes {
    /// Notes a problem.
    pub fn say(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Fails if there is an error among the problems.
    pub fn sound(&self) -> Result<(), Told> {
        let wrong = self.problems.iter().any(|problem| problem.severity == Severity::Error);
        if wrong { Err(Told) } else { Ok(()) }
    }

    /// Notes what became of the key or item at `at`.
    pub fn settle_one(&mut self, at: At, how: Settled) {
        if at.is_written() {
            self.settled.insert((at.file, at.start), how);
        }
    }

    /// Notes what became of `node` and of all in it.
    pub fn settle(&mut self, node: &Node, how: Settled) {
        self.settle_one(node.at, how);
        match &node.holds {
            Holds::List(items) => items.iter().for_each(|item| self.settle(item, how)),
            Holds::Map(map) => map.values().for_each(|entry| {
                self.settle_one(entry.at, how);
                self.settle(&entry.value, how);
            }),
            _ => {}
        }
    }

    /// Notes what became of all in `node` of which nothing was noted yet.
    pub fn settle_rest(&mut self, node: &Node, how: Settled) {
        let mut rest = Notes::default();
        rest.settle(node, how);
        for (place, how) in rest.settled {
            self.settled.entry(place).or_insert(how);
        }
    }

    /// What became of the key or item that begins at `at`.
    pub fn settled(&self, at: At) -> Option<Settled> {
        self.settled.get(&(at.file, at.start)).copied()
    }
}
