//! The operator between its store and the server: what `controller::reconcile` and `controller::apply` do, one request after the other.
//!
//! The store is the real one, and so is the plan. A pass may die after any request; an answer may be lost; the server may be busy; somebody else may write
//! first; watches may tell some news in mid-pass. What failed is not tried again before it is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::observer;
use super::requests::{Dead, Pass};
use super::server::{Failure, Server, Stated, going, parsed};
use crate::api::{AppStack, PodSecurity};
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, ReplicasOwner, labels};
use crate::controller::reconcile::ripe;
use crate::controller::store::{StackKey, Store};
use crate::render::{Children, Settings, Wanted, render};
use crate::rollout::{Body, Delete, Guard, Plan, Refusal, RefusalKind, Seen, Write, plan, teardown};
use crate::stack::{Stack, check};

/// A stack as the operator reads it.
pub(super) struct Model {
    pub(super) stack: Stack,
    pub(super) wanted: Children,
    pub(super) suspended: bool,
    bodies: BTreeMap<ChildId, (Arc<Value>, Child)>,
}

impl Model {
    pub(super) fn of(spec: &Value) -> Arc<Model> {
        let suspended = spec["suspend"] == true;
        let written: AppStack =
            serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "s", "namespace": "n", "uid": "uid-of-s"}, "spec": spec}))
            .unwrap();
        let stack = check(&written, PodSecurity::Privileged).unwrap();
        let wanted = render(&stack, &Settings::default());
        let body = |(id, wanted): (&ChildId, &Wanted)| {
            (id.clone(), (Arc::new(wanted.object.clone()), parsed(id.kind, &wanted.object, wanted.digest)))
        };
        let bodies = wanted.iter().map(body).collect();
        Arc::new(Model { stack, wanted, suspended, bodies })
    }
}

pub(super) struct Operator {
    store: Store,
    pub(super) model: Arc<Model>,
    refusals: BTreeMap<ChildId, Refusal>,
    retries: BTreeSet<ChildId>,
    pub(super) unready: BTreeMap<String, String>,
    listed: BTreeSet<Kind>,
    /// Kinds of writes whose answers were lost.
    unsure: BTreeSet<Kind>,
}

fn key() -> StackKey {
    StackKey { namespace: "n".into(), name: "s".into() }
}

impl Operator {
    pub(super) fn new(model: Arc<Model>) -> Self {
        Operator {
            store: Store::default(),
            model,
            refusals: BTreeMap::new(),
            retries: BTreeSet::new(),
            unready: BTreeMap::new(),
            listed: BTreeSet::new(),
            unsure: BTreeSet::new(),
        }
    }

    /// The user's edit arrives. By then watches have told what became of writes whose answers were lost.
    pub(super) fn read(&mut self, server: &mut Server, model: Arc<Model>) {
        for kind in std::mem::take(&mut self.unsure) {
            self.hear(server, kind, usize::MAX);
        }
        self.retries.clear();
        self.refusals.retain(|id, _| model.wanted.contains_key(id) || id.kind == Kind::Claim);
        self.model = model;
    }

    /// A watch begins anew.
    pub(super) fn list(&mut self, server: &mut Server, kind: Kind) {
        self.store.child_event(kind, Event::Init);
        for child in server.list(kind) {
            self.store.child_event(kind, Event::InitApply(child));
        }
        self.store.child_event(kind, Event::InitDone);
        self.listed.insert(kind);
    }

    /// A watch tells so many of its news, or all.
    pub(super) fn hear(&mut self, server: &mut Server, kind: Kind, most: usize) {
        if !self.listed.contains(&kind) {
            return self.list(server, kind);
        }
        for _ in 0..most {
            let Some(event) = server.news.get_mut(&kind).and_then(std::collections::VecDeque::pop_front) else {
                return;
            };
            self.store.child_event(kind, event);
        }
    }

    pub(super) fn hear_all(&mut self, server: &mut Server) {
        for kind in Kind::ALL {
            self.hear(server, kind, usize::MAX);
        }
    }

    pub(super) fn children(&self) -> Arc<BTreeMap<ChildId, Arc<Child>>> {
        self.store.children(&key())
    }

    pub(super) fn plan(&self, children: &BTreeMap<ChildId, Arc<Child>>) -> Plan {
        plan(
            &self.model.stack,
            &self.model.wanted,
            &Seen {
                children,
                refused: &self.refusals,
                settled: &BTreeMap::new(),
                missing: &BTreeSet::new(),
                unready: &self.unready,
                ungated: &BTreeSet::new(),
                now: Timestamp::UNIX_EPOCH,
            },
        )
    }

    /// What the server refuses.
    pub(super) fn refused(&self) -> impl Iterator<Item = &ChildId> {
        self.refusals.keys()
    }

    /// What failed is due again.
    pub(super) fn wait(&mut self) {
        self.retries.clear();
        self.refusals.clear();
    }

