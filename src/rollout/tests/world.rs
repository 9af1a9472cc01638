//! A cluster in a map: takes writes as the API server would, and moves Deployments along on request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{AppStack, PodSecurity};
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Condition, Kind, ReplicasOwner, labels};
use crate::render::{Children, Part, Settings, render};
use crate::rollout::{Body, Gone, Guard, Plan, Refusal, Seen, Write, plan};
use crate::stack::{Stack, check};

pub(super) const UID: &str = "uid-1";

pub(super) struct World {
    pub(super) stack: Stack,
    pub(super) wanted: Children,
    pub(super) children: BTreeMap<ChildId, Arc<Child>>,
    pub(super) refused: BTreeMap<ChildId, Refusal>,
    pub(super) missing: BTreeSet<Kind>,
    pub(super) unready: BTreeMap<String, String>,
    pub(super) ungated: BTreeSet<String>,
    pub(super) now: Timestamp,
    /// Of what starts pods, as last written.
    pub(super) templates: BTreeMap<ChildId, Value>,
    /// Of StatefulSets.
    pub(super) claim_templates: BTreeMap<ChildId, Value>,
    /// Templates that are kept.
    pub(super) records: BTreeMap<ChildId, Value>,
    version: u64,
}

/// The services of a stack, as JSON, checked and rendered.
pub(super) fn model(services: &Value, rest: &Value, settings: &Settings) -> (Stack, Children) {
    let mut spec = rest.clone();
    spec["services"] = services.clone();
    let written: AppStack = serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
        "metadata": {"name": "s", "namespace": "n", "uid": UID}, "spec": spec}))
    .unwrap();
    let stack = check(&written, PodSecurity::Baseline).unwrap();
    let wanted = render(&stack, settings);
    (stack, wanted)
}

impl World {
    pub(super) fn new(services: &Value) -> Self {
        Self::with(services, &json!({}))
    }

    pub(super) fn with(services: &Value, rest: &Value) -> Self {
        let (stack, wanted) = model(services, rest, &Settings::default());
        World {
            stack,
            wanted,
            children: BTreeMap::new(),
            refused: BTreeMap::new(),
            missing: BTreeSet::new(),
            unready: BTreeMap::new(),
            ungated: BTreeSet::new(),
            now: Timestamp::UNIX_EPOCH,
            templates: BTreeMap::new(),
            claim_templates: BTreeMap::new(),
            records: BTreeMap::new(),
            version: 0,
        }
    }

    /// The user writes other services.
    pub(super) fn edit(&mut self, services: &Value) {
        self.edit_with(services, &json!({}));
    }

    pub(super) fn edit_with(&mut self, services: &Value, rest: &Value) {
        (self.stack, self.wanted) = model(services, rest, &Settings::default());
    }

    pub(super) fn plan(&self) -> Plan {
        let settled = BTreeMap::new();
        plan(
            &self.stack,
            &self.wanted,
            &Seen {
                children: &self.children,
                refused: &self.refused,
                settled: &settled,
                missing: &self.missing,
                unready: &self.unready,
                ungated: &self.ungated,
                now: self.now,
            },
        )
    }

    /// Plans and writes until there is nothing to write, as a pass does; deletes follow. Returns what was written.
    pub(super) fn pass(&mut self) -> Vec<ChildId> {
        let mut written = Vec::new();
        for _ in 0..6 {
            let plan = self.plan();
            if plan.writes.is_empty() {
                break;
            }
            for write in &plan.writes {
                self.take(write);
                written.push(write.id.clone());
            }
        }
        for delete in &self.plan().deletes {
            self.delete(&delete.id, delete.orphan);
        }
        written
    }

    /// An object goes, and its pods with it, or they stay behind without an owner.
    pub(super) fn delete(&mut self, id: &ChildId, orphan: bool) {
        let Some(uid) = self.children.remove(id).and_then(|child| child.meta.uid.clone()) else { return };
        self.children.retain(|id, child| {
            if id.kind != Kind::Pod || child.owner().is_none_or(|owner| owner.uid != uid) {
                return true;
            }
            if orphan {
                Arc::make_mut(child).meta.owner_references = None;
            }
            orphan
        });
    }

