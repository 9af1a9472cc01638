//! The structure of a Compose file: which keys there are, and of what type.
//!
//! `compose-spec.json` is the schema of the reference loader: github.com/compose-spec/compose-go, schema/compose-spec.json, v2.15.0,
//! Copyright The Compose Specification Authors, Apache License 2.0. A test compares it with the one that the loader itself brings.

mod quick;

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::LocationSegment;
use jsonschema::{ValidationError, Validator};
use quick::Quick;
use serde_json::{Map, Number, Value};

use super::node::{At, Holds, Node};
use super::problem::{Code, Problem, code};
use super::trail::{Trail, shortened};

/// The schema, as the reference has it.
pub const SCHEMA: &str = include_str!("compose-spec.json");

static PARSED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SCHEMA).unwrap_or_default());

static QUICK: LazyLock<Quick> = LazyLock::new(|| Quick::new(&PARSED));

/// None if the schema itself is wrong, which the tests rule out.
static VALIDATOR: LazyLock<Option<Validator>> =
    LazyLock::new(|| jsonschema::options().should_validate_formats(false).build(&PARSED).ok());

/// More problems than this of one project are not told.
const MOST: usize = 100;

/// Every violation of the schema.
pub fn check(project: &Node) -> Vec<Problem> {
    let mut endless = Vec::new();
    finite(project, &Trail::TOP, &mut endless);
    if !endless.is_empty() {
        return endless;
    }
    if QUICK.fits(project) == Some(true) {
        return Vec::new();
    }
    let Some(validator) = VALIDATOR.as_ref() else {
        return vec![Problem::error(code::TYPE, project.at, "the schema of this program is broken")];
    };
    let value = json(project);
    if validator.is_valid(&value) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for error in validator.iter_errors(&value).take(MOST) {
        violations(project, &error, &mut found);
    }
    found.sort_by(|a, b| (a.at, &a.path, &a.message).cmp(&(b.at, &b.path, &b.message)));
    found.dedup();
    found
}

/// JSON has no infinity.
fn finite(node: &Node, trail: &Trail<'_>, problems: &mut Vec<Problem>) {
    match &node.holds {
        Holds::Float(number) if !number.is_finite() => {
            let problem = Problem::error(code::TYPE, node.at, "this is no finite number").on(trail);
            problems.push(problem.help("write it in quotes"));
        }
        Holds::List(items) => items.iter().for_each(|item| finite(item, &trail.to("[]"), problems)),
        Holds::Map(map) => map.iter().for_each(|(key, entry)| finite(&entry.value, &trail.to(key), problems)),
        _ => {}
    }
}

/// As the reference shows it to its schema: dates are texts.
fn json(node: &Node) -> Value {
    match &node.holds {
        Holds::Null => Value::Null,
        Holds::Bool(value) => Value::Bool(*value),
        Holds::Int(value) | Holds::Duration(value) | Holds::Bytes(value) | Holds::Mode(value) => (*value).into(),
        Holds::Big(value) => (*value).into(),
        Holds::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        Holds::Text(text) | Holds::Date(text) => Value::String(text.clone()),
        Holds::List(items) => Value::Array(items.iter().map(json).collect()),
        Holds::Map(map) => {
            Value::Object(map.iter().map(|(key, entry)| (key.clone(), json(&entry.value))).collect::<Map<_, _>>())
        }
    }
}

/// The value at a path, the place of its key, and the path in words.
fn find<'a>(project: &'a Node, error: &ValidationError<'_>) -> (Option<&'a Node>, At, String) {
    let (mut node, mut at, mut path) = (Some(project), project.at, String::new());
    for segment in error.instance_path() {
        match segment {
            LocationSegment::Property(key) => {
                let entry = node.and_then(Node::as_map).and_then(|map| map.get(key.as_ref()));
                at = entry.map_or(at, |entry| if entry.at.is_written() { entry.at } else { at });
                node = entry.map(|entry| &entry.value);
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(shortened(&key));
            }
            LocationSegment::Index(index) => {
                node = node.and_then(Node::as_list).and_then(|items| items.get(index));
                at = node.map_or(at, |node| if node.at.is_written() { node.at } else { at });
                path.push_str(&format!("[{index}]"));
            }
        }
    }
    let scalar = node.filter(|node| node.at.is_written() && node.as_map().is_none() && node.as_list().is_none());
    // An empty value is shown at its key.
    let shown = scalar.filter(|node| !node.is_null()).map_or(at, |node| node.at);
    (node, shown, path)
}