    /// One pass. `tells`: what watches tell between its rounds, one bit for each kind. False if the operator has died.
    pub(super) fn pass(&mut self, pass: &mut Pass<'_>, tells: u16) -> bool {
        for kind in Kind::ALL {
            if !self.listed.contains(&kind) {
                self.list(pass.server, kind);
            }
        }
        pass.counts.passes += 1;
        if self.model.suspended {
            return true;
        }
        if pass.server.news.values().any(|news| !news.is_empty()) {
            pass.counts.stale += 1;
        }
        self.roll_out(pass, tells).is_ok()
    }

    /// One pass of a stack that goes in order. None if the operator has died; else whether nothing is left to wait for.
    pub(super) fn take_down(&mut self, pass: &mut Pass<'_>) -> Option<bool> {
        for kind in Kind::ALL {
            if !self.listed.contains(&kind) {
                self.list(pass.server, kind);
            }
        }
        for _ in 0..5 {
            let children = self.children();
            let down = teardown(&self.model.stack, &children);
            if down.is_over() && down.deletes.is_empty() {
                return Some(down.beside.is_empty());
            }
            let due: Vec<Delete> =
                down.deletes.into_iter().filter(|delete| !self.retries.contains(&delete.id)).collect();
            for delete in due {
                observer::may_leave(&self.model, &children, &delete);
                self.delete(pass, &delete).ok()?;
            }
        }
        Some(false)
    }

    fn delete(&mut self, pass: &mut Pass<'_>, delete: &Delete) -> Result<(), Dead> {
        let id = &delete.id;
        match pass.request(id, |server| server.delete(id, &delete.child, delete.orphan))? {
            Ok(()) => {
                if id.kind == Kind::Service {
                    self.has_room();
                }
                self.store.amend(id.kind, "n", &id.name, going);
            }
            Err(Failure::Gone) => {}
            Err(_) => drop(self.retries.insert(id.clone())),
        }
        Ok(())
    }

    fn roll_out(&mut self, pass: &mut Pass<'_>, tells: u16) -> Result<(), Dead> {
        let model = self.model.clone();
        for round in 0..=6 {
            let children = self.children();
            let plan = self.plan(&children);
            pass.counts.plans += 1;
            observer::respects_order(&model, &children, &plan, &self.unready);
            let due = self.due(&plan);
            if due.is_empty() || round == 6 {
                let deletes: Vec<_> = ripe(&plan, &model.stack, &model.wanted)
                    .filter(|delete| !self.retries.contains(&delete.id))
                    .cloned()
                    .collect();
                for delete in deletes {
                    observer::may_go(&model, &children, &delete);
                    self.delete(pass, &delete)?;
                }
                return Ok(());
            }
            self.apply(pass, &model, &due)?;
            for (bit, kind) in Kind::ALL.into_iter().enumerate() {
                if tells >> bit & 1 == 1 {
                    self.hear(pass.server, kind, 1 + round);
                }
            }
        }
        Ok(())
    }

    /// What of a plan may be written now: not what is to be tried later, nor what comes after it.
    fn due(&mut self, plan: &Plan) -> Vec<Write> {
        let ids: BTreeSet<&ChildId> =
            plan.writes.iter().map(|write| &write.id).chain(plan.deletes.iter().map(|delete| &delete.id)).collect();
        self.retries.retain(|id| ids.contains(id));
        let (mut due, mut held): (Vec<Write>, Vec<&ChildId>) = (Vec::new(), Vec::new());
        for write in &plan.writes {
            if self.retries.contains(&write.id) || write.after.iter().any(|id| held.contains(&id)) {
                held.push(&write.id);
            } else {
                due.push(write.clone());
            }
        }
        due
    }

    fn apply(&mut self, pass: &mut Pass<'_>, model: &Model, due: &[Write]) -> Result<(), Dead> {
        let mut waves: BTreeMap<_, Vec<&Write>> = BTreeMap::new();
        for write in due {
            let after_its_kind = write.after.iter().any(|id| id.kind == write.id.kind);
            waves.entry((write.id.kind, after_its_kind)).or_default().push(write);
        }
        let mut failed: BTreeSet<&ChildId> = BTreeSet::new();
        let mut services_changed = false;
        for write in waves.into_values().flatten() {
            if write.after.iter().any(|id| failed.contains(id)) {
                failed.insert(&write.id);
                continue;
            }
            match self.send(pass, model, write)? {
                Ok(()) => {
                    self.refusals.remove(&write.id);
                    self.retries.remove(&write.id);
                    services_changed |= write.id.kind == Kind::Service;
                }
                Err(failure) => {
                    failed.insert(&write.id);
                    self.unsure.insert(write.id.kind);
                    let kind = match failure {
                        Failure::NameTaken => Some(RefusalKind::NameConflict),
                        Failure::Refused => Some(RefusalKind::Refused),
                        Failure::Gone | Failure::Stale | Failure::Transient => None,
                    };
                    match (kind, model.wanted.get(&write.id)) {
                        (Some(kind), Some(wanted)) => {
                            let refusal = Refusal { kind, message: String::new(), wanted: wanted.digest };
                            self.refusals.insert(write.id.clone(), refusal);
                        }
                        _ => drop(self.retries.insert(write.id.clone())),
                    }
                }
            }
        }
        if services_changed {
            self.has_room();
        }
        Ok(())
    }

