//! A Compose project as an AppStack (pure but for looking at the files that it binds).
//!
//! [`map`] goes over the project once. Each file below knows a few keys: it sets fields of the stack and says what became of each key
//! ([`says`]). What has one fate whatever it says is settled from the [`table`]. Nothing is passed over: a key of which nothing was said is a
//! refusal with the code [`code::LOST`].
//!
//! | file | which keys |
//! |---|---|
//! | [`choices`], [`says`], [`table`], [`code`], [`names`] | what the user chose, what was said, every key, the codes, names |
//! | [`extension`] | `x-appstack`, typed |
//! | [`rest`] | keys with one fate, and those of which nothing was said |
//! | [`made`], [`known_images`] | Secrets that are made beside the stack; what is known of images |
//! | [`image`] | `image`, `build`, `pull_policy`, `platform`, `runtime` |
//! | [`process`] | `working_dir`, `stdin_open`, `tty`, `init`, labels, annotations |
//! | [`command`] | `command`, `entrypoint` |
//! | [`env`], [`share`], [`models`] | `environment`, `env_file`, `models` |
//! | [`credentials`], [`secrecy`], [`template`] | which values are credentials, and how they stand in others |
//! | [`hide`], [`shell`] | credentials in command lines |
//! | [`leaks`], [`finder`] | whether a value of a Secret is in the stack |
//! | [`ports`], [`networks`] | `ports`, `expose`; `networks`, `network_mode`, names, `dns`, `extra_hosts` |
//! | [`volumes`], [`mounts`], [`storage`] | `volumes` of the project; `volumes`, `tmpfs`, `volumes_from` of services; what is known of them so far |
//! | [`binds`], [`project_files`], [`copies`] | folders and files of this computer; `configs`, `secrets`; what of them a command copies |
//! | [`judge`] | what all users of a volume decide together |
//! | [`health`], [`order`], [`hooks`], [`update`] | `healthcheck`; `depends_on`, `restart`, Jobs; hooks and stopping; `update_config` |
//! | [`own`], [`extension`], [`hints`] | `x-appstack`; labels that kompose and k8ify read |
//! | [`texts`], [`hosts`] | what values dial |
//! | [`resources`], [`devices`], [`placement`], [`security`] | limits, devices; nodes; users and rights |

mod binds;
pub mod choices;
pub mod code;
mod command;
mod copies;
mod credentials;
mod devices;
mod env;
mod extension;
mod finder;
mod health;
mod hide;
mod hints;
mod hooks;
mod hosts;
mod image;
mod judge;
pub mod known_images;
mod leaks;
mod made;
mod models;
mod mounts;
pub mod names;
mod networks;
mod order;
mod own;
mod placement;
mod ports;
mod process;
mod project_files;
mod resources;
mod rest;
pub mod says;
mod secrecy;
mod security;
mod share;
mod shell;
mod storage;
pub mod table;
mod template;
mod texts;
mod units;
mod update;
mod volumes;

#[cfg(test)]
mod credential_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod silent_project;
#[cfg(test)]
mod silent_tests;
#[cfg(test)]
mod storage_tests;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use choices::Choices;
use credentials::Credentials;
use names::Labels;
use says::{Finding, Outcome, Says};
use texts::Texts;

use super::Loaded;
use super::account::Account;
use super::files::{Files, Reader};
use super::node::{Entry, Node};
use super::project::Project;
use crate::api::{AppStack, AppStackSpec, Publish, PublishType, Service};

/// The stack, what goes with it, and what became of every key.
#[derive(Debug)]
pub struct Mapped {
    /// The stack. Services of which something was refused are not in it.
    pub stack: AppStack,
    /// Secrets to make beside it.
    pub secrets: Vec<MadeSecret>,
    /// Folders whose data is to be carried into volumes.
    pub carries: Vec<Carry>,
    /// Comments for fields of the stack, by path.
    pub comments: BTreeMap<String, String>,
    /// What became of every key.
    pub account: Account<Arc<Outcome>>,
    /// What people should see, in the order of the files.
    pub findings: Vec<Finding>,
}

