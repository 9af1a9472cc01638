//! What we have seen: stacks, and their children by stack. Fed by watches and, at once, by the answers to our own writes.
//!
//! Four rules keep it true. The newest version wins, so a late answer to a write cannot overwrite a later event. What is gone stays gone: an
//! answer that comes after a deletion revives nothing. An answer never takes the news out of the event that follows it, since only events wake. A list
//! is the truth of its moment whatever the versions say, and the watch that goes on from it tells the rest.

mod children;
mod reported;
mod routes;
mod stacks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use self::children::Children;
use self::reported::News;
use self::stacks::Stacks;
use crate::api::AppStack;
use crate::child::{Child, ChildId, Kind};
use crate::stack::neighbours::Neighbours;

/// A stack's place: its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for StackKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A stack as the API server has it, readable or not.
pub type Written = DeserializeGuard<AppStack>;

/// Stacks and children, as last seen.
#[derive(Default)]
pub struct Store(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    stacks: Stacks,
    children: Children,
}

impl Inner {
    fn is_warm(&self) -> bool {
        self.stacks.is_warm() && self.children.is_warm()
    }
}

impl Store {
    /// Takes in one event of a child's watch; returns the stacks that have something new to look at. The echo of our own write is nothing new.
    pub fn child_event(&self, kind: Kind, event: Event<Child>) -> Vec<StackKey> {
        let is_listed = matches!(event, Event::InitDone);
        self.watched(|inner| {
            let woken = inner.children.event(kind, event);
            // Whoever wants an object of a kind that the cluster has learnt can have it now.
            if is_listed && inner.children.missing.remove(&kind) { inner.stacks.keys().collect() } else { woken }
        })
    }

    /// Takes in that the cluster does not know this kind; returns the stacks to which that is news.
    pub fn kind_missing(&self, kind: Kind) -> Vec<StackKey> {
        self.watched(|inner| if inner.children.lose(kind) { inner.stacks.keys().collect() } else { Vec::new() })
    }

    /// Kinds that the cluster does not know.
    pub fn missing(&self) -> BTreeSet<Kind> {
        self.lock().children.missing.clone()
    }

    /// Takes in one event of the stacks' watch; returns the stacks whose spec, annotations or existence changed, and those
    /// that wait for them. Our own status is news to the latter alone.
    pub fn stack_event(&self, event: Event<Written>) -> Vec<StackKey> {
        self.watched(|inner| inner.stacks.event(event))
    }

    /// Stacks of other operators are told apart from now on ([`Store::neighbour_event`]).
    pub fn is_one_of_several(&self) {
        self.lock().stacks.is_one_of_several();
    }

    /// Takes in one event of the watch of all stacks, where [`Store::stack_event`] tells of some only; returns those of ours that wait for the one that has changed.
    pub fn neighbour_event(&self, event: &Event<Written>) -> Vec<StackKey> {
        self.watched(|inner| inner.stacks.overhear(event))
    }

    /// Takes in an event of the API about some object; returns the stack to which it is news.
    pub fn hear(&self, event: v1::Event) -> Option<StackKey> {
        self.lock().children.hear(News::of(event)?)
    }

    /// Takes in the server's answer to our own write. Whoever wrote plans once more and sees what is in it.
    pub fn wrote(&self, kind: Kind, child: Child) {
        self.lock().children.put(kind, child);
    }

    /// Takes in the server's answer to our own status.
    pub fn wrote_stack(&self, stack: Written) {
        self.lock().stacks.wrote(stack);
    }

    /// Takes in the server's answer to a change of ours to a stack's finalizers.
    pub fn held_stack(&self, stack: Written) {
        self.lock().stacks.held(stack);
    }

    /// Notes what a write did to a child whose new version we were not told: the next event brings it.
    pub fn amend(&self, kind: Kind, namespace: &str, name: &str, change: impl FnOnce(&mut Child)) {
        self.lock().children.amend(kind, &(namespace.to_owned(), name.to_owned()), change);
    }

    /// A stack as last seen.
    pub fn stack(&self, key: &StackKey) -> Option<Arc<Written>> {
        self.lock().stacks.get(key)
    }

    /// All stacks as last seen.
    pub fn stacks(&self) -> Vec<Arc<Written>> {
        self.lock().stacks.all().cloned().collect()
    }

    /// The stacks of a namespace, as those who wait for them see them.
    pub fn neighbours(&self, namespace: &str) -> Arc<Neighbours> {
        self.lock().stacks.neighbours(namespace)
    }

    /// Its children, and whatever else carries its label.
    pub fn children(&self, key: &StackKey) -> Arc<BTreeMap<ChildId, Arc<Child>>> {
        self.lock().children.of(key)
    }

    /// Whether every kind that the cluster knows has been listed once. Before that nothing may be planned: what is not seen would be taken for absent.
    pub fn is_warm(&self) -> bool {
        self.lock().is_warm()
    }

    /// The last list that was missing wakes every stack.
    fn watched(&self, take_in: impl FnOnce(&mut Inner) -> Vec<StackKey>) -> Vec<StackKey> {
        let mut inner = self.lock();
        let was_warm = inner.is_warm();
        let mut woken = take_in(&mut inner);
        if !was_warm && inner.is_warm() {
            woken.extend(inner.stacks.keys());
        }
        woken
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere left whole entries behind, not half ones.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
