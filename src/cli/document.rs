//! One document against everything that the API server and the operator check, in their order.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::{Value, json};

use super::field::{self, Step};
use super::findings::{Finding, Severity};
use super::schema::{self, Repair};
use super::source::Document;
use crate::api::{API_VERSION, AppStack, GROUP, PodSecurity};
use crate::stack;

/// Client-side apply keeps the whole object in an annotation, and annotations end at 262144 bytes.
const ROOM_OF_CLIENT_SIDE_APPLY: usize = 200_000;

/// The rules of the CRD but for those on `spec` itself. These compare all services with all that they refer to, which takes the interpreter
/// minutes for a large stack, and say no more than that something is wrong; the model resolves the same references and names each.
static RULES: LazyLock<CompiledSchema> = LazyLock::new(|| {
    let mut schema = schema::PUBLISHED.clone();
    if let Some(spec) = schema.pointer_mut("/properties/spec").and_then(Value::as_object_mut) {
        spec.remove("x-kubernetes-validations");
    }
    compile_schema(&schema)
});

/// What a document is.
pub enum Sort {
    /// An AppStack, or meant to be one.
    Stack,
    /// Something else, by kind and name.
    Other(String),
}

/// Whether `document` is for us.
pub fn sort(document: &Value) -> Sort {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let (Some(version), Some(kind)) = (text("/apiVersion"), text("/kind")) else { return Sort::Stack };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if group == GROUP || version == GROUP || (kind == "AppStack" && group.is_empty()) {
        return Sort::Stack;
    }
    Sort::Other(format!("{kind} '{}'", text("/metadata/name").unwrap_or_default()))
}

/// The stack of a document if nothing is wrong with it, and everything that is wrong or doubtful.
pub fn check(document: &Document, old: Option<&Value>, most: PodSecurity) -> (Option<AppStack>, Vec<Finding>) {
    let mut report = Report { said: Vec::new(), repaired: Vec::new() };
    let mut value = document.value();
    if let Some(message) = not_ours(&value) {
        report.error(message.0, message.1);
        return (None, report.findings(document));
    }
    let size = serde_json::to_string(&value).map_or(0, |text| text.len());
    if size > ROOM_OF_CLIENT_SIDE_APPLY {
        let message = format!(
            "the stack is {size} bytes large: client-side kubectl apply fails from 262144 bytes on; use kubectl apply --server-side"
        );
        report.say(Severity::Warning, Vec::new(), message);
    }

    for null in document.nulls().into_iter().filter(|null| null.first() == Some(&Step::key("spec"))) {
        let Some(Step::Key(_)) = null.last() else { continue };
        report.error(null.clone(), null_message(&null));
        if may_go(&null) {
            remove(&mut value, &null);
        } else {
            fill(&mut value, &null);
        }
        report.repaired.push(null);
    }
    for violation in schema::check(&value) {
        if report.follows_from_a_null(&violation.field) {
            continue;
        }
        let on_key = violation.repair == Repair::Unknown;
        let (field, message) = (violation.field.clone(), violation.message);
        report.said.push(Said { severity: Severity::Error, field, message, on_key });
        match violation.repair {
            Repair::Keep => continue,
            Repair::Unknown => remove(&mut value, &violation.field),
            Repair::Remove if may_go(&violation.field) => remove(&mut value, &violation.field),
            Repair::Remove | Repair::Fill => fill(&mut value, &violation.field),
        }
        report.repaired.push(violation.field);
    }
    name_of_generated(&mut value, &mut report);

    let rules = broken_rules(&value, old, &report);
    let model = serde_json::from_value::<AppStack>(value).map(|stack| (stack::check(&stack, most), stack));
    let resolved = match &model {
        Ok((Err(problems), _)) => problems.all.as_slice(),
        _ => &[],
    };
    let value = document.value();
    for rule in rules {
        // Of one mistake that both see, the model knows the exact place.
        let restated = resolved
            .iter()
            .any(|p| p.message == rule.message && field::parse(&p.field, &value).starts_with(&rule.field));
        if !restated {
            report.error(rule.field, rule.message);
        }
    }
    let known: BTreeSet<Vec<Step>> = report.said.iter().map(|said| said.field.clone()).collect();
    for problem in resolved {
        let field = field::parse(&problem.field, &value);
        if !known.contains(&field) && !report.is_consequence(&field) {
            report.error(field, problem.message.clone());
        }
    }
    let stack = match model {
        Ok((Ok(checked), stack)) => {
            for warning in checked.warnings {
                report.say(Severity::Warning, field::parse(&warning.field, &value), warning.message);
            }
            Some(stack)
        }
        Ok((Err(_), _)) => None,
        Err(error) => {
            if report.said.iter().all(|said| said.severity == Severity::Warning) {
                report.error(Vec::new(), format!("cannot be read as an AppStack: {error}"));
            }
            None
        }
    };
    let findings = report.findings(document);
    (stack.filter(|_| findings.iter().all(|finding| finding.severity == Severity::Warning)), findings)
}

