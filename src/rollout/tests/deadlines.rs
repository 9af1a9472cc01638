//! Deadlines of kinds whose own controllers keep none, from what stands in the cluster.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::world::{World, progressing};
use crate::child::{ChildId, Kind};
use crate::rollout::Step;
use crate::rollout::health::Progress;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `db`, as a StatefulSet or a DaemonSet, has begun its first rollout: written at 100 s, its pod made at 160 s. Its deadline is 60 s.
fn begun(kind: Kind, on_failure: &str) -> World {
    let mut db = json!({"image": "db:1", "update": {"deadline": "60s", "onFailure": on_failure}});
    if kind == Kind::StatefulSet {
        db["mounts"] = json!({"/d": {"volume": "own"}});
    } else {
        db["mode"] = json!("Global");
    }
    let mut world = World::with(
        &json!({"db": db, "api": {"image": "api:1", "dependsOn": {"db": {}}}, "web": {"image": "web:1", "dependsOn": {"api": {}}}}),
        &json!({"volumes": {"own": {"size": "1Gi", "perReplica": true}}}),
    );
    world.pass();
    let id = world.id("db");
    assert_eq!(id.kind, kind);
    world.set_out(&id);
    world.change("db", |child| child.facts.moved = Some(at(100)));
    moved(&mut world, 160);
    world
}

/// A pod of `db` turns a condition.
fn moved(world: &mut World, second: i64) {
    let pod = pods(world).remove(0);
    Arc::make_mut(world.children.get_mut(&pod).unwrap()).facts.moved = Some(at(second));
}

fn pods(world: &World) -> Vec<ChildId> {
    let prefix = format!("{}-", world.id("db").name);
    world.children.keys().filter(|id| id.kind == Kind::Pod && id.name.starts_with(&prefix)).cloned().collect()
}

#[test]
fn a_rollout_that_stands_still_fails_at_the_instant_of_its_deadline_and_heals_by_progress() {
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let mut world = begun(kind, "Pause");
        world.now = Timestamp::from_millisecond(219_999).unwrap();
        let plan = world.plan();
        assert_eq!((plan.progress["db"], plan.again), (Progress::Rolling, Some(at(220))), "{kind}");
        assert!(matches!(plan.steps["web"], Step::Hold(_)));

        world.now = at(220);
        let plan = world.plan();
        assert_eq!((plan.progress["db"], plan.again), (Progress::Overdue, None), "{kind}");
        let Step::Failed(cause) = &plan.steps["web"] else { panic!("{:?}", plan.steps) };
        assert_eq!(
            (&cause.path[..], cause.reason.as_str()),
            (&["api".into(), "db".into()][..], "ProgressDeadlineExceeded")
        );

        moved(&mut world, 219);
        let plan = world.plan();
        assert_eq!((plan.progress["db"], plan.again), (Progress::Rolling, Some(at(279))), "progress starts it anew");
        assert!(matches!(plan.steps["web"], Step::Hold(_)), "and clears what was said");
    }
}

#[test]
fn a_deadline_counts_from_the_end_of_an_old_pods_time_to_stop() {
    let mut world = begun(Kind::StatefulSet, "Pause");
    let pod = pods(&world).remove(0);
    let going = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(400));
    Arc::make_mut(world.children.get_mut(&pod).unwrap()).meta.deletion_timestamp = Some(going);
    world.now = at(300);
    assert_eq!(world.plan().again, Some(at(460)));
}

#[test]
fn what_was_ready_once_does_not_fail_by_its_health_check_alone() {
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let mut world = begun(kind, "Pause");
        world.complete("db");
        for pod in pods(&world) {
            let facts = &mut Arc::make_mut(world.children.get_mut(&pod).unwrap()).facts;
            (facts.moved, facts.pod.ready, facts.pod.was_ready) = (Some(at(160)), false, true);
        }
        world.change("db", |child| (child.facts.ready_replicas, child.facts.available_replicas) = (0, 0));
        world.now = at(9_999);
        let plan = world.plan();
        assert!(plan.progress["db"] > Progress::NotYet && plan.progress["db"] != Progress::Overdue, "{kind}");
        assert_eq!(plan.again, None);
    }
}

#[test]
fn continue_goes_on_past_the_deadline_and_its_dependants_wait() {
    let mut world = begun(Kind::StatefulSet, "Continue");
    world.now = at(9_999);
    let plan = world.plan();
    assert_eq!((plan.progress["db"], plan.again), (Progress::Rolling, None));
    assert!(matches!(plan.steps["web"], Step::Hold(_)));

    let db = json!({"image": "db:1", "update": {"onFailure": "Continue"}});
    let mut world = World::new(&json!({"db": db, "web": {"image": "web:1", "dependsOn": {"db": {}}}}));
    world.pass();
    world.begin("db");
    world.change("db", |child| child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")]);
    assert!(matches!(world.plan().steps["web"], Step::Hold(_)), "a Deployment's own deadline, too");
}
