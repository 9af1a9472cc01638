//! Promises on the Jobs that fill volumes: they follow who mounts the volume until they have begun.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::World;
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
