//! What events say of children. Of StatefulSets, DaemonSets, Jobs and the mounts of pods nothing else tells why they do not get on (T17).
//!
//! Only the latest word about an object is kept, for as long as the object is there. Its controllers repeat themselves, with counts that grow and names of
//! pods that were never made: the same thing said again is no news.

use std::collections::{HashMap, VecDeque};

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;

use crate::child::{DISK_FULL, full_disk};

/// Words about objects that are not known: an event may come before its object.
const ROOM: usize = 256;
/// Longest message; what follows is detail.
const LONGEST: usize = 600;
/// Reason of a health check that has failed.
const UNHEALTHY: &str = "Unhealthy";
/// Before the message of what has happened to ten pods alike.
const COMBINED: &str = "(combined from similar events): ";

/// What one event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    said: Said,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    at: Timestamp,
    reason: String,
    message: String,
}

impl News {
    /// What is worth keeping of an event; none if it is about a kind whose own status says as much.
    pub(super) fn of(event: Event) -> Option<Self> {
        let about = event.involved_object;
        if !matches!(about.kind.as_deref(), Some("StatefulSet" | "DaemonSet" | "Job" | "Pod")) {
            return None;
        }
        let name = about.name?;
        let at = [
            event.series.and_then(|series| series.last_observed_time).map(|time| time.0),
            event.last_timestamp.map(|time| time.0),
            event.event_time.map(|time| time.0),
            event.metadata.creation_timestamp.map(|time| time.0),
        ];
        let (at, reason, message) = (at.into_iter().flatten().max()?, event.reason?, event.message.unwrap_or_default());
        let said = if reason == UNHEALTHY {
            // That a check fails is in the status of the pod; what it has printed is nobody's business, but for this.
            Said { at, reason: DISK_FULL.into(), message: full_disk(&message)?.into() }
        } else {
            let message = lasting(&message, &name).chars().take(LONGEST).collect();
            Said { at, reason: reason.chars().take(64).collect(), message }
        };
        Some(News { namespace: about.namespace.unwrap_or_default(), name, uid: about.uid?, said })
    }
}

/// A message less what differs from one repeat to the next: the mark of a summary, and the random name of a pod.
fn lasting(message: &str, name: &str) -> String {
    let message = message.strip_prefix(COMBINED).unwrap_or(message);
    let stem = format!("\"{name}-");
    let parts = message.split_once(&stem).and_then(|(before, rest)| Some((before, rest.split_once('"')?)));
    match parts {
        Some((before, (random, after))) if random.len() >= 5 => format!("{before}{stem}*\"{after}"),
        _ => message.to_owned(),
    }
}

/// The latest word about each object, by uid.
#[derive(Default)]
pub(super) struct Reported {
    known: HashMap<String, Said>,
    strangers: VecDeque<(String, Said)>,
}

impl Reported {
    /// Takes in news of a known object, or of one that may become known. Returns what is to be said of a known one, if that has changed.
    pub(super) fn hear(&mut self, news: News, is_known: bool) -> Option<(String, String)> {
        let News { uid, said, .. } = news;
        if !is_known {
            let before = self.strangers.iter().position(|(other, _)| *other == uid);
            let later = before.and_then(|at| self.strangers.remove(at)).filter(|(_, before)| before.at > said.at);
            self.strangers.push_back(later.unwrap_or((uid, said)));
            if self.strangers.len() > ROOM {
                self.strangers.pop_front();
            }
            return None;
        }
        let before = self.known.get(&uid);
        if before.is_some_and(|before| before.at > said.at) {
            return None;
        }
        let text = (said.reason.clone(), said.message.clone());
        let same = before.is_some_and(|before| before.reason == text.0 && before.message == text.1);
        self.known.insert(uid, said);
        (!same).then_some(text)
    }

    /// What was last said of a child, which is known from now on.
    pub(super) fn of(&mut self, uid: &str) -> Option<(String, String)> {
        if let Some(at) = self.strangers.iter().position(|(stranger, _)| stranger == uid) {
            self.known.extend(self.strangers.remove(at));
        }
        self.known.get(uid).map(|said| (said.reason.clone(), said.message.clone()))
    }

    /// The child is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        self.known.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher;
    use serde_json::json;

    use super::*;
    use crate::child::{Child, Kind, labels};
    use crate::controller::store::{StackKey, Store};

    fn event(uid: &str, second: u32, message: &str) -> Event {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        serde_json::from_value(json!({"metadata": {"name": "e", "namespace": "n"}, "reason": "FailedCreate", "message": message, "lastTimestamp": time, "count": second,
            "involvedObject": {"kind": "StatefulSet", "namespace": "n", "name": "db", "uid": uid}}))
        .unwrap()
    }

