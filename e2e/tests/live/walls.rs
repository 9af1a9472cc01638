//! A held service's running pods keep their addresses and walls.

use std::collections::BTreeMap;

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, operator_has_looked, wait_state};

fn walled(db: &Value, web: &Value) -> Value {
    let mut web = web.clone();
    web["dependsOn"] = json!({"db": {"condition": "Healthy"}});
    json!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "walls"},
        "spec": {
            "networks": {"front": {}, "back": {}},
            "services": {
                "db": db, "web": web,
                "front-user": {"image": "user:1", "networks": {"front": {}}},
                "back-user": {"image": "user:1", "networks": {"back": {}}},
            },
        },
    })
}

// "A held service's running pods keep addresses and walls while its ports and networks change in the spec."
#[test]
fn a_held_services_pods_keep_addresses_and_walls() {
    live("walls_held", async |t| {
        let _operator = t.space.operator().start();
        let db = |mode: &str, image: &str| json!({"image": image, "networks": {"back": {}}, "env": {"SIM_MODE": mode}});
        let old = json!({"image": "web:1", "networks": {"front": {}}, "ports": {"http": {"port": 8000, "published": 80}, "admin": {"port": 8100}}});
        t.space.apply_object(&walled(&db("none", "db:1"), &old)).await;
        t.space.wait_ready("walls", SOON).await;
        let before = seen_from_outside(&t).await;
        println!("before: {before:?}");
        assert_eq!(before["front-user may enter"], "8000 8100");
        assert_eq!(before["back-user may enter"], "8000", "what is published is open to everyone");
        assert_eq!(before["outside may enter"], "8000");

        let new = json!({"image": "web:2", "networks": {"back": {}}, "ports": {"http": {"port": 9000, "published": 81}, "admin": {"port": 9100}}});
        t.space.apply_object(&walled(&db("never-ready", "db:2"), &new)).await;
        wait_state(&t, "walls", "web", "Waiting").await;
        operator_has_looked(&t, "held").await;
        let held = seen_from_outside(&t).await;
        println!("held:   {held:?}");
        for (what, seen) in &before {
            assert_eq!(&held[what], seen, "{what}, while web is held");
        }

        t.space.apply_object(&walled(&db("none", "db:3"), &new)).await;
        t.space.wait_ready("walls", SOON).await;
        operator_has_looked(&t, "released").await;
        let after = seen_from_outside(&t).await;
        println!("after:  {after:?}");
        assert_eq!(after["web answers at"], "9000->9000 9100->9100", "the new ports, once released");
        assert_eq!(after["web-published answers at"], "81->9000");
        assert_eq!(after["front-user may enter"], "9000", "web left that network");
        assert_eq!(after["back-user may enter"], "9000 9100", "and joined this one");
        assert_eq!(after["outside may enter"], "9000", "published ports only");
    });
}

/// What web's running pods look like to others: under which ports its names answer, and who may enter on which port.
async fn seen_from_outside(t: &Live) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let pods = t.space.list(Kind::Pod).await;
    let pod = |service: &str| {
        let is = |p: &&Value| {
            json::label(p, "appstack.dev/service") == service && p["metadata"]["deletionTimestamp"].is_null()
        };
        pods.iter().find(is).unwrap_or_else(|| panic!("no pod of {service}")).clone()
    };
    let web = pod("web");
    for service in ["web", "web-published"] {
        seen.insert(format!("{service} answers at"), answers(t, service, &web).await);
    }
    let policies = t.space.list(Kind::NetworkPolicy).await;
    let stranger = json!({"metadata": {"labels": {"app": "stranger"}}});
    let listens: Vec<i64> =
        json::items(&web, "/spec/containers/0/ports").map(|p| json::number(p, "/containerPort")).collect();
    for (name, from) in [("front-user", pod("front-user")), ("back-user", pod("back-user")), ("outside", stranger)] {
        let mut may: Vec<String> =
            listens.iter().filter(|port| enters(&policies, &from, &web, **port)).map(ToString::to_string).collect();
        may.sort();
        seen.insert(format!("{name} may enter"), may.join(" "));
    }
    seen
}

/// `port->target` for each port under which the Service leads to this pod, by its endpoint slices. Waits until they tell of the pod.
async fn answers(t: &Live, service: &str, pod: &Value) -> String {
    let live = t.space.get(Kind::Service, service).await.unwrap_or_else(|| panic!("no Service {service}"));
    let address = json::text(pod, "/status/podIP");
    eventually(SOON, &format!("an endpoint {address} of Service {service}"), async || {
        let slices = t.space.list(Kind::EndpointSlice).await;
        let of = |s: &&Value| json::label(s, "kubernetes.io/service-name") == service;
        let leads = |s: &&Value| {
            json::items(s, "/endpoints").any(|e| e["addresses"][0] == address && e["conditions"]["ready"] == true)
        };
        let mut found = Vec::new();
        for slice in slices.iter().filter(of).filter(leads) {
            for target in json::items(slice, "/ports") {
                let port =
                    json::items(&live, "/spec/ports").find(|p| json::text(p, "/name") == json::text(target, "/name"));
                found.extend(port.map(|p| format!("{}->{}", p["port"], target["port"])));
            }
        }
        found.sort();
        if found.is_empty() { Err(format!("{slices:?}")) } else { Ok(found.join(" ")) }
    })
    .await
}

/// Whether policies let a pod into another one on a TCP port: an own reading of NetworkPolicy, as the API documents it.
fn enters(policies: &[Value], from: &Value, to: &Value, port: i64) -> bool {
    let about = |p: &&Value| {
        selects(&p["spec"]["podSelector"], to) && json::items(p, "/spec/policyTypes").any(|k| k == "Ingress")
    };
    let about: Vec<&Value> = policies.iter().filter(about).collect();
    let rule_lets = |rule: &Value| {
        let peers: Vec<&Value> = json::items(rule, "/from").collect();
        let ports: Vec<&Value> = json::items(rule, "/ports").collect();
        // An address block is meant for what is no pod; it may be the whole world.
        let peer = |p: &&Value| {
            p.pointer("/ipBlock/cidr").is_some_and(|c| c == "0.0.0.0/0")
                || p.get("podSelector").is_some_and(|s| selects(s, from))
        };
        (peers.is_empty() || peers.iter().any(peer)) && (ports.is_empty() || ports.iter().any(|p| is_port(p, to, port)))
    };
    about.is_empty() || about.iter().any(|p| json::items(p, "/spec/ingress").any(rule_lets))
}

fn is_port(rule: &Value, pod: &Value, port: i64) -> bool {
    match &rule["port"] {
        Value::Null => true,
        Value::String(name) => json::items(pod, "/spec/containers/0/ports")
            .any(|p| json::text(p, "/name") == name && json::number(p, "/containerPort") == port),
        number => number.as_i64() == Some(port),
    }
}

fn selects(selector: &Value, pod: &Value) -> bool {
    json::entries(selector, "/matchLabels").all(|(key, value)| json::label(pod, key) == value)
        && json::items(selector, "/matchExpressions").all(|e| {
            let (key, has) = (json::text(e, "/key"), |v: &Value| json::label(pod, json::text(e, "/key")) == v);
            let present = pod.pointer("/metadata/labels").is_some_and(|l| l.get(key).is_some());
            match json::text(e, "/operator") {
                "In" => present && json::items(e, "/values").any(has),
                "NotIn" => !present || !json::items(e, "/values").any(has),
                "Exists" => present,
                "DoesNotExist" => !present,
                other => panic!("a selector with the operator '{other}'"),
            }
        })
}
