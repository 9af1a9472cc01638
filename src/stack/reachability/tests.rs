use serde_json::{Value, json};

use super::*;
use crate::api::{AppStack, PodSecurity, Protocol};
use crate::stack::check;

fn stack(spec: Value) -> Stack {
    let mut spec = spec;
    for service in spec["services"].as_object_mut().unwrap().values_mut() {
        service["image"] = json!("a:1");
    }
    let mut written = AppStack::new("shop", serde_json::from_value(spec).unwrap());
    written.metadata.namespace = Some("ns".into());
    check(&written, PodSecurity::Privileged).unwrap()
}

/// A web server before an application before a database, which is walled in; and somebody aside.
fn shop() -> Stack {
    stack(json!({
    "networks": {"front": {}, "data": {"internal": true}, "aside": {}},
    "services": {
        "web": {"networks": {"front": {}}, "ports": {"http": {"port": 8080, "published": 80}, "admin": {"port": 9000}}},
        "app": {"networks": {"front": {}, "data": {}}, "ports": {"http": {"port": 8000}}},
        "db": {"networks": {"data": {}}, "ports": {"pg": {"port": 5432}}},
        "aside": {"networks": {"aside": {}}, "ports": {"ns": {"port": 1, "openTo": "Namespace"}, "all": {"port": 2, "protocol": "UDP", "openTo": "Cluster"}}},
    }}))
}

const fn tcp(number: i32) -> At {
    At::Declared(number, Protocol::Tcp)
}

/// `+` or `-`, and the reason.
fn said(stack: &Stack, from: Caller<'_>, to: Target<'_>, at: At) -> String {
    let answer = Matrix::of(stack).answer(from, to, at).unwrap();
    format!("{} {answer}", if answer.is_open() { '+' } else { '-' })
}

use Caller::{Cluster, Namespace, Outside, Populate, Shared};
use Target::{Dns, Internet};

fn from(name: &str) -> Caller<'_> {
    Caller::Service(name)
}

fn to(name: &str) -> Target<'_> {
    Target::Service(name)
}

#[test]
fn services_that_share_a_network_talk_on_every_port() {
    let shop = shop();
    for at in [tcp(8080), tcp(9000), At::Other] {
        assert_eq!(said(&shop, from("app"), to("web"), at), "+ both are in network front");
    }
    assert_eq!(said(&shop, from("app"), to("db"), At::Other), "+ both are in network data");
    assert_eq!(said(&shop, from("db"), to("app"), tcp(8000)), "+ both are in network data");
    assert_eq!(said(&shop, from("db"), to("db"), At::Other), "+ both are in network data", "its own pods too");
}

#[test]
fn services_that_share_none_do_not_talk() {
    let shop = shop();
    assert_eq!(
        said(&shop, from("web"), to("db"), tcp(5432)),
        "- internal networks only: db has no way in but from their members"
    );
    assert_eq!(
        said(&shop, from("aside"), to("app"), tcp(8000)),
        "- they share no network, and the port is not open to others"
    );
}

#[test]
fn a_published_port_is_open_to_everyone_who_gets_out() {
    let shop = shop();
    for caller in [from("aside"), Namespace, Cluster, Outside] {
        assert_eq!(said(&shop, caller, to("web"), tcp(8080)), "+ published as 80");
    }
    for (caller, at) in [(Outside, tcp(9000)), (Cluster, At::Other)] {
        assert_eq!(said(&shop, caller, to("web"), at), "- the port is not published");
    }
    assert_eq!(
        said(&shop, from("db"), to("web"), tcp(8080)),
        "- internal networks only: db has no way out but to their members"
    );
}

#[test]
fn a_routed_port_is_open_to_everyone() {
    let routes = json!({"a": {"path": "/api"}, "b": {"host": "x.example.com"}});
    let stack = stack(json!({"ingressClassName": "nginx",
        "services": {"web": {"ports": {"http": {"port": 80}}, "routes": routes}}}));
    for caller in [Namespace, Cluster, Outside] {
        assert_eq!(said(&stack, caller, to("web"), tcp(80)), "+ requests for /api and x.example.com/ are routed to it");
    }
}

#[test]
fn one_port_may_be_published_twice() {
    let ports = json!({"a": {"port": 80, "published": 8080}, "b": {"port": 80, "published": 80}});
    let twice = stack(json!({"services": {"web": {"ports": ports}}}));
    assert_eq!(said(&twice, Outside, to("web"), tcp(80)), "+ published as 80 and 8080");
}

