//! Desired objects: from the checked model to what is sent to the API server.
//!
//! Pure, and cannot fail. Every object comes out canonical, as the API server writes it back (no nulls, no empty lists, maps or strings,
//! quantities in their shortest form), so that its digest is that of the live object. `golden/` shows each feature as "this in, that out".

mod autoscaler;
mod budget;
mod claim;
mod config;
mod container;
mod job;
mod metadata;
mod network_policy;
mod patch;
mod placement;
mod pod;
mod probe;
mod record;
mod route;
mod security;
mod service;
mod settings;
mod volumes;
mod workload;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod pod_tests;
#[cfg(test)]
mod seed_tests;
#[cfg(test)]
mod traps;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

pub use settings::Settings;

use crate::child::digest::Digest;
use crate::child::{ChildId, Kind};
use crate::stack::Stack;

/// All children a stack wants, in the order in which they are applied.
pub type Children = BTreeMap<ChildId, Wanted>;

/// A child as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What of the stack it is for; decides when it may change.
    pub part: Part,
    /// The whole object. The count of pods is not in it: it has owners of its own.
    pub object: Value,
    /// Of `object`.
    pub digest: Digest,
}

impl Wanted {
    /// Labels of ours that the object carries: by these it is known again.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.object["metadata"]["labels"].as_object().into_iter().flatten();
        labels
            .filter(|(key, _)| key.starts_with("appstack.dev/"))
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }
}

/// What of a stack an object is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The stack as a whole.
    Stack,
    /// A network of it.
    Network(String),
    /// A volume of it.
    Volume(String),
    /// A config of it.
    Config(String),
    /// A service of it.
    Service(String),
    /// A further name that services of it answer to.
    Alias(String),
}

/// The walls of the stack alone.
pub fn policies(stack: &Stack, settings: &Settings) -> Children {
    let mut out = Rendering { children: Children::new() };
    network_policy::render(stack, settings, &mut out);
    out.children
}

/// Everything that the stack should consist of.
pub fn render(stack: &Stack, settings: &Settings) -> Children {
    let mut out = Rendering { children: policies(stack, settings) };
    for (name, volume) in &stack.volumes {
        let part = || Part::Volume(name.clone());
        if let Some(claim) = claim::claim(stack, name, volume) {
            out.add(Kind::Claim, part(), json(claim));
        }
        if let Some(populate) = &volume.populate {
            out.add(Kind::Job, part(), json(job::populate(stack, name, populate)));
        }
    }
    for (name, content) in &stack.configs {
        out.add(Kind::ConfigMap, Part::Config(name.clone()), config::config_map(stack, name, content));
    }
    for (name, service) in &stack.services {
        let part = || Part::Service(name.clone());
        let services = [service::in_stack(stack, service), service::published(stack, service)];
        for object in services.into_iter().flatten() {
            out.add(Kind::Service, part(), json(object));
        }
        if let Some((kind, object)) = workload::workload(stack, service, settings) {
            if let Some(record) = record::record(stack, service, kind, &object) {
                out.add(Kind::Record, part(), record);
            }
            out.add(kind, part(), object);
        }
        if let Some(autoscaler) = autoscaler::autoscaler(stack, service) {
            out.add(Kind::Autoscaler, part(), json(autoscaler));
        }
        for route in &service.routes {
            let (kind, object) = route::route(stack, service, route);
            out.add(kind, part(), object);
        }
        if let Some(budget) = budget::budget(stack, service) {
            out.add(Kind::Budget, part(), json(budget));
        }
    }
    for (alias, services) in stack.aliases() {
        out.add(Kind::Service, Part::Alias(alias.clone()), json(service::alias(stack, alias, &services)));
    }
    out.children
}

/// Collects children on their way to JSON.
struct Rendering {
    children: Children,
}

impl Rendering {
    fn add(&mut self, kind: Kind, part: Part, mut object: Value) {
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.names().kind);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let digest = Digest::wanted(&object);
        self.children.insert(ChildId { kind, name }, Wanted { part, object, digest });
    }
}

/// Typed objects with text keys serialise; should one not, it comes out as an object that the server refuses by name.
fn json(object: impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_else(|error| json!({"error": error.to_string()}))
}

/// None instead of an empty list or map: the API server drops those.
fn filled<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}
