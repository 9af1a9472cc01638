//! Children as last seen, by kind and by stack.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use kube::runtime::watcher::Event;

use super::StackKey;
use super::reported::{News, Reported};
use super::routes::Routes;
use crate::child::{Child, ChildId, Kind, labels};

#[derive(Default)]
pub(super) struct Children {
    kinds: HashMap<Kind, Seen>,
    /// Shared with the passes that read it: a change copies the map only while one does.
    by_stack: HashMap<StackKey, Arc<BTreeMap<ChildId, Arc<Child>>>>,
    /// Kinds that the cluster does not know.
    pub(super) missing: BTreeSet<Kind>,
    pub(super) reported: Reported,
    routes: Routes,
}

/// Namespace and name.
pub(super) type ObjectKey = (String, String);

#[derive(Default)]
struct Seen {
    objects: HashMap<ObjectKey, Arc<Child>>,
    /// Versions at which objects were deleted.
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

impl Children {
    pub(super) fn event(&mut self, kind: Kind, event: Event<Child>) -> Vec<StackKey> {
        if kind != Kind::HttpRoute {
            return self.take_in(kind, event);
        }
        let of = match &event {
            Event::Apply(child) | Event::InitApply(child) | Event::Delete(child) => vec![key_of(child)],
            Event::Init => Vec::new(),
            Event::InitDone => self.routes.keys(),
        };
        let mut touched = self.take_in(kind, event);
        touched.extend(self.contend(&of));
        touched
    }

    /// Looks at what routes ask for now. Returns the stacks to which it is news that another one gets it, or no more.
    fn contend(&mut self, of: &[ObjectKey]) -> Vec<StackKey> {
        let mut woken = Vec::new();
        for key in of {
            let now = self.kinds.get(&Kind::HttpRoute).and_then(|seen| seen.objects.get(key)).cloned();
            let now = now.as_deref().and_then(|child| Some((child, stack_of(child)?)));
            for route in self.routes.learn(key, now) {
                let known = self.kinds.get(&Kind::HttpRoute).and_then(|seen| seen.objects.get(&route));
                let rival = self.routes.rival(&route);
                if known.is_some_and(|known| known.facts.route.rival != rival) {
                    woken.extend(self.amend(Kind::HttpRoute, &route, |child| child.facts.route.rival = rival));
                }
            }
        }
        woken
    }

    fn take_in(&mut self, kind: Kind, event: Event<Child>) -> Vec<StackKey> {
        match event {
            Event::Init => {
                self.kinds.entry(kind).or_default().listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(child) => {
                if let Some(listed) = &mut self.kinds.entry(kind).or_default().listed {
                    listed.insert(key_of(&child));
                }
                self.replace(kind, child)
            }
            Event::Apply(child) => self.put(kind, child),
            Event::Delete(child) => self.bury(kind, &key_of(&child), child.version()),
            Event::InitDone => self.listed(kind),
        }
    }

    /// The list is complete: what is not in it is gone, or was made after it, and then the watch is about to bring it again. Either way no version is kept: a
    /// grave would hide from us what the watch brings, and after a restore of the server's data every version is lower.
    fn listed(&mut self, kind: Kind) -> Vec<StackKey> {
        let seen = self.kinds.entry(kind).or_default();
        seen.warm = true;
        seen.gone.clear();
        let listed = seen.listed.take().unwrap_or_default();
        let lost: Vec<ObjectKey> = seen.objects.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        lost.iter().filter_map(|key| self.drop(kind, key)).collect()
    }

    /// Takes in a child unless what is known is as new.
    pub(super) fn put(&mut self, kind: Kind, child: Child) -> Vec<StackKey> {
        let key = key_of(&child);
        let seen = self.kinds.entry(kind).or_default();
        let known = seen.objects.get(&key).map(|child| child.version()).max(seen.gone.get(&key).copied());
        if known >= Some(child.version()) { Vec::new() } else { self.replace(kind, child) }
    }

    /// Takes in a child, however old it is. Returns the stacks to which that is news.
    fn replace(&mut self, kind: Kind, mut child: Child) -> Vec<StackKey> {
        let key = key_of(&child);
        let seen = self.kinds.entry(kind).or_default();
        seen.gone.remove(&key);
        if child.facts.pod.ready {
            self.reported.forget(uid(&child)); // what ailed it is over
        }
        child.facts.reported = self.reported.of(uid(&child));
        child.facts.route.rival = self.routes.rival(&key); // by what it was; an event about it says what it is
        let child = Arc::new(child);
        let old = seen.objects.insert(key.clone(), child.clone());
        if let Some(old) = old.as_deref().filter(|old| uid(old) != uid(&child)) {
            self.reported.forget(uid(old));
        }
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
            Arc::make_mut(self.by_stack.entry(is.clone()).or_default()).insert(id, child.clone());
            if !old.is_some_and(|old| old.same(&child)) {
                touched.push(is);
            }
        }
        touched
    }

