//! The API server: objects, what it refuses, and one history of events for each kind.
//!
//! As in life: versions count up across kinds; a create of what exists, a write to what has gone or was made anew, and a delete of what has moved are
//! refused; what nothing changes makes no event; and what cannot be changed in place (templates of Jobs, claims of StatefulSets, Services to or from
//! headless, sizes of claims that are not bound) is refused as the real one does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::nodes::has_ended;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, ReplicasOwner, labels};
use crate::rollout::Guard;

/// Where a workload stands, in a word that only the simulation knows: observers read it, the operator does not.
pub(super) const PHASE: &str = "simulated/phase";

/// An object as it is.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) child: Arc<Child>,
    /// As it was last applied: the whole of it. Of a pod: its template.
    pub(super) body: Arc<Value>,
    /// Somebody has taken our labels off: no watch shows it.
    pub(super) hidden: bool,
}

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NameTaken,
    Gone,
    Stale,
    Refused,
    Transient,
}

/// What a write of a workload says besides the object.
#[derive(Clone, Default)]
pub(super) struct Stated {
    pub(super) replicas: Option<i32>,
    pub(super) notes: Vec<(&'static str, String)>,
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) objects: BTreeMap<ChildId, Object>,
    /// What no watch has told yet.
    pub(super) news: BTreeMap<Kind, VecDeque<Event<Child>>>,
    version: u64,
    /// What has changed since this version is told as one change of each object.
    at_once: Option<u64>,
}