    fn has_room(&mut self) {
        self.refusals.retain(|id, refusal| id.kind != Kind::Service || refusal.kind != RefusalKind::Refused);
    }

    fn send(&mut self, pass: &mut Pass<'_>, model: &Model, write: &Write) -> Result<Result<(), Failure>, Dead> {
        let id = &write.id;
        if let Some(old) = &write.instead_of
            && let Err(failure) = pass.request(id, |server| server.delete(id, old, false))?
        {
            return Ok(Err(failure));
        }
        let stated = |replicas: Option<i32>, notes: [(&'static str, Option<&String>); 3]| Stated {
            replicas,
            notes: notes.into_iter().filter_map(|(key, note)| Some((key, note?.clone()))).collect(),
        };
        let answer = match &write.body {
            Body::Grow { uid, size } => pass.request(id, |server| match server.child(id) {
                Some(live) if live.meta.uid.as_ref() == Some(uid) => {
                    server.alter(id, |claim| claim.facts.storage.clone_from(size));
                    Ok(server.child(id).cloned())
                }
                _ => Err(Failure::Stale),
            })?,
            Body::Scale { count } => {
                let answer = pass.request(id, |server| server.scale(id, *count, ReplicasOwner::Other))?;
                if answer.is_ok() {
                    self.store.amend(id.kind, "n", &id.name, |child| child.facts.spec_replicas = Some(*count));
                }
                answer.map(|()| None)
            }
            Body::Object { guard, replicas, keep, good, filled } => {
                let (body, child) = &model.bodies[id];
                let notes = [
                    (labels::KEPT_REPLICAS, keep.as_ref()),
                    (labels::LAST_GOOD, good.as_ref()),
                    (labels::FILLED, filled.as_ref()),
                ];
                let said = stated(*replicas, notes);
                let answer = pass.start(model, id, false, |server| server.apply(id, body, child, guard, &said))?;
                match answer {
                    Err(Failure::NameTaken) => Self::take_back(pass, model, id, (body, child), said, false)?,
                    other => other.map(Some),
                }
            }
            Body::Restore { guard, replicas, keep, from, good, failed } => {
                let Some(record) = pass.server.objects.get(from) else { return Ok(Err(Failure::Stale)) };
                let mut body = model.wanted[id].object.clone();
                body["spec"]["template"] = record.body["data"]["template"].clone();
                body["metadata"]["annotations"][labels::REVISION] = json!(good);
                let child = parsed(id.kind, &body, Digest::wanted(&body));
                let body = Arc::new(body);
                let notes =
                    [(labels::KEPT_REPLICAS, keep.as_ref()), (labels::LAST_GOOD, Some(good)), (labels::FILLED, None)];
                let mut said = stated(*replicas, notes);
                if let Some(failed) = failed {
                    said.notes.push((labels::FAILED_REVISION, failed.revision.clone()));
                    said.notes.extend(failed.because.clone().map(|because| (labels::FAILED_BECAUSE, because)));
                }
                match pass.start(model, id, true, |server| server.apply(id, &body, &child, guard, &said))? {
                    Err(Failure::NameTaken) => Self::take_back(pass, model, id, (&body, &child), said, true)?,
                    other => other.map(Some),
                }
            }
        };
        Ok(answer.map(|child| {
            if let Some(child) = child {
                self.store.wrote(id.kind, child);
            }
        }))
    }

    /// The name is taken: one look tells whether by an object of ours whose labels somebody took off.
    fn take_back(
        pass: &mut Pass<'_>,
        model: &Model,
        id: &ChildId,
        (body, child): (&Arc<Value>, &Child),
        mut said: Stated,
        goes_back: bool,
    ) -> Result<Result<Option<Child>, Failure>, Dead> {
        let Some(live) = pass.server.child(id).cloned() else { return Ok(Err(Failure::Stale)) };
        let wanted = &model.wanted[id];
        let labels: Vec<(&str, &str)> = wanted.labels().collect();
        if !live.is_of(&model.stack.name, &model.stack.uid, &labels) {
            return Ok(Err(Failure::NameTaken));
        }
        let uid = live.meta.uid.clone().unwrap_or_default();
        let mut guard = Guard::Uid(uid.clone());
        for key in [labels::KEPT_REPLICAS, labels::LAST_GOOD, labels::FILLED] {
            if let Some(note) = live.annotation(key) {
                said.notes.retain(|(there, _)| *there != key);
                said.notes.push((key, note.to_owned()));
            }
        }
        if id.kind.starts_pods() && said.replicas.take().is_some() && live.facts.replicas_owner == ReplicasOwner::Ours {
            said.replicas = live.facts.spec_replicas;
            guard = Guard::Version(uid, live.meta.resource_version.clone().unwrap_or_default());
        }
        Ok(pass.start(model, id, goes_back, |server| server.apply(id, body, child, &guard, &said))?.map(Some))
    }
}
