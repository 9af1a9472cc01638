//! The structural half of what the API server checks: types, bounds, allowed words, unknown fields; said in words for people.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::LocationSegment;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Value, json};

use super::field::{self, Step};
use crate::generate;

/// The schema of the CRD.
pub static PUBLISHED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(generate::PUBLISHED).unwrap_or_default());

/// The same as the API server applies it under strict validation: nothing unknown, metadata included.
pub static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = PUBLISHED.clone();
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        fields.insert("apiVersion".into(), json!({"type": "string"}));
        fields.insert("kind".into(), json!({"type": "string"}));
        fields.insert("metadata".into(), metadata());
        // What users write there is ignored, whatever it is.
        fields.insert("status".into(), json!({}));
    }
    strict(&mut schema);
    schema
});

/// None if the schema itself is wrong, which the tests rule out.
static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| {
    jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(false).build(&STRICT).ok()
});

/// Makes the check ready, which takes some milliseconds: a thread can do it while files are read.
pub fn prepare() {
    LazyLock::force(&VALIDATOR);
}

/// One violation of the schema.
#[derive(Debug)]
pub struct Violation {
    /// Where.
    pub field: Vec<Step>,
    /// What is wrong and what is allowed.
    pub message: String,
    /// What is to be done with the document so that the other checks make sense of the rest.
    pub repair: Repair,
}

/// How to make a document readable where it violates the schema.
#[derive(Debug, PartialEq, Eq)]
pub enum Repair {
    /// Only the value is wrong.
    Keep,
    /// Nothing can be made of what is there.
    Remove,
    /// It has no business there at all, key included.
    Unknown,
    /// Something required is missing.
    Fill,
}

/// Every violation of the CRD's schema.
pub fn check(document: &Value) -> Vec<Violation> {
    let Some(validator) = VALIDATOR.as_ref() else {
        return vec![Violation {
            field: Vec::new(),
            message: "the schema of this program is broken".into(),
            repair: Repair::Keep,
        }];
    };
    let mut found = Vec::new();
    let mut of_patterns = Vec::new();
    for error in validator.iter_errors(document) {
        let into = if matches!(error.kind(), Kind::Pattern { .. }) { &mut of_patterns } else { &mut found };
        into.extend(violations(document, &error));
    }
    // An empty text is no name either, and is called empty.
    of_patterns.retain(|of_pattern| found.iter().all(|other| other.field != of_pattern.field));
    found.extend(of_patterns);
    found
}

/// The strict schema at a field.
pub fn at(field: &[Step]) -> Option<&'static Value> {
    field.iter().try_fold(&*STRICT, |schema, step| field::child_schema(schema, step))
}

fn violations(document: &Value, error: &ValidationError<'_>) -> Vec<Violation> {
    let here: Vec<Step> = error
        .instance_path()
        .into_iter()
        .map(|segment| match segment {
            LocationSegment::Property(name) => Step::Key(name.into_owned()),
            LocationSegment::Index(index) => Step::Index(index),
        })
        .collect();
    let below = |key: &str| here.iter().cloned().chain([Step::key(key)]).collect::<Vec<_>>();
    let value = error.instance();
    let one = |message: String, repair| vec![Violation { field: here.clone(), message, repair }];
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| Violation { field: below(name), message: unknown(name, at(&here)), repair: Repair::Unknown })
            .collect(),
        // So it is said of objects that have no fields at all.
        Kind::FalseSchema => {
            let keys = here.iter().try_fold(document, field::child).and_then(Value::as_object).into_iter().flatten();
            keys.map(|(name, _)| Violation {
                field: below(name),
                message: unknown(name, at(&here)),
                repair: Repair::Unknown,
            })
            .collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Violation { field: below(name), message: format!("'{name}' is required"), repair: Repair::Fill }]
        }
        Kind::Type { kind } => one(
            match at(&here).and_then(|schema| schema.get("enum")) {
                Some(words) => not_one_of(value, words),
                None => format!("must be {}, not {}", wanted(kind), got(value)),
            },
            Repair::Remove,
        ),
        Kind::Enum { options } => one(not_one_of(value, options), Repair::Remove),
        Kind::Maximum { .. } | Kind::Minimum { .. } => {
            one(format!("must be {}, not {value}", range(at(&here))), Repair::Keep)
        }
        Kind::MinLength { .. } => one("must not be empty".into(), Repair::Keep),
        Kind::MaxLength { limit } => one(format!("must have at most {limit} characters"), Repair::Keep),
        Kind::MinItems { .. } => {
            one("must have at least one item; leave the field out instead of an empty list".into(), Repair::Keep)
        }
        Kind::MaxItems { limit } => one(format!("must have at most {limit} items"), Repair::Keep),
        Kind::MinProperties { .. } => {
            one("must have at least one entry; leave the field out instead of an empty map".into(), Repair::Keep)
        }
        Kind::MaxProperties { limit } => one(format!("must have at most {limit} entries"), Repair::Keep),
        Kind::UniqueItems => one("must not have the same item twice".into(), Repair::Keep),
        Kind::Pattern { pattern } => one(in_words(pattern), Repair::Keep),
        _ => one(error.to_string(), Repair::Remove),
    }
}

