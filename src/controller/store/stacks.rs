//! Stacks as last seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::{StackKey, Written};

#[derive(Default)]
pub(super) struct Stacks {
    seen: HashMap<StackKey, Arc<Written>>,
    listed: Option<HashSet<StackKey>>,
    warm: bool,
}

impl Stacks {
    pub(super) fn event(&mut self, event: Event<Written>) -> Vec<StackKey> {
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

    pub(super) fn keys(&self) -> impl Iterator<Item = StackKey> {
        self.seen.keys().cloned()
    }

    pub(super) fn is_warm(&self) -> bool {
        self.warm
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
