//! Stacks as last seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::{StackKey, Written};
use crate::stack::neighbours::{Neighbour, Neighbours};

#[derive(Default)]
pub(super) struct Stacks {
    seen: HashMap<StackKey, Arc<Written>>,
    listed: Option<HashSet<StackKey>>,
    warm: bool,
    /// By namespace, as the watch tells it: answers to our own writes wake nobody, and so must not be what a later event is compared with.
    neighbours: HashMap<String, Arc<Neighbours>>,
    /// Where only some stacks are ours, a watch of its own tells of neighbours.
    overheard: Option<Overheard>,
}

/// How far all stacks are known.
#[derive(Default)]
struct Overheard {
    listed: Option<HashSet<StackKey>>,
    warm: bool,
}

impl Stacks {
    /// Takes in one event; returns the stacks to which it is news, those that wait for the one that has changed among them.
    pub(super) fn event(&mut self, event: Event<Written>) -> Vec<StackKey> {
        if self.overheard.is_some() {
            return self.take_in(event);
        }
        let mut woken = match &event {
            Event::Apply(stack) | Event::InitApply(stack) => self.meet(&key_of(stack), Some(neighbour(stack))),
            Event::Delete(stack) => self.meet(&key_of(stack), None),
            Event::Init | Event::InitDone => Vec::new(),
        };
        let changed = self.take_in(event);
        for key in &changed {
            if !self.seen.contains_key(key) {
                woken.extend(self.meet(key, None));
            }
        }
        woken.retain(|key| !changed.contains(key));
        changed.into_iter().chain(woken).collect()
    }

    pub(super) fn is_one_of_several(&mut self) {
        self.overheard = Some(Overheard::default());
    }