/// A Secret with values; they never show in a message.
#[derive(Clone, PartialEq, Eq)]
pub struct MadeSecret {
    /// Its name in the namespace.
    pub name: String,
    /// Its entries.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for MadeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.data.keys())
    }
}

/// A folder of this computer that a volume replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The folder.
    pub from: String,
    /// The volume, by its name in the stack.
    pub volume: String,
}

/// Maps a project that was loaded; none if it was not.
pub fn map(loaded: &Loaded, files: &dyn Files, choices: &Choices) -> Option<Mapped> {
    let project = loaded.project.as_ref()?;
    let mut mapper = Mapper::new(project, loaded, files, choices);
    mapper.top();
    for (name, entry) in project.services() {
        mapper.service(name, entry);
    }
    mapper.across();
    mapper.rest();
    mapper.drop_refused();
    Some(mapper.end())
}

/// What is mapped so far.
struct Mapper<'a> {
    project: &'a Project,
    loaded: &'a Loaded,
    files: &'a dyn Files,
    /// Reads files that go along.
    reader: Reader<'a>,
    choices: &'a Choices,
    services: Labels,
    networks: Labels,
    volumes: Labels,
    configs: Labels,
    secrets: Labels,
    says: Says<'a>,
    spec: AppStackSpec,
    storage: storage::Storage<'a>,
    made: BTreeMap<String, MadeSecret>,
    kept: made::Kept,
    carries: Vec<Carry>,
    comments: BTreeMap<String, String>,
    texts: Texts<'a>,
    credentials: Credentials,
    links: Vec<networks::Link>,
    jobs: BTreeMap<&'a str, order::Ends>,
}

/// A service on its way.
#[derive(Clone, Copy)]
struct Of<'a> {
    /// Its name in Compose.
    name: &'a str,
    /// What Compose says of it.
    node: &'a Node,
    /// Whether its profiles are on.
    is_on: bool,
}

impl<'a> Of<'a> {
    /// A key that says something; null says nothing.
    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.node.entry(key).filter(|entry| !entry.value.is_null())
    }

    /// The text of a key.
    fn text(&self, key: &str) -> Option<&'a str> {
        self.entry(key)?.value.as_text()
    }
}

impl<'a> Mapper<'a> {
    fn new(project: &'a Project, loaded: &'a Loaded, files: &'a dyn Files, choices: &'a Choices) -> Self {
        let labels = |section: &str, most: usize| {
            Labels::of(project.root.entries(section).map(|(name, _)| name.as_str()), most, |label| {
                section != "services" || !(label.ends_with("-published") || label == "kubernetes")
            })
        };
        Mapper {
            project,
            loaded,
            files,
            reader: Reader::within(files, loaded.roots.clone()),
            choices,
            services: labels("services", 53),
            networks: labels("networks", 40),
            volumes: labels("volumes", 40),
            configs: labels("configs", 40),
            secrets: labels("secrets", 40),
            says: Says::new(loaded, choices),
            spec: AppStackSpec::default(),
            storage: storage::Storage::default(),
            made: BTreeMap::new(),
            kept: made::Kept::default(),
            carries: Vec::new(),
            comments: BTreeMap::new(),
            texts: Texts::of(project),
            credentials: Credentials::of(project, loaded),
            links: Vec::new(),
            jobs: order::jobs(project, choices),
        }
    }

    /// The name of the stack.
    fn stack_name(&self) -> String {
        names::label(&self.project.name)
    }