#[test]
fn an_open_port_is_open_as_far_as_it_says() {
    let shop = shop();
    let all = At::Declared(2, Protocol::Udp);
    assert_eq!(said(&shop, Namespace, to("aside"), tcp(1)), "+ open to every pod of the namespace");
    assert_eq!(said(&shop, from("web"), to("aside"), tcp(1)), "+ open to every pod of the namespace");
    assert_eq!(said(&shop, Cluster, to("aside"), tcp(1)), "- open to pods of the namespace only");
    assert_eq!(said(&shop, Cluster, to("aside"), all), "+ open to every pod of the cluster");
    assert_eq!(said(&shop, Outside, to("aside"), all), "- open to pods of the cluster only");
    assert_eq!(Matrix::of(&shop).answer(Cluster, to("aside"), tcp(2)), None, "a protocol is part of a port");
}

#[test]
fn internal_networks_have_no_way_in_or_out() {
    let shop = shop();
    assert_eq!(
        said(&shop, Outside, to("db"), tcp(5432)),
        "- internal networks only: db has no way in but from their members"
    );
    assert_eq!(
        said(&shop, from("db"), Internet, At::Any),
        "- internal networks only: db has no way out but to their members"
    );
    assert_eq!(said(&shop, from("app"), Internet, At::Any), "+ network front has a way out");
    assert_eq!(said(&shop, from("db"), Dns, At::Any), "+ every pod with a network may ask the cluster's DNS");
}

#[test]
fn a_service_of_internal_networks_publishes_to_nobody() {
    let ports = json!({"pg": {"port": 5432, "published": 5432}});
    let walled = stack(json!({
        "networks": {"data": {"internal": true}},
        "services": {"db": {"networks": {"data": {}}, "ports": ports}}}));
    for caller in [Outside, Cluster, Namespace] {
        assert!(!Matrix::of(&walled).answer(caller, to("db"), tcp(5432)).unwrap().is_open());
    }
}

#[test]
fn isolation_namespace_opens_the_way_in_and_no_way_out() {
    let stack = stack(json!({
        "isolation": "Namespace",
        "networks": {"data": {"internal": true}},
        "services": {"db": {"networks": {"data": {}}}, "web": {}, "sealed": {"networkMode": "None"}}}));
    for caller in [from("web"), Namespace] {
        assert_eq!(said(&stack, caller, to("db"), At::Any), "+ isolation Namespace: open to the whole namespace");
        assert_eq!(said(&stack, caller, to("sealed"), At::Any), "- networkMode None: sealed has no network");
    }
    assert!(said(&stack, Cluster, to("web"), At::Any).starts_with('-'));
    assert!(said(&stack, from("db"), to("web"), At::Any).starts_with("- internal networks only: db has no way out"));
}

#[test]
fn isolation_none_builds_no_walls() {
    let stack = stack(json!({
        "isolation": "None",
        "networks": {"data": {"internal": true}},
        "services": {"db": {"networks": {"data": {}}}, "sealed": {"networkMode": "None"}}}));
    assert!(Matrix::of(&stack).entries().all(|entry| entry.answer == Answer::Open(Way::NoWalls)));
    let fields: Vec<&str> = stack.warnings.iter().map(|warning| warning.field.as_str()).collect();
    let unkept = ["spec.networks[data].internal", "spec.services[sealed].networkMode"];
    assert_eq!(fields, unkept, "what no policy keeps is warned of: {:?}", stack.warnings);
}

#[test]
fn a_network_mode_decides_alone() {
    let stack = stack(json!({
        "podSecurity": "Privileged",
        "networks": {"data": {"internal": true}},
        "services": {
            "sealed": {"networkMode": "None"},
            "agent": {"networkMode": "Host", "ports": {"metrics": {"port": 9100}}},
            "patched": {"podTemplatePatch": {"spec": {"hostNetwork": true}}},
            "db": {"networks": {"data": {}}},
            "web": {"ports": {"http": {"port": 80, "published": 80}}}}}));
    let matrix = Matrix::of(&stack);
    for entry in matrix.entries().filter(|e| e.from == from("sealed") || e.to == to("sealed")) {
        assert!(!entry.answer.is_open(), "{entry:?}");
    }
    for caller in [Outside, Cluster, Namespace, from("web")] {
        for (host, at) in [("agent", At::Other), ("patched", At::Any)] {
            let expected = format!("+ {host} is on the network of its node, outside of the walls");
            assert_eq!(said(&stack, caller, to(host), at), expected);
        }
    }
    assert!(said(&stack, from("db"), to("agent"), At::Other).starts_with("- internal networks only: db"));
    assert!(said(&stack, from("agent"), Internet, At::Any).starts_with("+ agent is on the network of its node"));
    assert_eq!(said(&stack, from("agent"), to("web"), tcp(80)), "+ published as 80");
    assert!(said(&stack, from("patched"), to("web"), At::Other).starts_with("- they share no network"));
}