fn unknown(name: &str, schema: Option<&Value>) -> String {
    let mut known: Vec<&str> = schema
        .and_then(|s| s.get("properties"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    if known.is_empty() {
        return format!("no field '{name}': there are none here");
    }
    if let Some(nearest) = nearest(name, &known) {
        return format!("no field '{name}'; did you mean '{nearest}'?");
    }
    known.sort_unstable();
    format!("no field '{name}'; known here: {}", known.join(", "))
}

/// What the patterns of the CRD mean. They are those that would be too dear for a rule, which has a message of its own.
pub fn in_words(pattern: &str) -> String {
    WORDS
        .iter()
        .find(|(known, _)| *known == pattern)
        .map_or_else(|| format!("must match '{pattern}'"), |(_, words)| (*words).to_owned())
}

const WORDS: [(&str, &str); 18] = [
    ("^([0-9]{1,5}(h|m|s|ms)){1,4}$", "must be a duration such as '1m30s' (units h, m, s, ms)"),
    (
        "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "must be a host name in lower case such as 'shop.example.com', or one with '*.' before it; no port, no address",
    ),
    (
        "^(/[.]?[-A-Za-z0-9_~!$&'()*+,;=:@%][-A-Za-z0-9._~!$&'()*+,;=:@%]*)*/?$",
        "must be a path such as '/api': it begins with '/', and has no empty part, no '.' or '..', no query",
    ),
    ("^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", "must be the name of an object: lower case letters, digits, '-' and '.'"),
    ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "must be the name of a namespace: lower case letters, digits and hyphens"),
    (r"^[^\x00]*$", "must not contain NUL characters"),
    ("^[-._a-zA-Z0-9]+$", "must be letters, digits, '-', '_' and '.', as keys of ConfigMaps and Secrets are"),
    (
        "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        "must be base64 on one line, such as 'iVBORw0KGgo='; plain text goes into data",
    ),
    ("^[a-zA-Z0-9][-_.a-zA-Z0-9]*$", "must begin with a letter or digit and hold only these, '-', '_' and '.'"),
    ("^[ -<>-~]+$", "must be printable ASCII characters other than '='"),
    (
        "^[a-z]([-a-z0-9]*[a-z0-9])?$",
        "must be lower case letters, digits and hyphens, start with a letter, and end with a letter or digit",
    ),
    (
        "^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$",
        "must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit, as values of labels do",
    ),
    (
        "^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
        "must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit, as values of labels do",
    ),
    (
        "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$",
        "must be 'prefix/name' as Kubernetes wants it, the name of at most 63 characters",
    ),
    (
        "^[a-z0-9_]([-._a-z0-9]*[a-z0-9])?[.]?$",
        "must be a domain such as 'shop.example': lower case letters, digits, '-' and '.'",
    ),
    (
        "^[a-z0-9]+([-._:/a-zA-Z0-9]*[a-zA-Z0-9_])?(@sha256:[a-f0-9]{64})?$",
        "must be an image reference such as 'registry.example/shop/web:1.4.0', optionally with '@sha256:' and 64 hex digits; no spaces, no upper case host",
    ),
    (
        r"^/([^/.\x00][^/\x00]*(/|$)|[.][^/.\x00][^/\x00]*(/|$))*$",
        "must be an absolute path of the node, without '.' or '..' as a step, two '/' in a row, or NUL characters",
    ),
    ("^([0-9]+|[0-9]*[.]?[0-9]*([KMGTP]i|[kMGTP]|[eE][0-9]+))$", crate::api::numbers::STORAGE),
];

fn not_one_of(value: &Value, words: &Value) -> String {
    let words = words.as_array().into_iter().flatten().filter_map(Value::as_str);
    let allowed = words.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    match value.as_str() {
        Some(word) => format!("'{word}' is not one of {allowed}"),
        None => format!("must be one of {allowed}, not {}", got(value)),
    }
}

/// The known word that was probably meant: the same but for case and a typing error or two.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let word = plain(word);
    let near = |known: &&'a str| (*known, strsim::jaro_winkler(&word, &plain(known)));
    known
        .iter()
        .map(near)
        .filter(|(_, score)| *score >= 0.85)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(known, _)| known)
}