struct Said {
    severity: Severity,
    field: Vec<Step>,
    message: String,
    /// The key is meant, not its value.
    on_key: bool,
}

struct Report {
    said: Vec<Said>,
    /// Fields that the later checks see otherwise than they are written.
    repaired: Vec<Vec<Step>>,
}

impl Report {
    fn error(&mut self, field: Vec<Step>, message: String) {
        self.say(Severity::Error, field, message);
    }

    fn say(&mut self, severity: Severity, field: Vec<Step>, message: String) {
        self.said.push(Said { severity, field, message, on_key: false });
    }

    /// Without the null, its parent lacks something.
    fn follows_from_a_null(&self, field: &[Step]) -> bool {
        self.repaired
            .iter()
            .any(|null| field.starts_with(null) || null.split_last().is_some_and(|(_, parent)| parent == field))
    }

    /// Whether what is said of `field` may come from a repair. What concerns the whole stack (names of services) is still worth saying.
    fn is_consequence(&self, field: &[Step]) -> bool {
        self.repaired.iter().any(|repaired| {
            field.starts_with(repaired)
                || repaired.starts_with(field) && (field.len() >= 3 || field.len() + 1 == repaired.len())
        })
    }

    fn findings(self, document: &Document) -> Vec<Finding> {
        let mut seen = BTreeSet::new();
        let mut findings: Vec<Finding> = self
            .said
            .into_iter()
            .map(|Said { severity, field, message, on_key }| {
                let at = if on_key { document.key(&field) } else { document.place(&field) };
                Finding { severity, field: field::written(&field, &schema::STRICT), message, at, other: None }
            })
            .filter(|finding| seen.insert((finding.field.clone(), finding.message.clone())))
            .collect();
        findings.sort_by(|a, b| (a.at.start, &a.field, &a.message).cmp(&(b.at.start, &b.field, &b.message)));
        findings
    }
}

/// What makes the document no AppStack of this version.
fn not_ours(document: &Value) -> Option<(Vec<Step>, String)> {
    if !document.is_object() {
        return Some((Vec::new(), "a document must be a map with apiVersion, kind, metadata and spec".into()));
    }
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", "AppStack")] {
        let message = match document.get(field) {
            Some(Value::String(text)) if text == wanted => continue,
            Some(Value::String(text)) => format!("'{text}' is not known to this program; it knows '{wanted}'"),
            _ => format!("'{field}' is required: '{wanted}' for a stack"),
        };
        return Some((vec![Step::key(field)], message));
    }
    None
}

/// Clients drop a null without a word, so nothing of what was meant would reach the cluster.
fn null_message(field: &[Step]) -> String {
    let Some(Step::Key(key)) = field.last() else { return "an item has no value (null)".into() };
    let schema = schema::at(field);
    let has = |key: &str| schema.is_some_and(|schema| schema.get(key).is_some());
    let advice = if schema.is_some_and(|s| s["type"] == "object") && !has("minProperties") && !has("required") {
        "write {} for one with nothing set"
    } else if schema.is_some_and(|s| s["type"] == "string") && !has("enum") && !has("minLength") {
        "write \"\" for an empty text, or leave the key out"
    } else {
        "give it a value or leave the key out"
    };
    format!("'{key}' has no value (null), and clients drop such a key without a word: {advice}")
}

