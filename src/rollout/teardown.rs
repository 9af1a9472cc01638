//! What may go now, of a stack that is deleted in order.
//!
//! A service goes when nothing is left of those that depend on it, pods included; what the spec no longer knows goes before them all. When the last pod
//! is gone, names, configs and claims follow, and then the walls: no pod was ever without them. Nothing is remembered, so whoever comes next goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::plan::Delete;
use super::prune::{is_ours, was_applied};
use crate::child::{Child, ChildId, Kind, labels};
use crate::stack::Stack;

/// How far a stack has gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Teardown {
    /// Every service of the stack, and those of which only remains are left, by name.
    pub services: BTreeMap<String, Leaving>,
    /// Volumes of which the pods that fill them are left.
    pub filling: BTreeSet<String>,
    /// What is awaited when no pod is left.
    pub beside: Vec<ChildId>,
    /// What is held there.
    pub held: Option<Held>,
    /// What may go now.
    pub deletes: Vec<Delete>,
}

impl Teardown {
    /// Whether nothing is left that the stack has to wait for.
    pub fn is_over(&self) -> bool {
        self.filling.is_empty() && self.beside.is_empty() && self.services.values().all(|s| s.stage == Stage::Gone)
    }
}

/// How far a service has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Where it stands.
    pub stage: Stage,
    /// Names of its pods that are left.
    pub pods: Vec<String>,
    /// How many of these are ready.
    pub ready: i32,
    /// Something of it that somebody else's finalizer keeps.
    pub held: Option<Held>,
}

/// Where a service stands that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It stays until these services are gone with their pods.
    Waits(Vec<String>),
    /// It is on its way.
    Going,
    /// Nothing of it is left.
    Gone,
}

/// An object that is on its way out, and who holds it. Finalizers are for those to take off who set them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub id: ChildId,
    /// By which finalizers.
    pub by: Vec<String>,
}

impl Held {
    fn of(id: &ChildId, child: &Child) -> Option<Held> {
        Some(Held { id: id.clone(), by: child.meta.finalizers.clone()? })
    }
}

/// What is left of a service, or of what fills a volume.
#[derive(Default)]
struct Remains<'a> {
    autoscalers: Vec<Object<'a>>,
    workloads: Vec<Object<'a>>,
    pods: Vec<Object<'a>>,
}

type Object<'a> = (&'a ChildId, &'a Arc<Child>);

impl Remains<'_> {
    /// An autoscaler alone does nothing.
    fn is_left(&self) -> bool {
        !self.workloads.is_empty() || !self.pods.is_empty()
    }

    fn held(&self) -> Option<Held> {
        self.pods.iter().chain(&self.workloads).find_map(|(id, child)| Held::of(id, child))
    }

    /// The autoscaler first, or it would set a count meanwhile; then what runs the pods, which go with it; and pods that nothing owns.
    fn deletes(&self) -> Vec<Delete> {
        let autoscalers = deletes(&self.autoscalers);
        if !autoscalers.is_empty() {
            return autoscalers;
        }
        let alone = self.pods.iter().filter(|(_, pod)| pod.owner().is_none()).copied();
        deletes(&self.workloads.iter().copied().chain(alone).collect::<Vec<_>>())
    }
}