    /// The API server takes a write.
    pub(super) fn take(&mut self, write: &Write) {
        if write.instead_of.is_some() {
            self.children.remove(&write.id);
        }
        self.version += 1;
        let version = self.version.to_string();
        let live = self.children.get(&write.id).cloned();
        let (guard, replicas, keep, good, filled) = match &write.body {
            Body::Object { guard, replicas, keep, good, filled } => (guard, replicas, keep, good, filled),
            Body::Restore { from, good, failed, replicas, .. } => {
                self.restore(&write.id, from, good, failed.as_ref());
                if replicas.is_some() {
                    Arc::make_mut(self.children.get_mut(&write.id).expect("it is there")).facts.spec_replicas =
                        *replicas;
                }
                return;
            }
            Body::Scale { count } => {
                let child = Arc::make_mut(self.children.get_mut(&write.id).expect("only what is there is scaled"));
                child.facts.spec_replicas = Some(*count);
                child.facts.replicas_owner = ReplicasOwner::Other;
                child.meta.generation = child.meta.generation.map(|g| g + 1);
                return;
            }
            Body::Grow { size, .. } => {
                let child = Arc::make_mut(self.children.get_mut(&write.id).expect("only what is there grows"));
                child.facts.storage.clone_from(size);
                return;
            }
        };
        assert_eq!(*guard == Guard::Absent, live.is_none(), "guard of {}", write.id);
        let wanted = &self.wanted[&write.id];
        let mut object = wanted.object.clone();
        object["metadata"]["uid"] = json!(
            live.as_ref()
                .map_or_else(|| format!("uid-of-{}-{version}", write.id.name), |c| c.meta.uid.clone().unwrap())
        );
        object["metadata"]["resourceVersion"] = json!(version);
        let mut child: Child = serde_json::from_value(object).unwrap();
        child.digest = Some(wanted.digest);
        child.meta.generation = Some(
            live.as_ref()
                .and_then(|c| c.meta.generation)
                .map_or(1, |g| g + i64::from(live.as_ref().unwrap().digest != child.digest || replicas.is_some())),
        );
        if let Some(filled) = filled {
            child.meta.annotations.get_or_insert_default().insert(labels::FILLED.into(), filled.clone());
        }
        if write.id.kind.starts_pods() {
            let notes = child.meta.annotations.get_or_insert_default();
            notes.insert(labels::SENT.into(), wanted.digest.to_string());
            notes.extend(keep.clone().map(|count| (labels::KEPT_REPLICAS.to_owned(), count)));
            notes.extend(good.clone().map(|good| (labels::LAST_GOOD.to_owned(), good)));
            let was = live.as_ref().map(|c| c.facts.clone()).unwrap_or_default();
            let spec = &wanted.object["spec"];
            let read = std::mem::replace(&mut child.facts, was);
            child.facts.moved = None;
            child.facts.config_maps = read.config_maps;
            child.facts.claims = read.claims;
            child.facts.suspended = read.suspended;
            child.facts.claim_templates = read.claim_templates;
            child.facts.template = Some(Digest::of(&spec["template"]));
            self.templates.insert(write.id.clone(), spec["template"].clone());
            self.claim_templates.insert(write.id.clone(), spec["volumeClaimTemplates"].clone());
            if write.id.kind.has_replicas() {
                // A count that we stated once and leave out now falls back to one.
                let kept = child.facts.spec_replicas.filter(|_| child.facts.replicas_owner != ReplicasOwner::Ours);
                child.facts.spec_replicas = replicas.or(kept).or(Some(1));
                child.facts.replicas_owner = match (replicas, child.facts.replicas_owner) {
                    (Some(_), _) => ReplicasOwner::Ours,
                    (None, ReplicasOwner::Ours) => ReplicasOwner::Other,
                    (None, other) => other,
                };
            } else if write.id.kind == Kind::Job {
                child.facts.spec_replicas = read.spec_replicas;
            }
        } else if write.id.kind == Kind::Record {
            self.records.insert(write.id.clone(), wanted.object["data"]["template"].clone());
            child.facts.moved = Timestamp::from_second(i64::try_from(self.version).unwrap()).ok();
        } else if write.id.kind == Kind::Claim {
            child.facts.phase = live.as_ref().map_or("Pending", |claim| claim.facts.phase.as_str()).to_owned();
        }
        self.children.insert(write.id.clone(), Arc::new(child));
    }

