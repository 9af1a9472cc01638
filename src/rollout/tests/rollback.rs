//! Rollback: what was good once is put back, what failed is not tried again, and what is needed for that stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{World, id, progressing};
use crate::child::{Child, ChildId, Kind, labels};
use crate::rollout::{Body, ROLLED_BACK, Step};

/// `web` on a config, and `shop` behind it.
fn services(tag: &str) -> Value {
    json!({
        "web": {"image": format!("web:{tag}"), "mounts": {"/c": {"config": "conf"}}, "update": {"onFailure": "Rollback", "history": 2}},
        "shop": {"image": format!("shop:{tag}"), "dependsOn": {"web": {}}},
    })
}

fn edit(world: &mut World, tag: &str) {
    world.edit_with(&services(tag), &json!({"configs": {"conf": {"content": tag}}}));
}

fn begun(tag: &str) -> World {
    World::with(&services(tag), &json!({"configs": {"conf": {"content": tag}}}))
}

/// The rollout of `web` stands still until its deadline.
fn fail(world: &mut World) {
    world.pass();
    world.begin("web");
    world.change("web", |child| child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")]);
}

fn note<'a>(world: &'a World, key: &str) -> Option<&'a str> {
    world.workload("web").and_then(|child| child.annotation(key))
}

fn of_kind(world: &World, kind: Kind) -> BTreeSet<String> {
    world.children.keys().filter(|id| id.kind == kind).map(|id| id.name.clone()).collect()
}

fn revision(world: &World) -> String {
    world.stack.services["web"].revision.clone()
}

fn is_back(step: &Step) -> bool {
    matches!(step, Step::Failed(cause) if cause.path.is_empty() && cause.reason == ROLLED_BACK)
}

#[test]
fn a_rollout_that_stands_still_goes_back_and_what_failed_is_not_tried_again() {
    let mut world = begun("1");
    world.settle();
    let (good, before) = (revision(&world), world.templates[&id("web")].clone());
    assert_eq!(of_kind(&world, Kind::Record), [format!("s-web-{good}")].into(), "kept when its rollout was complete");
    let config = of_kind(&world, Kind::ConfigMap);

    edit(&mut world, "2");
    fail(&mut world);
    let failed = revision(&world);
    let written = world.pass();
    assert_eq!(written, [id("web")]);
    assert_eq!(world.templates[&id("web")], before, "the same bytes");
    assert_eq!([note(&world, labels::REVISION), note(&world, labels::FAILED_REVISION)], [Some(&*good), Some(&*failed)]);
    assert!(config.is_subset(&of_kind(&world, Kind::ConfigMap)), "the content that it was started with is there");

    world.complete("web");
    for _ in 0..3 {
        assert!(world.pass().is_empty(), "at rest; {failed} is not tried again");
    }
    let plan = world.plan();
    assert!(is_back(&plan.steps["web"]));
    let Step::Failed(cause) = &plan.steps["shop"] else { panic!("{:?}", plan.steps) };
    assert_eq!((&cause.path[..], cause.reason.as_str()), (&["web".to_owned()][..], ROLLED_BACK), "it counts as failed");

    edit(&mut world, "3");
    world.settle();
    assert_eq!(note(&world, labels::REVISION), Some(&*revision(&world)), "another definition is tried");
    assert_eq!(note(&world, labels::FAILED_REVISION), None);
}

#[test]
fn a_first_rollout_has_nothing_to_go_back_to_and_pauses() {
    let mut world = begun("1");
    fail(&mut world);
    assert!(world.pass().is_empty());
    assert_eq!(world.plan().steps["web"], Step::Done);
    assert!(matches!(world.plan().steps["shop"], Step::Failed(_)));

    edit(&mut world, "2");
    fail(&mut world);
    assert!(world.pass().is_empty(), "what never was complete is nothing to go back to either");
}

#[test]
fn two_failures_in_a_row_go_back_to_what_was_good_before_both() {
    let mut world = begun("1");
    world.settle();
    let good = revision(&world);
    edit(&mut world, "2");
    world.pass();
    world.begin("web");
    edit(&mut world, "3"); // before the second has failed
    fail(&mut world);
    world.pass();
    assert_eq!(note(&world, labels::REVISION), Some(&*good));
}

#[test]
fn the_definition_that_runs_again_forgets_what_had_failed() {
    let mut world = begun("1");
    world.settle();
    edit(&mut world, "2");
    fail(&mut world);
    world.pass();
    let (back, bad) = (world.workload("web").cloned().unwrap(), revision(&world));
    edit(&mut world, "1");
    // The server reads back what was sent, and that is what is wanted now.
    let wanted = world.wanted[&id("web")].digest;
    world.change("web", |child: &mut Child| child.digest = Some(wanted));
    world.settle();
    assert_eq!(note(&world, labels::FAILED_REVISION), None);
    assert_eq!(back.annotation(labels::FAILED_REVISION), Some(&*bad));
    edit(&mut world, "2");
    world.pass();
    assert_eq!(note(&world, labels::REVISION), Some(&*bad), "it may be tried again now");
}

