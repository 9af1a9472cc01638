//! Which HTTPRoutes of stacks ask for the same requests. The Gateway gives them to the oldest alone, without a word:
//! <https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule>, "precedence".

use std::collections::{BTreeSet, HashMap};

use super::StackKey;
use super::children::ObjectKey;
use crate::child::{Child, Requests};

/// Routes as their watch last told, by what they ask for: an answer to a write wakes nobody, and so must not be what a later event is compared with.
#[derive(Default)]
pub(super) struct Routes {
    known: HashMap<ObjectKey, Claim>,
    by_place: HashMap<Place, BTreeSet<ObjectKey>>,
}

/// Namespace and name of the Gateway, host and path.
type Place = ((String, String), String, String);

#[derive(PartialEq)]
struct Claim {
    stack: StackKey,
    since: String,
    requests: Vec<Requests>,
}

fn place(requests: &Requests) -> Place {
    (requests.gateway.clone(), requests.host.clone(), requests.path.clone())
}

impl Routes {
    /// All that is known of.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.known.keys().cloned().collect()
    }

    /// Takes in what a route is now; returns the routes that another one has become a rival of, or is none any more.
    pub(super) fn learn(&mut self, key: &ObjectKey, now: Option<(&Child, StackKey)>) -> BTreeSet<ObjectKey> {
        let now = now.filter(|(child, _)| !child.facts.route.requests.is_empty()).map(|(child, stack)| {
            let route = &child.facts.route;
            Claim { stack, since: route.since.clone(), requests: route.requests.clone() }
        });
        if self.known.get(key) == now.as_ref() {
            return BTreeSet::new();
        }
        let mut touched = BTreeSet::from([key.clone()]);
        for requests in self.known.remove(key).into_iter().flat_map(|claim| claim.requests) {
            if let Some(there) = self.by_place.get_mut(&place(&requests)) {
                there.remove(key);
                touched.extend(there.iter().cloned());
                if there.is_empty() {
                    self.by_place.remove(&place(&requests));
                }
            }
        }
        if let Some(claim) = now {
            for requests in &claim.requests {
                let there = self.by_place.entry(place(requests)).or_default();
                touched.extend(there.iter().cloned());
                there.insert(key.clone());
            }
            self.known.insert(key.clone(), claim);
        }
        touched
    }

    /// Whose route gets requests that this one asks for, where that is another stack's: in words.
    pub(super) fn rival(&self, key: &ObjectKey) -> Option<String> {
        let mine = self.known.get(key)?;
        let older = |(other, claim): &(&ObjectKey, &Claim)| {
            claim.stack != mine.stack && (&claim.since, *other) < (&mine.since, key)
        };
        mine.requests.iter().find_map(|requests| {
            let there = self.by_place.get(&place(requests))?;
            let others = there.iter().filter_map(|other| Some((other, self.known.get(other)?)));
            let (_, first) = others
                .filter(older)
                .filter(|(_, claim)| claim.requests.iter().any(|theirs| theirs.meet(requests)))
                .min_by_key(|(other, claim)| (&claim.since, *other))?;
            let host = if requests.host.is_empty() { "any host" } else { &requests.host };
            let StackKey { namespace, name } = &first.stack;
            Some(format!("{host} {} is routed by stack '{name}' of namespace '{namespace}'", requests.path))
        })
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::child::{ChildId, Kind, labels};
    use crate::controller::store::Store;

    fn key(stack: &str) -> StackKey {
        StackKey { namespace: format!("of-{stack}"), name: stack.into() }
    }

    /// The route of a stack, made on a day of January.
    fn route(stack: &str, day: u32, host: &str, section: Option<&str>, version: u64) -> Child {
        let mut route = json!({
            "metadata": {"name": format!("{stack}-web"), "namespace": format!("of-{stack}"), "uid": stack, "resourceVersion": version.to_string(),
                "labels": {labels::STACK: stack}, "creationTimestamp": format!("2026-01-{day:02}T00:00:00Z")},
            "spec": {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": [host],
                "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]},
        });
        if let Some(section) = section {
            route["spec"]["parentRefs"][0]["sectionName"] = json!(section);
        }
        serde_json::from_value(route).unwrap()
    }

    fn tell(store: &Store, event: Event<Child>) -> BTreeSet<StackKey> {
        store.child_event(Kind::HttpRoute, event).into_iter().collect()
    }

    fn rival(store: &Store, stack: &str) -> Option<String> {
        let id = ChildId { kind: Kind::HttpRoute, name: format!("{stack}-web") };
        store.children(&key(stack)).get(&id).and_then(|child| child.facts.route.rival.clone())
    }

    #[test]
    fn the_younger_of_two_stacks_learns_who_gets_its_requests_and_when_that_is_over() {
        let store = Store::default();
        tell(&store, Event::Apply(route("new", 9, "a.example", None, 2)));
        assert_eq!(rival(&store, "new"), None);
        // Whatever comes first to be seen.
        let woken = tell(&store, Event::Apply(route("old", 1, "a.example", Some("https"), 3)));
        assert_eq!(woken, [key("new"), key("old")].into());
        let said = "a.example / is routed by stack 'old' of namespace 'of-old'";
        assert_eq!((rival(&store, "new").as_deref(), rival(&store, "old")), (Some(said), None));
        assert!(tell(&store, Event::Apply(route("new", 9, "a.example", None, 2))).is_empty(), "nothing new");

        let woken = tell(&store, Event::Apply(route("old", 1, "b.example", None, 4)));
        assert!(woken.contains(&key("new")) && rival(&store, "new").is_none(), "{woken:?}");
        tell(&store, Event::Apply(route("old", 1, "a.example", None, 5)));
        assert!(rival(&store, "new").is_some());
        let woken = tell(&store, Event::Delete(route("old", 1, "a.example", None, 6)));
        assert!(woken.contains(&key("new")) && rival(&store, "new").is_none(), "{woken:?}");
    }

    #[test]
    fn what_was_missed_is_learnt_with_the_next_list() {
        let store = Store::default();
        tell(&store, Event::Apply(route("old", 1, "a.example", None, 1)));
        tell(&store, Event::Apply(route("new", 9, "a.example", None, 2)));
        for event in [Event::Init, Event::InitApply(route("new", 9, "a.example", None, 2))] {
            tell(&store, event);
        }
        assert!(rival(&store, "new").is_some());
        assert!(tell(&store, Event::InitDone).contains(&key("new")));
        assert_eq!(rival(&store, "new"), None, "the old one is gone");
    }

    // Whoever has just written plans once more; the event wakes the others, and him.
    #[test]
    fn the_answer_to_a_write_takes_no_news_from_the_event() {
        let store = Store::default();
        tell(&store, Event::Apply(route("old", 1, "b.example", None, 1)));
        tell(&store, Event::Apply(route("new", 9, "a.example", None, 2)));
        store.wrote(Kind::HttpRoute, route("old", 1, "a.example", None, 3));
        assert_eq!(rival(&store, "new"), None);
        let woken = tell(&store, Event::Apply(route("old", 1, "a.example", None, 3)));
        assert!(woken.contains(&key("new")) && rival(&store, "new").is_some(), "{woken:?}");
    }

    #[test]
    fn routes_of_one_stack_of_other_hosts_and_of_other_listeners_are_no_rivals() {
        let store = Store::default();
        tell(&store, Event::Apply(route("old", 1, "a.example", Some("https"), 1)));
        let mut own = route("old", 3, "a.example", Some("https"), 2);
        own.meta.name = Some("old-other".into());
        tell(&store, Event::Apply(own));
        let id = ChildId { kind: Kind::HttpRoute, name: "old-other".into() };
        assert_eq!(store.children(&key("old"))[&id].facts.route.rival, None, "its own stack is refused for it");
        tell(&store, Event::Apply(route("http", 5, "a.example", Some("http"), 3)));
        tell(&store, Event::Apply(route("host", 5, "b.example", Some("https"), 4)));
        assert_eq!((rival(&store, "http"), rival(&store, "host")), (None, None));
        // Made within one second: the names decide.
        tell(&store, Event::Apply(route("hosu", 5, "b.example", None, 5)));
        assert!(rival(&store, "host").is_none() && rival(&store, "hosu").is_some());
    }
}
