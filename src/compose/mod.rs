//! Compose files as one project, read as the reference loader reads them (compose-go 2.15.0, of docker compose 5.5.1).
//!
//! [`load`] finds the files, fills in variables, follows `include` and `extends`, merges, checks the structure, makes short forms long,
//! gives values their types and checks that all of it is consistent. Its verdict is that of `docker compose config`; what only `up` refuses,
//! [`up::check`] says. Every value keeps its place, and [`account::Account`] knows every key of the input and what became of it.
//!
//! | file | what it does |
//! |---|---|
//! | [`discover`] | which files, which folder, which variables, which name |
//! | [`yaml`], [`scalar`], [`node`](crate::yaml::node) | a text as values with places |
//! | [`interpolate`], [`fill`] | variables |
//! | [`dotenv`], [`env_files`] | `.env`, `env_file`, `label_file` |
//! | [`model`] | files put together |
//! | [`include`], [`extends`], [`tags`], [`merge`], [`unique`] | how they are |
//! | [`schema`] | the structure |
//! | [`canonical`], [`ports`], [`mounts`] | short forms made long |
//! | [`defaults`], [`paths`], [`normalise`] | what is not written |
//! | [`shapes`], [`decode`], [`units`], [`words`] | types |
//! | [`check`], [`up`] | consistency |
//! | [`project`], [`account`] | the result |
//! | [`problem`], [`code`] | what is wrong with it |
//!
//! Files come from a [`files::Files`]: nothing outside the project folder is read unless the user named it, nothing from the network, and
//! sizes, depths and copies are bounded.

#![allow(clippy::single_match_else)] // two outcomes of one question read better side by side

#[macro_use]
pub mod code;

pub mod account;
mod canonical;
mod check;
mod decode;
mod defaults;
mod discover;
pub mod dotenv;
mod env_files;
mod extends;
pub mod files;
mod fill;
mod include;
pub mod interpolate;
pub mod mapping;
mod merge;
mod model;
mod mounts;
mod normalise;
pub mod notes;
pub mod output;
mod paths;
mod ports;
pub mod problem;
pub mod project;
pub(crate) mod scalar;
pub mod schema;
pub(crate) mod shapes;
mod tags;
mod trail;
mod unique;
pub mod units;
pub mod up;
pub mod words;
mod yaml;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

pub use crate::yaml::node;

use std::path::PathBuf;

use files::{Files, Reader};
use interpolate::Variables;
use model::{Loader, Parsed, Scope};
use node::At;
use notes::{Notes, Settled};
use problem::{Problem, Severity, Sources, Told};
use project::Project;

/// What the command line and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder in which the command runs, absolute: other paths are seen from it.
    pub folder: PathBuf,
    /// `-f`; none: `COMPOSE_FILE`, or the files of this folder or one above. `-` is `standard_input`.
    pub files: Vec<String>,
    /// What `-` is.
    pub standard_input: String,
    /// `--env-file`; none: `.env` of the project folder.
    pub env_files: Vec<String>,
    /// `--profile`; none: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// `--project-directory`; none: the folder of the first file.
    pub project_directory: Option<String>,
    /// `--project-name`.
    pub name: Option<String>,
    /// Folders outside the project folder whose files may be read, seen from `folder`.
    pub roots: Vec<String>,
    /// The environment.
    pub environment: Variables,
}

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The project; none if there is an error among the problems.
    pub project: Option<Project>,
    /// Errors and warnings, in the order of the files.
    pub problems: Vec<Problem>,
    /// The texts of all files that were read.
    pub sources: Sources,
    /// What the files say, key by key.
    keys: Vec<account::Key>,
    notes: Notes,
    /// The folders and files that may be read.
    roots: Vec<PathBuf>,
}

impl Loaded {
    /// What the loader itself has settled of the key or item at `at`.
    pub fn settled(&self, at: At) -> Option<Settled> {
        self.notes.settled(at)
    }

    /// The value at `at` as the file has it, and the variables that filled it in; none if it names no variable. Of an item `NAME=VALUE` it is
    /// the whole item; a name alone, whose value is that of the variable, is `NAME=${NAME}`.
    pub fn template(&self, at: At) -> Option<(&str, &Variables)> {
        self.notes.templated(at)
    }

    /// Puts the names of variables where a problem at a value has what they brought in: that may be a secret. Those of the loader itself
    /// are so already.
    pub fn redact(&self, problem: &mut Problem) {
        self.notes.redact(problem);
    }

    /// The errors.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error)
    }
}

/// Loads a project. Never fails: what is wrong is in the problems.
pub fn load(files: &dyn Files, options: &Options) -> Loaded {
    let mut reader = Reader::new(files);
    for root in &options.roots {
        reader.allow(&files::join(&options.folder, root));
    }
    let mut loader = Loader::new(reader, options.environment.get("HOME").cloned());
    let project = project_of(&mut loader, options).ok();
    let Loader { reader, sources, keys, mut notes, bases, .. } = loader;
    for (base, _) in bases.values() {
        notes.settle_rest(base, Settled::Unused);
    }
    let mut problems = std::mem::take(&mut notes.problems);
    for problem in &mut problems {
        notes.redact(problem);
    }
    problems.sort_by_key(|problem| (problem.at.file, problem.at.start));
    problems.dedup();
    Loaded { project, problems, sources, keys, notes, roots: reader.roots().to_vec() }
}

fn project_of(loader: &mut Loader<'_>, options: &Options) -> Result<Project, Told> {
    let mut found = discover::find(loader, options)?;
    // All files are parsed before the first is merged: so all that cannot be is told at once.
    let mut files: Vec<Parsed> = Vec::new();
    for file in &found.files {
        let documents = if file.as_os_str() == discover::STANDARD_INPUT {
            loader.parse_text("standard input".to_owned(), options.standard_input.clone())
        } else {
            loader.parse(file, At::NOWHERE)
        };
        files.extend(documents.ok().map(|documents| (file.clone(), documents)));
    }
    loader.notes.sound()?;
    let name = discover::name(loader, options, &found, &files)?;
    found.environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    if files.iter().all(|(_, documents)| documents.is_empty()) {
        let empty = Problem::error(code::EMPTY, At::NOWHERE, "there is nothing in the Compose file");
        return Err(loader.told(empty.help("a project has 'services'")));
    }
    let scope = Scope { folder: found.folder.clone(), environment: &found.environment, included: Vec::new() };
    let mut root = loader.model(files, &scope)?;
    normalise::normalise(&mut root, &name, &found.environment, &mut loader.notes);
    decode::decode(&mut root, &mut loader.notes);
    loader.notes.sound()?;
    let on = project::switched_on(&root, &found.profiles);
    check::check(&root, &on, &mut loader.notes);
    for service in &on {
        if let Some(node) = root.get_mut("services").and_then(|services| services.get_mut(service)) {
            loader.files_of(service, node, &found.environment);
        }
    }
    loader.notes.sound()?;
    let discover::Found { folder, environment, profiles, .. } = found;
    Ok(Project { name, folder, environment, profiles, root, on })
}