    fn child(uid: &str, version: u64) -> Child {
        let object = json!({"metadata": {"name": "db", "namespace": "n", "uid": uid, "resourceVersion": version.to_string(), "labels": {labels::STACK: "s"}}});
        serde_json::from_value(object).unwrap()
    }

    fn key() -> StackKey {
        StackKey { namespace: "n".into(), name: "s".into() }
    }

    fn reported(store: &Store) -> Option<String> {
        store.children(&key()).values().next()?.facts.reported.clone().map(|(_, message)| message)
    }

    fn put(store: &Store, child: Child) {
        store.child_event(Kind::Deployment, watcher::Event::Apply(child));
    }

    #[test]
    fn news_wakes_once_and_stays_with_its_child() {
        let store = Store::default();
        put(&store, child("u", 1));
        assert_eq!(store.hear(event("u", 5, "over quota")), Some(key()));
        assert_eq!(reported(&store).as_deref(), Some("over quota"));
        assert_eq!(store.hear(event("u", 9, "over quota")), None, "said again");
        put(&store, child("u", 2));
        assert_eq!(reported(&store).as_deref(), Some("over quota"), "a new version of the child does not know of it");
        assert_eq!(store.hear(event("u", 7, "older")), None);
        assert_eq!(store.hear(event("u", 9, "newer")), Some(key()));
        assert_eq!(reported(&store).as_deref(), Some("newer"));
    }

    #[test]
    fn news_goes_with_its_child_and_is_not_for_the_next_of_that_name() {
        let store = Store::default();
        put(&store, child("u", 1));
        store.hear(event("u", 5, "over quota"));
        store.child_event(Kind::Deployment, watcher::Event::Delete(child("u", 2)));
        put(&store, child("v", 3));
        assert_eq!(reported(&store), None);
        store.hear(event("u", 6, "late"));
        assert_eq!(reported(&store), None);
        store.hear(event("v", 7, "over quota"));
        put(&store, child("w", 4));
        assert_eq!(reported(&store), None, "replaced without a word");
        assert!(store.lock().children.reported.known.is_empty());
    }

    #[test]
    fn news_that_comes_before_its_child_waits_for_it() {
        let store = Store::default();
        assert_eq!(store.hear(event("u", 5, "latest")), None);
        assert_eq!(store.hear(event("u", 4, "older")), None);
        put(&store, child("u", 1));
        assert_eq!(reported(&store).as_deref(), Some("latest"));
        for stranger in 0..1000 {
            store.hear(event(&format!("stranger-{stranger}"), 5, "not ours"));
        }
        let inner = store.lock();
        assert_eq!((inner.children.reported.known.len(), inner.children.reported.strangers.len()), (1, ROOM));
    }

    #[test]
    fn repeats_are_the_same_whatever_name_was_tried() {
        let repeats = [
            r#"Error creating: pods "db-9n4xz" is forbidden: violates PodSecurity "restricted:latest""#,
            r#"(combined from similar events): Error creating: pods "db-sx2br" is forbidden: violates PodSecurity "restricted:latest""#,
            r#"Error creating: pods "db-0-ghpj5" is forbidden: violates PodSecurity "restricted:latest""#,
        ];
        for repeat in repeats {
            let expected = r#"Error creating: pods "db-*" is forbidden: violates PodSecurity "restricted:latest""#;
            assert_eq!(lasting(repeat, "db"), expected);
        }
        let stable = r#"create Pod db-0 in StatefulSet db failed error: pods "db-0" is forbidden: exceeded quota"#;
        assert_eq!(lasting(stable, "db"), stable);
    }

    #[test]
    fn of_a_health_check_only_a_full_disk_is_heard() {
        let check = |message: &str| {
            let mut event = event("u", 1, message);
            event.reason = Some(UNHEALTHY.into());
            event.involved_object.kind = Some("Pod".into());
            News::of(event).map(|news| (news.said.reason, news.said.message))
        };
        assert_eq!(check("Readiness probe failed: HTTP probe failed with statuscode: 503"), None);
        let full = check("Readiness probe failed: TOKEN=hush sh: write error: No space left on device\n");
        assert_eq!(full, Some((DISK_FULL.into(), "No space left on device".into())));
    }

    #[test]
    fn texts_are_bounded_and_other_kinds_are_left_out() {
        let long = News::of(event("u", 1, &"ü".repeat(5000))).unwrap();
        assert_eq!(long.said.message.chars().count(), LONGEST);
        let mut replica_set = event("u", 1, "");
        replica_set.involved_object.kind = Some("ReplicaSet".into());
        assert_eq!(News::of(replica_set), None);
    }
}