#[test]
fn who_fills_a_volume_goes_anywhere_and_lets_nobody_in() {
    for isolation in ["Networks", "Namespace"] {
        let stack = stack(json!({
            "isolation": isolation,
            "volumes": {"models": {"size": "1Gi", "populate": {"image": "fetch:1"}}},
            "services": {"web": {"mounts": {"/models": {"volume": "models"}}, "ports": {"http": {"port": 80, "published": 80}}}}}));
        let (filling, filled) = (Populate("models"), Target::Populate("models"));
        assert_eq!(said(&stack, filling, Internet, At::Any), "+ a volume is filled from anywhere");
        assert_eq!(said(&stack, filling, Dns, At::Any), "+ a volume is filled from anywhere");
        assert_eq!(
            said(&stack, filling, to("web"), At::Other).starts_with('+'),
            isolation == "Namespace",
            "it is a pod of the namespace"
        );
        assert!(said(&stack, filling, to("web"), tcp(80)).starts_with('+'));
        for caller in [from("web"), Namespace, Outside] {
            assert_eq!(said(&stack, caller, filled, At::Any), "- nobody dials a pod that fills a volume");
        }
    }
}

#[test]
fn members_of_a_shared_network_talk_whichever_stack_they_are_of() {
    let with = |networks: Value, services: Value| stack(json!({"networks": networks, "services": services}));
    let one = with(
        json!({"bus": {"sharedName": "company-bus"}, "vault": {"sharedName": "company-vault", "internal": true}, "bus-2": {"sharedName": "company-bus"}}),
        json!({"api": {"networks": {"bus": {}}}, "other-name": {"networks": {"bus-2": {}}}, "keeper": {"networks": {"vault": {}}}}),
    );
    let two = with(
        json!({"line": {"sharedName": "company-bus"}, "safe": {"sharedName": "company-vault"}, "bus": {}}),
        json!({"caller": {"networks": {"line": {}, "safe": {}}}, "namesake": {"networks": {"bus": {}}}}),
    );
    assert_eq!(said(&one, Shared("company-bus"), to("api"), At::Any), "+ both are in network bus");
    assert!(said(&one, Shared("company-bus"), to("keeper"), At::Any).starts_with("- internal networks only"));
    assert_eq!(said(&one, from("api"), to("other-name"), At::Any), "+ both are in network bus-2", "by its shared name");
    let across = |a: &Stack, from: &str, b: &Stack, to: &str| {
        Matrix::of(a).across(from, Matrix::of(b), to, At::Any).unwrap().to_string()
    };
    assert_eq!(across(&two, "caller", &one, "api"), "both are in network bus", "as the target's stack calls it");
    assert_eq!(across(&one, "keeper", &two, "caller"), "both are in network safe", "out to members, of any stack");
    assert!(across(&one, "keeper", &two, "namesake").starts_with("internal networks only: keeper has no way out"));
    assert!(across(&two, "namesake", &one, "api").starts_with("they share no network"), "a name alone shares nothing");
    let mut far = two.clone();
    far.namespace = "elsewhere".into();
    assert_eq!(across(&far, "caller", &one, "api"), "the port is not published");
}

#[test]
fn every_question_is_asked_once() {
    let shop = shop();
    let entries: Vec<Entry<'_>> = Matrix::of(&shop).entries().collect();
    // Callers: 4 services, and 3 strangers who may call services only. 3 + 2 + 2 + 3 ports.
    assert_eq!(entries.len(), 7 * 10 + 4 * 2);
    let unique: BTreeSet<_> = entries.iter().map(|e| (e.from, e.to, e.at)).collect();
    assert_eq!(unique.len(), entries.len());
    assert_eq!(Matrix::of(&shop).answer(from("nobody"), to("db"), At::Any), None);
    assert_eq!(Matrix::of(&shop).answer(from("db"), to("nobody"), At::Any), None);
}