fn wanted(kind: &TypeKind) -> String {
    let name = match kind {
        TypeKind::Single(kind) => kind.to_string(),
        TypeKind::Multiple(_) => return "a whole number or a text".into(),
    };
    match name.as_str() {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "boolean" => "true or false",
        _ => "a value",
    }
    .into()
}

fn got(value: &Value) -> String {
    match value {
        Value::Null => "nothing (null)".into(),
        Value::Bool(value) => format!("{value}; a word that YAML reads as true or false needs quotes to be a text"),
        Value::Number(value) => format!("the number {value}; a number needs quotes to be a text"),
        Value::String(text) => format!("the text '{}'", text.chars().take(40).collect::<String>()),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

fn range(schema: Option<&Value>) -> String {
    let bound = |name: &str| schema.and_then(|s| s.get(name)).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("from {least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (_, Some(most)) => format!("at most {most}"),
        (None, None) => "within its bounds".into(),
    }
}

/// Refuses what a structural schema would prune: fields that no `properties` names. Sets become lists without duplicates.
fn strict(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else { return };
    let open = node.contains_key("additionalProperties") || node.contains_key("x-kubernetes-preserve-unknown-fields");
    if node.get("type").is_some_and(|kind| kind == "object") && !open {
        node.insert("additionalProperties".into(), json!(false));
    }
    if node.contains_key("x-kubernetes-int-or-string") {
        node.insert("type".into(), json!(["integer", "string"]));
    }
    if node.get("x-kubernetes-list-type").is_some_and(|kind| kind == "set") {
        node.insert("uniqueItems".into(), json!(true));
    }
    for (_, field) in node.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        strict(field);
    }
    for below in ["additionalProperties", "items"] {
        if let Some(values) = node.get_mut(below) {
            strict(values);
        }
    }
}

/// What the API server takes for `metadata` of any object.
fn metadata() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let objects = json!({"type": "array", "items": {"type": "object", "additionalProperties": true}});
    json!({
        "type": "object",
        "properties": {
            "name": text, "generateName": text, "namespace": text, "uid": text, "resourceVersion": text, "selfLink": text,
            "creationTimestamp": {}, "deletionTimestamp": {}, "deletionGracePeriodSeconds": {}, "generation": {},
            "labels": texts, "annotations": texts, "finalizers": {"type": "array", "items": text},
            "ownerReferences": objects, "managedFields": objects,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_the_crd_can_be_checked() {
        assert!(VALIDATOR.is_some());
        assert!(check(&json!({"spec": {"services": {"web": {"image": "x"}}}})).is_empty());
    }

    #[test]
    fn every_pattern_of_the_crd_is_said_in_words() {
        fn patterns(node: &Value, found: &mut Vec<String>) {
            found.extend(node.get("pattern").and_then(Value::as_str).map(str::to_owned));
            for field in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
                patterns(field.1, found);
            }
            for below in ["additionalProperties", "items"] {
                node.get(below).into_iter().for_each(|node| patterns(node, found));
            }
        }
        let mut found = Vec::new();
        patterns(&PUBLISHED["properties"]["spec"], &mut found);
        assert!(found.len() > 30);
        for pattern in found {
            assert!(!in_words(&pattern).contains(&pattern), "{pattern} has no words");
        }
        for (pattern, _) in WORDS {
            assert!(STRICT.to_string().contains(&json!(pattern).to_string()), "{pattern} is not in the CRD any more");
        }
    }

    #[test]
    fn a_typing_error_is_recognised() {
        let known = ["image", "imagePullPolicy", "dependsOn", "healthcheck", "env"];
        for (typed, meant) in [
            ("imagee", Some("image")),
            ("depends_on", Some("dependsOn")),
            ("healthCheck", Some("healthcheck")),
            ("enviroment", None),
            ("xyz", None),
        ] {
            assert_eq!(nearest(typed, &known), meant, "{typed}");
        }
    }
}
