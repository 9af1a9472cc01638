//! What is true when nothing more goes wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Cluster, Move};
use super::nodes::{self, Work, has_ended, service, starters};
use super::requests::{Fault, Pass};
use super::server::Object;
use super::story::aside;
use crate::api::OnFailure;
use crate::child::{ChildId, Kind, labels};
use crate::render::Part;
use crate::stack::{Scale, Workload};

/// Rounds within which everything comes to rest: in each, the operator makes one pass on an up-to-date view, and Kubernetes does what it can.
const ROUNDS: usize = 60;

/// Everything becomes ready. What was rolled back is tried again by a person, and Jobs that have failed are run again by a person.
pub(super) fn come_to_rest(cluster: &mut Cluster) {
    cluster.operator.unready.clear();
    if cluster.draft.is_suspended() {
        let resumed = cluster.draft.resumed();
        cluster.edit(resumed);
    }
    for _ in 0..ROUNDS {
        let version = cluster.server.version();
        cluster.people_help();
        cluster.tell_all();
        cluster.operator.wait();
        let requests = cluster.pass(Fault::None, u16::MAX);
        nodes::reap(&mut cluster.server);
        for id in starters(&cluster.server) {
            nodes::work(&mut cluster.server, &id, Work::Complete);
        }
        cluster.witness.notes(&cluster.server);
        if requests == 0 && version == cluster.server.version() {
            return;
        }
    }
    let children = cluster.operator.children();
    panic!("law: does not come to rest: {:#?}", cluster.operator.plan(&children));
}

/// At rest no request is made, by this operator or by the next one.
pub(super) fn stays_at_rest(cluster: &mut Cluster) {
    assert_eq!(cluster.pass(Fault::None, 0), 0, "law: at rest, and makes requests");
    cluster.restart();
    assert_eq!(cluster.pass(Fault::None, 0), 0, "law: at rest, and the next operator makes requests");
}

/// Everything is there as it is wanted, and nothing else.
pub(super) fn is_as_wanted(cluster: &Cluster) {
    let (stack, wanted, objects) = (&cluster.model.stack, &cluster.model.wanted, &cluster.server.objects);
    let stopped = stack.stopped;
    for (id, wanted) in wanted {
        let Some(object) = objects.get(id) else {
            let needs_none = is_unproven(cluster, id) || is_filled(cluster, id);
            assert!(stopped && id.kind == Kind::Job || needs_none, "law: {id} is missing");
            continue;
        };
        // One that has filled its volume is left alone.
        let over = !object.child.label(labels::POPULATE).is_empty() && has_ended(&object.child);
        assert!(over || object.child.digest == Some(wanted.digest), "law: {id} is not as it is wanted");
    }
    let kept = || objects.iter().filter(|(id, _)| id.kind == Kind::Record);
    for (name, service) in &stack.services {
        let of_it = kept().filter(|(_, record)| record.child.label(labels::HISTORY_OF) == name).count();
        // What runs, and what it would go back to, may be older than those.
        let goes_back = service.update.on_failure == OnFailure::Rollback;
        let most = if goes_back { service.update.history + 2 } else { 0 };
        assert!(of_it <= most, "law: {name} keeps {of_it} definitions");
    }
    for (id, object) in objects.iter().filter(|(_, object)| !object.hidden) {
        let ended = object.child.facts.pod.ended;
        assert!(may_stay(cluster, id, object) || wanted.contains_key(id), "law: {id} is left over");
        assert!(id.kind != Kind::Pod || ended || object.child.owner().is_some(), "law: {id} is nobody's");
        assert!(id.kind != Kind::Pod || !stopped || ended, "law: {id} runs on");
    }
    for (name, service) in &stack.services {
        let counted = matches!(service.workload, Workload::Deployment | Workload::StatefulSet);
        let id = wanted.iter().find(|(id, w)| id.kind.starts_pods() && w.part == Part::Service(name.clone()));
        let Some(live) = id.filter(|_| counted).and_then(|(id, _)| objects.get(id)) else { continue };
        let count = live.child.facts.spec_replicas.unwrap_or(1);
        match &service.scale {
            _ if stopped => assert_eq!(count, 0, "law: {name} is stopped"),
            Scale::Fixed(Some(wanted)) => assert_eq!(count, *wanted, "law: pods of {name}"),
            Scale::Fixed(None) | Scale::Auto(_) => assert!(count > 0, "law: {name} has no pods"),
        }
        let pods: Vec<&Object> = cluster.pods(name).collect();
        assert_eq!(i32::try_from(pods.len()).ok(), Some(count), "law: pods of {name} that run");
        let is_as_said = |pod: &&Object| pod.child.facts.template == live.child.facts.template;
        assert!(pods.iter().all(is_as_said), "law: an older pod of {name} runs");
    }
}

