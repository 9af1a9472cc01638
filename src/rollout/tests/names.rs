//! Names and walls that pods of an older template still need, and Services that become others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::promises::held;
use super::world::{World, id};
use crate::child::{BalancerFacts, ChildId, Kind, labels};
use crate::rollout::{Body, Guard, Refusal, RefusalKind, Write};

fn service(name: &str) -> ChildId {
    ChildId { kind: Kind::Service, name: name.into() }
}

fn write_of<'a>(writes: &'a [Write], id: &ChildId) -> Option<&'a Write> {
    writes.iter().find(|write| write.id == *id)
}

fn aliased(db: &str, web: Option<&Value>) -> Value {
    let mut services = json!({
        "db": {"image": db},
        "api": {"image": "api:1", "ports": {"grpc": {"port": 9000}}, "networks": {"default": {"aliases": ["front"]}}},
    });
    if let Some(web) = web {
        services["web"] = web.clone();
        services["web"]["dependsOn"] = json!({"db": {}});
        services["web"]["ports"] = json!({"http": {"port": 8000}});
    }
    services
}

#[test]
fn a_name_that_a_held_service_has_dropped_keeps_the_ports_of_its_pods() {
    let mut world =
        World::new(&aliased("db:1", Some(&json!({"image": "web:1", "networks": {"default": {"aliases": ["front"]}}}))));
    world.settle();
    world.edit(&aliased("db:2", Some(&json!({"image": "web:2"}))));
    world.pass();
    assert!(held(&world, "web"));
    let ports = |world: &World| {
        let live = world.children.get(&service("front")).and_then(|child| child.digest);
        live == Some(world.wanted[&service("front")].digest)
    };
    assert!(!ports(&world), "the pods of web still answer to it");
    world.complete("db");
    assert!(world.pass().contains(&service("front")), "with the template that drops it");
    assert!(ports(&world));
    world.settle();
}

#[test]
fn a_name_that_a_service_gone_from_the_stack_had_keeps_the_ports_of_its_pods() {
    let web = json!({"image": "web:1", "networks": {"default": {"aliases": ["front"]}}});
    let mut world = World::new(&aliased("db:1", Some(&web)));
    world.settle();
    world.edit(&aliased("db:2", None));
    assert_eq!(world.pass(), [id("db")], "web runs until db is at rest, and answers to the name meanwhile");
    world.complete("db");
    world.settle();
    assert!(world.children[&service("front")].digest == Some(world.wanted[&service("front")].digest));
}

#[test]
fn the_name_of_a_service_gone_from_the_stack_is_its_own_until_its_successor_is_up() {
    let ports = json!({"http": {"port": 80}});
    let mut world = World::new(&json!({"web": {"image": "web:1", "ports": ports}}));
    world.settle();
    world.edit(&json!({"site": {"image": "web:2", "ports": ports, "networks": {"default": {"aliases": ["web"]}}}}));
    let written = world.pass();
    assert!(written.contains(&id("site")) && !written.contains(&service("web")), "{written:?}");
    world.complete("site");
    world.settle();
    assert_eq!(world.children[&service("web")].digest, Some(world.wanted[&service("web")].digest));
}

#[test]
fn who_cannot_be_published_runs_and_holds_nobody() {
    let of = |name: &str, tag: &str| {
        json!({name: {"image": "web:1", "ports": {"http": {"port": 80, "published": 30080}}, "publish": {"type": "NodePort"}},
            "proxy": {"image": format!("proxy:{tag}"), "dependsOn": {name: {}}}})
    };
    let mut world = World::new(&of("web", "1"));
    world.settle();
    world.edit(&of("site", "2"));
    let published = service("site-published");
    let why = Refusal {
        kind: RefusalKind::Refused,
        message: "provided port is already allocated".into(),
        wanted: world.wanted[&published].digest,
    };
    world.refused.insert(published.clone(), why);
    world.settle();
    assert!(world.workload("site").is_some() && !world.children.contains_key(&id("web")));
    assert!(!world.children.contains_key(&service("web-published")), "what had the port is gone");
    world.refused.clear();
    assert_eq!(world.pass(), [published]);
}