/// A name that the API server makes up is checked as it will be.
fn name_of_generated(value: &mut Value, report: &mut Report) {
    let metadata = |key: &str| value.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
    if metadata("name").is_some_and(|name| !name.is_empty()) {
        return;
    }
    let field = vec![Step::key("metadata"), Step::key("name")];
    let name = match metadata("generateName") {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}xxxxx"),
        _ => {
            if !report.repaired.contains(&field) {
                report
                    .error(field.clone(), "'name' is required: up to 40 lower case letters, digits and hyphens".into());
                report.repaired.push(field);
            }
            "x".into()
        }
    };
    if let Some(root) = value.as_object_mut() {
        let metadata = root.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".into(), name.into());
        }
    }
}

/// A rule of the CRD that does not hold.
struct Broken {
    field: Vec<Step>,
    message: String,
}

fn broken_rules(value: &Value, old: Option<&Value>, report: &Report) -> Vec<Broken> {
    let errors = Validator::new().validate_compiled(&RULES, value, old).err();
    errors
        .into_iter()
        .flatten()
        .filter(|error| error.kind == ErrorKind::ValidationFailure || report.said.is_empty())
        .map(|error| Broken { field: field::parse(&error.field_path, value), message: error.message })
        .filter(|broken| {
            !report.is_consequence(&broken.field) && !report.said.iter().any(|said| said.field == broken.field)
        })
        .collect()
}

/// Whether the document still says the same of everything else without this field: not so for entries of maps, which others refer to.
fn may_go(field: &[Step]) -> bool {
    let Some((Step::Key(key), parent)) = field.split_last() else { return false };
    let Some(schema) = schema::at(parent) else { return true };
    let is_map = schema.get("additionalProperties").is_some_and(Value::is_object);
    let required =
        schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|name| name == key));
    !is_map && !required
}

fn remove(value: &mut Value, field: &[Step]) {
    let Some((Step::Key(key), parent)) = field.split_last() else { return };
    if let Some(map) = at_mut(value, parent).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

fn fill(value: &mut Value, field: &[Step]) {
    let Some((last, parent)) = field.split_last() else { return };
    let (Some(parent), Some(schema)) = (at_mut(value, parent), schema::at(field)) else { return };
    match (parent, last) {
        (Value::Object(map), Step::Key(key)) => {
            map.insert(key.clone(), anything(schema));
        }
        (Value::Array(items), Step::Index(index)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = anything(schema);
            }
        }
        _ => {}
    }
}

/// The plainest value of a schema.
fn anything(schema: &Value) -> Value {
    if let Some(word) = schema.pointer("/enum/0") {
        return word.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!("x"),
        // 1 is within the bounds of every number.
        Some("integer") => json!(1),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") if schema.get("minProperties").is_some() => {
            json!({"x": anything(&schema["additionalProperties"])})
        }
        Some("object") => {
            let required =
                schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let field = |key: &str| field::child_schema(schema, &Step::key(key)).map(anything).unwrap_or_default();
            required.map(|key| (key.to_owned(), field(key))).collect::<serde_json::Map<_, _>>().into()
        }
        _ => json!("1Gi"),
    }
}

