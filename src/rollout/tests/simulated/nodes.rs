//! What Kubernetes' own controllers and the nodes do: pods of workloads, claims of pods, ends of Jobs, counts of autoscalers.
//!
//! Each step is one that may be the last for a while: a controller has seen a change and done nothing yet; it has made one pod; all is ready; all stands
//! still; a node is lost. A strategy is obeyed as it is written: `Recreate` makes the first new pod when the last old one is gone.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::server::{Object, PHASE, Server, going, set_phase};
use crate::child::{Child, ChildId, Condition, Kind, ReplicasOwner, labels};

/// Nodes that a DaemonSet is for.
const NODES: i32 = 2;

/// What becomes of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Its controller looks at it.
    Observe,
    /// One pod is made, or one old pod is told to go.
    Begin,
    /// Its rollout comes to its end; a Job succeeds.
    Complete,
    /// It stands still until its deadline; a Job has used up its tries.
    Fail,
    /// A pod is ready no more.
    Hurt,
    /// Its autoscaler sets a count.
    Scale(i32),
}

pub(super) fn has_ended(job: &Child) -> bool {
    ["Complete", "Failed"].iter().any(|end| job.facts.condition(end).is_some())
}

pub(super) fn phase(child: &Child) -> &str {
    child.annotation(PHASE).unwrap_or("new")
}

/// The service that a pod or a workload is of.
pub(super) fn service(child: &Child) -> &str {
    [labels::SERVICE, labels::JOB].map(|key| child.label(key)).into_iter().find(|name| !name.is_empty()).unwrap_or("")
}

/// What starts pods, whether it is still wanted or not.
pub(super) fn starters(server: &Server) -> Vec<ChildId> {
    server
        .objects
        .iter()
        .filter(|(id, object)| id.kind.starts_pods() && !object.hidden)
        .map(|(id, _)| id.clone())
        .collect()
}

pub(super) fn work(server: &mut Server, id: &ChildId, work: Work) {
    server.at_once(|server| do_work(server, id, work));
}

fn do_work(server: &mut Server, id: &ChildId, work: Work) {
    let Some(child) = server.child(id).cloned().filter(|child| !has_ended(child)) else { return };
    let idle = child.facts.suspended || id.kind.has_replicas() && child.facts.spec_replicas == Some(0);
    match work {
        Work::Observe => observe(server, id),
        Work::Begin | Work::Fail if idle => observe(server, id),
        Work::Begin => {
            observe(server, id);
            step(server, id);
            if server.child(id).is_some_and(|child| phase(child) != "home") {
                set(server, id, "rolling", progressing("True", "ReplicaSetUpdated", ""));
            }
        }
        Work::Complete => complete(server, id),
        Work::Fail if id.kind == Kind::Job => {
            drop_pods(server, id);
            set(server, id, "failed", condition("Failed"));
        }
        Work::Fail if phase(&child) != "home" && phase(&child) != "hurt" => {
            observe(server, id);
            step(server, id);
            if server.child(id).is_some_and(|child| phase(child) == "home") {
                return;
            }
            set(server, id, "stuck", progressing("False", "ProgressDeadlineExceeded", ""));
            // Longer ago than any deadline.
            server.alter(id, |child| child.facts.moved = Timestamp::from_second(-1_000_000).ok());
        }
        Work::Hurt if matches!(phase(&child), "home" | "hurt") && id.kind != Kind::Job => {
            let ready = |pod: &ChildId| server.child(pod).is_some_and(|pod| pod.facts.pod.ready);
            if let Some(pod) = server.pods_of(id).into_iter().find(ready) {
                server.alter(&pod, |pod| pod.facts.pod.ready = false);
                count(server, id);
            }
        }
        Work::Scale(to) if id.kind.has_replicas() && child.facts.spec_replicas > Some(0) => {
            let is_its = |scaler: &Object| {
                let target = &scaler.body["spec"]["scaleTargetRef"];
                target["name"] == id.name.as_str() && target["kind"] == id.kind.names().kind
            };
            if server.of_kind(Kind::Autoscaler).any(|(_, scaler)| is_its(scaler)) {
                let _ = server.scale(id, to, ReplicasOwner::Autoscaler);
            }
        }
        Work::Fail | Work::Hurt | Work::Scale(_) => {}
    }
}

