//! Rules about the code itself: pure folders stay pure, and nothing in the tree is placed by accident.

#![allow(clippy::unwrap_used)] // a test that cannot read its files fails

use std::path::{Path, PathBuf};

/// Folders that hold no client, no async, no clock, no randomness, no files: what they need is an argument.
const PURE: [&str; 7] = ["api", "stack", "child", "render", "rollout", "report", "yaml"];
const FORBIDDEN: [&str; 12] = [
    "async ",
    ".await",
    "tokio",
    "kube::Client",
    "kube::Api",
    "kube::{Api",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "RandomState",
    "std::fs",
    "std::env",
];

/// Pure as well, but for one file that reads files.
const READS_FILES: [(&str, &str); 1] = [("compose", "files.rs")];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("tests") {
            found.push(path);
        }
    }
    found
}

/// Code of a file, less its comments and tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn pure_folders_stay_pure() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let folders = PURE.into_iter().map(|folder| (folder, ""));
    for (folder, reads) in folders.chain(READS_FILES) {
        for path in sources(&src.join(folder)) {
            let may_read = !reads.is_empty() && path == src.join(folder).join(reads);
            for (number, line) in code(&path).lines().enumerate() {
                wrong.extend(
                    FORBIDDEN
                        .iter()
                        .filter(|word| line.contains(**word) && !(may_read && **word == "std::fs"))
                        .map(|word| format!("{}:{}: {word}", path.display(), number + 1)),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lower folders know nothing of higher ones.
#[test]
fn layers_point_downwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = ["yaml", "api", "child", "stack", "render", "rollout", "report", "compose", "controller"];
    let mut wrong = Vec::new();
    for (at, folder) in order.iter().enumerate() {
        for path in sources(&src.join(folder)) {
            let code = code(&path);
            let above = order.iter().skip(at + 1).chain(["cli"].iter());
            wrong.extend(
                above
                    .filter(|above| code.contains(&format!("crate::{above}")))
                    .map(|above| format!("{} uses {above}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_source_file_outgrows_a_reader() {
    let long: Vec<String> = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .iter()
        .map(|path| (path, std::fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > 450)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "split along a natural seam: {long:#?}");
}
