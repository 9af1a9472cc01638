//! `appstack version`: this program, and what runs in the cluster.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::answer;
use super::look::columns;
use super::run::client;
use super::server::{Output, Place, words};
use crate::controller::lease;
use crate::generate::{SCHEMA, crd};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A cluster that does not answer is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Print the versions of this program and of what runs in the cluster
#[derive(Args, Clone, Debug)]
pub struct VersionArgs {
    #[command(flatten)]
    place: Place,
    /// Of this program only; asks no cluster
    #[arg(long)]
    client: bool,
    /// How it is written
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    output: Output,
}

/// Exit codes: 0, also where the cluster does not answer, which is noted; 2 wrong usage.
pub fn run(args: &VersionArgs) -> ExitCode {
    let server = if args.client { Ok(None) } else { asked(&args.place).map(Some) };
    let skew = server.as_ref().ok().and_then(Option::as_ref).map(Server::skew).unwrap_or_default();
    let text = match args.output {
        Output::Json => {
            let (found, why) = match &server {
                Ok(Some(server)) => (server.json(&skew), Value::Null),
                Ok(None) => (Value::Null, Value::Null),
                Err(why) => (Value::Null, json!(why)),
            };
            let all = json!({"client": {"version": VERSION}, "server": found, "unreachable": why});
            serde_json::to_string_pretty(&all).map(|text| text + "\n").unwrap_or_default()
        }
        Output::Table => {
            let mut rows = vec![vec!["appstack".to_owned(), VERSION.to_owned()]];
            if let Ok(Some(server)) = &server {
                rows.extend(server.rows());
            }
            columns(&rows).iter().map(|line| format!("{line}\n")).collect()
        }
    };
    let code = answer(&text);
    if let Err(why) = server {
        eprintln!("note: the cluster was not asked: {why}");
    }
    for line in skew {
        eprintln!("note: {line}");
    }
    code
}

/// What runs in the cluster, as far as the caller may see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Server {
    /// Of Kubernetes.
    pub(super) kubernetes: String,
    pub(super) definition: Definition,
    /// None: may not be seen.
    pub(super) operators: Option<Vec<Operator>>,
}

/// The CustomResourceDefinition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Definition {
    #[default]
    Untold,
    Missing,
    /// That of this program, or another.
    There {
        is_ours: bool,
    },
}

/// One that holds a lease.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operator {
    /// None: from before it was noted.
    pub(super) version: Option<String>,
    pub(super) namespace: String,
    pub(super) holder: String,
    /// None: all namespaces.
    pub(super) watches: Option<String>,
    /// The labels of its stacks; none: all.
    pub(super) selector: Option<String>,
}

fn asked(place: &Place) -> Result<Server, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = client(place.context().map(str::to_owned)).await.map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, Server::read(&client)).await {
            Ok(read) => read.map_err(|error| words(&error, client.default_namespace())),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        }
    })
}

impl Server {
    /// Asks the cluster. What the caller may not see is left open.
    pub(super) async fn read(client: &Client) -> kube::Result<Server> {
        let kubernetes = client.apiserver_version().await?.git_version;
        let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let definitions: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        let definition = match definitions.get_opt("appstacks.appstack.dev").await {
            Ok(Some(live)) => {
                let schema = |of: &Value| of.pointer(SCHEMA).cloned();
                Definition::There {
                    is_ours: serde_json::to_value(&live).is_ok_and(|live| {
                        schema(&live).zip(schema(&crd())).is_some_and(|(live, ours)| says_the_same(&live, &ours))
                    }),
                }
            }
            Ok(None) => Definition::Missing,
            Err(kube::Error::Api(status)) if status.code == 403 => Definition::Untold,
            Err(error) => return Err(error),
        };
        let operators = match Api::<Lease>::all(client.clone()).list(&lease::listed()).await {
            Ok(leases) => Some(leases.iter().filter_map(Operator::of).collect()),
            Err(kube::Error::Api(status)) if status.code == 403 => None,
            Err(error) => return Err(error),
        };
        Ok(Server { kubernetes, definition, operators })
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let definition = match self.definition {
            Definition::Untold => "may not be seen",
            Definition::Missing => "is not installed",
            Definition::There { is_ours: true } => "that of this version",
            Definition::There { is_ours: false } => "that of another version",
        };
        let mut rows = vec![vec!["definition".to_owned(), definition.to_owned()]];
        match self.operators.as_deref() {
            None => rows.push(vec!["operator".to_owned(), "may not be seen".to_owned()]),
            Some([]) => rows.push(vec!["operator".to_owned(), "none".to_owned()]),
            Some(all) => rows.extend(all.iter().map(|one| vec!["operator".to_owned(), one.words()])),
        }
        rows.push(vec!["kubernetes".to_owned(), self.kubernetes.clone()]);
        rows
    }

