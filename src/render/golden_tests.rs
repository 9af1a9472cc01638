//! `golden/<feature>/stack.yaml` in, `objects.yaml` out. `make golden` writes the outputs anew; read the diff before committing it.
//!
//! Every field of the spec, and every word of an enum, is set in some feature and unset in another. A change in a pod template restarts pods on upgrade:
//! it wants a line under "Restarts pods" in CHANGELOG.md that names the feature, for `golden/templates.txt` remembers what the last version rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use crate::api::PodSecurity;
use crate::child::digest::Digest;
use crate::child::labels;
use crate::cli::render::{objects, yaml};
use crate::cli::validate::load_stack;
use crate::generate::{SCHEMA, crd};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/golden")
}

fn features() -> Vec<PathBuf> {
    let paths = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let mut features: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    features.sort();
    features
}

fn name(feature: &Path) -> String {
    feature.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The stack of a feature as it is written.
fn written(feature: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(feature.join("stack.yaml")).unwrap()).unwrap()
}

/// The objects of every feature.
static RENDERED: LazyLock<Vec<(PathBuf, Vec<Value>)>> =
    LazyLock::new(|| features().into_iter().map(|feature| (feature.clone(), render(&feature))).collect());

fn render(feature: &Path) -> Vec<Value> {
    let mut stack = load_stack(&feature.join("stack.yaml"), PodSecurity::Privileged)
        .unwrap_or_else(|e| panic!("{}: {e:?}", feature.display()));
    stack.metadata.namespace = Some("ns".into());
    stack.metadata.uid = Some("uid-of-the-stack".into());
    objects(&stack, PodSecurity::Privileged).unwrap()
}