#[test]
fn history_is_bounded_and_keeps_what_is_used() {
    let mut world = begun("1");
    world.settle();
    let first = revision(&world);
    for tag in ["2", "3", "4"] {
        edit(&mut world, tag);
        world.settle();
    }
    let kept = of_kind(&world, Kind::Record);
    assert!(kept.len() == 2 && !kept.contains(&format!("s-web-{first}")), "{kept:?}");
    assert_eq!(of_kind(&world, Kind::ConfigMap).len(), 2, "and the configs that they read, no others");

    // The oldest is made anew, and is old all the same; it is what runs.
    edit(&mut world, "3");
    world.settle();
    edit(&mut world, "5");
    fail(&mut world);
    let running: ChildId =
        ChildId { kind: Kind::Record, name: format!("s-web-{}", note(&world, labels::LAST_GOOD).unwrap()) };
    world.pass();
    assert!(world.children.contains_key(&running), "what it went back to stays");
}

#[test]
fn what_was_rolled_back_is_scaled_on_what_runs() {
    let mut world = begun("1");
    world.settle();
    edit(&mut world, "2");
    fail(&mut world);
    world.pass();
    world.complete("web");
    let mut more = services("2");
    more["web"]["replicas"] = json!(3);
    world.edit_with(&more, &json!({"configs": {"conf": {"content": "2"}}}));
    let plan = world.plan();
    assert!(is_back(&plan.steps["web"]));
    let of_web = plan.writes.iter().filter(|write| write.id == id("web")).map(|write| &write.body);
    assert_eq!(of_web.collect::<Vec<_>>(), [&Body::Scale { count: 3 }]);
}

#[test]
fn a_service_that_no_longer_goes_back_keeps_nothing() {
    let mut world = begun("1");
    world.settle();
    let mut other = services("1");
    other["web"]["update"] = json!({"onFailure": "Pause"});
    world.edit_with(&other, &json!({"configs": {"conf": {"content": "1"}}}));
    world.settle();
    assert!(of_kind(&world, Kind::Record).is_empty());
}

#[test]
fn who_is_new_behind_one_that_runs_on_before_a_failure_names_that_failure() {
    let shop = json!({"image": "shop:1", "dependsOn": {"web": {}}});
    let of = |tag: &str, more: &Value| {
        let mut all = json!({"web": services(tag)["web"], "shop": shop});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let edit = |world: &mut World, tag: &str, more: &Value| {
        world.edit_with(&of(tag, more), &json!({"configs": {"conf": {"content": tag}}}));
    };
    let mut world = World::with(&of("1", &json!({})), &json!({"configs": {"conf": {"content": "1"}}}));
    world.settle();
    edit(&mut world, "2", &json!({}));
    fail(&mut world);
    world.pass();
    world.complete("web");
    let late = json!({
        "late": {"image": "late:1", "dependsOn": {"shop": {}}},
        "latest": {"image": "latest:1", "dependsOn": {"late": {}}},
        "free": {"image": "free:1", "dependsOn": {"shop": {"required": false}}},
    });
    edit(&mut world, "2", &late);
    world.pass();
    let steps = world.plan().steps;
    assert_eq!(steps["shop"], Step::Done, "it runs on");
    for (service, way) in [("late", &["shop", "web"][..]), ("latest", &["late", "shop", "web"])] {
        let Step::Failed(cause) = &steps[service] else { panic!("{service}: {:?}", steps[service]) };
        assert_eq!(
            (&cause.path[..], cause.reason.as_str()),
            (&way.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..], ROLLED_BACK)
        );
    }
    assert!(world.workload("free").is_some(), "it does not insist: {:?}", steps["free"]);

    edit(&mut world, "3", &late);
    world.settle();
    assert!(
        world.plan().steps.values().all(|step| *step == Step::Done),
        "it clears by itself: {:?}",
        world.plan().steps
    );
}

/// A pod of `web` at its wanted revision that is in this state.
fn pod(world: &mut World, status: &Value) {
    let object = json!({
        "metadata": {"name": "pod", "labels": {labels::STACK: "s", labels::SERVICE: "web"}, "annotations": {labels::REVISION: revision(world)}},
        "spec": {"containers": []}, "status": status,
    });
    let id = ChildId { kind: Kind::Pod, name: "pod".into() };
    world.children.insert(id, Arc::new(serde_json::from_value(object).unwrap()));
}

fn message(world: &World) -> String {
    let Step::Failed(cause) = world.plan().steps["web"].clone() else { panic!("it failed") };
    cause.message
}

#[test]
fn what_ailed_the_pods_is_said_when_they_are_gone() {
    let waiting = json!({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": format!("web:2 is nowhere{}\nmore", "!".repeat(500))}}}]});
    let sick = json!({"phase": "Running", "containerStatuses": [{"ready": false, "state": {"running": {}}}]});
    for (status, expected) in
        [(waiting, "(ErrImagePull: web:2 is nowhere!"), (sick, "(Unhealthy: its pods run, and the health check fails)")]
    {
        let mut world = begun("1");
        world.settle();
        edit(&mut world, "2");
        fail(&mut world);
        pod(&mut world, &status);
        let failed = revision(&world);
        let at_once = message(&world);
        world.pass();
        world.children.retain(|id, _| id.kind != Kind::Pod);
        world.complete("web");
        world.pass();
        assert_eq!(message(&world), at_once, "and it stays");
        assert!(
            at_once.contains(&failed) && at_once.contains(expected) && at_once.contains("correct the definition"),
            "{at_once}"
        );
        assert!(at_once.len() < 600 && !at_once.contains("more"), "{at_once}");

        edit(&mut world, "3");
        world.settle();
        assert_eq!(note(&world, labels::FAILED_BECAUSE), None, "it was of the other one");
    }
}
