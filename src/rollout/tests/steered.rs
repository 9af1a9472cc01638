//! What people ask by annotations of the stack: the same gates, the same rest.

use serde_json::{Value, json};

use super::world::{UID, World, id};
use crate::api::PodSecurity;
use crate::child::{Kind, labels};
use crate::render::{Settings, render};
use crate::rollout::{Body, Guard, ROLLED_BACK, Step};
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

/// `web` keeps what it was made from, `shop` waits for it.
fn kept(tag: &str) -> Value {
    json!({
        "web": {"image": format!("web:{tag}"), "update": {"history": 3}},
        "shop": {"image": format!("shop:{tag}"), "dependsOn": {"web": {}}},
    })
}

fn revision(world: &World) -> String {
    world.stack.services["web"].revision.clone()
}

fn back_to(world: &World, revision: &str) -> Value {
    json!({requests::rollback("web"): format!("{}:{revision}", world.stack.services["web"].definition)})
}

fn is_back(step: &Step) -> bool {
    matches!(step, Step::Failed(cause) if cause.path.is_empty() && cause.reason == ROLLED_BACK && cause.message.contains("by hand"))
}

fn note<'a>(world: &'a World, key: &str) -> Option<&'a str> {
    world.workload("web").and_then(|child| child.annotation(key))
}

/// Two definitions, both of them good; the second runs.
fn two() -> (World, String) {
    let mut world = World::new(&kept("1"));
    world.settle();
    let first = revision(&world);
    world.edit(&kept("2"));
    world.settle();
    (world, first)
}

#[test]
fn what_a_person_puts_back_stays_until_an_edit_of_the_service() {
    let (mut world, first) = two();
    let (template, newest) = (world.templates[&id("web")].clone(), revision(&world));
    let asked = back_to(&world, &first);
    ask(&mut world, &kept("2"), &asked);
    assert_eq!(world.pass(), [id("web")]);
    assert_eq!(world.templates[&id("web")]["spec"]["containers"][0]["image"], "web:1");
    assert_eq!([note(&world, labels::REVISION), note(&world, labels::FAILED_REVISION)], [Some(&*first), None]);
    world.complete("web");
    for _ in 0..3 {
        assert!(world.pass().is_empty(), "at rest");
    }
    assert!(is_back(&world.plan().steps["web"]));

    // A restart, or an edit of another service, takes nothing back.
    let mut more = asked.clone();
    more[requests::restart("web")] = json!("1");
    let mut other = kept("2");
    other["shop"]["image"] = json!("shop:3");
    ask(&mut world, &other, &more);
    assert!(world.pass().is_empty());
    let Step::Failed(cause) = &world.plan().steps["shop"] else { panic!("a changed dependant goes on") };
    assert_eq!(cause.path, ["web"], "it counts as failed for those that change");

    ask(&mut world, &kept("2"), &json!({}));
    assert_eq!(world.pass(), [id("web")], "taken back");
    assert_eq!((world.templates[&id("web")].clone(), note(&world, labels::REVISION)), (template, Some(&*newest)));
    world.settle();

    ask(&mut world, &kept("2"), &asked);
    world.settle();
    ask(&mut world, &kept("3"), &asked);
    world.settle();
    assert_eq!(note(&world, labels::REVISION), Some(&*revision(&world)), "another definition is rolled out");
    assert_eq!(world.plan().steps["shop"], Step::Done);
}

#[test]
fn what_is_kept_of_no_revision_cannot_be_put_back_and_the_written_one_runs() {
    let (mut world, _) = two();
    let asked = back_to(&world, "00000000");
    ask(&mut world, &kept("2"), &asked);
    assert!(world.pass().is_empty());
    assert_eq!(world.plan().steps["web"], Step::Done);
    ask(&mut world, &kept("2"), &json!({requests::rollback("web"): "no such thing"}));
    assert!(world.pass().is_empty());
}

#[test]
fn what_is_put_back_is_kept_whatever_is_newer_and_starts_from_nothing_as_it_was() {
    let (mut world, first) = two();
    let asked = back_to(&world, &first);
    ask(&mut world, &kept("2"), &asked);
    world.settle();
    // Somebody deletes the Deployment.
    world.delete(&id("web"), false);
    let plan = world.plan();
    let bodies: Vec<&Body> =
        plan.writes.iter().filter(|write| write.id == id("web")).map(|write| &write.body).collect();
    assert!(
        matches!(&bodies[..], [Body::Restore { guard: Guard::Absent, good, replicas: Some(1), .. }] if *good == first),
        "{bodies:?}"
    );
}

#[test]
fn what_is_put_back_starts_no_pods_before_its_turn() {
    let mut services = kept("1");
    services["web"]["dependsOn"] = json!({"db": {}});
    services["db"] = json!({"image": "db:1"});
    let mut world = World::new(&services);
    world.settle();
    let first = revision(&world);
    services["web"]["image"] = json!("web:2");
    world.edit(&services);
    world.settle();
    let asked = back_to(&world, &first);
    services["web"]["replicas"] = json!(0);
    ask(&mut world, &services, &asked);
    world.settle();
    services["web"]["replicas"] = json!(1);
    services["db"]["image"] = json!("db:2");
    ask(&mut world, &services, &asked);
    assert_eq!(world.pass(), [id("db")]);
    assert!(matches!(&world.plan().steps["web"], Step::Hold(waits) if !waits.is_empty()));
    world.complete("db");
    world.pass();
    assert_eq!(world.workload("web").unwrap().facts.spec_replicas, Some(1));
    assert_eq!(note(&world, labels::REVISION), Some(&*first));
}