    /// Changes what is known of a child. Returns its stack.
    pub(super) fn amend(&mut self, kind: Kind, key: &ObjectKey, change: impl FnOnce(&mut Child)) -> Option<StackKey> {
        let seen = self.kinds.get_mut(&kind)?.objects.get_mut(key)?;
        change(Arc::make_mut(seen));
        let child = seen.clone();
        let stack = stack_of(&child)?;
        let id = ChildId { kind, name: key.1.clone() };
        Arc::make_mut(self.by_stack.entry(stack.clone()).or_default()).insert(id, child);
        Some(stack)
    }

    /// Takes in what an event says. The name finds the child, the uid tells whether it is meant.
    pub(super) fn hear(&mut self, news: News) -> Option<StackKey> {
        let key = (news.namespace.clone(), news.name.clone());
        let is_meant = |kind: &Kind| {
            let child = self.kinds.get(kind).and_then(|seen| seen.objects.get(&key));
            child.is_some_and(|child| uid(child) == news.uid)
        };
        let kind = Kind::ALL.into_iter().find(is_meant);
        let said = self.reported.hear(news, kind.is_some())?;
        self.amend(kind?, &key, |child| child.facts.reported = Some(said))
    }

    pub(super) fn of(&self, stack: &StackKey) -> Arc<BTreeMap<ChildId, Arc<Child>>> {
        self.by_stack.get(stack).cloned().unwrap_or_default()
    }

    pub(super) fn is_warm(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.missing.contains(kind) || self.kinds.get(kind).is_some_and(|seen| seen.warm))
    }

    /// The cluster does not know this kind, or no more: nothing of it is there. False if that is known already.
    pub(super) fn lose(&mut self, kind: Kind) -> bool {
        let keys: Vec<ObjectKey> =
            self.kinds.get(&kind).into_iter().flat_map(|seen| seen.objects.keys()).cloned().collect();
        for key in keys {
            self.drop(kind, &key);
        }
        if kind == Kind::HttpRoute {
            self.routes = Routes::default();
        }
        self.missing.insert(kind)
    }

    /// A deletion leaves its version behind, so that a late answer does not bring the dead back.
    fn bury(&mut self, kind: Kind, key: &ObjectKey, version: u64) -> Vec<StackKey> {
        let seen = self.kinds.entry(kind).or_default();
        if seen.objects.get(key).is_some_and(|child| child.version() > version) {
            return Vec::new();
        }
        if kind.is_written() {
            seen.bury(key.clone(), version);
        }
        self.drop(kind, key).into_iter().collect()
    }

    fn drop(&mut self, kind: Kind, key: &ObjectKey) -> Option<StackKey> {
        let child = self.kinds.get_mut(&kind)?.objects.remove(key)?;
        self.reported.forget(uid(&child));
        let stack = stack_of(&child)?;
        self.unlink(&stack, &ChildId { kind, name: key.1.clone() });
        Some(stack)
    }