/// Pods that are going have come to their end.
pub(super) fn reap(server: &mut Server) {
    let gone: Vec<ChildId> =
        server.of_kind(Kind::Pod).filter(|(_, pod)| pod.child.is_going()).map(|(id, _)| id.clone()).collect();
    for id in &gone {
        server.remove(id);
    }
    if !gone.is_empty() {
        for id in starters(server) {
            count(server, &id);
        }
    }
}

fn observe(server: &mut Server, id: &ChildId) {
    server.alter(id, |child| child.facts.observed_generation = child.meta.generation.unwrap_or(0));
    count(server, id);
}

fn set(server: &mut Server, id: &ChildId, phase: &str, condition: Condition) {
    let kind = id.kind;
    server.alter(id, |child| {
        set_phase(child, phase);
        child.facts.moved = None;
        if matches!(kind, Kind::Deployment | Kind::Job) {
            child.facts.conditions = vec![condition];
        }
    });
}

/// The status says what is there.
fn count(server: &mut Server, id: &ChildId) {
    let Some(workload) = server.child(id).cloned() else { return };
    let pods: Vec<Child> = server.pods_of(id).iter().filter_map(|pod| server.child(pod).cloned()).collect();
    let number = |which: &dyn Fn(&Child) -> bool| {
        i32::try_from(pods.iter().filter(|pod| !pod.is_going() && which(pod)).count()).unwrap()
    };
    let is_new = |pod: &Child| pod.facts.template == workload.facts.template;
    let (all, new, ready) = (number(&|_| true), number(&is_new), number(&|pod| pod.facts.pod.ready));
    let (kind, wanted) = (id.kind, i32::try_from(wanted(id, &workload)).unwrap());
    server.alter(id, |child| {
        let facts = &mut child.facts;
        if kind == Kind::Job {
            facts.ready_replicas = ready;
            return;
        }
        (facts.replicas, facts.updated_replicas, facts.ready_replicas, facts.available_replicas) =
            (all, new, ready, ready);
        match kind {
            Kind::DaemonSet => facts.spec_replicas = Some(NODES),
            Kind::StatefulSet => {
                facts.update_revision = facts.template.map(|digest| digest.to_string()).unwrap_or_default();
                if facts.current_revision.is_empty() {
                    facts.current_revision.clone_from(&facts.update_revision);
                }
            }
            _ => {}
        }
        let is_whole = (all, new) == (wanted, wanted) && ready >= wanted;
        if is_whole && child.facts.observed_generation == child.meta.generation.unwrap_or(0) {
            set_phase(child, "home");
        } else if phase(child) == "home" {
            set_phase(child, "hurt");
        }
    });
}

/// How many pods it is to have.
fn wanted(id: &ChildId, child: &Child) -> usize {
    let count = match id.kind {
        Kind::Job => i32::from(!child.facts.suspended),
        Kind::DaemonSet => NODES,
        _ => child.facts.spec_replicas.unwrap_or(1),
    };
    usize::try_from(count).unwrap()
}

/// Makes one pod, or tells an old one to go. False if there is nothing to do, or nothing can be done before pods have gone.
fn step(server: &mut Server, id: &ChildId) -> bool {
    adopt(server, id);
    let Some(object) = server.objects.get(id).cloned() else { return false };
    let pods: Vec<(ChildId, Child)> =
        server.pods_of(id).into_iter().filter_map(|pod| Some((pod.clone(), server.child(&pod)?.clone()))).collect();
    let is_old = |pod: &Child| pod.facts.template != object.child.facts.template;
    let old: Vec<&ChildId> = pods.iter().filter(|(_, pod)| is_old(pod) && !pod.is_going()).map(|(id, _)| id).collect();
    let new = pods.iter().filter(|(_, pod)| !is_old(pod) && !pod.is_going()).count();
    let wanted = wanted(id, &object.child);
    let leaving = pods.iter().any(|(_, pod)| pod.is_going());
    let spec = &object.body["spec"];
    let first_stop = match id.kind {
        Kind::Deployment => spec["strategy"]["type"] == "Recreate",
        Kind::DaemonSet => spec["updateStrategy"]["rollingUpdate"]["maxSurge"].as_i64().unwrap_or(0) == 0,
        _ => true,
    };
    if new > wanted || wanted == 0 {
        let surplus = pods.iter().rev().find(|(_, pod)| !pod.is_going());
        return surplus.is_some_and(|(pod, _)| tell_to_go(server, pod));
    }
    match id.kind {
        Kind::Deployment if first_stop && !old.is_empty() => {
            old.iter().fold(false, |_, pod| tell_to_go(server, pod));
            return true;
        }
        _ if first_stop && leaving && id.kind != Kind::Job => return false,
        Kind::StatefulSet | Kind::DaemonSet if first_stop && pods.len() >= wanted && !old.is_empty() => {
            return tell_to_go(server, old[old.len() - 1]);
        }
        _ => {}
    }
    if new < wanted {
        make(server, id, &object);
        return true;
    }
    old.first().is_some_and(|pod| tell_to_go(server, pod))
}

