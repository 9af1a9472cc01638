//! What may go of a stack that is deleted in order: one promise each.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::world::World;
use crate::child::{Child, ChildId, Kind, labels};
use crate::rollout::{Stage, Teardown, teardown, unseen};

/// A rollout that is complete, with a pod for each of these services.
fn settled(services: &Value, rest: &Value) -> World {
    let mut world = World::with(services, rest);
    world.settle();
    world.children.retain(|id, _| id.kind != Kind::Pod);
    for service in services.as_object().unwrap().keys() {
        add_pod(&mut world, service);
    }
    world
}

fn add_pod(world: &mut World, service: &str) {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "x", "controller": true}]);
    let pod = json!({"metadata": {"name": format!("{service}-pod"), "uid": service, "ownerReferences": owner, "annotations": {labels::REVISION: "x"},
        "labels": {labels::STACK: "s", labels::SERVICE: service}}, "spec": {"containers": []}});
    world.children.insert(pod_of(service), Arc::new(serde_json::from_value(pod).unwrap()));
}

fn pod_of(service: &str) -> ChildId {
    ChildId { kind: Kind::Pod, name: format!("{service}-pod") }
}

fn chain() -> Value {
    json!({"db": {"image": "db:1"}, "api": {"image": "api:1", "dependsOn": {"db": {}}}, "web": {"image": "web:1", "dependsOn": {"api": {}}},
        "aside": {"image": "aside:1"}})
}

fn down(world: &World) -> Teardown {
    teardown(&world.stack, &world.children)
}

fn deletes(world: &World) -> Vec<String> {
    down(world).deletes.iter().map(|delete| delete.id.to_string()).collect()
}

fn waits(services: &[&str]) -> Stage {
    Stage::Waits(services.iter().map(|s| (*s).to_owned()).collect())
}

