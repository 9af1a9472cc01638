//! A held service's running pods keep their addresses and walls.

use std::collections::BTreeMap;

use e2e::policy::{Cluster, End, Pod};
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
    let cluster = judge(&t.space.list(Kind::NetworkPolicy).await);
    let as_pod = |object: &Value| Pod::of(&t.space.name, json::name(object), object);
    let stranger = json!({"metadata": {"name": "stranger", "labels": {"app": "stranger"}}});
    let listening = as_pod(&web);
    for (name, from) in [("front-user", pod("front-user")), ("back-user", pod("back-user")), ("outside", stranger)] {
        let from = as_pod(&from);
        let enters = |port: &u16| cluster.verdict(End::Pod(&from), End::Pod(&listening), *port, "TCP").allowed;
        let listens = listening.ports.iter().map(|port| port.number);
        let mut may: Vec<String> = listens.filter(enters).map(|port| port.to_string()).collect();
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

// The evaluator that judges policies reads types that are not written as the server fills them in.
#[test]
fn policies_without_types_mean_what_the_server_makes_of_them() {
    live("walls_types", async |t| {
        let rules = [
            json!({}),
            json!({"ingress": [{}]}),
            json!({"egress": []}),
            json!({"egress": [{}]}),
            json!({"ingress": [{}], "egress": [{"ports": [{"port": 53}]}]}),
        ];
        let one = Pod { namespace: t.space.name.clone(), name: "one".into(), ..Pod::default() };
        let other = Pod { name: "other".into(), ..one.clone() };
        for (n, mut spec) in rules.into_iter().enumerate() {
            spec["podSelector"] = json!({});
            let written = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": format!("types-{n}"), "namespace": t.space.name}, "spec": spec,
            });
            let live = t.space.create(&written).await;
            assert_ne!(live["spec"]["policyTypes"], Value::Null, "the server fills them in");
            let verdict = |policy: &Value| {
                judge(std::slice::from_ref(policy)).verdict(End::Pod(&one), End::Pod(&other), 80, "TCP")
            };
            assert_eq!(verdict(&written), verdict(&live), "{:?}", live["spec"]["policyTypes"]);
        }
    });
}

fn judge(policies: &[Value]) -> Cluster {
    let typed = |policy: &Value| serde_json::from_value(policy.clone()).expect("a policy");
    Cluster { policies: policies.iter().map(typed).collect(), ..Cluster::default() }
}
