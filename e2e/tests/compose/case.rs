//! Cases as text files: several in one file, each with the files that it needs.
//!
//! ```text
//! === a name
//! $ A=1 --profile dev -f x.yaml
//! services: ...
//! --- .env
//! B=2
//! ```
//!
//! What stands before the first `---` is `compose.yaml`. The line with `$` holds variables of the environment and the flags of
//! `docker compose`; a case without one has neither.

use std::path::{Path, PathBuf};

use appstack::compose::Options;
use serde_json::{Value, json};

/// One case, its files written out.
#[derive(Debug)]
pub struct Case {
    /// The file that it is from, and its own name.
    pub name: String,
    folder: PathBuf,
    flags: Vec<String>,
    texts: Vec<String>,
}

/// All cases of a folder, each written to a folder of its own below `out`.
pub fn all(folder: &Path, out: &Path) -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let _ = std::fs::remove_dir_all(out);
    let cases: Vec<Case> = files.iter().flat_map(|file| of_file(file, out)).collect();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "two cases of one name"));
    cases
}

fn of_file(file: &Path, out: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap();
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let mut cases = Vec::new();
    for (number, part) in text.split("\n=== ").enumerate() {
        let part = if number == 0 { part.strip_prefix("=== ").expect("a file begins with ===") } else { part };
        let (name, body) = part.split_once('\n').unwrap_or((part, ""));
        let (flags, body) = match body.strip_prefix("$ ") {
            Some(rest) => rest.split_once('\n').unwrap_or((rest, "")),
            None => ("", body),
        };
        let folder = out.join(format!("{stem}-{number}")).join("project");
        std::fs::create_dir_all(&folder).unwrap();
        let mut texts = Vec::new();
        let body = format!("\n--- compose.yaml\n{body}\n");
        for section in body.split("\n--- ").skip(1) {
            let (path, text) = section.split_once('\n').unwrap_or((section, ""));
            if path == "compose.yaml" && text.trim().is_empty() {
                continue;
            }
            // `\xNN`, `\r` and `\u` in a name's flags would be too clever: files that YAML cannot show say how they are made.
            let text = match path.strip_suffix(" (escaped)") {
                Some(_) => unescaped(text),
                None => text.to_owned(),
            };
            let path = folder.join(path.trim_end_matches(" (escaped)"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &text).unwrap();
            texts.push(text);
        }
        let flags = flags.split(' ').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
        cases.push(Case { name: format!("{stem}: {name}"), folder, flags, texts });
    }
    cases
}

fn unescaped(text: &str) -> String {
    let joined = text.trim_end_matches('\n').replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t");
    joined.replace("\\u{feff}", "\u{feff}")
}

/// The stacks with all their variants.
pub fn stacks(folder: &Path, out: &Path) -> Vec<Case> {
    let _ = std::fs::remove_dir_all(out);
    copy(folder, out);
    let variants = [
        ("finity", ""),
        ("finity/backend", ""),
        ("cirame", ""),
        ("cirame", "-f docker-compose.yml -f docker-compose.prod.yml"),
        ("aurum", ""),
        ("aurum", "-f docker-compose.yml -f docker-compose.dev.yml"),
        ("aurum", "-f docker-compose.yml -f docker-compose.dev.yml --profile dev"),
        ("aurum", "--profile *"),
        ("aria", ""),
        ("aria", "--profile *"),
        ("soundforge/docker/compose", "-f docker-compose.yml"),
        ("soundforge/docker/compose", "-f docker-compose.yml -f docker-compose.dev.yml"),
        ("soundforge/docker/compose", "-f docker-compose.yml -f docker-compose.mac.yml"),
        ("soundforge/docker/compose", "-f docker-compose.yml -f docker-compose.prod.yml"),
        ("soundforge/docker/compose", "-f docker-compose-platform.yml"),
        ("soundforge/docker/compose", "-f docker-compose-redis.yml"),
        (
            "soundforge/docker/compose",
            "-f docker-compose-redis.yml -f docker-compose-platform.yml -f docker-compose.yml --profile *",
        ),
    ];
    let case = |(stack, flags): (&str, &str)| Case {
        name: format!("{stack} {flags}"),
        folder: out.join(stack),
        flags: flags.split(' ').filter(|flag| !flag.is_empty()).map(str::to_owned).collect(),
        texts: Vec::new(),
    };
    variants.map(case).into()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Case {
    /// A case of these files.
    pub fn made(name: String, folder: PathBuf, flags: &str, files: &[(&str, &str)]) -> Case {
        std::fs::create_dir_all(&folder).unwrap();
        for (path, text) in files {
            std::fs::write(folder.join(path), text).unwrap();
        }
        Case { name, folder, flags: flags.split(' ').map(str::to_owned).collect(), texts: Vec::new() }
    }

    /// `base` with the `compose.yaml` of `over` as its override, and the other files of both.
    pub fn over(base: &Case, over: &Case, folder: PathBuf) -> Case {
        copy(&over.folder, &folder);
        std::fs::rename(folder.join("compose.yaml"), folder.join("over.yaml")).unwrap();
        copy(&base.folder, &folder);
        std::fs::rename(folder.join("over.yaml"), folder.join("compose.override.yaml")).unwrap();
        let name = format!("{} / {} {}", base.name, over.name, folder.display());
        Case { name, folder, flags: [base.flags.clone(), over.flags.clone()].concat(), texts: Vec::new() }
    }

    /// Whether it is one `compose.yaml` found by itself.
    pub fn is_plain(&self) -> bool {
        let flags = self.flags.iter().any(|flag| flag.starts_with('-') || flag.starts_with("COMPOSE"));
        !flags
            && !self.folder.join(".env").is_dir()
            && self.folder.join("compose.yaml").is_file()
            && !self.folder.join("compose.override.yaml").exists()
    }

    /// The texts of its files.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        self.texts.iter()
    }

    /// As our loader is asked.
    pub fn options(&self) -> Options {
        let mut options = Options { folder: self.folder.clone(), roots: vec!["..".into()], ..Options::default() };
        options.environment.insert("HOME".into(), "/home/someone".into());
        let mut flags = self.flags.iter().cloned();
        while let Some(flag) = flags.next() {
            let mut value = || flags.next().expect("a flag has a value");
            match flag.as_str() {
                "-f" => options.files.push(value()),
                "--profile" => options.profiles.push(value()),
                "--env-file" => options.env_files.push(value()),
                "--project-directory" => options.project_directory = Some(value()),
                "-p" => options.name = Some(value()),
                other => {
                    let (name, value) = other.split_once('=').expect("NAME=VALUE");
                    options.environment.insert(name.into(), value.into());
                }
            }
        }
        options
    }

    /// As the real loader is asked.
    pub fn request(&self) -> Value {
        let Options { files, env_files, profiles, project_directory, name, environment, .. } = self.options();
        json!({
            "folder": self.folder, "files": files, "env_files": env_files, "profiles": profiles,
            "project_directory": project_directory.unwrap_or_default(), "name": name.unwrap_or_default(),
            "environment": environment,
        })
    }
}
