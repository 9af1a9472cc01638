//! What of `expected.yaml` a running stack does not hold to, read from the objects on the API server alone.

mod mounts;
mod names;
mod pods;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::expected::Expected;
use crate::observer::Seen;
use crate::workload::is_complete;
use crate::world::Id;
use crate::{Kind, json};

/// A stack as the API server has it.
#[derive(Clone, Debug)]
pub struct Running {
    /// Name of the `AppStack`.
    pub stack: String,
    /// Folder of its compose files under `e2e/stacks`.
    pub folder: String,
    /// Every object of the namespace but Secrets.
    pub objects: Vec<(Kind, Value)>,
}

/// Everything that is not as expected, one line each.
pub fn problems(running: &Running, expected: &Expected) -> Vec<String> {
    let mut found = Vec::new();
    running.workloads_are_these(expected, &mut found);
    for (service, workload) in running.workloads() {
        running.pods_are_as_asked(&service, &workload, expected, &mut found);
    }
    running.names_and_networks(expected, &mut found);
    running.mounts(expected, &mut found);
    running.secrets_are_secret(expected, &mut found);
    found
}

/// Which of the edges did not hold in the recorded history when `after` was first created: `before` healthy or complete,
/// or (of the other edges) created.
pub fn broken_edges(history: &[Seen], stack: &str, expected: &Expected) -> Vec<String> {
    let first = |service: &str, is: &dyn Fn(&Seen) -> bool| {
        let id = Id { stack: stack.to_owned(), service: service.to_owned() };
        let of = |s: &&Seen| s.kind.is_workload() && !s.deleted && Id::of(&s.object).as_ref() == Some(&id) && is(s);
        history.iter().find(of).map(|s| s.version)
    };
    let created = |service: &str| first(service, &|_| true);
    let healthy = |service: &str| first(service, &|s| is_complete(s.kind, &s.object));
    let mut found = Vec::new();
    for (before, after) in &expected.order {
        match (healthy(before), created(after)) {
            (Some(b), Some(a)) if b < a => {}
            seen => found.push(format!("{after} was created before {before} was healthy: {seen:?}")),
        }
    }
    for (before, after) in &expected.started {
        match (created(before), created(after)) {
            (Some(b), Some(a)) if b < a => {}
            seen => found.push(format!("{after} was created before {before}: {seen:?}")),
        }
    }
    found
}

impl Running {
    /// The workloads of the stack, by service.
    fn workloads(&self) -> BTreeMap<String, (Kind, &Value)> {
        let of = |(kind, object): &&(Kind, Value)| kind.is_workload() && self.is_ours(object);
        let named = |(kind, object): &'_ (Kind, Value)| (Id::of(object).map(|id| id.service), *kind);
        let mut found = BTreeMap::new();
        for entry in self.objects.iter().filter(of) {
            if let (Some(service), kind) = named(entry) {
                found.insert(service, (kind, &entry.1));
            }
        }
        found
    }

    fn is_ours(&self, object: &Value) -> bool {
        json::label(object, "appstack.dev/stack") == self.stack
    }

    fn object(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.iter().find(|(k, o)| *k == kind && json::name(o) == name).map(|(_, o)| o)
    }

    /// Name of what is made for a service.
    fn named(&self, service: &str) -> String {
        format!("{}-{service}", self.stack)
    }

    fn workloads_are_these(&self, expected: &Expected, found: &mut Vec<String>) {
        let all = self.objects.iter().filter(|(kind, object)| kind.is_workload() && self.is_ours(object));
        let mut names: Vec<String> = all.clone().map(|(_, o)| json::name(o).to_owned()).collect();
        names.sort();
        let services: BTreeSet<String> = self.workloads().into_keys().collect();
        expect("services", &expected.services, &services, found);
        if names.len() != services.len() {
            found.push(format!("several workloads of one service: {names:?}"));
        }
        for (service, (kind, object)) in self.workloads() {
            let is = if expected.jobs.contains(&service) {
                kind == Kind::Job
            } else if expected.daemonsets.contains(&service) {
                kind == Kind::DaemonSet
            } else {
                matches!(kind, Kind::Deployment | Kind::StatefulSet)
            };
            if !is {
                found.push(format!("{service} is a {kind}"));
            }
            if kind != Kind::Job && json::name(object) != self.named(&service) {
                found.push(format!("{kind} of {service} is called {}", json::name(object)));
            }
            if !is_complete(kind, object) {
                found.push(format!("{kind} of {service} is not complete: {}", object["status"]));
            }
        }
    }

    fn secrets_are_secret(&self, expected: &Expected, found: &mut Vec<String>) {
        for value in &expected.secret_values {
            for (kind, object) in &self.objects {
                if object.to_string().contains(value) {
                    found.push(format!("{kind} {} shows {value}", json::name(object)));
                }
            }
        }
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, seen: &T, found: &mut Vec<String>) {
    if expected != seen {
        found.push(format!("{what}: expected {expected:?}, saw {seen:?}"));
    }
}

/// The containers of a pod template, those that run before it starts included.
fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    json::items(template, "/spec/initContainers").chain(json::items(template, "/spec/containers"))
}

/// The container of the service itself.
fn main_container<'a>(service: &str, workload: &'a Value) -> &'a Value {
    let all: Vec<&Value> = json::items(workload, "/spec/template/spec/containers").collect();
    all.iter().find(|c| c["name"] == service).or(all.first()).copied().unwrap_or(&Value::Null)
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
