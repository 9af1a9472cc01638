//! `required: false` in all its cases: a dependency that is off or has failed lets pass, one that is on its way is waited for, one that is not defined is an error.

use serde_json::{Value, json};

use super::world::{World, id, progressing};
use crate::api::{AppStack, PodSecurity};
use crate::rollout::Step;
use crate::stack::check;

/// `web` would like to have `db`, and `strict` needs it.
fn services(db: &Value) -> Value {
    let mut all = json!({
        "db": {"image": "db:1"},
        "web": {"image": "web:1", "dependsOn": {"db": {"required": false}}},
        "strict": {"image": "strict:1", "dependsOn": {"db": {}}},
    });
    for (key, value) in db.as_object().unwrap() {
        all["db"][key] = value.clone();
    }
    all
}

/// `web` has passed its gate, and `strict` has failed for this reason.
fn assert_passes(world: &mut World, reason: &str) {
    assert!(world.pass().contains(&id("web")), "what failed lets pass");
    let Step::Failed(cause) = &world.plan().steps["strict"] else { panic!("{:?}", world.plan().steps) };
    assert_eq!((cause.path.last().map(String::as_str), cause.reason.as_str()), (Some("db"), reason));
}

#[test]
fn one_that_is_on_its_way_is_waited_for_although_it_is_not_required() {
    let mut world = World::new(&services(&json!({})));
    world.pass();
    world.begin("db"); // unhealthy, and its deadline is still to come
    assert!(matches!(&world.plan().steps["web"], Step::Hold(waits) if waits[0].on == "db"));
    world.complete("db");
    assert!(world.pass().contains(&id("web")));
}

#[test]
fn one_that_is_past_its_deadline_lets_pass_and_is_waited_for_again_once_it_moves() {
    let mut world = World::new(&services(&json!({})));
    world.pass();
    world.begin("db");
    world.change("db", |child| child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")]);
    assert_passes(&mut world, "ProgressDeadlineExceeded");
    let mut next = services(&json!({"image": "db:2"}));
    next["web"]["image"] = json!("web:2");
    world.edit(&next);
    assert!(!world.pass().contains(&id("web")));
    world.begin("db");
    assert!(matches!(world.plan().steps["web"], Step::Hold(_)), "the next definition has a deadline of its own");
}

#[test]
fn a_job_that_has_failed_lets_pass() {
    let mut world = World::new(&services(&json!({"mode": "Job"})));
    world.pass();
    assert!(matches!(world.plan().steps["web"], Step::Hold(_)), "while it runs, it is waited for");
    world.fail(&world.id("db"));
    assert_passes(&mut world, "JobFailed");
}

#[test]
fn one_behind_which_something_has_failed_lets_pass() {
    let mut all = services(&json!({"dependsOn": {"disk": {}}}));
    all["disk"] = json!({"image": "disk:1"});
    let mut world = World::new(&all);
    world.pass();
    world.begin("disk");
    world.change("disk", |child| child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")]);
    assert!(world.pass().contains(&id("web")));
    assert!(matches!(&world.plan().steps["strict"], Step::Failed(cause) if cause.path == ["db", "disk"]));
}

#[test]
fn one_that_was_rolled_back_lets_pass() {
    let goes_back = json!({"onFailure": "Rollback"});
    let mut world = World::new(&services(&json!({"update": goes_back})));
    world.settle();
    let mut next = services(&json!({"update": goes_back, "image": "db:2"}));
    (next["web"]["image"], next["strict"]["image"]) = (json!("web:2"), json!("strict:2"));
    world.edit(&next);
    world.pass();
    world.begin("db");
    world.change("db", |child| child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")]);
    assert_passes(&mut world, "RolledBack");
}

#[test]
fn one_that_is_off_by_profile_is_not_waited_for_and_neither_when_it_comes() {
    let world = |on: bool| {
        let mut all = services(&json!({"profiles": ["local"]}));
        all["strict"]["dependsOn"] = json!({});
        all["strict"].as_object_mut().unwrap().remove("dependsOn");
        (all, if on { json!({"profiles": ["local"]}) } else { json!({}) })
    };
    let (all, off) = world(false);
    let mut told = World::with(&all, &off);
    assert!(told.pass().contains(&id("web")));
    assert!(told.workload("db").is_none());
    told.settle();
    let (all, on) = world(true);
    told.edit_with(&all, &on);
    assert_eq!(told.pass().iter().filter(|written| **written == id("web")).count(), 0, "what runs is not touched");
    told.settle();
    assert!(told.workload("db").is_some());
}

#[test]
fn one_that_is_not_defined_is_an_error_always() {
    for required in [true, false] {
        let services = json!({"web": {"image": "web:1", "dependsOn": {"gone": {"required": required}}}});
        let spec = serde_json::from_value(json!({"services": services})).unwrap();
        let problems = check(&AppStack::new("s", spec), PodSecurity::Baseline).unwrap_err();
        assert_eq!(problems.all[0].field, "spec.services[web].dependsOn[gone]");
    }
}
