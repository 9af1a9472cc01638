//! What people ask by annotations of the stack: the same gates, the same rest.

use serde_json::{Value, json};

use super::world::{UID, World, id};
use crate::api::PodSecurity;
use crate::child::Kind;
use crate::render::{Settings, render};
use crate::rollout::Step;
use crate::stack::{check, requests};

/// The stack as it is written now, with these annotations.
fn ask(world: &mut World, services: &Value, annotations: &Value) {
    let written = serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
        "metadata": {"name": "s", "namespace": "n", "uid": UID, "annotations": annotations}, "spec": {"services": services}}));
    world.stack = check(&written.unwrap(), PodSecurity::Baseline).unwrap();
    world.wanted = render(&world.stack, &Settings::default());
}

fn shop() -> Value {
    json!({
        "db": {"image": "db:1"},
        "migrate": {"image": "migrate:1", "mode": "Job", "dependsOn": {"db": {}}},
        "api": {"image": "api:1", "dependsOn": {"db": {}, "migrate": {}}},
        "web": {"image": "web:1", "dependsOn": {"api": {"restart": true}}},
        "log": {"image": "log:1"},
    })
}

fn restarted(services: &[&str]) -> Value {
    services.iter().map(|name| (requests::restart(name), json!("1"))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn a_restart_goes_through_the_gates_and_comes_to_rest() {
    let mut world = World::new(&shop());
    world.settle();
    let before = world.templates.clone();
    ask(&mut world, &shop(), &restarted(&["db", "api", "web"]));
    assert_eq!(world.pass(), [id("db")], "the others wait");
    assert!(matches!(world.plan().steps["api"], Step::Hold(_)));
    world.complete("db");
    assert_eq!(world.pass(), [id("api")]);
    world.complete("api");
    assert_eq!(world.pass(), [id("web")]);
    world.settle();
    assert!(world.pass().is_empty());
    for service in ["db", "api", "web"] {
        assert_ne!(world.templates[&id(service)], before[&id(service)], "pods of {service} are replaced");
    }
    assert_eq!(world.templates[&id("log")], before[&id("log")]);
    let jobs = world.children.keys().filter(|id| id.kind == Kind::Job).count();
    assert_eq!(jobs, 1, "the migration did not run again");
}

#[test]
fn who_restarts_with_a_dependency_follows_it_and_nobody_else_does() {
    let mut world = World::new(&shop());
    world.settle();
    ask(&mut world, &shop(), &restarted(&["api"]));
    assert_eq!(world.pass(), [id("api")]);
    world.complete("api");
    assert_eq!(world.pass(), [id("web")]);
    world.settle();
}

#[test]
fn a_job_runs_again_when_it_is_named_and_once() {
    let mut world = World::new(&shop());
    world.settle();
    let first = world.id("migrate");
    ask(&mut world, &shop(), &restarted(&["migrate"]));
    world.settle();
    assert_ne!(world.id("migrate"), first);
    assert!(world.children.contains_key(&world.id("migrate")) && !world.children.contains_key(&first));
    assert!(world.pass().is_empty());
}