    fn restore(&mut self, id: &ChildId, from: &ChildId, good: &str, failed: Option<&Gone>) {
        let template = self.records[from].clone();
        let object = json!({"metadata": {}, "spec": {"template": template}});
        let read: Child = serde_json::from_value(object).unwrap();
        let child = Arc::make_mut(self.children.get_mut(id).expect("only what is there goes back"));
        let notes = child.meta.annotations.get_or_insert_default();
        notes.remove(labels::FAILED_REVISION);
        notes.remove(labels::FAILED_BECAUSE);
        if let Some(failed) = failed {
            notes.insert(labels::FAILED_REVISION.into(), failed.revision.clone());
            notes.extend(failed.because.clone().map(|because| (labels::FAILED_BECAUSE.to_owned(), because)));
        }
        for key in [labels::REVISION, labels::LAST_GOOD] {
            notes.insert(key.into(), good.into());
        }
        child.digest = Some(Digest::of(&template));
        child.facts.moved = None;
        child.facts.config_maps = read.facts.config_maps;
        child.facts.claims = read.facts.claims;
        child.meta.generation = child.meta.generation.map(|g| g + 1);
        self.templates.insert(id.clone(), template);
    }

    pub(super) fn workload(&self, service: &str) -> Option<&Child> {
        self.children.get(&self.id(service)).map(AsRef::as_ref)
    }

    /// What runs, or would run, a service's pods.
    pub(super) fn id(&self, service: &str) -> ChildId {
        let part = Part::Service(service.to_owned());
        let wanted = self.wanted.iter().find(|(id, wanted)| id.kind.starts_pods() && wanted.part == part);
        wanted.map_or_else(|| id(service), |(id, _)| id.clone())
    }

    /// The workload of a service changes as `change` says, at a new version.
    pub(super) fn change(&mut self, service: &str, change: impl FnOnce(&mut Child)) {
        self.version += 1;
        let version = self.version.to_string();
        let id = self.id(service);
        let child = Arc::make_mut(self.children.get_mut(&id).expect("the workload is there"));
        child.meta.resource_version = Some(version);
        change(child);
    }

    /// The rollout of a service comes to its end.
    pub(super) fn complete(&mut self, service: &str) {
        self.change(service, |_| {});
        self.bring_home(&self.id(service));
    }

    /// It has seen the new template and made a pod of it that is not ready; pods of the old one still serve.
    pub(super) fn begin(&mut self, service: &str) {
        self.change(service, |child| {
            child.facts.observed_generation = child.meta.generation.unwrap_or(0);
            child.facts.updated_replicas = 1;
            child.facts.replicas = child.facts.available_replicas + 1;
            child.facts.conditions = vec![progressing("True", "ReplicaSetUpdated")];
        });
    }

    /// Everything that was written becomes ready, until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            let written = self.pass();
            for id in self.starters() {
                self.bring_home(&id);
            }
            let plan = self.plan();
            if written.is_empty() && plan.writes.is_empty() && plan.deletes.is_empty() {
                return;
            }
        }
        panic!("does not come to rest: {:#?}", self.plan());
    }

    /// A pod of a service at its wanted revision, whose container has run.
    pub(super) fn started_pod(&mut self, service: &str) {
        let revision = self.stack.services[service].revision.clone();
        let pod = json!({"metadata": {"name": format!("{service}-pod"), "labels": {labels::STACK: "s", labels::SERVICE: service}, "annotations": {labels::REVISION: revision}},
            "spec": {"containers": []}, "status": {"containerStatuses": [{"restartCount": 3}]}});
        self.children.insert(
            ChildId { kind: Kind::Pod, name: format!("{service}-pod") },
            Arc::new(serde_json::from_value(pod).unwrap()),
        );
    }
}

pub(super) fn id(service: &str) -> ChildId {
    ChildId { kind: Kind::Deployment, name: format!("s-{service}") }
}

pub(super) fn progressing(status: &str, reason: &str) -> Condition {
    Condition { r#type: "Progressing".into(), status: status.into(), reason: reason.into(), message: String::new() }
}

pub(super) fn condition(r#type: &str, status: &str) -> Condition {
    Condition { r#type: r#type.into(), status: status.into(), ..Condition::default() }
}

/// A digest that is nobody's.
pub(super) fn other_digest() -> Digest {
    Digest::of(&json!("edited by hand"))
}
