//! Stacks made up at random, the same ones on every run.

use e2e::dice::Dice;
use serde_json::{Map, Value, json};

/// Names and numbers are few, so that they meet.
const NETWORKS: [&str; 5] = ["default", "front", "back", "data", "aside"];
const SHARED: [&str; 3] = ["bus", "line", "front"];
const NUMBERS: [u64; 5] = [53, 80, 443, 5432, 8080];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// One stack, or two that share a namespace and, likely, a network.
pub fn stacks(dice: &mut Dice) -> Vec<Value> {
    let two = one_in(dice, 3);
    ["shop", "shop-two"].into_iter().take(if two { 2 } else { 1 }).map(|name| stack(dice, name, two)).collect()
}

fn one_in(dice: &mut Dice, of: u64) -> bool {
    dice.roll(of) == 0
}

fn pick<T: Copy>(dice: &mut Dice, from: &[T]) -> T {
    from[usize::try_from(dice.roll(from.len() as u64)).unwrap()]
}

fn stack(dice: &mut Dice, name: &str, has_neighbour: bool) -> Value {
    let mut networks = Map::new();
    for network in NETWORKS {
        if network == "default" && !one_in(dice, 4) || one_in(dice, 4) {
            continue;
        }
        let mut written = json!({});
        if one_in(dice, 2) {
            written["internal"] = json!(true);
        }
        if one_in(dice, if has_neighbour { 2 } else { 4 }) {
            written["sharedName"] = json!(pick(dice, &SHARED));
        }
        networks.insert(network.into(), written);
    }
    let mut spec = json!({"podSecurity": "Privileged", "ingressClassName": "nginx", "services": {}});
    let fills = one_in(dice, 2);
    if fills {
        spec["volumes"] = json!({"models": {"size": "1Gi", "populate": {"image": "fetch:1"}}});
    }
    let isolation = dice.roll(9);
    if isolation < 3 {
        spec["isolation"] = json!(if isolation == 0 { "None" } else { "Namespace" });
    }
    for at in 0..2 + dice.roll(4) {
        let mut service = service(dice, &format!("s{at}"), &networks);
        if fills && at == 0 {
            service["mounts"] = json!({"/models": {"volume": "models"}});
            service.as_object_mut().unwrap().remove("mode");
        }
        spec["services"][format!("s{at}")] = service;
    }
    if !networks.is_empty() {
        spec["networks"] = Value::Object(networks);
    }
    json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": name}, "spec": spec})
}

fn service(dice: &mut Dice, name: &str, networks: &Map<String, Value>) -> Value {
    let mut service = json!({"image": "a:1", "replicas": 2});
    match dice.roll(12) {
        0 => service["networkMode"] = json!("None"),
        1 => service["networkMode"] = json!("Host"),
        2 => service["podTemplatePatch"] = json!({"spec": {"hostNetwork": true}}),
        _ => {}
    }
    if service.get("networkMode").is_none() {
        for network in networks.keys() {
            if one_in(dice, 3) {
                service["networks"][network] = json!({});
            }
        }
    }
    match dice.roll(8) {
        0 => service["mode"] = json!("Job"),
        1 => service["mode"] = json!("Global"),
        _ => {}
    }
    if service.get("mode").is_some() {
        service.as_object_mut().unwrap().remove("replicas");
    }
    if one_in(dice, 4) {
        service["podLabels"] = json!({"k8s-app": "kube-dns", "app": "s0"});
    }
    for at in 0..dice.roll(4) {
        let mut port = json!({"port": pick(dice, &NUMBERS), "protocol": pick(dice, &PROTOCOLS)});
        if one_in(dice, 2) {
            // Each a number of its own: one published number has one port behind it.
            port["published"] = json!(7000 + at);
        }
        match dice.roll(5) {
            0 => port["openTo"] = json!("Namespace"),
            1 => port["openTo"] = json!("Cluster"),
            _ => {}
        }
        if port["protocol"] == "TCP" && one_in(dice, 4) {
            service["routes"][format!("r{at}")] =
                json!({"host": format!("{name}.example"), "path": format!("/{at}"), "port": port["port"]});
        }
        service["ports"][format!("p{at}")] = port;
    }
    service
}