    fn unlink(&mut self, stack: &StackKey, id: &ChildId) {
        if let Some(children) = self.by_stack.get_mut(stack) {
            Arc::make_mut(children).remove(id);
            if children.is_empty() {
                self.by_stack.remove(stack);
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

fn uid(child: &Child) -> &str {
    child.meta.uid.as_deref().unwrap_or_default()
}

fn key_of(child: &Child) -> ObjectKey {
    (child.meta.namespace.clone().unwrap_or_default(), child.meta.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::store::Store;

    fn child(version: u64, ready: i32) -> Child {
        let object = json!({"metadata": {"name": "db", "namespace": "n", "uid": "u", "resourceVersion": version.to_string(), "labels": {labels::STACK: "s"}}, "status": {"availableReplicas": ready}});
        serde_json::from_value(object).unwrap()
    }

    fn key() -> StackKey {
        StackKey { namespace: "n".into(), name: "s".into() }
    }

    fn seen(store: &Store) -> Option<(u64, i32)> {
        store.children(&key()).values().next().map(|child| (child.version(), child.facts.available_replicas))
    }

    fn event(store: &Store, event: Event<Child>) -> Vec<StackKey> {
        store.child_event(Kind::Deployment, event)
    }

    #[test]
    fn the_echo_of_our_own_write_wakes_nobody() {
        let store = Store::default();
        store.wrote(Kind::Deployment, child(5, 0));
        assert!(event(&store, Event::Apply(child(5, 0))).is_empty());
        assert!(event(&store, Event::Apply(child(6, 0))).is_empty(), "nothing we keep has changed");
        assert_eq!(event(&store, Event::Apply(child(7, 1))), [key()]);
    }

    #[test]
    fn a_late_answer_neither_overwrites_nor_revives() {
        let store = Store::default();
        event(&store, Event::Apply(child(9, 1)));
        store.wrote(Kind::Deployment, child(8, 0));
        assert_eq!(seen(&store), Some((9, 1)));
        assert_eq!(event(&store, Event::Delete(child(10, 1))), [key()]);
        store.wrote(Kind::Deployment, child(9, 1));
        assert_eq!(seen(&store), None);
    }

    #[test]
    fn a_relist_drops_what_it_did_not_list() {
        let store = Store::default();
        event(&store, Event::Apply(child(5, 0)));
        event(&store, Event::Init);
        assert_eq!(seen(&store), Some((5, 0)), "kept until the list is complete");
        assert_eq!(event(&store, Event::InitDone), [key()]);
        assert_eq!(seen(&store), None);
    }

    #[test]
    fn what_was_made_during_a_relist_comes_back_with_the_watch() {
        let store = Store::default();
        event(&store, Event::Init);
        store.wrote(Kind::Deployment, child(120, 0)); // the list is of version 100
        assert_eq!(event(&store, Event::InitDone), [key()]);
        assert_eq!(event(&store, Event::Apply(child(120, 0))), [key()]);
        assert_eq!(seen(&store), Some((120, 0)));
    }

    #[test]
    fn what_was_written_during_a_relist_is_written_once_more_at_most() {
        let store = Store::default();
        event(&store, Event::Apply(child(90, 0)));
        event(&store, Event::Init);
        store.wrote(Kind::Deployment, child(120, 1));
        assert_eq!(event(&store, Event::InitApply(child(90, 0))), [key()], "the list is of version 100");
        event(&store, Event::InitDone);
        store.wrote(Kind::Deployment, child(120, 1)); // sent again, the server changes nothing and answers as before
        assert_eq!(seen(&store), Some((120, 1)));
        assert!(event(&store, Event::Apply(child(120, 1))).is_empty(), "and the watch has nothing to add");
    }

    #[test]
    fn a_list_is_believed_though_versions_have_gone_back() {
        let store = Store::default();
        event(&store, Event::Apply(child(5000, 1)));
        event(&store, Event::Init);
        assert_eq!(event(&store, Event::InitApply(child(100, 0))), [key()]);
        event(&store, Event::InitDone);
        assert_eq!(seen(&store), Some((100, 0)));
        event(&store, Event::Delete(child(6000, 0)));
        event(&store, Event::Init);
        event(&store, Event::InitDone);
        store.wrote(Kind::Deployment, child(101, 1));
        assert_eq!(seen(&store), Some((101, 1)), "no grave of before hides it");
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
}
