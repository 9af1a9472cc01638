//! What we have seen: stacks, and their children by stack. Fed by watches and, at once, by the answers to our own writes.
//!
//! Three rules keep it true. The newest version wins, so a late answer to a write cannot overwrite a later event. A deletion leaves its
//! version behind, so a late answer cannot bring the dead back. A relist drops what it did not list.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use crate::api::AppStack;
use crate::child::{Child, ChildId, Kind, labels};

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
    stacks: HashMap<StackKey, Arc<Written>>,
    stacks_listed: Option<HashSet<StackKey>>,
    stacks_warm: bool,
    kinds: HashMap<Kind, Seen>,
    /// Shared with the passes that read it: a change copies the map only while one does.
    children: HashMap<StackKey, Arc<BTreeMap<ChildId, Arc<Child>>>>,
}

type ObjectKey = (String, String);

#[derive(Default)]
struct Seen {
    objects: HashMap<ObjectKey, Arc<Child>>,
    gone: HashMap<ObjectKey, u64>,
    listed: Option<HashSet<ObjectKey>>,
    warm: bool,
}

/// Deletions remembered per kind: an answer to a write comes within seconds, and names never end.
const GRAVES: usize = 1024;

impl Seen {
    fn bury(&mut self, key: ObjectKey, version: u64) {
        self.gone.insert(key, version);
        if self.gone.len() > GRAVES {
            let mut versions: Vec<u64> = self.gone.values().copied().collect();
            let (_, middle, _) = versions.select_nth_unstable(GRAVES / 2);
            let middle = *middle;
            self.gone.retain(|_, version| *version > middle);
        }
    }
}

