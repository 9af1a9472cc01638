//! Promises on how many pods there are: who says so, and when.

use serde_json::json;

use super::promises::{held, image, kinds};
use super::world::{World, id};
use crate::child::{ChildId, Kind, ReplicasOwner};
use crate::rollout::{Body, Guard};

#[test]
fn replicas_have_one_owner_at_a_time() {
    let fixed = |count: Option<i32>| {
        let mut web = json!({"image": "web:1", "ports": {"http": {"port": 80}}, "resources": {"requests": {"cpu": 1}}});
        if let Some(count) = count {
            web["replicas"] = json!(count);
        }
        json!({"web": web})
    };
    let auto = json!({"web": {"image": "web:1", "ports": {"http": {"port": 80}}, "resources": {"requests": {"cpu": 1}}, "autoscale": {"min": 3, "max": 9, "cpuPercent": 50}}});
    let autoscaler = ChildId { kind: Kind::Autoscaler, name: "s-web".into() };
    let count = |world: &World| world.workload("web").unwrap().facts.spec_replicas;

    let mut world = World::new(&auto);
    world.settle();
    assert_eq!(count(&world), Some(3), "created at the minimum");
    world.change("web", |child| {
        (child.facts.spec_replicas, child.facts.replicas_owner) = (Some(6), ReplicasOwner::Autoscaler);
    });
    assert!(world.plan().writes.is_empty(), "the autoscaler's count is no drift");

    world.edit(&json!({"web": {"image": "web:2", "ports": {"http": {"port": 80}}, "resources": {"requests": {"cpu": 1}}, "autoscale": {"min": 3, "max": 9, "cpuPercent": 50}}}));
    let plan = world.plan();
    assert!(
        matches!(plan.writes[0].body, Body::Object { replicas: None, .. }),
        "left out once the autoscaler has moved it"
    );
    world.settle();
    assert_eq!(count(&world), Some(6));

    world.change("web", |child| child.facts.spec_replicas = Some(0));
    world.pass();
    assert_eq!(count(&world), Some(3), "nobody would ever scale up from 0");
    world.change("web", |child| {
        (child.facts.spec_replicas, child.facts.replicas_owner) = (Some(5), ReplicasOwner::Ours);
    });
    world.edit(&auto);
    let plan = world.plan();
    assert!(
        matches!(plan.writes[0].body, Body::Object { replicas: Some(5), guard: Guard::Version(..), .. }),
        "still ours: its live value, pinned"
    );
    world.settle();

    world.edit(&fixed(None));
    world.settle();
    assert!(!world.children.contains_key(&autoscaler));
    assert_eq!(count(&world), Some(5), "no dip when the autoscaler goes and the stack names no count");
    world.edit(&fixed(Some(2)));
    world.settle();
    assert_eq!(count(&world), Some(2));
    world.edit(&fixed(None));
    world.settle();
    assert_eq!(count(&world), Some(1), "unset is one");

    world.edit(&auto);
    let written = world.pass();
    let budget = ChildId { kind: Kind::Budget, ..autoscaler.clone() };
    assert_eq!(written, [autoscaler, budget], "turning it on leaves the workload alone");
    world.change("web", |child| {
        (child.facts.spec_replicas, child.facts.replicas_owner) = (Some(4), ReplicasOwner::Autoscaler);
    });
    world.edit(&fixed(Some(7)));
    let plan = world.plan();
    assert!(plan.writes.is_empty() && plan.deletes.len() == 1, "the autoscaler goes before a count is stated");
    world.settle();
    assert_eq!(count(&world), Some(7));
}

#[test]
fn the_count_of_an_autoscaler_that_goes_is_kept_whoever_set_it() {
    let auto = json!({"web": {"image": "web:1", "resources": {"requests": {"cpu": 1}}, "autoscale": {"min": 3, "max": 9, "cpuPercent": 50}}});
    let fixed = json!({"web": {"image": "web:1", "resources": {"requests": {"cpu": 1}}}});
    for owner in [ReplicasOwner::Ours, ReplicasOwner::Autoscaler, ReplicasOwner::Other] {
        let mut world = World::new(&auto);
        world.settle();
        world.change("web", |child| (child.facts.spec_replicas, child.facts.replicas_owner) = (Some(5), owner));
        world.edit(&fixed);
        world.settle();
        assert_eq!(world.workload("web").unwrap().facts.spec_replicas, Some(5), "{owner:?}");
    }
}

#[test]
fn a_held_service_is_scaled_without_its_template() {
    let services = |tag: &str, count: i32| json!({"db": {"image": format!("db:{tag}")}, "web": {"image": format!("web:{tag}"), "replicas": count, "dependsOn": {"db": {}}}});
    let mut world = World::new(&services("1", 2));
    world.settle();
    world.edit(&services("2", 4));
    let old = image(&world, "web");
    world.pass();
    assert_eq!(world.workload("web").unwrap().facts.spec_replicas, Some(4));
    assert_eq!(image(&world, "web"), old);
}

#[test]
fn from_none_to_some_waits_at_the_gate() {
    let services = |count: i32| json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "ports": {"http": {"port": 80}}, "replicas": count, "dependsOn": {"db": {}}}});
    let mut world = World::new(&services(0));
    world.settle();
    world.change("db", |child| child.facts.available_replicas = 0);
    world.edit(&services(2));
    assert_eq!(kinds(&world.pass()), [Kind::Budget], "what only adds goes first");
    assert!(held(&world, "web"));
    world.complete("db");
    assert_eq!(world.pass(), [id("web")]);
}

/// A webhook that wants at least two pods, say.
#[test]
fn a_count_that_somebody_always_changes_is_not_stated_for_ever() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    world.settle();
    world.change("web", |child| child.facts.spec_replicas = Some(2));
    assert_eq!(world.plan().writes.len(), 1, "an edit by hand is put right");
    let id = id("web");
    let digest = world.wanted[&id].digest;
    let settled = [(id, crate::rollout::Settled { digests: (digest, digest), counts: Some((1, 2)) })].into();
    let seen = crate::rollout::Seen {
        children: &world.children,
        refused: &world.refused,
        settled: &settled,
        missing: &world.missing,
        unready: &world.unready,
        ungated: &world.ungated,
        now: world.now,
    };
    assert!(crate::rollout::plan(&world.stack, &world.wanted, &seen).writes.is_empty());
}