impl Server {
    pub(super) fn child(&self, id: &ChildId) -> Option<&Child> {
        self.objects.get(id).map(|object| object.child.as_ref())
    }

    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&ChildId, &Object)> {
        self.objects.iter().filter(move |(id, _)| id.kind == kind)
    }

    /// Pods that a workload made.
    pub(super) fn pods_of(&self, of: &ChildId) -> Vec<ChildId> {
        let Some(uid) = self.child(of).and_then(|child| child.meta.uid.clone()) else { return Vec::new() };
        let is_its = |object: &Object| object.child.owner().is_some_and(|owner| owner.uid == uid);
        self.of_kind(Kind::Pod).filter(|(_, pod)| is_its(pod)).map(|(id, _)| id.clone()).collect()
    }

    /// Something changes: the watch will tell.
    pub(super) fn put(&mut self, id: &ChildId, mut object: Object) {
        if self.objects.get(id).is_some_and(|old| old.hidden == object.hidden && old.child.same(&object.child)) {
            return;
        }
        self.version += 1;
        Arc::make_mut(&mut object.child).meta.resource_version = Some(self.version.to_string());
        let child = object.child.as_ref().clone();
        let was_hidden = self.objects.insert(id.clone(), object.clone()).is_none_or(|old| old.hidden);
        match (object.hidden, was_hidden) {
            (true, true) => {}
            (true, false) => self.tell(id.kind, Event::Delete(child)),
            (false, _) => self.tell(id.kind, Event::Apply(child)),
        }
    }

    fn tell(&mut self, kind: Kind, event: Event<Child>) {
        let news = self.news.entry(kind).or_default();
        if let (Event::Apply(now), Some(Event::Apply(last))) = (&event, news.back())
            && last.meta.uid == now.meta.uid
            && self.at_once.is_some_and(|since| last.version() > since)
        {
            news.pop_back();
        }
        news.push_back(event);
    }

    /// What is done to one object becomes one change of it.
    pub(super) fn at_once(&mut self, work: impl FnOnce(&mut Server)) {
        self.at_once = Some(self.version);
        work(self);
        self.at_once = None;
    }

    pub(super) fn alter(&mut self, id: &ChildId, change: impl FnOnce(&mut Child)) {
        if let Some(mut object) = self.objects.get(id).cloned() {
            change(Arc::make_mut(&mut object.child));
            self.put(id, object);
        }
    }

    pub(super) fn remove(&mut self, id: &ChildId) {
        if let Some(object) = self.objects.remove(id) {
            self.version += 1;
            let mut child = object.child.as_ref().clone();
            child.meta.resource_version = Some(self.version.to_string());
            if !object.hidden {
                self.tell(id.kind, Event::Delete(child));
            }
        }
    }

    /// Counts every change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Version of the oldest news of a kind.
    pub(super) fn first_news(&self, kind: Kind) -> Option<u64> {
        match self.news.get(&kind)?.front()? {
            Event::Apply(child) | Event::Delete(child) | Event::InitApply(child) => Some(child.version()),
            Event::Init | Event::InitDone => None,
        }
    }

    pub(super) fn next_uid(&mut self) -> String {
        self.version += 1;
        format!("uid-{}", self.version)
    }

    /// A list of one kind.
    pub(super) fn list(&mut self, kind: Kind) -> Vec<Child> {
        self.news.remove(&kind);
        self.of_kind(kind)
            .filter(|(_, object)| !object.hidden)
            .map(|(_, object)| object.child.as_ref().clone())
            .collect()
    }

    /// Deletes exactly this object at exactly this version; pods go with their workload, or stay behind without an owner.
    pub(super) fn delete(&mut self, id: &ChildId, seen: &Child, orphan: bool) -> Result<(), Failure> {
        let Some(live) = self.child(id) else { return Ok(()) };
        if live.meta.uid != seen.meta.uid || live.meta.resource_version != seen.meta.resource_version {
            return Err(Failure::Stale);
        }
        let holds_data = id.kind == Kind::Claim && live.facts.phase == "Bound";
        assert!(!holds_data || live.owner().is_some(), "law: {id} holds data, and goes");
        self.delete_anyway(id, orphan);
        Ok(())
    }

    pub(super) fn delete_anyway(&mut self, id: &ChildId, orphan: bool) {
        if id.kind == Kind::Pod {
            return self.alter(id, going);
        }
        let pods = self.pods_of(id);
        if orphan {
            for pod in &pods {
                self.alter(pod, |child| child.meta.owner_references = None);
            }
        }
        self.remove(id);
        for pod in pods.iter().filter(|_| !orphan) {
            self.alter(pod, going);
        }
    }

    /// Server-side apply of a whole object. `parsed`: the body as the operator would read it back.
    pub(super) fn apply(
        &mut self,
        id: &ChildId,
        body: &Arc<Value>,
        parsed: &Child,
        guard: &Guard,
        stated: &Stated,
    ) -> Result<Child, Failure> {
        let live = self.objects.get(id).cloned();
        match (guard, &live) {
            (Guard::Absent, None) => {}
            (Guard::Absent, Some(_)) => return Err(Failure::NameTaken),
            (Guard::Uid(uid), Some(live)) if live.child.meta.uid.as_ref() == Some(uid) => {}
            (Guard::Version(uid, version), Some(live))
                if live.child.meta.uid.as_ref() == Some(uid)
                    && live.child.meta.resource_version.as_ref() == Some(version) => {}
            _ => return Err(Failure::Stale),
        }
        let was = live.as_ref().map(|live| live.child.as_ref());
        if was.is_some_and(|was| is_immutable(id.kind, was, parsed)) {
            return Err(Failure::Refused);
        }
        let mut child = parsed.clone();
        child.meta.uid = Some(was.and_then(|was| was.meta.uid.clone()).unwrap_or_else(|| self.next_uid()));
        child.meta.resource_version = was.and_then(|was| was.meta.resource_version.clone());
        let notes = child.meta.annotations.get_or_insert_default();
        notes.extend(stated.notes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        if id.kind.starts_pods() {
            take_over(id.kind, &mut child, was, stated.replicas);
        } else if id.kind == Kind::Record {
            child.facts.moved = Timestamp::from_second(i64::try_from(self.version).unwrap()).ok();
        } else if id.kind == Kind::Claim {
            child.facts.phase = was.map_or("Pending", |claim| claim.facts.phase.as_str()).to_owned();
        }
        self.put(id, Object { child: Arc::new(child), body: body.clone(), hidden: false });
        Ok(self.objects[id].child.as_ref().clone())
    }

    /// Only the count, by another manager than the main apply's.
    pub(super) fn scale(&mut self, id: &ChildId, count: i32, owner: ReplicasOwner) -> Result<(), Failure> {
        if !self.objects.contains_key(id) {
            return Err(Failure::Gone);
        }
        self.alter(id, |child| {
            if child.facts.spec_replicas != Some(count) {
                child.meta.generation = child.meta.generation.map(|g| g + 1);
                set_phase(child, "new");
            }
            (child.facts.spec_replicas, child.facts.replicas_owner) = (Some(count), owner);
        });
        Ok(())
    }
}