fn violations(project: &Node, error: &ValidationError<'_>, found: &mut Vec<Problem>) {
    let (node, at, path) = find(project, error);
    let Some(node) = node else { return };
    let one = |code: Code, message: String| Problem::error(code, at, message).on(&path);
    match error.kind() {
        Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
            // The form that gets furthest is the one that was meant.
            let depth = |errors: &[ValidationError<'_>]| {
                errors.iter().map(|error| (depth_of(error), !is_type(error))).max().unwrap_or_default()
            };
            let best = context.iter().max_by_key(|errors| depth(errors));
            match best.filter(|errors| depth(errors) > (depth_of(error), false)) {
                Some(errors) => errors.iter().for_each(|error| violations(project, error, found)),
                None => {
                    let mut wanted: Vec<&str> = context.iter().flatten().filter_map(types_of).flatten().collect();
                    wanted.dedup();
                    let wanted = or(&wanted);
                    found.push(one(code::TYPE, format!("must be {wanted}, not {}", node.kind())));
                }
            }
        }
        Kind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                let at = node.as_map().and_then(|map| map.get(name)).map_or(at, |entry| entry.at);
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                found.push(unknown(name, error).on(below).at(at));
            }
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            found.push(one(code::MISSING, format!("'{name}' is required here")));
        }
        Kind::Type { .. } => {
            let wanted = or(&types_of(error).unwrap_or_default());
            found.push(one(code::TYPE, format!("must be {wanted}, not {}", node.kind())));
        }
        Kind::Enum { options } => {
            let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let written = node.printed().unwrap_or_default();
            let help = nearest(&written, words.iter().copied()).map(|word| format!("did you mean '{word}'?"));
            let message = format!("'{written}' is not one of {}", words.join(", "));
            found.push(one(code::WORD, message).help(help.unwrap_or_default()));
        }
        Kind::Pattern { pattern } => {
            let written = node.printed().unwrap_or_default();
            found.push(one(code::FORM, format!("'{written}' does not have the form {pattern}")));
        }
        Kind::UniqueItems => found.push(twice(node, at).on(&path)),
        Kind::Minimum { limit } => found.push(one(code::BOUNDS, format!("must be at least {limit}"))),
        Kind::Maximum { limit } => found.push(one(code::BOUNDS, format!("must be at most {limit}"))),
        _ => found.push(one(code::TYPE, error.to_string())),
    }
}

impl Problem {
    fn at(self, at: At) -> Problem {
        Problem { at, ..self }
    }
}

fn depth_of(error: &ValidationError<'_>) -> usize {
    error.instance_path().into_iter().count()
}

fn is_type(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::Type { .. })
}

