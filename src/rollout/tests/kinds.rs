//! Promises on services that change their kind, and on the claims of each pod.

use std::sync::Arc;

use serde_json::{Value, json};

use super::promises::held;
use super::world::World;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, labels};
use crate::rollout::{Refusal, RefusalKind, refusal_of_size};

const AUTOSCALER: Kind = Kind::Autoscaler;

fn s_web(kind: Kind) -> ChildId {
    ChildId { kind, name: "s-web".into() }
}

#[test]
fn an_autoscaler_follows_the_live_workload_until_the_next_one_is_there() {
    let volumes = json!({"volumes": {"own": {"size": "1Gi", "perReplica": true}}});
    let services = |db: &str, own: bool| {
        let mut web = json!({"image": "web:1", "dependsOn": {"db": {}}, "resources": {"requests": {"cpu": 1}}, "autoscale": {"min": 2, "max": 9, "cpuPercent": 50}});
        if own {
            web["mounts"] = json!({"/d": {"volume": "own"}});
        }
        json!({"db": {"image": db}, "web": web})
    };
    let mut world = World::with(&services("db:1", false), &volumes);
    world.settle();
    let autoscaler = |world: &World| world.children[&s_web(AUTOSCALER)].digest;
    let before = autoscaler(&world);
    world.edit_with(&services("db:2", true), &volumes);
    world.pass();
    assert!(held(&world, "web") && world.children.contains_key(&s_web(Kind::Deployment)));
    assert_eq!(autoscaler(&world), before, "it goes on with what runs");
    world.complete("db");
    let plan = world.plan();
    let write = plan.writes.iter().find(|write| write.id.kind == AUTOSCALER).unwrap();
    assert_eq!(write.after, [s_web(Kind::StatefulSet)], "right after what it is to follow");
    world.settle();
    assert_ne!(autoscaler(&world), before);
    assert!(!world.children.contains_key(&s_web(Kind::Deployment)));
}

/// The deletes and the writes of workloads that are planned, by name.
fn planned(world: &World) -> (Vec<ChildId>, Vec<ChildId>) {
    let plan = world.plan();
    let deletes = plan.deletes.into_iter().map(|delete| delete.id).filter(|id| id.kind.starts_pods());
    (deletes.collect(), plan.writes.into_iter().map(|write| write.id).filter(|id| id.kind.starts_pods()).collect())
}

#[test]
fn a_migration_waits_for_the_end_of_the_one_before_though_none_of_its_pods_is_seen() {
    let migration = |tag: &str| json!({"m": {"image": format!("m:{tag}"), "mode": "Job"}});
    let mut world = World::new(&migration("1"));
    world.pass();
    let first = world.id("m");
    world.edit(&migration("2"));
    let second = world.id("m");
    assert_eq!(planned(&world), (vec![first.clone()], vec![]), "it may have a pod that we have not heard of");
    let old = Arc::make_mut(world.children.get_mut(&first).unwrap());
    old.meta.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(planned(&world), (vec![], vec![]), "it is on its way");
    world.delete(&first, false);
    assert_eq!(planned(&world), (vec![], vec![second]));
}

#[test]
fn in_a_stopped_stack_no_job_of_an_older_definition_runs_on_and_its_result_stays() {
    let migration = |tag: &str| json!({"m": {"image": format!("m:{tag}"), "mode": "Job"}});
    for ended in [false, true] {
        let mut world = World::new(&migration("1"));
        world.pass();
        let first = world.id("m");
        if ended {
            world.complete("m");
        }
        world.edit_with(&migration("2"), &json!({"stopped": true}));
        assert_eq!(planned(&world), (if ended { vec![] } else { vec![first] }, vec![]), "ended: {ended}");
    }
}