/// Carries out the deletes; pods go when they are told to.
fn pass(world: &mut World) -> Vec<String> {
    let ids: Vec<ChildId> = down(world).deletes.iter().map(|delete| delete.id.clone()).collect();
    for id in &ids {
        world.children.remove(id);
    }
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_stays_until_those_that_depend_on_it_are_gone_with_their_pods() {
    let mut world = settled(&chain(), &json!({}));
    assert_eq!(pass(&mut world), ["Deployment 's-aside'", "Deployment 's-web'"]);
    assert_eq!(down(&world).services["api"].stage, waits(&["web"]));
    assert_eq!(down(&world).services["db"].stage, waits(&["api"]));
    assert_eq!(down(&world).services["web"].stage, Stage::Going);
    assert!(pass(&mut world).is_empty(), "web has a pod");
    world.children.remove(&pod_of("web"));
    assert_eq!(pass(&mut world), ["Deployment 's-api'"]);
    world.children.remove(&pod_of("api"));
    assert_eq!(pass(&mut world), ["Deployment 's-db'"]);
    world.children.remove(&pod_of("db"));
    assert!(deletes(&world).is_empty() && !down(&world).is_over(), "a pod of aside is left, and it may need its name");
    world.children.remove(&pod_of("aside"));
    assert_eq!(pass(&mut world).len(), 4, "names");
    assert!(pass(&mut world).iter().all(|id| id.starts_with("NetworkPolicy")));
    assert!(down(&world).is_over());
}

#[test]
fn a_workload_that_is_being_deleted_is_awaited_and_not_deleted_twice() {
    let mut world = settled(&chain(), &json!({}));
    for child in world.children.values_mut() {
        Arc::make_mut(child).meta.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    }
    assert!(deletes(&world).is_empty() && !down(&world).is_over());
}

#[test]
fn what_the_spec_no_longer_knows_goes_before_everything() {
    let mut world = settled(&chain(), &json!({}));
    let mut services = chain();
    services.as_object_mut().unwrap().remove("web");
    world.edit(&services);
    assert_eq!(deletes(&world), ["Deployment 's-web'"], "it may depend on any of them");
    assert_eq!(down(&world).services["db"].stage, waits(&["api", "web"]));
    assert_eq!(down(&world).services["web"].stage, Stage::Going);
}

#[test]
fn claims_go_or_stay_by_their_retention_and_after_the_last_pod() {
    let mut world = settled(
        &json!({"db": {"image": "db:1", "mounts": {"/a": {"volume": "kept"}, "/b": {"volume": "scratch"}}}}),
        &json!({"volumes": {"kept": {"size": "1Gi"}, "scratch": {"size": "1Gi", "retention": "Delete"}}}),
    );
    assert_eq!(pass(&mut world), ["Deployment 's-db'"]);
    world.children.remove(&pod_of("db"));
    let gone = pass(&mut world);
    assert!(gone.contains(&"PersistentVolumeClaim 's-scratch'".to_owned()), "{gone:?}");
    pass(&mut world);
    assert!(down(&world).is_over(), "the other one is nobody's");
    assert!(world.children.keys().any(|id| id.name == "s-kept"));
}

#[test]
fn pods_that_nothing_owns_are_deleted_and_those_of_others_are_not_waited_for() {
    let mut world = settled(&json!({"db": {"image": "db:1"}}), &json!({}));
    let pod = Arc::make_mut(world.children.get_mut(&pod_of("db")).unwrap());
    pod.meta.owner_references = None;
    assert_eq!(deletes(&world), ["Deployment 's-db'", "Pod 'db-pod'"]);
    let pod = Arc::make_mut(world.children.get_mut(&pod_of("db")).unwrap());
    pod.meta.annotations = None;
    assert_eq!(pass(&mut world), ["Deployment 's-db'"]);
    assert_eq!(down(&world).services["db"].stage, Stage::Gone, "somebody has copied our labels");
}

#[test]
fn what_belongs_to_others_is_neither_deleted_nor_awaited() {
    let mut world = settled(&json!({"db": {"image": "db:1"}}), &json!({}));
    for child in world.children.values_mut() {
        let child = Arc::make_mut(child);
        let theirs =
            OwnerReference { kind: "Other".into(), uid: "theirs".into(), controller: Some(true), ..Default::default() };
        child.meta.owner_references = Some(vec![theirs]);
    }
    world.children.remove(&pod_of("db"));
    assert!(deletes(&world).is_empty() && down(&world).is_over());
}

#[test]
fn what_is_held_is_named_with_its_holder() {
    let mut world = settled(&chain(), &json!({}));
    let held = json!({"metadata": {"name": "api-pod", "uid": "api", "annotations": {labels::REVISION: "x"}, "labels": {labels::STACK: "s", labels::SERVICE: "api"},
        "deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["foregroundDeletion", "a.example/x", "batch.kubernetes.io/job-tracking"]}, "spec": {"containers": []}});
    let held: Child = serde_json::from_value(held).unwrap();
    world.children.insert(pod_of("api"), Arc::new(held));
    let by = down(&world).services["api"].held.clone().unwrap();
    assert_eq!((by.id, by.by), (pod_of("api"), vec!["a.example/x".to_owned()]), "Kubernetes' own are its own business");
}

#[test]
fn a_volume_that_is_being_filled_stops_filling_and_its_pods_are_awaited() {
    let mut world = World::with(
        &json!({"db": {"image": "db:1", "mounts": {"/a": {"volume": "v"}}}}),
        &json!({"volumes": {"v": {"size": "1Gi", "populate": {"image": "fill:1"}}}}),
    );
    world.pass();
    let gone = pass(&mut world);
    assert!(gone.len() == 1 && gone[0].starts_with("Job 's-v-"), "{gone:?}");
    let pod = json!({"metadata": {"name": "fill", "uid": "f", "annotations": {labels::REVISION: "x"}, "labels": {labels::STACK: "s", labels::POPULATE: "v"}}, "spec": {"containers": []}});
    world
        .children
        .insert(ChildId { kind: Kind::Pod, name: "fill".into() }, Arc::new(serde_json::from_value(pod).unwrap()));
    assert!(!down(&world).is_over() && down(&world).filling.contains("v"));
}

#[test]
fn any_stack_goes_to_the_end_whatever_the_order_of_events() {
    for seed in 0..500_u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut roll = |n: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            usize::try_from(dice % n).unwrap()
        };
        let count = 2 + roll(6);
        let services: serde_json::Map<String, Value> = (0..count)
            .map(|n| {
                let on: serde_json::Map<String, Value> =
                    (0..n).filter(|_| roll(3) == 0).map(|d| (format!("s{d}"), json!({}))).collect();
                let mut service = json!({"image": "x:1"});
                if !on.is_empty() {
                    service["dependsOn"] = Value::Object(on);
                }
                (format!("s{n}"), service)
            })
            .collect();
        let mut world = settled(&Value::Object(services), &json!({}));
        for step in 0.. {
            assert!(step < 200, "seed {seed} does not end: {:#?}", down(&world));
            let now = down(&world);
            if now.is_over() {
                break;
            }
            for delete in &now.deletes {
                if delete.id.kind.starts_pods() {
                    let service = delete.child.label(labels::SERVICE);
                    for (name, other) in &world.stack.services {
                        let left = world.children.contains_key(&pod_of(name)) || world.workload(name).is_some();
                        assert!(!(other.needs.contains_key(service) && left), "seed {seed}: {service} before {name}");
                    }
                } else {
                    assert!(
                        !world.children.keys().any(|id| id.kind == Kind::Pod),
                        "seed {seed}: {} too early",
                        delete.id
                    );
                }
            }
            let picked: Vec<ChildId> =
                now.deletes.iter().filter(|_| roll(2) == 0).map(|delete| delete.id.clone()).collect();
            for id in &picked {
                world.children.remove(id);
            }
            let pods: Vec<ChildId> = world.children.keys().filter(|id| id.kind == Kind::Pod).cloned().collect();
            for pod in pods {
                let service = pod.name.trim_end_matches("-pod");
                if world.workload(service).is_none() && roll(2) == 0 {
                    world.children.remove(&pod);
                }
            }
        }
        assert!(world.children.keys().all(|id| id.kind == Kind::Claim), "seed {seed}");
    }
}

/// The pod of a service belongs to this.
fn belongs(world: &mut World, service: &str, kind: &str, name: &str) {
    let pod = Arc::make_mut(world.children.get_mut(&pod_of(service)).unwrap());
    let owner = OwnerReference { kind: kind.into(), name: name.into(), ..pod.owner().unwrap().clone() };
    pod.meta.owner_references = Some(vec![owner]);
}

fn workload(service: &str) -> ChildId {
    ChildId { kind: Kind::Deployment, name: format!("s-{service}") }
}

// Children are found by the stack's label. Whoever takes it off a workload must not stop the teardown for good.
#[test]
fn a_workload_that_lost_its_labels_goes_in_its_turn_as_its_owner_says() {
    let mut world = settled(&chain(), &json!({}));
    for service in ["db", "api", "web", "aside"] {
        belongs(&mut world, service, "ReplicaSet", &format!("s-{service}-7d4b9c6f5"));
    }
    assert!(unseen(&world.children).is_empty(), "all of them are among the children");
    let mut lost = world.children.remove(&workload("api")).unwrap();
    assert_eq!(unseen(&world.children), [workload("api")].into());
    Arc::make_mut(&mut lost).meta.labels = None;
    world.children.insert(workload("api"), lost);
    assert_eq!(pass(&mut world), ["Deployment 's-aside'", "Deployment 's-web'"]);
    assert_eq!(down(&world).services["api"].stage, waits(&["web"]), "its pods tell which service it is of");
    world.children.remove(&pod_of("web"));
    assert_eq!(pass(&mut world), ["Deployment 's-api'"]);
    assert_eq!(down(&world).services["db"].stage, waits(&["api"]), "it has a pod");
}

#[test]
fn pods_of_a_workload_that_somebody_has_taken_over_are_not_waited_for() {
    let mut world = settled(&json!({"db": {"image": "db:1"}}), &json!({}));
    belongs(&mut world, "db", "ReplicaSet", "s-db-7d4b9c6f5");
    let taken = Arc::make_mut(world.children.get_mut(&workload("db")).unwrap());
    taken.meta.owner_references = None;
    taken.meta.labels = None;
    assert!(deletes(&world).iter().all(|id| !id.starts_with("Deployment")));
    assert_eq!(down(&world).services["db"].stage, Stage::Gone);
    // Whose it is is not known where it has not been looked at.
    world.children.remove(&workload("db"));
    assert_eq!(down(&world).services["db"].stage, Stage::Going);
}

#[test]
fn what_runs_a_pod_is_told_by_its_owner() {
    for (kind, name, expected) in [
        ("ReplicaSet", "s-db-main-7d4b9c6f5", Some((Kind::Deployment, "s-db-main"))),
        ("ReplicaSet", "x", None),
        ("StatefulSet", "s-db-1", Some((Kind::StatefulSet, "s-db-1"))),
        ("DaemonSet", "agent", Some((Kind::DaemonSet, "agent"))),
        ("Job", "s-job-abc", Some((Kind::Job, "s-job-abc"))),
        ("Rollout", "s-db", None),
    ] {
        let mut world = settled(&json!({"db": {"image": "db:1"}}), &json!({}));
        belongs(&mut world, "db", kind, name);
        let expected: Vec<ChildId> =
            expected.into_iter().map(|(kind, name)| ChildId { kind, name: name.into() }).collect();
        assert_eq!(unseen(&world.children).into_iter().collect::<Vec<_>>(), expected, "{kind} {name}");
    }
}
