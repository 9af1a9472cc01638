//! `golden/<feature>/stack.yaml` in, `objects.yaml` out. `make golden` writes the outputs anew; read the diff before committing it. A change in a
//! pod template restarts pods on upgrade, and wants a line under "restarts pods" in CHANGELOG.md.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api::PodSecurity;
use crate::cli::render::{objects, yaml};
use crate::cli::validate::load_stack;

fn features() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/golden");
    let mut features: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    features.sort();
    features
}

fn rendered(feature: &Path) -> Vec<Value> {
    let mut stack = load_stack(&feature.join("stack.yaml"), PodSecurity::Privileged)
        .unwrap_or_else(|e| panic!("{}: {e:?}", feature.display()));
    stack.metadata.namespace = Some("ns".into());
    stack.metadata.uid = Some("uid-of-the-stack".into());
    objects(&stack, PodSecurity::Privileged).unwrap()
}

#[test]
fn every_feature_renders_as_its_golden_file_says() {
    let mut wrong = Vec::new();
    for feature in features() {
        let golden = feature.join("objects.yaml");
        let now = yaml(&rendered(&feature)).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&golden).unwrap_or_default();
        if kept != now {
            let diff = similar::TextDiff::from_lines(&kept, &now).unified_diff().context_radius(4).to_string();
            wrong.push(format!("{}\n{diff}", golden.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "rendering differs from the golden files; if that is meant, run `make golden` and read the diff\n{}",
        wrong.join("\n")
    );
}

/// What the API server would drop or rewrite would make digests differ for ever.
#[test]
fn objects_are_canonical() {
    fn walk(value: &Value, path: &str, parent: &str, wrong: &mut Vec<String>) {
        let empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            // A selector of all pods, and a rule that lets everything out, are atomic; they may be empty.
            Value::Object(map) => map.is_empty() && !matches!(parent, "podSelector" | "egress"),
            Value::Bool(_) | Value::Number(_) => false,
        };
        // Label values and the files of a ConfigMap may be empty texts.
        if empty && !matches!(parent, "labels" | "data") {
            wrong.push(path.to_owned());
        }
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{path}[{at}]"), parent, wrong));
            }
            Value::Object(map) => map.iter().for_each(|(key, below)| {
                let parent = if matches!(parent, "labels" | "data")
                    || !below.is_object() && matches!(parent, "labels" | "data")
                {
                    parent
                } else {
                    key
                };
                walk(below, &format!("{path}.{key}"), parent, wrong);
            }),
            _ => {}
        }
    }
    let mut wrong = Vec::new();
    for feature in features() {
        for object in rendered(&feature) {
            let path =
                format!("{} {} {}", feature.file_name().unwrap().display(), object["kind"], object["metadata"]["name"]);
            walk(&object, &path, "", &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    for feature in features() {
        assert_eq!(yaml(&rendered(&feature)).unwrap(), yaml(&rendered(&feature)).unwrap());
    }
}