fn deletes(objects: &[Object<'_>]) -> Vec<Delete> {
    let staying = objects.iter().filter(|(_, child)| !child.is_going());
    staying.map(|(id, child)| Delete { id: (*id).clone(), child: (*child).clone(), orphan: false }).collect()
}

/// What an object is of.
#[derive(Clone, Copy)]
enum Of<'a> {
    Service(&'a str),
    Volume(&'a str),
}

/// As its labels have it.
fn of(child: &Child) -> Option<Of<'_>> {
    let label = |key: &str| Some(child.label(key)).filter(|name| !name.is_empty());
    let service = || label(labels::SERVICE).or_else(|| label(labels::JOB)).map(Of::Service);
    label(labels::POPULATE).map(Of::Volume).or_else(service)
}

/// Whether a pod was made from a template of ours: others may carry our labels by mistake, and would never go.
fn is_of_template(id: &ChildId, pod: &Child) -> bool {
    id.kind == Kind::Pod && pod.annotation(labels::REVISION).is_some()
}

/// What runs a pod, as far as the pod's own owner tells: a ReplicaSet is called as its Deployment, with a hash at the end.
fn workload_of(pod: &Child) -> Option<ChildId> {
    let owner = pod.owner()?;
    let (kind, name) = match owner.kind.as_str() {
        "ReplicaSet" => (Kind::Deployment, owner.name.rsplit_once('-')?.0),
        "StatefulSet" => (Kind::StatefulSet, owner.name.as_str()),
        "DaemonSet" => (Kind::DaemonSet, owner.name.as_str()),
        "Job" => (Kind::Job, owner.name.as_str()),
        _ => return None,
    };
    Some(ChildId { kind, name: name.to_owned() })
}

/// Its controller owner decides; where it has none, labels, on what we wrote once.
fn is_mine(stack: &Stack, id: &ChildId, child: &Child) -> bool {
    child.owner().is_some_and(|owner| owner.uid == stack.uid)
        || (is_ours(stack, id, child) && was_applied(stack, child))
}

/// What runs pods of the stack and is not among its `children`: these are found by the stack's label, which somebody may have taken off a workload, and who goes by labels
/// alone would wait for its pods forever. Whose it is, its owner says; so it has to be looked at, and given to [`teardown`] with the others.
pub fn unseen(children: &BTreeMap<ChildId, Arc<Child>>) -> BTreeSet<ChildId> {
    let pods = children.iter().filter(|(id, pod)| is_of_template(id, pod));
    pods.filter_map(|(_, pod)| workload_of(pod)).filter(|id| !children.contains_key(id)).collect()
}

/// What may go now, and what it waits for. `children` are the live objects that carry the stack's label, pods among them, and what [`unseen`] names, as far as it is there.
/// Of others' nothing is touched, and their pods are not waited for.
pub fn teardown(stack: &Stack, children: &BTreeMap<ChildId, Arc<Child>>) -> Teardown {
    let (mut services, mut volumes): (BTreeMap<&str, Remains<'_>>, BTreeMap<&str, Remains<'_>>) = Default::default();
    let pods = children.iter().filter(|(id, pod)| is_of_template(id, pod));
    let by_pods: BTreeMap<ChildId, Of<'_>> = pods.filter_map(|(_, pod)| Some((workload_of(pod)?, of(pod)?))).collect();
    services.extend(stack.services.keys().map(|name| (name.as_str(), Remains::default())));
    let (mut beside, mut walls) = (Vec::new(), Vec::new());
    for (id, child) in children {
        let object = (id, child);
        let is_theirs = |id: &ChildId| children.get(id).is_some_and(|workload| !is_mine(stack, id, workload));
        let is_awaited = match id.kind {
            Kind::Pod => is_of_template(id, child) && !workload_of(child).as_ref().is_some_and(is_theirs),
            _ => is_mine(stack, id, child),
        };
        if !is_awaited {
            continue;
        }
        let (of, name) = match of(child).or_else(|| by_pods.get(id).copied()) {
            Some(Of::Volume(name)) => (&mut volumes, name),
            Some(Of::Service(name)) => (&mut services, name),
            None => (&mut services, ""),
        };
        match id.kind {
            Kind::Pod => of.entry(name).or_default().pods.push(object),
            kind if kind.starts_pods() => of.entry(name).or_default().workloads.push(object),
            Kind::NetworkPolicy => walls.push(object),
            // Retained ones have no owner. What a StatefulSet made goes with that, or stays.
            Kind::Claim if child.owner().is_none_or(|owner| owner.uid != stack.uid) => {}
            kind => {
                if kind == Kind::Autoscaler {
                    of.entry(name).or_default().autoscalers.push(object);
                }
                beside.push(object);
            }
        }
    }
    let mut down = Teardown {
        filling: volumes.iter().filter(|(_, remains)| remains.is_left()).map(|(name, _)| (*name).to_owned()).collect(),
        held: volumes.values().find_map(Remains::held),
        deletes: volumes.values().flat_map(Remains::deletes).collect(),
        ..Teardown::default()
    };
    for (name, remains) in &services {
        let stage = match first(stack, name, &services) {
            _ if !remains.is_left() => Stage::Gone,
            first if first.is_empty() => Stage::Going,
            first => Stage::Waits(first),
        };
        if stage == Stage::Going {
            down.deletes.extend(remains.deletes());
        }
        if stage != Stage::Gone || stack.services.contains_key(*name) {
            let ready = remains.pods.iter().filter(|(_, pod)| pod.facts.pod.ready && !pod.is_going()).count();
            let leaving = Leaving {
                stage,
                pods: remains.pods.iter().map(|(id, _)| id.name.clone()).collect(),
                ready: i32::try_from(ready).unwrap_or(i32::MAX),
                held: remains.held(),
            };
            down.services.insert((*name).to_owned(), leaving);
        }
    }
    if down.is_over() {
        let last = if beside.is_empty() { walls } else { beside };
        down.deletes = deletes(&last);
        down.held = last.iter().find_map(|(id, child)| Held::of(id, child));
        down.beside = last.into_iter().map(|(id, _)| id.clone()).collect();
    }
    down
}

/// Those that have to be gone before this service goes: who depends on it; and for all of the spec, what the spec no longer knows, since nobody can tell
/// what that depends on.
fn first(stack: &Stack, name: &str, services: &BTreeMap<&str, Remains<'_>>) -> Vec<String> {
    if !stack.services.contains_key(name) {
        return Vec::new();
    }
    let is_first = |other: &str| stack.services.get(other).is_none_or(|service| service.needs.contains_key(name));
    let left = services.iter().filter(|(other, remains)| **other != name && remains.is_left() && is_first(other));
    left.map(|(other, _)| (*other).to_owned()).collect()
}