fn tell_to_go(server: &mut Server, pod: &ChildId) -> bool {
    server.alter(pod, going);
    true
}

fn complete(server: &mut Server, id: &ChildId) {
    observe(server, id);
    if id.kind == Kind::Job {
        if server.child(id).is_none_or(|job| job.facts.suspended) {
            return drop_pods(server, id);
        }
        if server.pods_of(id).iter().all(|pod| server.child(pod).is_none_or(Child::is_going)) {
            step(server, id);
        }
        bind_claims(server, id);
        for pod in server.pods_of(id) {
            server.alter(&pod, |pod| {
                (pod.facts.pod.ended, pod.facts.pod.has_run, pod.facts.pod.ready) = (true, true, false);
            });
        }
        server.alter(id, |job| job.facts.succeeded = 1);
        return set(server, id, "home", condition("Complete"));
    }
    for _ in 0..50 {
        if !step(server, id) {
            break;
        }
    }
    for pod in server.pods_of(id) {
        server.alter(&pod, |pod| {
            let facts = &mut pod.facts.pod;
            (facts.ready, facts.was_ready, facts.has_run) = (true, true, true);
        });
    }
    count(server, id);
    let child = server.child(id).cloned().unwrap();
    if phase(&child) != "home" {
        return set(server, id, "rolling", progressing("True", "ReplicaSetUpdated", ""));
    }
    bind_claims(server, id);
    set(server, id, "home", progressing("True", "NewReplicaSetAvailable", &replica_set(id, &child)));
    server.alter(id, |child| child.facts.current_revision.clone_from(&child.facts.update_revision));
}

fn replica_set(id: &ChildId, child: &Child) -> String {
    format!("{}-{}", id.name, child.facts.template.unwrap_or_default())
}

/// A StatefulSet takes up pods of its numbers that nobody owns.
fn adopt(server: &mut Server, id: &ChildId) {
    if id.kind != Kind::StatefulSet {
        return;
    }
    let owner = server.objects[id].child.clone();
    let prefix = format!("{}-", id.name);
    let alone = |(pod, object): &(&ChildId, &Object)| {
        object.child.owner().is_none() && object.child.facts.pod.numbered && pod.name.starts_with(&prefix)
    };
    let alone: Vec<ChildId> = server.of_kind(Kind::Pod).filter(alone).map(|(id, _)| id.clone()).collect();
    for pod in alone {
        server.alter(&pod, |pod| pod.meta.owner_references = Some(owner_of(id, &owner)));
    }
}

fn owner_of(id: &ChildId, of: &Child) -> Vec<OwnerReference> {
    let (kind, name) = if id.kind == Kind::Deployment {
        ("ReplicaSet".to_owned(), replica_set(id, of))
    } else {
        (id.kind.names().kind.to_owned(), id.name.clone())
    };
    let uid = of.meta.uid.clone().unwrap_or_default();
    vec![OwnerReference { kind, name, uid, controller: Some(true), ..Default::default() }]
}