fn at_mut<'a>(value: &'a mut Value, field: &[Step]) -> Option<&'a mut Value> {
    field.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn said(spec: &str) -> Vec<String> {
        let text =
            format!("apiVersion: appstack.dev/v1alpha1\nkind: AppStack\nmetadata: {{name: shop}}\nspec:\n{spec}");
        let source = Source::parse("f.yaml", text.into_bytes());
        assert_eq!(source.flaws, []);
        let (stack, findings) = check(&source.documents[0], None, PodSecurity::Baseline);
        assert_eq!(stack.is_some(), findings.iter().all(|f| f.severity == Severity::Warning));
        findings.into_iter().map(|f| format!("{}: {}", f.field, f.message)).collect()
    }

    #[test]
    fn every_problem_is_said_at_once_whatever_finds_it() {
        let said = said(
            "  services:\n    a: {imagee: x, dependsOn: {b: {}}}\n    b: {image: 'x y', dependsOn: {a: {}, c: {}}}\n    \
             c: {image: x, ports: {http: {}}, env: {A: 1}, replicas: -1, stdin: 'yes'}\n    \
             d: {image: x, dependsOn: {nosuch: }, networks: {front: {}}, command: [a, 3]}\n    E: {image: x}\n",
        );
        let fields: Vec<&str> = said.iter().filter_map(|line| line.split_once(": ")).map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            [
                "spec.services",
                "spec.services[a].image",
                "spec.services[a].imagee",
                "spec.services[a].dependsOn[b]",
                "spec.services[b].image",
                "spec.services[c].ports[http].port",
                "spec.services[c].env[A]",
                "spec.services[c].replicas",
                "spec.services[c].stdin",
                "spec.services[d].dependsOn[nosuch]",
                "spec.services[d].networks[front]",
                "spec.services[d].command[1]",
            ],
            "{said:#?}"
        );
    }

    #[test]
    fn what_follows_from_a_mistake_is_not_said() {
        assert_eq!(said("  services: {a: {image: x, healthcheck: {htp: {port: 80}}}}\n").len(), 1);
        assert_eq!(said("  services: {a: text, b: {image: x, dependsOn: {a: {}}}}\n").len(), 1);
        assert_eq!(said("  services: {a: {image: x, autoscale: {max: 2, cpuPercent: x}}}\n").len(), 1);
        assert_eq!(said("  services: {a: {image: x, mounts: {/a: {volume: v}}}}\n  volumes: {v: }\n").len(), 1);
    }

    #[test]
    fn a_large_stack_is_told_how_to_apply_it() {
        let configs: Vec<String> = (0..8).map(|n| format!("    c{n}: {{content: {}}}\n", "x".repeat(30_000))).collect();
        let said = said(&format!("  services: {{a: {{image: x}}}}\n  configs:\n{}", configs.concat()));
        assert!(said[0].contains("--server-side"), "{said:?}");
    }

    #[test]
    fn every_rule_of_the_crd_can_be_evaluated() {
        let stack = json!({
            "apiVersion": API_VERSION, "kind": "AppStack", "metadata": {"name": "a"},
            "spec": {"volumes": {"v": {"size": "1Gi"}}, "services": {"a": {
                "image": "x", "replicas": 1, "ports": {"a": {"port": 1}, "b": {"port": 2, "published": 3}},
                "healthcheck": {"http": {"port": "a", "path": "/x"}, "interval": "5s"}, "mounts": {"/x": {"volume": "v"}},
                "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
                "env": {"A": "b"}, "publish": {"type": "LoadBalancer"}, "workingDir": "/", "networks": {"default": {}},
            }}}
        });
        // All of them, those over the whole spec too, and with an old object for those over changes.
        let compiled = compile_schema(&schema::PUBLISHED);
        assert_eq!(Validator::new().validate_compiled(&compiled, &stack, Some(&stack)), Ok(()));
    }

    #[test]
    fn documents_for_others_are_told_from_broken_ones_of_ours() {
        let sort =
            |version: &str, kind: &str| matches!(sort(&json!({"apiVersion": version, "kind": kind})), Sort::Stack);
        assert!(sort(API_VERSION, "AppStack") && sort("appstack.dev/v2", "AppStack") && sort(API_VERSION, "Appstack"));
        assert!(sort("v1", "AppStack") && sort("appstack.dev", "AppStack"));
        assert!(!sort("v1", "Secret") && !sort("example.com/v1", "AppStack"));
        assert!(matches!(super::sort(&json!({"spec": {}})), Sort::Stack));
    }
}
