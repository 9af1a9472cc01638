//! What was said of every key: where it went, or why it went nowhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::choices::Choices;
use crate::compose::Loaded;
use crate::compose::account::Account;
use crate::compose::node::{At, Entry, Holds, Node};
use crate::compose::problem::Code;

/// What became of a key, by the classes of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The stack says the same.
    Mapped,
    /// Settled here and now: files read, variables filled in, parts put together.
    Resolved,
    /// It has no meaning in a cluster.
    Nothing,
    /// The stack says something like it; the message says what differs.
    Approximated,
    /// It is left out, and somebody may miss it.
    Ignored,
    /// It cannot be on a cluster, or must not go in silence: its service is not written.
    Refused,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// In which class.
    pub class: Class,
    /// Which rule: every way of approximating, ignoring and refusing has one of its own.
    pub code: Code,
    /// The field of the stack, as `services.web.resources.limits.memory`; empty where there is none.
    pub to: String,
    /// What differs, or why it is not there; empty for what is mapped as it is.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// An outcome that people should see, and where it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key or item.
    pub at: At,
    /// The service, by its name in Compose; none for what is above services.
    pub service: Option<String>,
    /// What became of it.
    pub outcome: Arc<Outcome>,
}

/// A key or an item with all below it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    at: At,
    node: &'a Node,
}

impl<'a> From<&'a Entry> for Place<'a> {
    fn from(entry: &'a Entry) -> Self {
        Place { at: entry.at, node: &entry.value }
    }
}

impl<'a> From<&'a Node> for Place<'a> {
    fn from(node: &'a Node) -> Self {
        Place { at: node.at, node }
    }
}

/// Takes down what became of what. What was said first of a key stands; so details are said before the whole that they are in.
#[derive(Debug)]
pub struct Says<'a> {
    account: Account<Arc<Outcome>>,
    choices: &'a Choices,
    findings: Vec<Finding>,
    /// The service that is being mapped, by its name in Compose.
    pub(super) service: Option<String>,
    refused: BTreeSet<String>,
}

impl<'a> Says<'a> {
    /// Nothing was said yet.
    pub fn new(loaded: &Loaded, choices: &'a Choices) -> Says<'a> {
        Says { account: Account::of(loaded), choices, findings: Vec::new(), service: None, refused: BTreeSet::new() }
    }

    /// It is in the stack as it is.
    pub fn mapped<'n>(&mut self, place: impl Into<Place<'n>>, to: impl Into<String>) {
        self.say(place.into(), Class::Mapped, super::code::MAPPED, to.into(), "", "");
    }

    /// It was settled here and now; `how` says by what.
    pub fn resolved<'n>(&mut self, place: impl Into<Place<'n>>, to: impl Into<String>, how: &str) {
        self.say(place.into(), Class::Resolved, super::code::RESOLVED, to.into(), how, "");
    }

    /// It means nothing in a cluster; `why` says why.
    pub fn nothing<'n>(&mut self, place: impl Into<Place<'n>>, why: &str) {
        self.say(place.into(), Class::Nothing, super::code::NOTHING, String::new(), why, "");
    }

    /// The stack says something like it.
    pub fn approximated<'n>(
        &mut self,
        place: impl Into<Place<'n>>,
        code: Code,
        to: impl Into<String>,
        message: &str,
        help: &str,
    ) {
        self.say(place.into(), Class::Approximated, code, to.into(), message, help);
    }

    /// It is left out.
    pub fn ignored<'n>(&mut self, place: impl Into<Place<'n>>, code: Code, message: &str, help: &str) {
        self.say(place.into(), Class::Ignored, code, String::new(), message, help);
    }

    /// It cannot be: its service is not written, unless `--allow` has the code, which leaves the key out.
    pub fn refused<'n>(&mut self, place: impl Into<Place<'n>>, code: Code, message: &str, help: &str) {
        if self.choices.allows(code) {
            return self.say(place.into(), Class::Ignored, code, String::new(), message, help);
        }
        self.refused.extend(self.service.clone());
        self.say(place.into(), Class::Refused, code, String::new(), message, help);
    }

    /// Something to know that is about no key alone: `at` is where it shows.
    pub fn noted(&mut self, at: At, code: Code, message: &str, help: &str) {
        let (message, help) = (message.to_owned(), help.to_owned());
        let outcome = Arc::new(Outcome { class: Class::Approximated, code, to: String::new(), message, help });
        self.findings.push(Finding { at, service: self.service.clone(), outcome });
    }

    /// Something that was found of a service when all of it was mapped; a refusal refuses the service.
    pub(super) fn found(&mut self, service: Option<String>, at: At, outcome: Outcome) {
        if outcome.class == Class::Refused {
            self.refused.extend(service.clone());
        }
        self.findings.push(Finding { at, service, outcome: Arc::new(outcome) });
    }

    fn say(&mut self, place: Place<'_>, class: Class, code: Code, to: String, message: &str, help: &str) {
        let (message, help) = (message.to_owned(), help.to_owned());
        let outcome = Arc::new(Outcome { class, code, to, message, help });
        let new = self.account.say_rest(place.at, place.node, &outcome);
        // What no file has is a default; only a refusal of it needs to be told.
        if class == Class::Refused || (new && matches!(class, Class::Approximated | Class::Ignored)) {
            self.findings.push(Finding { at: place.at, service: self.service.clone(), outcome });
        }
    }

    /// The worst of what was said of the keys and items in a value; of those alike, the first.
    pub(super) fn worst_below(&self, node: &Node) -> Option<Arc<Outcome>> {
        let of = |at: At, node: &Node| self.account.said_at(at).first().cloned().or_else(|| self.worst_below(node));
        let found: Vec<Arc<Outcome>> = match &node.holds {
            Holds::Map(map) => map.values().filter_map(|entry| of(entry.at, &entry.value)).collect(),
            Holds::List(items) => items.iter().filter_map(|item| of(item.at, item)).collect(),
            _ => Vec::new(),
        };
        found.into_iter().reduce(|worst, other| if other.class > worst.class { other } else { worst })
    }

    /// Says of one key what was said of another, without another finding.
    pub(super) fn repeat(&mut self, at: At, outcome: Arc<Outcome>) {
        self.account.say(at, outcome);
    }

    /// Whether something of a service was refused.
    pub fn is_refused(&self, service: &str) -> bool {
        self.refused.contains(service)
    }

    /// Whether something was said of the key itself.
    pub(super) fn has_said(&self, at: At) -> bool {
        self.account.has_said(at)
    }

    /// What was said of every key, and what people should see, in the order in which it was found.
    pub fn end(self) -> (Account<Arc<Outcome>>, Vec<Finding>) {
        (self.account, self.findings)
    }
}
