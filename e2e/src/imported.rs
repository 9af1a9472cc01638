//! What `appstack import` makes of the Compose files of the five stacks, with the options that their teams would give.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::cluster::{appstack, root};
use crate::expected::Expected;
use crate::space::documents as parsed;

/// The folder of a stack's Compose files.
pub fn folder(stack: &str) -> PathBuf {
    root().join("e2e/stacks").join(stack)
}

/// Where and how a stack is imported: nothing that Compose says itself.
pub fn options(stack: &str, variant: Option<&str>) -> Vec<&'static str> {
    match (stack, variant) {
        // Its routes need somebody who takes requests in.
        ("aria", _) => vec!["--ingress-class", "traefik"],
        // Its files name others in folders beside their own; its exporters look at the node. In production the copies that share
        // the audio may run on several nodes.
        ("soundforge", None) => vec!["--allow-folder", ".", "--allow", "hostpath", "--volume", "audio-data=rwx"],
        ("soundforge", _) => vec!["--allow-folder", ".", "--allow", "hostpath"],
        // A comment says of its database that one process writes it at a time.
        ("cirame", _) => vec!["--volume", "./docker-volumes/data=rwop"],
        _ => Vec::new(),
    }
}

/// Imports a stack into a folder with some options: nothing but the files decides, no variable of this process.
pub fn import(stack: &str, variant: Option<&str>, options: &[&str], out: &Path) -> Output {
    let expected = Expected::of(stack, variant);
    let files = expected.files.iter().flat_map(|file| ["--file", file]);
    let profiles = expected.profiles.iter().flat_map(|profile| ["--profile", profile]);
    let program = appstack();
    Command::new(&program)
        .arg("import")
        .args(files)
        .args(profiles)
        .args(options)
        .args(["--color", "never", "--overwrite", "--out"])
        .arg(out)
        .current_dir(folder(stack))
        .env_clear()
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

/// The documents that are applied, without namespaces: each test has its own.
pub fn documents(stack: &str, variant: Option<&str>) -> Vec<Value> {
    let out = scratch(&format!("{stack}-{}", variant.unwrap_or("base")));
    let said = import(stack, variant, &options(stack, variant), &out);
    assert!(said.status.success(), "{stack}, {variant:?}: {}", String::from_utf8_lossy(&said.stderr));
    let mut found = Vec::new();
    for file in ["secrets.yaml", "appstack.yaml"] {
        if let Ok(text) = std::fs::read_to_string(out.join(file)) {
            found.extend(parsed(&text));
        }
    }
    for document in &mut found {
        document["metadata"].as_object_mut().expect("metadata").remove("namespace");
    }
    found
}

/// An empty folder that is this process's own.
pub fn scratch(name: &str) -> PathBuf {
    let path = root().join("target/e2e/imported").join(format!("{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path); // of an earlier call
    std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}