fn types_of(error: &ValidationError<'_>) -> Option<Vec<&'static str>> {
    let word = |name: &str| match name {
        "array" => "a list",
        "object" => "a map",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "null",
    };
    match error.kind() {
        Kind::Type { kind: TypeKind::Single(one) } => Some(vec![word(&one.to_string())]),
        Kind::Type { kind: TypeKind::Multiple(several) } => {
            Some(several.iter().map(|one| word(&one.to_string())).collect())
        }
        _ => None,
    }
}

fn or(words: &[&str]) -> String {
    match words {
        [] => "of another type".to_owned(),
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
    }
}

fn unknown(name: &str, error: &ValidationError<'_>) -> Problem {
    let problem = |message: String| Problem::error(code::UNKNOWN_KEY, At::NOWHERE, message);
    let place = error.instance_path();
    let names = depth_of(error) == 1;
    if names && matches!(place.to_string().as_str(), "/services" | "/volumes" | "/secrets" | "/configs") {
        let message = format!("'{name}' cannot be a name: letters, digits, '.', '_' and '-' only");
        return problem(message);
    }
    let schema = PARSED.pointer(error.schema_path().to_string().trim_end_matches("/additionalProperties"));
    let keys = schema
        .and_then(|schema| schema.get("properties"))
        .or_else(|| PARSED.get("properties").filter(|_| depth_of(error) == 0));
    let keys = keys.or_else(|| definition(error)).and_then(Value::as_object);
    let problem = problem(format!("there is no key '{name}' here"));
    match nearest(name, keys.into_iter().flat_map(Map::keys).map(String::as_str)) {
        Some(key) => problem.help(format!("did you mean '{key}'?")),
        None => problem.help("take it out, or begin it with 'x-' if it is not for Compose"),
    }
}

/// The properties of the definition that a path of references ends in.
fn definition(error: &ValidationError<'_>) -> Option<&'static Value> {
    let path = error.schema_path().to_string();
    let mut schema = &*PARSED;
    for step in path.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        schema = match (step.as_str(), schema) {
            ("additionalProperties", schema) => return schema.get("properties"),
            ("$ref", schema) => PARSED.pointer(schema.get("$ref")?.as_str()?.trim_start_matches('#'))?,
            (step, Value::Array(items)) => items.get(step.parse::<usize>().ok()?)?,
            (step, schema) => schema.get(step)?,
        };
    }
    None
}

pub(super) fn nearest<'a>(name: &str, keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |key: &&str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), key);
    let near = keys.filter(|_| name.len() <= 64).min_by_key(distance)?;
    (distance(&near) <= 1 + near.len() / 4).then_some(near)
}

fn twice(node: &Node, at: At) -> Problem {
    let items = node.as_list().unwrap_or_default();
    let again = items.iter().enumerate().find_map(|(index, item)| {
        items.iter().take(index).find(|earlier| *earlier == item).map(|earlier| (item, earlier.at))
    });
    match again {
        Some((item, first)) => {
            let written = item.printed().map_or_else(|| "an item".to_owned(), |text| format!("'{text}'"));
            let problem = Problem::error(code::TWICE, item.at, format!("{written} stands in the list twice"));
            problem.and(first).help("take one of them out")
        }
        None => Problem::error(code::TWICE, at, "an item stands in the list twice"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let node = yaml::documents(text, 0, &mut 999).unwrap().remove(0);
        check(&node).into_iter().map(|p| format!("{} {}: {} {}", p.at.start, p.path, p.message, p.help)).collect()
    }

    #[test]
    fn every_violation_is_named_at_its_place_with_what_was_meant() {
        let text = "services:\n  web:\n    imagee: x\n    ports: x\n    deploy: {replicaz: 1}\n    cap_add: [A, A]\n    depends_on: {db: {condition: service_health}}\n";
        assert_eq!(
            said(text),
            [
                "21 services.web.imagee: there is no key 'imagee' here did you mean 'image'?",
                "42 services.web.ports: must be a list, not a text ",
                "57 services.web.deploy.replicaz: there is no key 'replicaz' here did you mean 'replicas'?",
                "87 services.web.cap_add: 'A' stands in the list twice take one of them out",
                "123 services.web.depends_on.db.condition: 'service_health' is not one of service_started, service_healthy, service_completed_successfully did you mean 'service_healthy'?",
            ]
        );
        assert_eq!(said("services: {a: {image: x, build: {contxt: .}}}").len(), 1);
        assert!(said("services: {a b: {image: x}}")[0].contains("cannot be a name"));
        assert!(said("servces: {}")[0].contains("did you mean 'services'?"));
        assert!(said("services: {a: {image: x, command: {}}}")[0].contains("must be null, a text or a list"));
    }

    #[test]
    fn the_schema_is_one() {
        assert!(VALIDATOR.is_some());
    }
}
