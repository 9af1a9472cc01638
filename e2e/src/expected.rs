//! `e2e/stacks/expected.yaml`: what each stack must do once it runs, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::cluster::root;

/// A stack from some of its compose files, under some profiles. The file's own head says what each field means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)] // a word that nobody reads would be a promise that nobody checks
#[allow(missing_docs)] // the words of the file
pub struct Expected {
    pub files: Vec<String>,
    pub profiles: Vec<String>,
    pub services: BTreeSet<String>,
    #[serde(default)]
    pub optional_services: BTreeMap<String, Vec<String>>,
    pub order: Vec<(String, String)>,
    pub started: Vec<(String, String)>,
    pub networks: BTreeMap<String, Network>,
    pub listens: BTreeMap<String, BTreeSet<i64>>,
    pub reachable: Vec<Way>,
    pub unreachable: Vec<Way>,
    pub no_egress: BTreeSet<String>,
    pub published: BTreeMap<String, Vec<Published>>,
    pub routes: Vec<Route>,
    pub aliases: BTreeMap<String, String>,
    pub volumes: BTreeMap<String, Volume>,
    pub config_mounts: BTreeMap<String, ConfigMount>,
    pub source_mounts: BTreeMap<String, Vec<String>>,
    pub host_mounts: BTreeMap<String, BTreeSet<String>>,
    pub anonymous_volumes: BTreeMap<String, Vec<String>>,
    pub health: BTreeMap<String, Health>,
    pub limits: BTreeMap<String, Limits>,
    pub gpus: BTreeMap<String, i64>,
    pub replicas: BTreeMap<String, i64>,
    pub autoscale: BTreeMap<String, Autoscale>,
    pub jobs: BTreeSet<String>,
    pub daemonsets: BTreeSet<String>,
    pub secret_values: Vec<String>,
    #[serde(default)]
    pub standalone: bool,
}

/// A network and its members.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Network {
    pub internal: bool,
    pub members: BTreeSet<String>,
    pub subnet: Option<String>,
}

/// Who can, or cannot, reach whom. The port is a number, `any` or `unpublished`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Way {
    pub from: String,
    pub to: String,
    pub port: Value,
}

/// A port open to the outside, and the container port behind it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Published {
    pub published: i64,
    pub target: i64,
    /// An address of the machine itself publishes to nobody.
    pub host_ip: Option<String>,
}

/// An HTTP path and who answers it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Route {
    pub path: String,
    pub to: String,
    pub port: i64,
}

/// A volume and its users.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Volume {
    pub users: BTreeSet<String>,
    pub shared: bool,
    pub read_only_users: BTreeSet<String>,
    #[serde(default)]
    pub single_writer: bool,
}

/// A file or folder of the stack, or a text inside a compose file, mounted read-only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ConfigMount {
    pub users: BTreeSet<String>,
    pub target: String,
    #[serde(default)]
    pub inline: bool,
}

/// A health check's numbers, in seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Health {
    pub interval: i64,
    pub timeout: i64,
    pub retries: i64,
    pub start_period: i64,
}

/// What is reserved, and the limit. Zero: nothing is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Limits {
    pub cpus: (f64, f64),
    pub memory: (Value, Value),
}

/// An autoscaler.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Autoscale {
    pub min: i64,
    pub max: i64,
    pub cpu_percent: i64,
}

impl Expected {
    /// What a stack, or a variant of it, must do. Entries about services that do not run in it are left out.
    pub fn of(stack: &str, variant: Option<&str>) -> Expected {
        let file = folder("").join("expected.yaml");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut all: Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut found = all[stack].take();
        let mut variants =
            found.as_object_mut().unwrap_or_else(|| panic!("no stack {stack}")).remove("variants").unwrap_or_default();
        if let Some(variant) = variant {
            let Value::Object(other) = variants[variant].take() else { panic!("{stack} has no variant {variant}") };
            found.as_object_mut().expect("a stack").extend(other);
        }
        let mut expected: Expected =
            serde_json::from_value(found).unwrap_or_else(|e| panic!("{stack}, {variant:?}: {e}"));
        expected.leave_out_what_does_not_run();
        expected
    }

    fn leave_out_what_does_not_run(&mut self) {
        let services = self.services.clone();
        let runs = |s: &String| services.contains(s);
        let somebody = |users: &mut BTreeSet<String>| {
            users.retain(|u| runs(u));
            !users.is_empty()
        };
        for edges in [&mut self.order, &mut self.started] {
            edges.retain(|(before, after)| runs(before) && runs(after));
        }
        for ways in [&mut self.reachable, &mut self.unreachable] {
            let known = |name: &String| runs(name) || name == "outside" || name == "other-stack";
            ways.retain(|w| known(&w.from) && known(&w.to));
        }
        self.networks.retain(|_, n| somebody(&mut n.members));
        self.volumes.retain(|_, v| {
            v.read_only_users.retain(|u| runs(u));
            somebody(&mut v.users)
        });
        self.config_mounts.retain(|_, m| somebody(&mut m.users));
        self.listens.retain(|s, _| runs(s));
        self.published.retain(|s, _| runs(s));
        self.aliases.retain(|_, s| runs(s));
        self.host_mounts.retain(|s, _| runs(s));
        self.health.retain(|s, _| runs(s));
        self.limits.retain(|s, _| runs(s));
        self.gpus.retain(|s, _| runs(s));
        self.replicas.retain(|s, _| runs(s));
        self.autoscale.retain(|s, _| runs(s));
        self.no_egress.retain(runs);
        self.daemonsets.retain(runs);
        self.jobs.retain(runs);
    }
}

/// The folder of a stack's compose files.
pub fn folder(stack: &str) -> PathBuf {
    root().join("e2e/stacks").join(stack)
}

/// A name of a compose file as a key of an `AppStack`: `postgres_data` -> `postgres-data`, `./public/models` -> `public-models`.
pub fn key(name: &str) -> String {
    name.trim_start_matches("./").replace(['_', '/'], "-")
}