#[test]
fn of_two_services_that_swap_node_ports_the_first_is_made_anew() {
    let of = |blue: u16, green: u16, tag: &str| {
        let service = |number: u16| {
            json!({"image": format!("web:{tag}"), "ports": {"http": {"port": 80, "published": number}},
                "publish": {"type": "NodePort"}, "dependsOn": {"db": {}}})
        };
        json!({"db": {"image": format!("db:{tag}")}, "blue": service(blue), "green": service(green)})
    };
    let mut world = World::new(&of(30080, 30081, "1"));
    world.settle();
    let anew = |world: &World| {
        let plan = world.plan();
        let services = plan.writes.iter().filter(|w| w.id.kind == Kind::Service);
        services.map(|w| (w.id.name.clone(), w.instead_of.is_some())).collect::<Vec<_>>()
    };
    let names = |blue: bool| vec![("blue-published".to_owned(), blue), ("green-published".to_owned(), false)];
    world.edit(&of(30082, 30080, "1"));
    assert_eq!(anew(&world), names(false), "a number that is let go of is no swap");
    world.edit(&of(30081, 30080, "2"));
    world.pass();
    assert!(anew(&world).is_empty(), "held, both stay as they are");
    world.complete("db");
    assert_eq!(anew(&world), names(true));
    world.settle();
}

#[test]
fn a_network_that_a_held_service_has_left_walls_in_its_pods_no_sooner() {
    let services = |tag: &str, network: &str| {
        json!({"db": {"image": format!("db:{tag}")},
            "web": {"image": format!("web:{tag}"), "dependsOn": {"db": {}}, "networks": {network: {}}},
            "user": {"image": "user:1", "networks": {"back": {}}}})
    };
    let back = |internal: bool| json!({"networks": {"back": {"internal": internal}, "front": {}}});
    let mut world = World::with(&services("1", "back"), &back(false));
    world.settle();
    world.edit_with(&services("2", "front"), &back(true));
    let wall = ChildId { kind: Kind::NetworkPolicy, name: "s-net-back".into() };
    assert!(!world.pass().contains(&wall), "the pods of web are members still, and may go out");
    world.complete("db");
    world.pass();
    world.settle();
    assert_eq!(world.children[&wall].digest, Some(world.wanted[&wall].digest));
}

#[test]
fn another_load_balancer_means_another_service() {
    let services = |class: &Value| {
        let mut publish = json!({"type": "LoadBalancer"});
        if class.is_string() {
            publish["loadBalancerClass"] = class.clone();
        }
        json!({"web": {"image": "web:1", "ports": {"http": {"port": 80, "published": 80}}, "publish": publish}})
    };
    let live = |class: Option<&str>, is_ours: bool| Some(BalancerFacts { class: class.map(str::to_owned), is_ours });
    let cases = [
        (live(Some("a"), true), json!("b"), true),
        (live(Some("a"), true), Value::Null, true),
        (live(None, false), json!("b"), true),
        (live(Some("webhook"), false), json!("b"), true),
        (live(Some("webhook"), false), Value::Null, false), // somebody else's word, where we say nothing
        (None, json!("b"), false),                          // it was no load balancer: the type changes in place
    ];
    for (before, class, is_made_anew) in cases {
        let mut world = World::new(&services(&json!("first")));
        world.settle();
        let published = service("web-published");
        Arc::make_mut(world.children.get_mut(&published).unwrap()).facts.balancer = before.clone();
        world.edit(&services(&class));
        let plan = world.plan();
        let write = write_of(&plan.writes, &published).expect("a write");
        assert_eq!(write.instead_of.is_some(), is_made_anew, "{before:?} -> {class}");
        let is_create = matches!(write.body, Body::Object { guard: Guard::Absent, .. });
        assert_eq!(is_create, is_made_anew);
    }
}

#[test]
fn a_held_service_keeps_its_callers_in_a_network_that_is_shared_no_more() {
    let services = |db: &str, web: &str| json!({"db": {"image": db}, "web": {"image": web, "networks": {"bus": {}}, "dependsOn": {"db": {}}}});
    let shared = |name: &str| json!({"networks": {"bus": {"sharedName": name}}});
    let mut world = World::with(&services("db:1", "web:1"), &shared("team"));
    world.settle();
    let pod = json!({
        "metadata": {"name": "p", "labels": {labels::STACK: "s", labels::SERVICE: "web", labels::in_network("bus"): "", labels::in_shared_network("team"): ""}},
        "spec": {"containers": []}, "status": {"phase": "Running"},
    });
    let p = ChildId { kind: Kind::Pod, name: "p".into() };
    world.children.insert(p.clone(), Arc::new(serde_json::from_value(pod).unwrap()));
    world.edit_with(&services("db:2", "web:2"), &shared("other"));
    let wall = ChildId { kind: Kind::NetworkPolicy, name: "s-net-bus".into() };
    assert!(!world.pass().contains(&wall), "who shares it as 'team' still reaches the old pod");
    world.complete("db");
    world.children.remove(&p);
    assert!(world.pass().contains(&wall), "with the template that has the new name");
}
