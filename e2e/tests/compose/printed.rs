//! A project of ours as `docker compose config --format json` prints one, and where two differ.

use appstack::compose::node::{Holds, Node, float};
use appstack::compose::project::Project;
use appstack::compose::units::print_duration;
use serde_json::{Map, Value, json};

/// A project as JSON: services that are on, what they use, no extensions but those of the top level.
pub fn project(project: &Project) -> Value {
    let mut printed = Map::new();
    printed.insert("name".into(), json!(project.name));
    for (key, entry) in project.root.as_map().unwrap() {
        let value = match key.as_str() {
            "name" => continue,
            "services" => only(&entry.value, &["services"], |name| project.is_on(name)),
            section @ ("networks" | "volumes" | "secrets" | "configs" | "models") => {
                let used = project.used(section);
                only(&entry.value, &[section], |name| used.contains(name))
            }
            _ => value(&entry.value, &[key]),
        };
        printed.insert(key.clone(), value);
    }
    Value::Object(printed)
}

fn only(section: &Node, path: &[&str], wanted: impl Fn(&str) -> bool) -> Value {
    let entries = section.as_map().into_iter().flatten().filter(|(name, _)| wanted(name));
    Value::Object(entries.map(|(name, entry)| (name.clone(), value(&entry.value, &[path, &[name]].concat()))).collect())
}

fn value(node: &Node, path: &[&str]) -> Value {
    match &node.holds {
        Holds::Null => Value::Null,
        Holds::Bool(value) => json!(value),
        Holds::Int(value) => json!(value),
        Holds::Big(value) => json!(value),
        Holds::Float(value) => json!(value),
        Holds::Text(text) | Holds::Date(text) => json!(text),
        Holds::Duration(value) => json!(print_duration(*value)),
        Holds::Bytes(value) => json!(value.to_string()),
        Holds::Mode(value) => json!(format!("0{value:o}")),
        Holds::List(items) => Value::Array(items.iter().map(|item| value(item, path)).collect()),
        Holds::Map(map) if path.last() == Some(&"extra_hosts") => {
            let one = |(host, entry): (&String, &appstack::compose::node::Entry)| {
                let addresses = entry.value.as_list().unwrap().iter();
                addresses.map(|address| format!("{host}={}", address.as_text().unwrap())).collect::<Vec<_>>()
            };
            let mut hosts: Vec<String> = map.iter().flat_map(one).collect();
            hosts.sort();
            json!(hosts)
        }
        Holds::Map(map) => {
            // Maps whose keys users choose have no extensions, nor has the top level's own.
            let chosen = matches!(path, [key] if key.starts_with("x-"))
                || path.first().is_some_and(|key| key.starts_with("x-"))
                || matches!(
                    path.last(),
                    Some(
                        &("environment"
                            | "labels"
                            | "annotations"
                            | "args"
                            | "sysctls"
                            | "driver_opts"
                            | "depends_on"
                            | "options")
                    )
                );
            let shown = map.iter().filter(|(key, _)| chosen || !key.starts_with("x-"));
            // `build.ssh` cannot be printed by the real loader; files whose variables are in the environment it leaves out.
            let shown = shown.filter(|(key, _)| {
                !matches!((path, key.as_str()), (["services", _, "build"], "ssh") | (["services", _], "env_file"))
            });
            Value::Object(
                shown.map(|(key, entry)| (key.clone(), value(&entry.value, &[path, &[key]].concat()))).collect(),
            )
        }
    }
}

/// Adds what differs. Of a key that only we print, a value that says nothing is no difference: the real loader leaves those out.
pub fn compare(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, theirs) in theirs {
                // Block I/O has no names for its fields.
                let name = match key.as_str() {
                    "Path" => "path",
                    "Weight" => "weight",
                    "Rate" => "rate",
                    key => key,
                };
                match ours.get(name) {
                    Some(ours) => compare(ours, theirs, &format!("{path}.{key}"), found),
                    None if says_nothing(key, theirs) => {}
                    None => found.push(format!("{path}.{key}: only theirs: {theirs}")),
                }
            }
            for (key, ours) in ours {
                let capital: String =
                    key.chars().enumerate().map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c }).collect();
                if !theirs.contains_key(key) && !theirs.contains_key(&capital) && !says_nothing(key, ours) {
                    found.push(format!("{path}.{key}: only ours: {ours}"));
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(ours, theirs, &format!("{path}[{index}]"), found);
            }
        }
        (Value::Number(ours), Value::Number(theirs)) if same(ours.as_f64(), theirs.as_f64()) => {}
        // A limit of 0 is printed as nothing at all.
        (Value::Number(zero), Value::Object(nothing)) if zero.as_f64() == Some(0.0) && nothing.is_empty() => {}
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: ours {ours}, theirs {theirs}")),
    }
}

/// CPUs and ratios have 32 bits there.
#[allow(clippy::cast_possible_truncation)]
fn same(a: Option<f64>, b: Option<f64>) -> bool {
    let short = |number: Option<f64>| number.map(|number| float(f64::from(number as f32)));
    short(a) == short(b)
}

fn says_nothing(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        // Both are true unless they say otherwise.
        Value::Bool(value) => *value == matches!(key, "create_host_path"),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0s" || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.iter().all(|(key, value)| says_nothing(key, value)),
    }
}