#[test]
fn restarts_push_no_definition_out_of_the_history() {
    let (mut world, first) = two();
    for stamp in 0..5 {
        ask(&mut world, &kept("2"), &json!({requests::restart("web"): stamp.to_string()}));
        world.settle();
    }
    let kept = world.children.keys().filter(|id| id.kind == Kind::Record).map(|id| id.name.clone());
    let kept: Vec<String> = kept.collect();
    assert!(kept.contains(&format!("s-web-{first}")), "{kept:?}");
    assert!(kept.len() <= 3, "the newest of each definition, and what its workload would go back to: {kept:?}");
}

/// Numbers that look like chance and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn random_services(dice: &mut Dice) -> Value {
    let mut services = json!({});
    for (at, name) in NAMES.iter().enumerate() {
        let mut service = json!({"image": format!("{name}:0")});
        match dice.roll(6) {
            0 => service["mode"] = json!("Global"),
            1 => service["mode"] = json!("Job"),
            _ => {}
        }
        if service["mode"] != "Job" && dice.roll(3) > 0 {
            service["update"] = json!({"history": 1 + dice.roll(3)});
        }
        for on in &NAMES[..at] {
            if dice.roll(2) == 0 {
                service["dependsOn"][*on] = json!({"restart": dice.roll(2) == 0});
            }
        }
        services[*name] = service;
    }
    services
}

/// What is kept of a service, or something that is not.
fn any_revision(world: &World, service: &str, dice: &mut Dice) -> String {
    let of = |child: &crate::child::Child| child.label(labels::HISTORY_OF) == service;
    let kept = world.children.iter().filter(|(id, child)| id.kind == Kind::Record && of(child));
    let mut all: Vec<String> =
        kept.filter_map(|(_, child)| child.annotation(labels::REVISION)).map(str::to_owned).collect();
    all.push("00000000".into());
    all.swap_remove(dice.roll(all.len()))
}

/// Edits, restarts and rollbacks by hand in any order, some in the middle of others: it comes to rest; at rest, what was put back runs, if it is kept, and else what is written; and without
/// what was put back, everything is as if it had been made from nothing.
#[test]
fn whatever_is_asked_in_whatever_order_comes_to_rest_and_can_be_taken_back() {
    for seed in (1..=40_u64).chain([290]) {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut services = random_services(&mut dice);
        let mut annotations = serde_json::Map::new();
        let mut world = World::new(&services);
        for step in 0..10 {
            let name = NAMES[dice.roll(NAMES.len())];
            match dice.roll(5) {
                0 | 1 => services[name]["image"] = json!(format!("{name}:{}", dice.roll(3))),
                2 => drop(annotations.insert(requests::restart(name), json!(step.to_string()))),
                3 => {
                    let (of, to) = (&world.stack.services[name].definition, any_revision(&world, name, &mut dice));
                    annotations.insert(requests::rollback(name), json!(format!("{of}:{to}")));
                }
                _ => drop(annotations.remove(&requests::rollback(name))),
            }
            ask(&mut world, &services, &Value::Object(annotations.clone()));
            match dice.roll(3) {
                0 => world.settle(),
                1 => drop(world.pass()),
                _ => {}
            }
        }
        world.settle();
        assert!(world.pass().is_empty(), "seed {seed}: at rest");
        let plan = world.plan();
        for (name, service) in &world.stack.services {
            let now = world.workload(name).and_then(|child| child.annotation(labels::REVISION));
            match (&plan.steps[name], &service.put_back) {
                (step, Some(to)) if is_back(step) => assert_eq!(now, Some(&**to), "seed {seed}: {name}"),
                (Step::Done, _) => assert_eq!(now, Some(&*service.revision), "seed {seed}: {name}"),
                (Step::Failed(cause), _) => assert!(!cause.path.is_empty(), "seed {seed}: {name} {cause:?}"),
                (step @ (Step::Apply | Step::Hold(_)), _) => panic!("seed {seed}: {name} is {step:?} at rest"),
            }
        }
        annotations.retain(|key, _| !key.starts_with("appstack.dev/rollback."));
        let restarts = Value::Object(annotations);
        ask(&mut world, &services, &restarts);
        world.settle();
        let mut fresh = World::new(&services);
        ask(&mut fresh, &services, &restarts);
        fresh.settle();
        for name in NAMES {
            let id = fresh.id(name);
            assert_eq!(world.templates.get(&id), fresh.templates.get(&id), "seed {seed}: {name}");
            assert_eq!(world.plan().steps[name], Step::Done, "seed {seed}: {name}");
        }
    }
}