impl Store {
    /// Takes in one event of a child's watch; returns the stacks that have something new to look at. The echo of our own write is nothing new.
    pub fn child_event(&self, kind: Kind, event: Event<Child>) -> Vec<StackKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => {
                inner.kinds.entry(kind).or_default().listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(child) => {
                if let Some(listed) = &mut inner.kinds.entry(kind).or_default().listed {
                    listed.insert(object_key(&child));
                }
                inner.put(kind, child)
            }
            Event::Apply(child) => inner.put(kind, child),
            Event::Delete(child) => inner.remove(kind, &object_key(&child), child.version()),
            Event::InitDone => {
                let was_warm = inner.is_warm();
                let seen = inner.kinds.entry(kind).or_default();
                seen.warm = true;
                seen.gone.clear();
                let listed = seen.listed.take().unwrap_or_default();
                let lost: Vec<_> = seen
                    .objects
                    .iter()
                    .filter(|(key, _)| !listed.contains(*key))
                    .map(|(key, child)| (key.clone(), child.version()))
                    .collect();
                let mut woken: Vec<StackKey> =
                    lost.iter().flat_map(|(key, version)| inner.remove(kind, key, *version)).collect();
                if !was_warm && inner.is_warm() {
                    woken.extend(inner.stacks.keys().cloned());
                }
                woken
            }
        }
    }

    /// Takes in one event of the stacks' watch; returns the stacks whose spec, annotations or existence changed. Our own status is no news.
    pub fn stack_event(&self, event: Event<Written>) -> Vec<StackKey> {
        let mut inner = self.lock();
        match event {
            Event::Init => {
                inner.stacks_listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(stack) => {
                if let Some(listed) = &mut inner.stacks_listed {
                    listed.insert(stack_key(&stack));
                }
                inner.put_stack(stack)
            }
            Event::Apply(stack) => inner.put_stack(stack),
            Event::Delete(stack) => {
                let key = stack_key(&stack);
                inner.stacks.remove(&key);
                vec![key]
            }
            Event::InitDone => {
                let was_warm = inner.is_warm();
                inner.stacks_warm = true;
                let listed = inner.stacks_listed.take().unwrap_or_default();
                let mut woken: Vec<StackKey> =
                    inner.stacks.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                inner.stacks.retain(|key, _| listed.contains(key));
                if !was_warm && inner.is_warm() {
                    woken.extend(inner.stacks.keys().cloned());
                }
                woken
            }
        }
    }

    /// Takes in the server's answer to our own write.
    pub fn wrote(&self, kind: Kind, child: Child) {
        self.lock().put(kind, child);
    }

    /// Takes in the server's answer to our own status.
    pub fn wrote_stack(&self, stack: Written) {
        self.lock().put_stack(stack);
    }

    /// Notes what a write did to a child whose new version we were not told: the next event brings it.
    pub fn amend(&self, kind: Kind, namespace: &str, name: &str, change: impl FnOnce(&mut Child)) {
        let mut inner = self.lock();
        let Some(seen) =
            inner.kinds.get_mut(&kind).and_then(|seen| seen.objects.get_mut(&(namespace.to_owned(), name.to_owned())))
        else {
            return;
        };
        change(Arc::make_mut(seen));
        let child = seen.clone();
        if let Some(stack) = stack_of(&child) {
            Arc::make_mut(inner.children.entry(stack).or_default())
                .insert(ChildId { kind, name: name.to_owned() }, child);
        }
    }

    /// A stack as last seen.
    pub fn stack(&self, key: &StackKey) -> Option<Arc<Written>> {
        self.lock().stacks.get(key).cloned()
    }

    /// Its children, and whatever else carries its label.
    pub fn children(&self, key: &StackKey) -> Arc<BTreeMap<ChildId, Arc<Child>>> {
        self.lock().children.get(key).cloned().unwrap_or_default()
    }

    /// Whether every kind has been listed once. Before that nothing may be planned: what is not seen would be taken for absent.
    pub fn is_warm(&self) -> bool {
        self.lock().is_warm()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere left whole entries behind, not half ones.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_warm(&self) -> bool {
        self.stacks_warm && Kind::ALL.iter().all(|kind| self.kinds.get(kind).is_some_and(|seen| seen.warm))
    }

    fn put_stack(&mut self, stack: Written) -> Vec<StackKey> {
        let key = stack_key(&stack);
        let before = self.stacks.get(&key).cloned();
        if before.as_ref().is_some_and(|before| before.uid() == stack.uid() && version(before) >= version(&stack)) {
            return Vec::new();
        }
        let news = before.is_none_or(|before| {
            before.uid() != stack.uid()
                || before.meta().generation != stack.meta().generation
                || before.annotations() != stack.annotations()
                || before.meta().deletion_timestamp != stack.meta().deletion_timestamp
        });
        self.stacks.insert(key.clone(), Arc::new(stack));
        if news { vec![key] } else { Vec::new() }
    }

    fn put(&mut self, kind: Kind, child: Child) -> Vec<StackKey> {
        let key = object_key(&child);
        let seen = self.kinds.entry(kind).or_default();
        let old = seen.objects.get(&key).cloned();
        let known = old.as_ref().map(|child| child.version()).max(seen.gone.get(&key).copied());
        if known >= Some(child.version()) {
            return Vec::new();
        }
        seen.gone.remove(&key);
        let child = Arc::new(child);
        seen.objects.insert(key.clone(), child.clone());
        let id = ChildId { kind, name: key.1 };
        let mut touched = Vec::new();
        let (was, is) = (old.as_deref().and_then(stack_of), stack_of(&child));
        if was != is
            && let Some(was) = was
        {
            self.unlink(&was, &id);
            touched.push(was);
        }
        if let Some(is) = is {
            Arc::make_mut(self.children.entry(is.clone()).or_default()).insert(id, child.clone());
            if !old.is_some_and(|old| old.same(&child)) {
                touched.push(is);
            }
        }
        touched
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey, version: u64) -> Vec<StackKey> {
        let seen = self.kinds.entry(kind).or_default();
        if seen.objects.get(key).is_some_and(|child| child.version() > version) {
            return Vec::new();
        }
        if kind.is_written() {
            seen.bury(key.clone(), version);
        }
        let stack = seen.objects.remove(key).as_deref().and_then(stack_of);
        if let Some(stack) = &stack {
            self.unlink(stack, &ChildId { kind, name: key.1.clone() });
        }
        stack.into_iter().collect()
    }

    fn unlink(&mut self, stack: &StackKey, id: &ChildId) {
        if let Some(children) = self.children.get_mut(stack) {
            Arc::make_mut(children).remove(id);
            if children.is_empty() {
                self.children.remove(stack);
            }
        }
    }
}

/// By label: whose it is, the plan decides, by owner and labels.
fn stack_of(child: &Child) -> Option<StackKey> {
    let name = child.label(labels::STACK);
    (!name.is_empty())
        .then(|| StackKey { namespace: child.meta.namespace.clone().unwrap_or_default(), name: name.to_owned() })
}

fn object_key(child: &Child) -> ObjectKey {
    (child.meta.namespace.clone().unwrap_or_default(), child.meta.name.clone().unwrap_or_default())
}

fn stack_key(stack: &Written) -> StackKey {
    StackKey { namespace: stack.namespace().unwrap_or_default(), name: stack.name_any() }
}

fn version(stack: &Written) -> u64 {
    stack.resource_version().and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn child(version: u64, ready: i32) -> Child {
        let object = json!({"metadata": {"name": "db", "namespace": "n", "uid": "u", "resourceVersion": version.to_string(), "labels": {labels::STACK: "s"}}, "status": {"availableReplicas": ready}});
        serde_json::from_value(object).unwrap()
    }

    fn key() -> StackKey {
        StackKey { namespace: "n".into(), name: "s".into() }
    }

    #[test]
    fn the_echo_of_our_own_write_wakes_nobody() {
        let store = Store::default();
        store.wrote(Kind::Deployment, child(5, 0));
        assert!(store.child_event(Kind::Deployment, Event::Apply(child(5, 0))).is_empty());
        assert!(
            store.child_event(Kind::Deployment, Event::Apply(child(6, 0))).is_empty(),
            "nothing we keep has changed"
        );
        assert_eq!(store.child_event(Kind::Deployment, Event::Apply(child(7, 1))), [key()]);
    }

    #[test]
    fn a_late_answer_neither_overwrites_nor_revives() {
        let store = Store::default();
        store.child_event(Kind::Deployment, Event::Apply(child(9, 1)));
        store.wrote(Kind::Deployment, child(8, 0));
        assert_eq!(store.children(&key()).values().next().unwrap().facts.available_replicas, 1);
        assert_eq!(store.child_event(Kind::Deployment, Event::Delete(child(10, 1))), [key()]);
        store.wrote(Kind::Deployment, child(9, 1));
        assert!(store.children(&key()).is_empty());
    }

    #[test]
    fn a_relist_drops_what_it_did_not_list() {
        let store = Store::default();
        store.child_event(Kind::Deployment, Event::Apply(child(5, 0)));
        store.child_event(Kind::Deployment, Event::Init);
        assert_eq!(store.children(&key()).len(), 1, "kept until the list is complete");
        assert_eq!(store.child_event(Kind::Deployment, Event::InitDone), [key()]);
        assert!(store.children(&key()).is_empty());
    }

    #[test]
    fn deletions_are_not_remembered_for_ever() {
        let mut seen = Seen::default();
        for version in 0..5000 {
            seen.bury(("n".into(), format!("name-{version}")), version);
            assert!(seen.gone.len() <= GRAVES);
        }
        assert!(seen.gone.contains_key(&("n".into(), "name-4999".into())));
    }

    #[test]
    fn our_own_status_is_no_news_and_a_touch_is() {
        let stack = |version: &str, generation: i64, note: &str| -> Written {
            serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
                "metadata": {"name": "s", "namespace": "n", "uid": "u", "resourceVersion": version, "generation": generation, "annotations": {"note": note}},
                "spec": {"services": {"a": {"image": "a"}}}}))
            .unwrap()
        };
        let store = Store::default();
        assert_eq!(store.stack_event(Event::Apply(stack("1", 1, "a"))), [key()]);
        assert!(store.stack_event(Event::Apply(stack("2", 1, "a"))).is_empty());
        assert_eq!(store.stack_event(Event::Apply(stack("3", 1, "b"))), [key()]);
        assert_eq!(store.stack_event(Event::Apply(stack("4", 2, "b"))), [key()]);
        assert!(store.stack_event(Event::Apply(stack("3", 1, "b"))).is_empty(), "late");
    }
}