/// A pod as the template says: it runs, and is not ready. Two laws are looked after here.
fn make(server: &mut Server, of: &ChildId, object: &Object) {
    let template = &object.body["spec"]["template"];
    let name = match of.kind {
        Kind::StatefulSet => {
            let free = (0..).map(|number| format!("{}-{number}", of.name));
            let is_free =
                |name: &String| !server.objects.contains_key(&ChildId { kind: Kind::Pod, name: name.clone() });
            free.into_iter().find(is_free).unwrap()
        }
        _ => format!("{}-{}", of.name, server.next_uid()),
    };
    let id = ChildId { kind: Kind::Pod, name: name.clone() };
    let mut pod: Child = serde_json::from_value(json!({"metadata": template["metadata"], "spec": template["spec"],
        "status": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}}))
    .unwrap();
    pod.meta.name = Some(name);
    pod.meta.namespace = object.child.meta.namespace.clone();
    pod.meta.uid = Some(server.next_uid());
    pod.meta.owner_references = Some(owner_of(of, &object.child));
    pod.facts.template = object.child.facts.template;
    pod.facts.pod.numbered = of.kind == Kind::StatefulSet;
    let body = Arc::new(template.clone());
    let object = Object { child: Arc::new(pod), body, hidden: false };
    runs_alone(server, of, &object);
    server.put(&id, object);
    count(server, of);
}

/// Runs of a Job never overlap; and what has room for one writer never sees two generations of a service.
fn runs_alone(server: &Server, of: &ChildId, pod: &Object) {
    let (own, fills) = (service(&pod.child), pod.child.label(labels::POPULATE));
    let owner = |pod: &Child| pod.owner().map(|owner| owner.uid.clone());
    for (id, other) in server.of_kind(Kind::Pod).filter(|(_, other)| !other.child.facts.pod.ended) {
        let is_akin =
            if fills.is_empty() { service(&other.child) == own } else { other.child.label(labels::POPULATE) == fills };
        if !is_akin {
            continue;
        }
        let is_of_another = owner(&other.child) != owner(&pod.child);
        assert!(!(of.kind == Kind::Job && is_of_another), "law: {id} has not ended, and {of} runs");
        let is_older = of.kind == Kind::Deployment && other.child.facts.template != pod.child.facts.template;
        if is_of_another || is_older {
            let both = exclusive(&pod.body).find(|claim| exclusive(&other.body).any(|there| there == *claim));
            assert!(both.is_none(), "law: {id} writes to {both:?}, and another generation of it starts by {of}");
            let port = |pod: &Object| pod.body["spec"]["hostNetwork"] == true;
            assert!(!(port(pod) && port(other) && is_of_another), "law: {id} holds its ports, and {of} starts");
        }
    }
}

/// Claims for one node that a pod mounts.
fn exclusive(template: &Value) -> impl Iterator<Item = &str> {
    claims(template).filter(|claim| !claim.ends_with("-models"))
}

fn claims(template: &Value) -> impl Iterator<Item = &str> {
    let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// Claims that the pods mount are bound; those that a StatefulSet makes come into being.
fn bind_claims(server: &mut Server, of: &ChildId) {
    let object = server.objects[of].clone();
    if wanted(of, &object.child) == 0 {
        return;
    }
    for name in claims(&object.body["spec"]["template"]) {
        server.alter(&ChildId { kind: Kind::Claim, name: name.to_owned() }, |claim| claim.facts.phase = "Bound".into());
    }
    for claim in object.body["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let name = format!("{}-{}-0", claim["metadata"]["name"].as_str().unwrap(), of.name);
        let id = ChildId { kind: Kind::Claim, name };
        if server.objects.contains_key(&id) {
            continue;
        }
        let mut body = claim.clone();
        body["metadata"]["name"] = json!(id.name);
        body["metadata"]["namespace"] = json!("n");
        body["metadata"]["uid"] = json!(server.next_uid());
        body["metadata"]["labels"][labels::SERVICE] = json!(object.child.label(labels::SERVICE));
        body["metadata"]["labels"][labels::STACK] = json!("s");
        body["status"]["phase"] = json!("Bound");
        let child: Child = serde_json::from_value(body.clone()).unwrap();
        server.put(&id, Object { child: Arc::new(child), body: Arc::new(body), hidden: false });
    }
}

fn drop_pods(server: &mut Server, id: &ChildId) {
    server.pods_of(id).iter().for_each(|pod| server.remove(pod));
}

fn condition(r#type: &str) -> Condition {
    Condition { r#type: r#type.into(), status: "True".into(), ..Condition::default() }
}

/// `ReplicaSet "x" has successfully progressed.`
fn progressing(status: &str, reason: &str, replica_set: &str) -> Condition {
    let message = if replica_set.is_empty() {
        String::new()
    } else {
        format!("ReplicaSet \"{replica_set}\" has successfully progressed.")
    };
    Condition { r#type: "Progressing".into(), status: status.into(), reason: reason.into(), message }
}