pub(super) fn going(child: &mut Child) {
    child.meta.deletion_timestamp.get_or_insert(Time(Timestamp::UNIX_EPOCH));
}

pub(super) fn set_phase(child: &mut Child, phase: &str) {
    child.meta.annotations.get_or_insert_default().insert(PHASE.into(), phase.into());
}

/// What a live workload keeps when it is written again: its status, its count, and who set that.
fn take_over(kind: Kind, child: &mut Child, was: Option<&Child>, stated: Option<i32>) {
    let facts = was.map(|was| was.facts.clone()).unwrap_or_default();
    let read = std::mem::replace(&mut child.facts, facts);
    let facts = &mut child.facts;
    let mut changed = was.is_none_or(|was| was.digest != child.digest) || facts.suspended != read.suspended;
    facts.moved = None;
    facts.config_maps = read.config_maps;
    facts.claims = read.claims;
    facts.suspended = read.suspended;
    facts.claim_templates = read.claim_templates;
    facts.template = read.template;
    if kind.has_replicas() {
        // A count that we stated once and leave out now falls back to one.
        let kept = facts.spec_replicas.filter(|_| facts.replicas_owner != ReplicasOwner::Ours);
        let count = stated.or(kept).or(Some(1));
        changed |= count != facts.spec_replicas;
        facts.spec_replicas = count;
        facts.replicas_owner = match (stated, facts.replicas_owner) {
            (Some(_), _) => ReplicasOwner::Ours,
            (None, ReplicasOwner::Ours) => ReplicasOwner::Other,
            (None, other) => other,
        };
    } else if kind == Kind::Job {
        facts.spec_replicas = read.spec_replicas;
    }
    let generation = was.and_then(|was| was.meta.generation);
    child.meta.generation = Some(generation.map_or(1, |generation| generation + i64::from(changed)));
    // What replaces no pod leaves the rollout where it is.
    let goes_on = |was: &&Child| {
        let (was, is) = (&was.facts, &child.facts);
        was.template == is.template && was.spec_replicas == is.spec_replicas && was.suspended == is.suspended
    };
    let phase = was
        .filter(|was| goes_on(was) || has_ended(was))
        .and_then(|was| was.annotation(PHASE))
        .unwrap_or("new")
        .to_owned();
    set_phase(child, &phase);
}

fn is_immutable(kind: Kind, was: &Child, wanted: &Child) -> bool {
    match kind {
        Kind::Job => was.facts.template != wanted.facts.template,
        Kind::StatefulSet => was.facts.claim_templates != wanted.facts.claim_templates,
        Kind::Service => was.facts.headless != wanted.facts.headless,
        Kind::Claim => was.facts.phase != "Bound" && was.facts.storage != wanted.facts.storage,
        _ => false,
    }
}

/// A rendered object as the operator would read it back.
pub(super) fn parsed(kind: Kind, body: &Value, digest: Digest) -> Child {
    let mut child: Child = serde_json::from_value(body.clone()).unwrap();
    child.digest = Some(digest);
    if kind.starts_pods() {
        child.facts.template = Some(Digest::of(&body["spec"]["template"]));
        let notes = child.meta.annotations.get_or_insert_default();
        notes.insert(labels::SENT.into(), digest.to_string());
    }
    child
}
