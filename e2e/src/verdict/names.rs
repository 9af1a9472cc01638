//! Networks, ports, published ports and further names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Running, expect, main_container};
use crate::expected::{Expected, key};
use crate::{Kind, json};

const NETWORK: &str = "appstack.dev/network.";

impl Running {
    pub(super) fn names_and_networks(&self, expected: &Expected, found: &mut Vec<String>) {
        for (service, (_, workload)) in self.workloads() {
            let member: BTreeSet<String> =
                expected.networks.iter().filter(|(_, n)| n.members.contains(&service)).map(|(n, _)| key(n)).collect();
            let labels = json::entries(workload, "/spec/template/metadata/labels");
            let labelled = labels.filter_map(|(k, _)| k.strip_prefix(NETWORK)).map(str::to_owned).collect();
            expect(&format!("networks of {service}"), &member, &labelled, found);

            let container = main_container(&service, workload);
            let listens = expected.listens.get(&service).cloned().unwrap_or_default();
            let ports = json::items(container, "/ports").map(|p| json::number(p, "/containerPort")).collect();
            expect(&format!("ports of {service}"), &listens, &ports, found);
            self.in_stack_name(&service, container, &listens, found);
            self.published(&service, container, expected, found);
        }
        self.routes(expected, found);
        for (name, network) in &expected.networks {
            self.network(&key(name), &network.members, network.internal, found);
        }
        for (alias, service) in &expected.aliases {
            self.alias(alias, service, expected, found);
        }
    }

    fn in_stack_name(&self, service: &str, container: &Value, listens: &BTreeSet<i64>, found: &mut Vec<String>) {
        let Some(name) = self.object(Kind::Service, service) else {
            found.push(format!("{service} has no name in the stack"));
            return;
        };
        if json::text(name, "/spec/clusterIP") != "None" {
            let ports: BTreeSet<(i64, i64)> = leads_to(name, container).into_iter().collect();
            let wanted = listens.iter().map(|p| (*p, *p)).collect();
            expect(&format!("ports of the name {service}"), &wanted, &ports, found);
        }
    }

    fn published(&self, service: &str, container: &Value, expected: &Expected, found: &mut Vec<String>) {
        let ports = expected.published.get(service).into_iter().flatten().filter(|p| p.host_ip.is_none());
        let wanted: BTreeSet<(i64, i64)> = ports.map(|p| (p.published, p.target)).collect();
        let live = self.object(Kind::Service, &format!("{service}-published"));
        let seen = live.map(|s| leads_to(s, container)).unwrap_or_default().into_iter().collect();
        expect(&format!("published ports of {service}"), &wanted, &seen, found);
    }

    /// Which paths lead to which container port, by HTTPRoutes and Ingresses alike.
    fn routes(&self, expected: &Expected, found: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for (kind, object) in self.objects.iter().filter(|(_, object)| self.is_ours(object)) {
            for rule in json::items(object, "/spec/rules") {
                let ends: Vec<(&Value, &Value, &Value)> = match kind {
                    Kind::HttpRoute => json::items(rule, "/matches")
                        .flat_map(|m| json::items(rule, "/backendRefs").map(move |b| (m, b)))
                        .map(|(m, b)| (&m["path"]["value"], &b["name"], &b["port"]))
                        .collect(),
                    Kind::Ingress => json::items(rule, "/http/paths")
                        .map(|p| (&p["path"], &p["backend"]["service"]))
                        .map(|(path, s)| (path, &s["name"], s["port"].get("number").unwrap_or(&s["port"]["name"])))
                        .collect(),
                    _ => continue,
                };
                seen.extend(ends.into_iter().map(|(path, service, port)| {
                    let service = service.as_str().unwrap_or_default();
                    (path.as_str().unwrap_or_default().to_owned(), service.to_owned(), self.behind(service, port))
                }));
            }
        }
        let wanted: BTreeSet<_> = expected.routes.iter().map(|r| (r.path.clone(), r.to.clone(), r.port)).collect();
        expect("routes", &wanted, &seen, found);
    }

    /// The container port behind a port of a Service, by its name or number.
    fn behind(&self, service: &str, port: &Value) -> i64 {
        let (workloads, live) = (self.workloads(), self.object(Kind::Service, service));
        let (Some((_, workload)), Some(live)) = (workloads.get(service), live) else { return -1 };
        let Some(entry) = json::items(live, "/spec/ports").find(|p| p["name"] == *port || p["port"] == *port) else {
            return -1;
        };
        let one = json!({"spec": {"ports": [entry]}});
        leads_to(&one, main_container(service, workload)).first().map_or(-1, |(_, target)| *target)
    }

    /// An internal network lets its members out to each other only; any other one to everywhere.
    fn network(&self, name: &str, members: &BTreeSet<String>, internal: bool, found: &mut Vec<String>) {
        let Some(policy) = self.object(Kind::NetworkPolicy, &format!("{}-net-{name}", self.stack)) else {
            found.push(format!("network {name} has no policy"));
            return;
        };
        for (service, (_, workload)) in self.workloads() {
            let labels = &workload["spec"]["template"]["metadata"]["labels"];
            let (about, member) = (selects(&policy["spec"]["podSelector"], labels), members.contains(&service));
            expect(&format!("the policy of network {name} is about {service}"), &member, &about, found);
        }
        let open = json::items(policy, "/spec/egress").any(|rule| rule.get("to").is_none());
        expect(&format!("way out of network {name}"), &!internal, &open, found);
    }

    fn alias(&self, alias: &str, service: &str, expected: &Expected, found: &mut Vec<String>) {
        let workloads = self.workloads();
        let Some((_, workload)) = workloads.get(service) else { return };
        let Some(name) = self.object(Kind::Service, alias) else {
            found.push(format!("there is no name {alias} for {service}"));
            return;
        };
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        let selector = json!({"matchLabels": name["spec"]["selector"]});
        if json::entries(name, "/spec/selector").next().is_none() || !selects(&selector, labels) {
            found.push(format!("{alias} does not lead to {service}: {}", name["spec"]["selector"]));
        }
        let listens = expected.listens.get(service).cloned().unwrap_or_default();
        let ports: BTreeSet<(i64, i64)> = leads_to(name, main_container(service, workload)).into_iter().collect();
        expect(&format!("ports of {alias}"), &listens.iter().map(|p| (*p, *p)).collect(), &ports, found);
    }
}

/// The ports of a Service, and the container port behind each.
fn leads_to(service: &Value, container: &Value) -> Vec<(i64, i64)> {
    let named = |name: &str| json::items(container, "/ports").find(|p| json::text(p, "/name") == name);
    json::items(service, "/spec/ports")
        .map(|port| {
            let target = match &port["targetPort"] {
                Value::String(name) => named(name).map_or(-1, |p| json::number(p, "/containerPort")),
                Value::Null => json::number(port, "/port"),
                number => number.as_i64().unwrap_or(-1),
            };
            (json::number(port, "/port"), target)
        })
        .collect()
}

/// Whether a label selector selects these labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let exact = json::entries(selector, "/matchLabels").all(|(k, v)| labels.get(k) == Some(v));
    exact
        && json::items(selector, "/matchExpressions").all(|e| {
            let label = labels.get(json::text(e, "/key"));
            let listed = label.is_some_and(|l| json::items(e, "/values").any(|v| v == l));
            match json::text(e, "/operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                other => panic!("a selector with the operator '{other}'"),
            }
        })
}