/// What may be left although no stack wants it: claims hold data; records are history; the last result of a Job stays until the next has succeeded, in a
/// stopped stack for ever; configs stay that one of these reads.
fn may_stay(cluster: &Cluster, id: &ChildId, object: &Object) -> bool {
    let stopped = cluster.model.stack.stopped;
    let objects = &cluster.server.objects;
    let reads = |(other, o): (&ChildId, &Object)| {
        (other.kind == Kind::Record || stopped) && o.child.facts.config_maps.contains(&id.name)
    };
    match id.kind {
        Kind::Claim | Kind::Pod | Kind::Record => true,
        Kind::Job => stopped && has_ended(&object.child),
        Kind::ConfigMap => objects.iter().any(reads),
        _ => false,
    }
}

/// Whether this is to keep what has not run yet: nothing of its service is wanted to run.
fn is_unproven(cluster: &Cluster, id: &ChildId) -> bool {
    let Part::Service(name) = &cluster.model.wanted[id].part else { return false };
    id.kind == Kind::Record && cluster.pods(name).next().is_none()
}

/// A Job that somebody deleted once it had filled its volume: the claim says so, and nothing fills it again.
fn is_filled(cluster: &Cluster, id: &ChildId) -> bool {
    let Part::Volume(name) = &cluster.model.wanted[id].part else { return false };
    let populate = cluster.model.stack.volumes.get(name).and_then(|volume| volume.populate.as_ref());
    let claims = cluster.server.objects.iter().filter(|(id, _)| id.kind == Kind::Claim);
    let mut marks = claims.filter(|(_, claim)| claim.child.label(labels::VOLUME) == name);
    let wanted = populate.map(|populate| populate.revision.as_str());
    id.kind == Kind::Job && wanted.is_some() && marks.any(|(_, claim)| claim.child.annotation(labels::FILLED) == wanted)
}

/// Where it came from does not show: what a fresh apply of the last spec leads to is there, name by name and field by field, but for what `may_stay`; the
/// count of what has none in the spec is whatever it was; a volume that was filled once is not filled anew for another way to do it.
pub(super) fn is_as_made_anew(cluster: &Cluster) {
    let mut fresh = Cluster::of(cluster.draft.clone(), cluster.model.clone());
    aside(|| come_to_rest(&mut fresh));
    let told = |cluster: &Cluster| -> BTreeMap<ChildId, Object> {
        let objects = cluster.server.objects.iter().filter(|(id, object)| id.kind != Kind::Pod && !object.hidden);
        objects.map(|(id, object)| (id.clone(), object.clone())).collect()
    };
    let (ours, theirs) = (told(cluster), told(&fresh));
    for (id, anew) in &theirs {
        let Some(object) = ours.get(id) else {
            assert!(is_filled(cluster, id), "law: {id} would be there if the stack were made anew");
            continue;
        };
        let over = !object.child.label(labels::POPULATE).is_empty() && has_ended(&object.child);
        assert!(
            over || object.child.digest == anew.child.digest,
            "law: {id} would be another if the stack were made anew"
        );
        assert!(
            over || object.child.facts.template == anew.child.facts.template,
            "law: the template of {id} would be another"
        );
        assert_eq!(object.child.facts.storage, anew.child.facts.storage, "law: {id} would have another size");
    }
    for (id, object) in &ours {
        // A stopped stack makes no Job, and holds those that it has.
        let is_held = cluster.model.stack.stopped && id.kind == Kind::Job && object.child.facts.suspended;
        let stays = is_held || may_stay(cluster, id, object);
        assert!(theirs.contains_key(id) || stays, "law: {id} would not be there if the stack were made anew");
    }
    for name in cluster.model.stack.services.keys() {
        let templates = |cluster: &Cluster| -> BTreeSet<String> {
            cluster.pods(name).map(|pod| pod.child.facts.template.unwrap_or_default().to_string()).collect()
        };
        assert_eq!(
            templates(cluster),
            templates(&fresh),
            "law: pods of {name} are made from what a fresh stack would make them from"
        );
    }
}

/// A stack that is deleted goes in reverse order, whatever the operator sees late, and leaves claims alone.
pub(super) fn goes_in_order(cluster: &mut Cluster, moves: &[Move]) {
    cluster.counts.teardowns += 1;
    let mut faults = moves.iter().filter_map(|step| match step {
        Move::Pass { fault, up_to_date, .. } => Some((*fault, *up_to_date)),
        _ => None,
    });
    for _ in 0..ROUNDS {
        let (fault, up_to_date) = faults.next().unwrap_or((Fault::None, true));
        if up_to_date {
            cluster.tell_all();
        }
        cluster.operator.wait();
        let Cluster { server, operator, witness, counts, .. } = cluster;
        let mut pass = Pass { server, witness, counts, fault, requests: 0 };
        let is_over = operator.take_down(&mut pass);
        if is_over.is_none() {
            cluster.restart();
        }
        if up_to_date {
            nodes::reap(&mut cluster.server);
        }
        if is_over == Some(true) {
            let left = cluster.server.objects.iter().find(|(id, object)| id.kind != Kind::Claim && !object.hidden);
            assert!(left.is_none(), "law: {:?} is left of a stack that is gone", left.map(|(id, _)| id));
            return;
        }
    }
    let left: Vec<String> =
        cluster.server.objects.iter().map(|(id, o)| format!("{id} {}", service(&o.child))).collect();
    panic!("law: the stack does not go: {left:?}");
}
