//! Which files make the project, seen from where, with which variables and under which name.

use std::path::{Path, PathBuf};

use super::Options;
use super::files::{self, Kind};
use super::fill;
use super::interpolate::{Filler, Variables};
use super::model::{Loader, Parsed};
use super::node::{At, Node};
use super::problem::{Problem, Told, code};

/// Names of a Compose file, the best first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of a file that goes on top of it by itself.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// What makes the project.
#[derive(Debug)]
pub struct Found {
    /// The files, in the order in which they are merged; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The folder that paths are seen from.
    pub folder: PathBuf,
    /// Environment and `.env`.
    pub environment: Variables,
    /// The profiles that are on.
    pub profiles: Vec<String>,
}

/// Standard input, as a file.
pub const STANDARD_INPUT: &str = "-";

/// Finds the files of a project, its folder and its variables.
pub fn find(loader: &mut Loader<'_>, options: &Options) -> Result<Found, Told> {
    let seen = |path: &str| files::join(&options.folder, path);
    let mut named: Vec<PathBuf> = Vec::new();
    for file in &options.files {
        named.push(if file == STANDARD_INPUT { PathBuf::from(file) } else { seen(file) });
    }
    let folder_of = |named: &[PathBuf]| match &options.project_directory {
        Some(folder) => seen(folder),
        None => {
            let first = named.iter().find(|file| *file != Path::new(STANDARD_INPUT));
            first.and_then(|file| file.parent()).unwrap_or(&options.folder).to_owned()
        }
    };
    let mut environment = options.environment.clone();
    env_files(loader, options, &folder_of(&named), &mut environment)?;
    if named.is_empty()
        && let Some(list) = environment.get("COMPOSE_FILE").cloned()
    {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
        for file in list.split(separator.map_or(":", String::as_str)) {
            named.push(if file == STANDARD_INPUT { PathBuf::from(file) } else { seen(file) });
        }
    }
    if named.is_empty() {
        named = discovered(loader, &folder_of(&named));
    }
    if named.is_empty() {
        let message = format!("there is no Compose file in {} or above it", options.folder.display());
        let problem = Problem::error(code::NO_FILE, At::NOWHERE, message);
        return Err(loader.told(problem.help(format!("name one with -f, or call it {}", NAMES.join(", ")))));
    }
    let folder = folder_of(&named);
    loader.reader.allow(&folder);
    for file in &named {
        loader.reader.allow(file);
    }
    env_files(loader, options, &folder, &mut environment)?;
    let profiles = match options.profiles.as_slice() {
        [] => {
            let list = environment.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
            list.split(',').map(|profile| profile.trim().to_owned()).filter(|profile| !profile.is_empty()).collect()
        }
        profiles => profiles.to_vec(),
    };
    Ok(Found { files: named, folder, environment, profiles })
}

/// Adds what the env files set; what is set already stays.
fn env_files(
    loader: &mut Loader<'_>,
    options: &Options,
    folder: &Path,
    environment: &mut Variables,
) -> Result<(), Told> {
    let mut files: Vec<PathBuf> = options.env_files.iter().map(|file| files::join(&options.folder, file)).collect();
    if files.is_empty() {
        let off = options.environment.get("COMPOSE_DISABLE_ENV_FILE").map(String::as_str);
        match off {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => return Ok(()),
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => {}
            Some(other) => {
                let message = format!("COMPOSE_DISABLE_ENV_FILE is '{other}', neither true nor false");
                return Err(loader.told(Problem::error(code::BOOLEAN, At::NOWHERE, message)));
            }
        }
        let own = folder.join(".env");
        match loader.reader.kind(&own) {
            Some(Kind::File | Kind::Other) => files.push(own),
            _ => return Ok(()),
        }
    }
    let mut found = Variables::new();
    for file in files {
        loader.reader.allow(&file);
        loader.variables(&file, At::NOWHERE, &mut found, environment)?;
    }
    for (name, value) in found {
        environment.entry(name).or_insert(value);
    }
    Ok(())
}

/// The best Compose file of the folder, or of the nearest above that has one, and what goes on top of it.
fn discovered(loader: &Loader<'_>, folder: &Path) -> Vec<PathBuf> {
    for folder in folder.ancestors() {
        let best =
            |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|file| loader.reader.kind(file).is_some());
        if let Some(file) = best(&NAMES) {
            return [Some(file), best(&OVERRIDES)].into_iter().flatten().collect();
        }
    }
    Vec::new()
}

/// The name of the project: given, or COMPOSE_PROJECT_NAME, or `name` of the last file that has one, or the folder's.
pub fn name(loader: &mut Loader<'_>, options: &Options, found: &Found, files: &[Parsed]) -> Result<String, Told> {
    let given = options.name.as_ref().filter(|name| !name.is_empty());
    let given = given.or_else(|| found.environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()));
    if let Some(name) = given {
        if normal(name) == *name {
            return Ok(name.clone());
        }
        let message = format!("'{name}' cannot be the name of a project");
        let problem = Problem::error(code::PROJECT_NAME, At::NOWHERE, message);
        let help = "write lower case letters, digits, '-' and '_', the first a letter or a digit";
        return Err(loader.told(problem.help(help)));
    }
    let mut named = files.iter().flat_map(|(_, documents)| documents).filter_map(|document| document.get("name"));
    let written = named.rfind(|name| !name.is_null() && name.as_text() != Some(""));
    let Some((text, at)) = written.and_then(|node: &Node| Some((node.printed()?, node.at))) else {
        let folder = found.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return some(loader, normal(&folder), At::NOWHERE, &folder);
    };
    let lookup = |name: &str| found.environment.get(name).cloned();
    match Filler::new(&lookup).fill(&text) {
        Ok(filled) => some(loader, normal(&filled), at, &filled),
        Err(unfit) => Err(loader.told(fill::unfit_problem(unfit, at).on("name"))),
    }
}

fn some(loader: &mut Loader<'_>, name: String, at: At, from: &str) -> Result<String, Told> {
    if name.is_empty() {
        let message = format!("no name for the project can be made of '{from}'");
        let help = "name it with 'name:' or COMPOSE_PROJECT_NAME";
        return Err(loader.told(Problem::error(code::PROJECT_NAME, at, message).help(help)));
    }
    Ok(name)
}

fn normal(name: &str) -> String {
    let kept: String = name.to_lowercase().chars().filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')).collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}