    /// What does not go together, and what to do.
    pub(super) fn skew(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for one in self.operators.iter().flatten() {
            let version = one.version.as_deref().unwrap_or("older");
            if version != VERSION {
                let which = if is_older(version) { "older" } else { "newer" };
                lines.push(format!(
                    "the operator in namespace {} is {which} ({version}) than this program ({VERSION}): what only one of them knows is refused or missing; use the same version of both",
                    one.namespace
                ));
            }
        }
        if self.definition == (Definition::There { is_ours: false }) {
            lines.push(
                "the definition is that of another version; `appstack crd | kubectl apply --server-side -f -` makes it that of this one, before its operator starts".to_owned(),
            );
        }
        lines
    }

    fn json(&self, skew: &[String]) -> Value {
        let definition = match self.definition {
            Definition::Untold => json!(null),
            Definition::Missing => json!({"installed": false}),
            Definition::There { is_ours } => json!({"installed": true, "ofThisVersion": is_ours}),
        };
        let operators = self.operators.as_ref().map(|all| {
            all.iter()
                .map(|one| json!({"version": one.version, "namespace": one.namespace, "holder": one.holder, "watches": one.watches, "selector": one.selector}))
                .collect::<Vec<_>>()
        });
        json!({"kubernetes": self.kubernetes, "definition": definition, "operators": operators, "skew": skew})
    }
}

impl Operator {
    fn of(lease: &Lease) -> Option<Operator> {
        let holder = lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())?;
        let note = |key: &str| lease.annotations().get(key).cloned();
        Some(Operator {
            version: note(lease::VERSION),
            namespace: lease.namespace().unwrap_or_default(),
            holder,
            watches: note(lease::WATCHES),
            selector: note(lease::SELECTOR),
        })
    }

    fn words(&self) -> String {
        let version = self.version.as_deref().unwrap_or("of a version that is not noted");
        let watches =
            self.watches.as_ref().map_or_else(|| "all namespaces".to_owned(), |one| format!("namespace {one}"));
        let stacks = self.selector.as_ref().map_or_else(String::new, |labels| format!(", stacks with {labels}"));
        format!("{version}, {} in namespace {}, for {watches}{stacks}", self.holder, self.namespace)
    }
}

/// Equal as JSON is: the server writes 0 where 0.0 was sent.
fn says_the_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| says_the_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| says_the_same(value, other)))
        }
        _ => one == other,
    }
}

/// Whether a version comes before ours. What is no version is from before they were noted.
fn is_older(version: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.split(['-', '+']).next()?.split('.').map(|part| part.parse().ok()).collect()
    };
    numbers(version).is_none_or(|theirs| numbers(VERSION).is_some_and(|ours| theirs < ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(version: Option<&str>) -> Operator {
        Operator {
            version: version.map(str::to_owned),
            namespace: "ops".into(),
            holder: "a".into(),
            watches: None,
            selector: None,
        }
    }

    #[test]
    fn a_definition_is_ours_however_its_numbers_are_written() {
        let ours = json!({"minimum": 0.0, "enum": ["a"], "properties": {"x": {"maximum": 65535.0}}});
        let live = json!({"minimum": 0, "enum": ["a"], "properties": {"x": {"maximum": 65535}}});
        assert!(says_the_same(&live, &ours));
        let mut other = live.clone();
        other["properties"]["x"]["maximum"] = json!(65534);
        assert!(!says_the_same(&other, &ours) && !says_the_same(&json!({}), &ours));
        other = live.clone();
        other["enum"] = json!(["a", "b"]);
        assert!(!says_the_same(&other, &ours));
    }

    #[test]
    fn skew_is_named_with_what_to_do_and_the_same_version_is_none() {
        let of = |version: Option<&str>, is_ours| Server {
            kubernetes: "v1.35.0".into(),
            definition: Definition::There { is_ours },
            operators: Some(vec![operator(version)]),
        };
        assert_eq!(of(Some(VERSION), true).skew(), Vec::<String>::new());
        let says = |server: Server, what: &str| {
            let skew = server.skew();
            assert!(skew.len() == 1 && skew[0].contains(what), "{skew:?}");
        };
        says(of(Some("0.0.9"), true), "is older (0.0.9)");
        says(of(None, true), "is older");
        says(of(Some("99.0.0"), true), "is newer (99.0.0)");
        says(of(Some(VERSION), false), "appstack crd | kubectl apply");
        assert_eq!(Server::default().skew(), Vec::<String>::new(), "of what may not be seen nothing is said");
    }
}