    /// Takes in one event of the watch of all stacks; returns those of ours that wait for the one that has changed.
    pub(super) fn overhear(&mut self, event: &Event<Written>) -> Vec<StackKey> {
        let known = self.overheard.get_or_insert_default();
        let mut woken = match event {
            Event::Init => {
                known.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(stack) => {
                if let Some(listed) = &mut known.listed {
                    listed.insert(key_of(stack));
                }
                self.meet(&key_of(stack), Some(neighbour(stack)))
            }
            Event::Apply(stack) => self.meet(&key_of(stack), Some(neighbour(stack))),
            Event::Delete(stack) => self.meet(&key_of(stack), None),
            Event::InitDone => {
                known.warm = true;
                let listed = known.listed.take().unwrap_or_default();
                let all = self.neighbours.iter().flat_map(|(namespace, names)| {
                    names.keys().map(|name| StackKey { namespace: namespace.clone(), name: name.clone() })
                });
                let lost: Vec<StackKey> = all.filter(|key| !listed.contains(key)).collect();
                lost.iter().flat_map(|key| self.meet(key, None)).collect()
            }
        };
        woken.retain(|key| self.seen.contains_key(key));
        woken
    }

    /// The stacks of a namespace, as those who wait for them see them.
    pub(super) fn neighbours(&self, namespace: &str) -> Arc<Neighbours> {
        self.neighbours.get(namespace).cloned().unwrap_or_default()
    }

    /// What is to be seen of a stack by others; returns those who wait for it. Where it waits for others itself, a circle may have come or gone, which any of
    /// the namespace may be in.
    fn meet(&mut self, key: &StackKey, now: Option<Neighbour>) -> Vec<StackKey> {
        let all = Arc::make_mut(self.neighbours.entry(key.namespace.clone()).or_default());
        let before = all.get(&key.name).cloned();
        if before == now {
            return Vec::new();
        }
        let edges =
            |stack: &Option<Neighbour>| stack.as_ref().map(|stack| stack.depends_on.clone()).unwrap_or_default();
        let is_rewired = edges(&before) != edges(&now);
        match now {
            Some(now) => drop(all.insert(key.name.clone(), now)),
            None => drop(all.remove(&key.name)),
        }
        let concerned = all.iter().filter(|(name, other)| {
            **name != key.name && !other.depends_on.is_empty() && (is_rewired || other.depends_on.contains(&key.name))
        });
        let woken =
            concerned.map(|(name, _)| StackKey { namespace: key.namespace.clone(), name: name.clone() }).collect();
        if all.is_empty() {
            self.neighbours.remove(&key.namespace);
        }
        woken
    }

    fn take_in(&mut self, event: Event<Written>) -> Vec<StackKey> {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(stack) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(key_of(&stack));
                }
                self.replace(stack)
            }
            Event::Apply(stack) => {
                let late = |seen: &Arc<Written>| seen.uid() == stack.uid() && version(seen) >= version(&stack);
                if self.seen.get(&key_of(&stack)).is_some_and(late) { Vec::new() } else { self.replace(stack) }
            }
            Event::Delete(stack) => {
                let key = key_of(&stack);
                self.seen.remove(&key);
                vec![key]
            }
            Event::InitDone => {
                self.warm = true;
                let listed = self.listed.take().unwrap_or_default();
                let lost: Vec<StackKey> = self.seen.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                self.seen.retain(|key, _| listed.contains(key));
                lost
            }
        }
    }

    /// The answer to a status of ours. It says nothing of a stack that is gone, or of another one of its name; and where somebody has changed the
    /// stack meanwhile, that is for the event to bring, which wakes.
    pub(super) fn wrote(&mut self, stack: Written) {
        let Some(seen) = self.seen.get_mut(&key_of(&stack)) else { return };
        if seen.uid() == stack.uid() && version(seen) < version(&stack) && !is_news(seen, &stack) {
            *seen = Arc::new(stack);
        }
    }

    /// The answer to a change of ours to its finalizers, likewise.
    pub(super) fn held(&mut self, stack: Written) {
        let Some(seen) = self.seen.get_mut(&key_of(&stack)) else { return };
        if seen.uid() == stack.uid() && version(seen) < version(&stack) && !is_other(seen, &stack) {
            *seen = Arc::new(stack);
        }
    }

    pub(super) fn get(&self, key: &StackKey) -> Option<Arc<Written>> {
        self.seen.get(key).cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Written>> {
        self.seen.values()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = StackKey> {
        self.seen.keys().cloned()
    }

    pub(super) fn is_warm(&self) -> bool {
        self.warm && self.overheard.as_ref().is_none_or(|known| known.warm)
    }

    fn replace(&mut self, stack: Written) -> Vec<StackKey> {
        let key = key_of(&stack);
        let news = self.seen.get(&key).is_none_or(|seen| is_news(seen, &stack));
        self.seen.insert(key.clone(), Arc::new(stack));
        if news { vec![key] } else { Vec::new() }
    }
}

fn is_news(before: &Written, now: &Written) -> bool {
    is_other(before, now) || before.finalizers() != now.finalizers()
}

fn is_other(before: &Written, now: &Written) -> bool {
    before.uid() != now.uid()
        || before.meta().generation != now.meta().generation
        || before.annotations() != now.annotations()
        || before.meta().deletion_timestamp != now.meta().deletion_timestamp
}

fn neighbour(stack: &Written) -> Neighbour {
    stack.0.as_ref().map_or_else(|_| Neighbour::unreadable(), Neighbour::of)
}

fn key_of(stack: &Written) -> StackKey {
    StackKey { namespace: stack.namespace().unwrap_or_default(), name: stack.name_any() }
}

fn version(stack: &Written) -> u64 {
    stack.resource_version().and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::store::Store;

    fn stack(uid: &str, version: u64, generation: i64, note: &str) -> Written {
        serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "s", "namespace": "n", "uid": uid, "resourceVersion": version.to_string(), "generation": generation, "annotations": {"note": note}},
            "spec": {"services": {"a": {"image": "a"}}}}))
        .unwrap()
    }

    fn key() -> StackKey {
        StackKey { namespace: "n".into(), name: "s".into() }
    }

    fn seen(store: &Store) -> Option<(String, u64)> {
        store.stack(&key()).map(|stack| (stack.uid().unwrap(), version(&stack)))
    }

    #[test]
    fn our_own_status_is_no_news_and_a_touch_is() {
        let store = Store::default();
        assert_eq!(store.stack_event(Event::Apply(stack("u", 1, 1, "a"))), [key()]);
        assert!(store.stack_event(Event::Apply(stack("u", 2, 1, "a"))).is_empty());
        assert_eq!(store.stack_event(Event::Apply(stack("u", 3, 1, "b"))), [key()]);
        assert_eq!(store.stack_event(Event::Apply(stack("u", 4, 2, "b"))), [key()]);
        assert!(store.stack_event(Event::Apply(stack("u", 3, 1, "b"))).is_empty(), "late");
    }

    #[test]
    fn an_answer_neither_revives_a_stack_nor_stands_for_its_successor() {
        let store = Store::default();
        store.stack_event(Event::Apply(stack("u", 1, 1, "a")));
        store.wrote_stack(stack("u", 2, 1, "a"));
        assert_eq!(seen(&store), Some(("u".into(), 2)));
        store.stack_event(Event::Delete(stack("u", 3, 1, "a")));
        store.wrote_stack(stack("u", 2, 1, "a"));
        assert_eq!(seen(&store), None);
        store.stack_event(Event::Apply(stack("v", 5, 1, "a")));
        store.wrote_stack(stack("u", 6, 1, "a"));
        assert_eq!(seen(&store), Some(("v".into(), 5)));
    }

    #[test]
    fn an_answer_does_not_swallow_a_change_of_the_spec() {
        let store = Store::default();
        store.stack_event(Event::Apply(stack("u", 1, 1, "a")));
        store.wrote_stack(stack("u", 3, 2, "a"));
        assert_eq!(store.stack_event(Event::Apply(stack("u", 2, 2, "a"))), [key()], "the user's change wakes");
        assert!(store.stack_event(Event::Apply(stack("u", 3, 2, "a"))).is_empty(), "our own status does not");
    }

    /// A stack that waits for these, Ready or not.
    fn waiting(name: &str, version: u64, on: &[&str], is_ready: bool) -> Written {
        let on: serde_json::Map<String, serde_json::Value> = on.iter().map(|s| ((*s).to_owned(), json!({}))).collect();
        let mut spec = json!({"services": {"a": {"image": "a"}}});
        if !on.is_empty() {
            spec["dependsOn"] = json!(on);
        }
        let condition = json!({"type": "Ready", "status": if is_ready { "True" } else { "False" }, "reason": "x", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
        serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "spec": spec,
            "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": version.to_string(), "generation": 1},
            "status": {"observedGeneration": 1, "conditions": [condition]}}))
        .unwrap()
    }

    fn names(woken: Vec<StackKey>) -> Vec<String> {
        woken.into_iter().map(|key| key.name).collect()
    }

    #[test]
    fn a_stack_wakes_those_that_wait_for_it_and_nobody_else() {
        let store = Store::default();
        let apply = |stack: Written| names(store.stack_event(Event::Apply(stack)));
        apply(waiting("web", 1, &["db"], true));
        apply(waiting("other", 2, &[], true));
        assert_eq!(apply(waiting("db", 3, &[], false)), ["db", "web"], "it has appeared");
        store.wrote_stack(waiting("db", 4, &[], true)); // our own status, before its event
        assert_eq!(apply(waiting("db", 4, &[], true)), ["web"], "it is Ready");
        assert!(apply(waiting("db", 5, &[], true)).is_empty(), "it still is");
        assert!(apply(waiting("web", 6, &["db"], false)).is_empty(), "nobody waits for this one");
        assert_eq!(names(store.stack_event(Event::Delete(waiting("db", 7, &[], true)))), ["db", "web"]);
        assert!(!store.neighbours("n").contains_key("db"));
    }

    #[test]
    fn stacks_of_others_are_neighbours_and_no_more() {
        let store = Store::default();
        store.is_one_of_several();
        let ours = |event: Event<Written>| names(store.stack_event(event));
        let all = |event: Event<Written>| names(store.neighbour_event(&event));
        for event in [Event::Init, Event::InitApply(waiting("web", 1, &["db"], true)), Event::InitDone] {
            ours(event);
        }
        assert!(!store.lock().stacks.is_warm(), "what is not seen would be taken for absent");
        all(Event::Init);
        all(Event::InitApply(waiting("web", 1, &["db"], true)));
        assert_eq!(all(Event::InitApply(waiting("db", 2, &[], false))), ["web"], "it is there");
        all(Event::InitDone);
        assert!(store.lock().stacks.is_warm());
        assert_eq!(all(Event::Apply(waiting("db", 3, &[], true))), ["web"], "it is Ready");
        assert_eq!(store.stacks().len(), 1, "and not ours");
        // Another label, another operator.
        assert_eq!(ours(Event::Delete(waiting("web", 4, &["db"], true))), ["web"]);
        assert!(store.stacks().is_empty() && store.neighbours("n").contains_key("web"));
        assert!(all(Event::Delete(waiting("db", 5, &[], true))).is_empty(), "nobody of ours waits for it");
    }

    #[test]
    fn an_edge_that_comes_or_goes_wakes_all_that_may_be_in_the_circle() {
        let store = Store::default();
        let apply = |stack: Written| names(store.stack_event(Event::Apply(stack)));
        apply(waiting("a", 1, &["b"], true));
        apply(waiting("b", 2, &["c"], true));
        let woken = apply(waiting("c", 3, &["a"], true));
        assert_eq!(woken, ["c", "a", "b"], "a does not name c, and is in the circle");
        apply(waiting("c", 4, &[], true));
        assert_eq!(store.neighbours("n")["c"].depends_on.len(), 0);
        store.stack_event(Event::Init);
        assert_eq!(names(store.stack_event(Event::InitDone)).len(), 3);
        assert!(store.neighbours("n").is_empty(), "what is not listed is nobody's neighbour");
    }

    #[test]
    fn a_list_is_believed_though_versions_have_gone_back() {
        let store = Store::default();
        store.stack_event(Event::Apply(stack("u", 5000, 4, "a")));
        store.stack_event(Event::Init);
        assert_eq!(store.stack_event(Event::InitApply(stack("u", 100, 3, "a"))), [key()]);
        store.stack_event(Event::InitDone);
        assert_eq!(seen(&store), Some(("u".into(), 100)));
        store.stack_event(Event::Init);
        assert_eq!(store.stack_event(Event::InitDone), [key()], "what is not listed is gone");
        assert_eq!(seen(&store), None);
    }
}