#[test]
fn every_feature_renders_as_its_golden_file_says() {
    let mut wrong = Vec::new();
    for (feature, objects) in &*RENDERED {
        let golden = feature.join("objects.yaml");
        let now = yaml(objects).unwrap();
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
    let mut wrong = Vec::new();
    for (feature, objects) in &*RENDERED {
        for object in objects {
            let path = format!("{} {} {}", name(feature), object["kind"], object["metadata"]["name"]);
            not_canonical(object, "", &path, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Maps whose values are texts of the user's, which may be empty: labels and what selects them, annotations, the files of a ConfigMap.
const TEXTS: [&str; 7] = ["labels", "matchLabels", "selector", "nodeSelector", "annotations", "data", "binaryData"];
/// A selector of all pods or namespaces, a rule that lets everything out, and a volume whose kind is all that is said of it.
const EMPTY_MAPS: [&str; 4] = ["podSelector", "namespaceSelector", "egress", "emptyDir"];
/// Fields that the server keeps when they are false or 0; of others it cannot tell that from unset, and drops them.
const KEPT_FALSE: [&str; 10] = [
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "immutable",
    "optional",
    "privileged",
    "readOnlyRootFilesystem",
    "runAsNonRoot",
    "setHostnameAsFQDN",
    "suspend",
];
const KEPT_ZERO: [&str; 9] = [
    "backoffLimit",
    "fsGroup",
    "maxSurge",
    "maxUnavailable",
    "replicas",
    "runAsUser",
    "stabilizationWindowSeconds",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
];

/// `of` is the field or list in which the value stands.
fn not_canonical(value: &Value, of: &str, path: &str, wrong: &mut Vec<String>) {
    let dropped = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        // The Gateway API writes out that a backend is of the core group.
        Value::String(text) => text.is_empty() && !path.ends_with("backendRefs[0].group"),
        Value::Object(map) => map.is_empty() && !EMPTY_MAPS.contains(&of),
        Value::Bool(is) => !is && !KEPT_FALSE.contains(&of),
        Value::Number(number) => number.as_f64() == Some(0.0) && !KEPT_ZERO.contains(&of),
    };
    // Inside what it takes as a whole, the server's defaults are ours.
    let defaulted = match of {
        "ports" if value.is_object() => value["protocol"].is_null(),
        "fieldRef" => value["apiVersion"].is_null(),
        "resourceFieldRef" => value["divisor"].is_null(),
        "serviceAccountToken" => value["expirationSeconds"].is_null(),
        "volumeClaimTemplates" if value.is_object() => {
            value["spec"]["volumeMode"].is_null() || value["status"].is_null()
        }
        _ => false,
    };
    if dropped || defaulted {
        wrong.push(path.to_owned());
    }
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| not_canonical(item, of, &format!("{path}[{at}]"), wrong));
        }
        Value::Object(map) if TEXTS.contains(&of) && map.values().all(Value::is_string) => {}
        Value::Object(map) => map.iter().for_each(|(key, below)| {
            not_canonical(below, key, &format!("{path}.{key}"), wrong);
        }),
        _ => {}
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    for (feature, objects) in &*RENDERED {
        assert_eq!(yaml(&render(feature)).unwrap(), yaml(objects).unwrap());
    }
}

/// Fields that no feature sets, and why.
const NEVER_SET: [(&str, &str); 2] = [
    ("spec.services.*.podTemplatePatch.spec.", "a patch may not set them"),
    ("spec.applyAs", "it says who writes the objects, and nothing of what they are"),
];

/// What of a schema some written value sets, what one that could does not, and which words of an enum were never used.
#[derive(Default)]
struct Walk {
    never_set: BTreeSet<String>,
    never_unset: BTreeSet<String>,
    unused_words: BTreeSet<String>,
}

impl Walk {
    /// `values`: whatever stands at this place in any feature.
    fn field(&mut self, schema: &Value, path: &str, values: &[&Value]) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let below: Vec<&Value> = values.iter().filter_map(|value| value.get(name)).collect();
            if below.is_empty() {
                self.never_set.insert(path.clone());
            } else if below.len() == values.len() && !required.contains(&name.as_str()) {
                self.never_unset.insert(path.clone());
            }
            self.field(field, &path, &below);
        }
        let entries = values.iter().flat_map(|value| value.as_object().into_iter().flat_map(|map| map.values()));
        let items = values.iter().flat_map(|value| value.as_array().into_iter().flatten());
        for (key, below) in [("additionalProperties", entries.collect::<Vec<_>>()), ("items", items.collect())] {
            if schema[key].is_object() {
                self.field(&schema[key], &format!("{path}.*"), &below);
            }
        }
        let words = schema["enum"].as_array().into_iter().flatten();
        self.unused_words.extend(words.filter(|word| !values.contains(word)).map(|word| format!("{path}: {word}")));
    }
}

/// "Golden pair per field": a field that is added without a feature that shows it fails here.
#[test]
fn every_field_is_set_in_some_feature_and_unset_in_another() {
    let stacks: Vec<Value> = features().iter().map(|feature| written(feature)).collect();
    let specs: Vec<&Value> = stacks.iter().map(|stack| &stack["spec"]).collect();
    let mut walk = Walk::default();
    walk.field(crd().pointer(&format!("{SCHEMA}/properties/spec")).unwrap(), "spec", &specs);
    walk.never_set.retain(|path| !NEVER_SET.iter().any(|(below, _)| path.starts_with(below)));
    let Walk { never_set, never_unset, unused_words } = walk;
    assert!(
        never_set.is_empty() && never_unset.is_empty() && unused_words.is_empty(),
        "add a feature under src/render/golden that shows it\nset nowhere: {never_set:#?}\nunset nowhere: {never_unset:#?}\nwords used nowhere: {unused_words:#?}"
    );
}

/// Digests of pod templates, by feature, digest of its stack, and object.
type Templates = BTreeMap<(String, String, String), String>;

const TEMPLATES_SAY: &str = "\
# Pod templates of the last version: feature, digest of its stack, object, digest of its template.
# `make golden` adds what is new and forgets stacks that were changed; it keeps the line of a template that only renders differently, so that a line in
# CHANGELOG.md is asked for. At a release: UPDATE_GOLDEN=release cargo test --lib golden, and a new \"Restarts pods\" section.
";

