//! Promises on the Jobs that fill volumes: they follow who mounts the volume until they have begun.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{World, condition};
use crate::child::digest::Digest;
use crate::child::{ChildId, Kind, labels};

const VOLUMES: &str = r#"{"volumes": {"model": {"size": "1Gi", "populate": {"image": "fetch:1"}}}}"#;

fn reader(more: &Value) -> Value {
    let mut llm = json!({"image": "llm:1", "mounts": {"/model": {"volume": "model"}}});
    llm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"llm": llm})
}

fn rest(stopped: bool) -> Value {
    let mut rest: Value = serde_json::from_str(VOLUMES).unwrap();
    rest["stopped"] = json!(stopped);
    rest
}

fn moved() -> Value {
    reader(&json!({"tolerations": [{"key": "gpu", "operator": "Exists"}], "nodeSelector": {"gpu": "yes"}}))
}

fn job(world: &World) -> ChildId {
    world.wanted.keys().find(|id| id.kind == Kind::Job).unwrap().clone()
}

/// Whether the Job that is there is the one that is wanted now.
fn is_as_wanted(world: &World) -> bool {
    let (id, facts) = (job(world), |id: &ChildId| world.children.get(id).map(|child| child.facts.clone()));
    let spec = &world.wanted[&id].object["spec"];
    facts(&id).is_some_and(|facts| {
        facts.template == Some(Digest::of(&spec["template"])) && json!(facts.suspended) == spec["suspend"]
    })
}

#[test]
fn a_fill_that_found_no_node_moves_with_its_reader() {
    let mut world = World::with(&reader(&json!({})), &rest(false));
    world.pass();
    let before = job(&world);
    world.edit_with(&moved(), &rest(false));
    assert_eq!(job(&world), before, "the definition of the volume is what it was");
    assert!(!is_as_wanted(&world));
    world.pass();
    world.pass();
    assert!(is_as_wanted(&world));
}

#[test]
fn a_fill_that_has_begun_is_left_where_it_is() {
    let mut world = World::with(&reader(&json!({})), &rest(false));
    world.pass();
    let id = job(&world);
    let revision = world.stack.volumes["model"].populate.as_ref().unwrap().revision.clone();
    let pod = json!({"metadata": {"name": "fill", "labels": {labels::STACK: "s", labels::POPULATE: "model"}, "annotations": {labels::REVISION: revision}},
        "spec": {"containers": []}, "status": {"containerStatuses": [{"state": {"running": {}}}]}});
    let key = ChildId { kind: Kind::Pod, name: "fill".into() };
    world.children.insert(key, Arc::new(serde_json::from_value(pod).unwrap()));
    let live = world.children[&id].clone();
    world.edit_with(&moved(), &rest(false));
    world.pass();
    world.pass();
    assert_eq!(world.children.get(&id), Some(&live));
}

#[test]
fn a_stopped_fill_goes_on_though_its_reader_moved() {
    let mut world = World::with(&reader(&json!({})), &rest(true));
    world.edit_with(&reader(&json!({})), &rest(false));
    world.pass();
    world.edit_with(&reader(&json!({})), &rest(true));
    world.pass();
    assert!(is_as_wanted(&world), "suspended");
    world.edit_with(&moved(), &rest(false));
    world.pass();
    world.pass();
    assert!(is_as_wanted(&world), "and anew where the reader is");
}

fn filled_by(image: &str) -> Value {
    json!({"volumes": {"model": {"size": "1Gi", "populate": {"image": image}}}})
}

/// The Job that fills the volume ends well.
fn fills(world: &mut World) {
    let id = job(world);
    let job = Arc::make_mut(world.children.get_mut(&id).expect("the Job runs"));
    job.facts.succeeded = 1;
    job.facts.conditions = vec![condition("Complete", "True")];
    world.pass();
}

fn mark(world: &World) -> Option<&str> {
    let claim = ChildId { kind: Kind::Claim, name: "s-model".into() };
    world.children[&claim].annotation(labels::FILLED)
}

fn runs(world: &World) -> bool {
    world.children.contains_key(&job(world))
}

/// The stack goes, and all of it but its claim; then it is made again.
fn make_again(world: &mut World) {
    world.children.retain(|id, _| id.kind == Kind::Claim);
    world.pass();
}

#[test]
fn a_kept_claim_that_was_filled_is_not_filled_again() {
    let services = reader(&json!({}));
    let mut world = World::with(&services, &filled_by("fetch:1"));
    world.pass();
    assert_eq!((runs(&world), mark(&world)), (true, None));
    fills(&mut world);
    assert!(mark(&world).is_some());
    assert_eq!(world.pass(), [], "and nothing more to say");

    make_again(&mut world);
    assert!(!runs(&world) && world.workload("llm").is_some(), "its reader starts at once");
    assert_eq!(world.pass(), []);

    // By another definition it is.
    world.edit_with(&services, &filled_by("fetch:2"));
    world.pass();
    assert_eq!((runs(&world), mark(&world)), (true, Some(labels::NOT_FILLED)));
    // What that has done to it so far, nobody knows.
    world.edit_with(&services, &filled_by("fetch:1"));
    make_again(&mut world);
    assert!(runs(&world));
    fills(&mut world);
    assert_ne!(mark(&world), Some(labels::NOT_FILLED));
}

#[test]
fn what_a_claim_was_filled_by_is_told_while_nobody_fills_it_and_when_it_grows() {
    let services = reader(&json!({}));
    let mut world = World::with(&services, &filled_by("fetch:1"));
    world.pass();
    fills(&mut world);
    let claim = ChildId { kind: Kind::Claim, name: "s-model".into() };
    Arc::make_mut(world.children.get_mut(&claim).unwrap()).facts.phase = "Bound".into();
    let before = mark(&world).map(str::to_owned);
    world.edit_with(&services, &json!({"volumes": {"model": {"size": "2Gi"}}}));
    world.pass();
    assert_eq!(mark(&world), before.as_deref());
    let mut again = filled_by("fetch:1");
    again["volumes"]["model"]["size"] = json!("2Gi");
    world.edit_with(&services, &again);
    make_again(&mut world);
    assert!(!runs(&world));
}

#[test]
fn a_volume_is_filled_again_when_its_job_is_deleted_and_the_mark_taken_off_its_claim() {
    let mut world = World::with(&reader(&json!({})), &filled_by("fetch:1"));
    world.pass();
    fills(&mut world);
    let id = job(&world);
    world.delete(&id, false);
    world.pass();
    assert!(!runs(&world));
    let claim = ChildId { kind: Kind::Claim, name: "s-model".into() };
    Arc::make_mut(world.children.get_mut(&claim).unwrap()).meta.annotations = None;
    world.pass();
    assert!(runs(&world));
}