#[test]
fn a_service_that_becomes_a_job_waits_for_the_pods_that_it_had() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    world.settle();
    let pod = ChildId { kind: Kind::Pod, name: "s-web-1-x".into() };
    let object = json!({
        "metadata": {"name": pod.name, "uid": "u", "labels": {labels::STACK: "s", labels::SERVICE: "web"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s-web-1", "uid": "r", "controller": true}]},
        "spec": {"containers": []}, "status": {"phase": "Running"},
    });
    world.children.insert(pod.clone(), Arc::new(serde_json::from_value(object).unwrap()));
    world.edit(&json!({"web": {"image": "web:1", "mode": "Job"}}));
    assert_eq!(planned(&world), (vec![s_web(Kind::Deployment)], vec![]));
    world.children.remove(&s_web(Kind::Deployment));
    assert_eq!(planned(&world), (vec![], vec![]), "its pod has not gone yet");
    world.children.retain(|id, _| id.kind != Kind::Pod);
    assert_eq!(planned(&world), (vec![], vec![world.id("web")]));
}

fn with_claim(per_replica: bool, size: &str) -> (Value, Value) {
    let volume = if per_replica { json!({"size": size, "perReplica": true}) } else { json!({"size": size}) };
    (json!({"web": {"image": "web:1", "mounts": {"/d": {"volume": "data"}}}}), json!({"volumes": {"data": volume}}))
}

#[test]
fn a_refused_growth_names_the_claim_and_the_size_that_it_keeps() {
    for per_replica in [false, true] {
        let (services, volumes) = with_claim(per_replica, "1Gi");
        let mut world = World::with(&services, &volumes);
        world.settle();
        let (services, volumes) = with_claim(per_replica, "2Gi");
        world.edit_with(&services, &volumes);
        let (name, refusal) = if per_replica {
            ("volume-data-s-web-0", refusal_of_size("2Gi", "no growth".into()))
        } else {
            let wanted = world.wanted[&ChildId { kind: Kind::Claim, name: "s-data".into() }].digest;
            ("s-data", Refusal { kind: RefusalKind::Refused, message: "no growth".into(), wanted })
        };
        let id = ChildId { kind: Kind::Claim, name: name.into() };
        assert!(world.plan().writes.iter().any(|write| write.id == id), "{name} is to grow");
        world.refused.insert(id.clone(), refusal);
        let plan = world.plan();
        assert!(!plan.writes.iter().any(|write| write.id == id));
        let said = &plan.refusals[&id];
        assert_eq!(said.kind, RefusalKind::VolumeResizeRefused);
        assert_eq!(said.message, format!("PersistentVolumeClaim '{name}' stays at 1Gi: no growth"));
    }
}

#[test]
fn a_refusal_of_a_claim_that_is_not_of_its_size_is_called_what_it_is() {
    let (services, volumes) = with_claim(false, "1Gi");
    let mut world = World::with(&services, &volumes);
    world.settle();
    let id = ChildId { kind: Kind::Claim, name: "s-data".into() };
    Arc::make_mut(world.children.get_mut(&id).unwrap()).digest = Some(Digest::default());
    let wanted = world.wanted[&id].digest;
    world.refused.insert(id.clone(), Refusal { kind: RefusalKind::Refused, message: "no labels".into(), wanted });
    assert_eq!(world.plan().refusals[&id].kind, RefusalKind::Refused);
    assert_eq!(world.plan().refusals[&id].message, "no labels");
}

/// A pod of service `web` that nobody owns, with the name that a StatefulSet gave it or to what it is a copy of.
fn ownerless(world: &World, name: &str, of: &str) -> (ChildId, Arc<Child>) {
    let object = json!({
        "metadata": {"name": name, "uid": "u",
            "labels": {labels::STACK: "s", labels::SERVICE: "web", "statefulset.kubernetes.io/pod-name": of},
            "annotations": {labels::REVISION: world.stack.services["web"].revision}},
        "spec": {"containers": []}, "status": {"phase": "Running"},
    });
    (ChildId { kind: Kind::Pod, name: name.into() }, Arc::new(serde_json::from_value(object).unwrap()))
}

#[test]
fn a_pod_that_a_stateful_set_left_behind_goes_and_a_copy_of_one_stays() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    world.settle();
    let (lost, copy) = (ownerless(&world, "s-web-0", "s-web-0"), ownerless(&world, "debug", "s-web-0"));
    world.children.extend([lost, copy]);
    let deletes: Vec<String> = world.plan().deletes.iter().map(|delete| delete.id.name.clone()).collect();
    assert_eq!(deletes, ["s-web-0"]);
    let (services, volumes) = with_claim(true, "1Gi");
    world.edit_with(&services, &volumes);
    assert!(world.plan().deletes.is_empty(), "a StatefulSet is to take it up");
}

#[test]
fn a_renamed_service_writes_its_claim_when_the_old_one_has_gone() {
    let named = |name: &str| json!({name: {"image": "db:1", "mounts": {"/d": {"volume": "data"}}}});
    for (mode, waits) in [("ReadWriteOnce", true), ("ReadWriteOncePod", true), ("ReadWriteMany", false)] {
        let volumes = json!({"volumes": {"data": {"size": "1Gi", "accessMode": mode}}});
        let mut world = World::with(&named("db"), &volumes);
        world.settle();
        let old = ChildId { kind: Kind::Deployment, name: "s-db".into() };
        let pod = json!({"metadata": {"name": "pod", "uid": "u", "labels": {labels::STACK: "s", labels::SERVICE: "db"}},
            "spec": {"containers": [], "volumes": [{"persistentVolumeClaim": {"claimName": "s-data"}}]}, "status": {"phase": "Running"}});
        let pod: Child = serde_json::from_value(pod).unwrap();
        let pod_id = ChildId { kind: Kind::Pod, name: "pod".into() };
        world.children.insert(pod_id.clone(), Arc::new(pod));

        world.edit_with(&named("store"), &volumes);
        world.pass();
        assert_eq!((world.children.contains_key(&old), world.workload("store").is_none()), (!waits, waits), "{mode}");
        if waits {
            world.pass();
            assert!(world.workload("store").is_none(), "{mode}: its last pod is on its way out");
        }
        world.children.remove(&pod_id);
        world.settle();
        assert!(world.workload("store").is_some() && !world.children.contains_key(&old), "{mode}");
    }
}