fn templates_now() -> Templates {
    let mut templates = Templates::new();
    for (feature, objects) in &*RENDERED {
        let stack = Digest::of(&written(feature)).to_string();
        for object in objects.iter().filter(|object| object["spec"]["template"].is_object()) {
            let meta = &object["metadata"];
            // The name of a Job ends in its revision, which is in the template as well.
            let revision = format!("-{}", meta["annotations"][labels::REVISION].as_str().unwrap());
            let name = meta["name"].as_str().map(|name| name.strip_suffix(&revision).unwrap_or(name)).unwrap();
            let key = (self::name(feature), stack.clone(), format!("{}/{name}", object["kind"].as_str().unwrap()));
            templates.insert(key, Digest::of(&object["spec"]["template"]).to_string());
        }
    }
    templates
}

fn templates_kept(text: &str) -> Templates {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(((words.next()?, words.next()?, words.next()?), words.next()?))
        })
        .collect()
}

/// The features whose pods a new version replaces though their stacks are what they were.
fn replaced(now: &Templates, kept: &Templates) -> BTreeSet<String> {
    let differs = now.iter().filter(|(key, digest)| kept.get(key).is_some_and(|before| before != *digest));
    differs.map(|((feature, ..), _)| feature.clone()).collect()
}

/// Lines under "Restarts pods" of the version that is not released yet.
fn announced(changelog: &str) -> &str {
    let unreleased = changelog.split("\n## ").find(|section| section.starts_with("Unreleased")).unwrap_or_default();
    let section = unreleased.split("\n### ").find(|section| section.starts_with("Restarts pods"));
    section.expect("CHANGELOG.md has a section \"Restarts pods\" under \"Unreleased\"")
}

/// "Rendering is versioned": whoever upgrades the operator has read which stacks' pods are replaced.
#[test]
fn a_changed_pod_template_is_announced() {
    let file = golden().join("templates.txt");
    let now = templates_now();
    let mut kept = templates_kept(&std::fs::read_to_string(&file).unwrap_or_default());
    if let Some(how) = std::env::var_os("UPDATE_GOLDEN") {
        kept.retain(|key, _| how != "release" && now.contains_key(key));
        for (key, digest) in &now {
            kept.entry(key.clone()).or_insert_with(|| digest.clone());
        }
        let lines =
            kept.iter().map(|((feature, stack, object), digest)| format!("{feature} {stack} {object} {digest}\n"));
        std::fs::write(&file, format!("{TEMPLATES_SAY}{}", lines.collect::<String>())).unwrap();
    }
    assert!(
        now.keys().eq(kept.keys()),
        "golden/templates.txt knows other stacks than the features have: run `make golden`"
    );
    let changelog = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let announced = announced(&changelog);
    let silent: Vec<String> =
        replaced(&now, &kept).into_iter().filter(|feature| !announced.contains(&format!("`{feature}`"))).collect();
    assert!(
        silent.is_empty(),
        "these features' pod templates render differently than in the last version, which replaces the pods of everyone who uses them; if that is \
         meant, name each in backticks under \"Restarts pods\" in CHANGELOG.md and say why: {silent:?}"
    );
}

#[test]
fn only_a_template_that_renders_differently_for_the_same_stack_is_a_replaced_one() {
    let templates = |lines: &str| templates_kept(lines);
    let kept = templates("# said\na 1 Deployment/x d1\nb 1 Deployment/x d1\n");
    assert!(replaced(&templates("a 1 Deployment/x d1\nb 2 Deployment/x d2\nc 1 Job/x d3"), &kept).is_empty());
    assert_eq!(
        replaced(&templates("a 1 Deployment/x d2\nb 1 Deployment/x d1"), &kept),
        BTreeSet::from(["a".to_owned()])
    );
    let changelog =
        "# Changelog\n\n## Unreleased\n\n### Restarts pods\n\n- `a`: x\n\n## 0.1\n\n### Restarts pods\n\n- `b`: y\n";
    assert!(announced(changelog).contains("`a`") && !announced(changelog).contains("`b`"));
}