    /// What stands above services.
    fn top(&mut self) {
        self.spec.profiles = self.project.profiles.iter().cloned().collect();
        if self.choices.publish != PublishType::ClusterIP {
            self.spec.publish = Some(Publish { r#type: Some(self.choices.publish), ..Publish::default() });
        }
        self.spec.ingress_class_name.clone_from(&self.choices.ingress_class);
        self.own_of_project();
        self.all_networks();
        self.all_volumes();
        self.all_models();
    }

    /// One service, with everything that only it decides.
    fn service(&mut self, name: &'a str, entry: &'a Entry) {
        let of = Of { name, node: &entry.value, is_on: self.project.is_on(name) };
        self.says.service = Some(name.to_owned());
        let mut service = Service::default();
        if let Some(entry) = of.entry("env_file").filter(|_| !of.is_on) {
            let message = "its profiles are off, so its env files were not read";
            self.says.noted(entry.at, code::OFF, message, "import with --profile, as it is to run");
        }
        self.image(&of, &mut service);
        self.process(&of, &mut service);
        self.env(&of, &mut service);
        let hidden = self.hide(&of, &mut service);
        self.command(&of, &mut service);
        self.ports(&of, &mut service);
        self.joins(&of, &mut service);
        self.mounts(&of, &mut service);
        self.health(&of, &mut service);
        self.order(&of, &mut service);
        self.hooks(&of, &mut service);
        hidden.apply(&mut service);
        self.update(&of, &mut service);
        self.resources(&of, &mut service);
        self.placement(&of, &mut service);
        self.security(&of, &mut service);
        self.copies(&of, &mut service);
        self.hints(&of, &mut service);
        self.own(&of, &mut service);
        self.says.service = None;
        self.spec.services.insert(self.services.get(name), service);
    }

    /// What several services decide together.
    fn across(&mut self) {
        self.scan_configs();
        self.infer_ports();
        self.infer_names();
        self.take_volumes();
        self.share_env();
        self.leaks();
    }

    /// Takes out services of which something was refused, and networks that nobody is left to join.
    fn drop_refused(&mut self) {
        let services = self.project.services().map(|(name, _)| name.as_str());
        let gone: BTreeSet<&str> = services.filter(|name| self.says.is_refused(name)).collect();
        for name in &gone {
            self.spec.services.remove(&self.services.get(name));
        }
        self.without(&gone);
        let used: BTreeSet<String> =
            self.spec.services.values().flat_map(|service| service.networks.keys().cloned()).collect();
        self.spec.networks.retain(|name, _| used.contains(name) || name == "default");
        self.judge_volumes();
    }

    fn end(self) -> Mapped {
        let mut stack = AppStack::new(&self.stack_name(), self.spec);
        let renamed = renamed(&[
            ("services", &self.services),
            ("networks", &self.networks),
            ("volumes", &self.volumes),
            ("configs", &self.configs),
            ("secrets", &self.secrets),
        ]);
        if !renamed.is_empty() {
            stack.metadata.annotations = Some(BTreeMap::from([(ORIGINAL_NAMES.to_owned(), renamed)]));
        }
        let (account, mut findings) = self.says.end();
        findings.sort_by_key(|finding| (finding.at.file, finding.at.start));
        let secrets = made::named(self.made, self.choices.secret_hash, &mut stack.spec);
        Mapped { stack, secrets, carries: self.carries, comments: self.comments, account, findings }
    }
}

/// The names of the fields that `x-appstack` may have: of the project, of a service, of a volume.
pub fn extension_fields() -> [Vec<String>; 3] {
    let names = |schema: schemars::Schema| {
        let fields =
            schema.get("properties").and_then(serde_json::Value::as_object).map(|fields| fields.keys().cloned());
        fields.into_iter().flatten().collect()
    };
    [
        names(schemars::schema_for!(own::OfProject)),
        names(schemars::schema_for!(own::OfService)),
        names(schemars::schema_for!(volumes::Extension)),
    ]
}

/// Annotation of the stack: names of Compose that Kubernetes does not take, as `services/My_App=my-app`.
pub const ORIGINAL_NAMES: &str = "appstack.dev/compose-names";

fn renamed(all: &[(&str, &Labels)]) -> String {
    let lines = all
        .iter()
        .flat_map(|(section, labels)| labels.changed().map(move |(name, label)| format!("{section}/{name}={label}")));
    lines.collect::<Vec<_>>().join(",")
}

/// The name of a field of a service, for the report.
fn field(of: &Of<'_>, labels: &Labels, field: &str) -> String {
    format!("spec.services.{}.{field}", labels.get(of.name))
}
