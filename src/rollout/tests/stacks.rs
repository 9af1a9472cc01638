//! Stacks that wait for stacks: one promise each.

use serde_json::json;

use super::promises::{held, image};
use super::world::{World, id};
use crate::child::Kind;
use crate::rollout::{Step, Until};

fn two(tag: &str) -> serde_json::Value {
    json!({"db": {"image": format!("db:{tag}")}, "web": {"image": format!("web:{tag}"), "dependsOn": {"db": {}}}})
}

fn waits_for_infra(world: &mut World) {
    world.unready = [("infra".to_owned(), "2/5 services ready".to_owned())].into();
}

#[test]
fn nothing_that_starts_pods_is_made_before_the_other_stack_is_ready_and_all_else_is() {
    let mut world = World::new(&two("1"));
    waits_for_infra(&mut world);
    let written = world.pass();
    assert!(!written.is_empty() && written.iter().all(|id| !id.kind.starts_pods()), "{written:?}");
    let plan = world.plan();
    let Step::Hold(waits) = &plan.steps["db"] else { panic!("{:?}", plan.steps["db"]) };
    assert_eq!((waits[0].on.as_str(), waits[0].until), ("stack infra", Until::Ready));
    let Step::Hold(waits) = &plan.steps["web"] else { panic!("{:?}", plan.steps["web"]) };
    assert_eq!(waits[0].on, "db", "who has another reason says that");
    world.unready.clear();
    assert_eq!(world.pass(), [id("db")]);
}

#[test]
fn a_stack_that_turns_unready_later_stops_nobody_and_holds_changes() {
    let mut world = World::new(&two("1"));
    world.settle();
    waits_for_infra(&mut world);
    assert!(world.pass().is_empty());
    assert!(!held(&world, "db") && !held(&world, "web"));
    let old = image(&world, "db");
    world.edit(&two("2"));
    world.pass();
    assert!(held(&world, "db") && image(&world, "db") == old, "its pods run on");
    world.unready.clear();
    world.settle();
    assert_ne!(image(&world, "db"), old);
}

#[test]
fn scaling_does_not_wait_for_another_stack_and_starting_from_zero_does() {
    let web = |count: i32| json!({"web": {"image": "web:1", "replicas": count}});
    let mut world = World::new(&web(2));
    world.settle();
    waits_for_infra(&mut world);
    world.edit(&web(3));
    assert_eq!(world.pass(), [id("web")]);
    world.edit(&web(0));
    world.pass();
    world.edit(&web(2));
    assert!(world.pass().iter().all(|id| !id.kind.starts_pods()) && held(&world, "web"));
}

#[test]
fn a_person_may_let_a_service_pass() {
    let mut world = World::new(&two("1"));
    waits_for_infra(&mut world);
    world.ungated.insert("db".into());
    assert!(world.pass().contains(&id("db")));
}

#[test]
fn a_volume_is_not_filled_before_the_other_stack_is_ready() {
    let mut world = World::with(
        &json!({"db": {"image": "db:1", "mounts": {"/a": {"volume": "v"}}}}),
        &json!({"volumes": {"v": {"size": "1Gi", "populate": {"image": "fill:1"}}}}),
    );
    waits_for_infra(&mut world);
    assert!(world.pass().iter().all(|id| id.kind != Kind::Job));
    world.unready.clear();
    assert!(world.pass().iter().any(|id| id.kind == Kind::Job));
}
