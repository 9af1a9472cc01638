//! The laws of what is written into the status of a stack, over everything that was seen of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::observer::Seen;
use crate::{Kind, json};

/// Longest text in a status, in bytes: an event takes no more.
const LONGEST: usize = 1024;

/// What is wrong with the statuses of a history:
/// - written although nothing differs (two versions of a stack that differ in nothing but their version);
/// - a transition time that moved without its status, or did not move with it;
/// - a time of a service that moved without its state;
/// - `Reconciling` and `Stalled` both there, or there and not true;
/// - about a generation that there is not yet;
/// - a text longer than 1 kB.
pub fn violations(history: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut before: BTreeMap<String, &Value> = BTreeMap::new();
    for seen in history.iter().filter(|s| s.kind == Kind::AppStack && !s.deleted) {
        let object: &Value = &seen.object;
        let mut say = |what: String| wrong.push(format!("{} at version {}: {what}", json::name(object), seen.version));
        alone(object, &mut say);
        if let Some(old) = before.insert(json::text(object, "/metadata/uid").to_owned(), object) {
            beside(old, object, &mut say);
        }
    }
    wrong
}

/// Shorter values, and mere words, may stand in a text by chance.
const TELLING: usize = 6;

/// What is said in a status or an event, of a stack that the history knows, and repeats a value of its environment, or is longer than 1 kB. A value that the
/// spec has in another place as well, a name of a service say, gives nothing away.
pub fn repeated(history: &[Seen], events: &[Value]) -> Vec<String> {
    let stacks = || history.iter().filter(|s| s.kind == Kind::AppStack).map(|s| &*s.object);
    let (mut values, mut rest) = (BTreeSet::new(), String::new());
    for stack in stacks() {
        let mut open =
            json!({"name": stack["metadata"]["name"], "in": stack["metadata"]["namespace"], "spec": stack["spec"]});
        take_values(&mut open["spec"], &mut values);
        rest.push_str(&open.to_string());
        rest.push('\n');
    }
    let is_word = |value: &str| value.chars().all(|c| c.is_ascii_lowercase());
    values.retain(|value| value.len() >= TELLING && !is_word(value) && !rest.contains(value.as_str()));
    let said = stacks().map(|stack| stack["status"].to_string()).chain(events.iter().map(|e| e["message"].to_string()));
    let said: BTreeSet<String> = said.collect();
    let mut wrong = Vec::new();
    for text in &said {
        wrong.extend(
            values.iter().filter(|value| text.contains(value.as_str())).map(|v| format!("{v} is repeated: {text}")),
        );
    }
    for event in events {
        longest(&event["message"], &mut |what| wrong.push(format!("an event: {what}")));
    }
    wrong
}

/// Takes the values of all variables out of a spec.
fn take_values(spec: &mut Value, values: &mut BTreeSet<String>) {
    match spec {
        Value::Array(items) => items.iter_mut().for_each(|item| take_values(item, values)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field.as_object_mut().filter(|_| key == "env" || key == "envTemplate") {
                    Some(variables) => {
                        values.extend(variables.values().filter_map(|value| value.as_str().map(str::to_owned)));
                        variables.clear();
                    }
                    None => take_values(field, values),
                }
            }
        }
        _ => {}
    }
}

fn alone(object: &Value, say: &mut impl FnMut(String)) {
    let observed = json::number(object, "/status/observedGeneration");
    if observed > json::number(object, "/metadata/generation") {
        say(format!("observes generation {observed}, which there is not"));
    }
    for condition in json::items(object, "/status/conditions") {
        let (kind, about) = (json::text(condition, "/type"), json::number(condition, "/observedGeneration"));
        // What nobody looked at again is about the generation at which somebody did.
        if about > observed || (kind != "NetworkIsolation" && about != observed) {
            say(format!("{kind} is about generation {about}, the status about {observed}"));
        }
        if matches!(kind, "Reconciling" | "Stalled") && condition["status"] != "True" {
            say(format!("{kind} is there and not true"));
        }
    }
    if json::holds(object, "Reconciling") && json::holds(object, "Stalled") {
        say("is Reconciling and Stalled at once".into());
    }
    longest(&object["status"], say);
}

fn longest(value: &Value, say: &mut impl FnMut(String)) {
    match value {
        Value::String(text) if text.len() > LONGEST => say(format!("a text of {} bytes: {text}", text.len())),
        Value::Array(items) => items.iter().for_each(|item| longest(item, say)),
        Value::Object(fields) => fields.values().for_each(|field| longest(field, say)),
        _ => {}
    }
}

fn beside(old: &Value, new: &Value, say: &mut impl FnMut(String)) {
    // An apply that changes nothing can still move its own time in the bookkeeping, when a status comes in between: that write is not the operator's.
    if without_bookkeeping(old) == without_bookkeeping(new) && of_others(old) == of_others(new) {
        say("was written although nothing differs".into());
    }
    for condition in json::items(new, "/status/conditions") {
        let Some(was) = json::condition(old, json::text(condition, "/type")) else { continue };
        let moved = was["lastTransitionTime"] != condition["lastTransitionTime"];
        // Within one second, the new time reads as the old one.
        if moved && was["status"] == condition["status"] {
            say(format!("the transition time moved without the status: {was} -> {condition}"));
        }
    }
    for (name, service) in json::entries(new, "/status/services") {
        let was = &old["status"]["services"][name];
        if was.is_object() && was["state"] == service["state"] && was["since"] != service["since"] {
            say(format!("{name}: the time moved without the state: {was} -> {service}"));
        }
    }
}

fn without_bookkeeping(object: &Value) -> Value {
    let mut rest = object.clone();
    if let Some(metadata) = rest["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    rest
}

/// What is noted of all writers but the operator.
fn of_others(object: &Value) -> Vec<&Value> {
    const OURS: [&str; 2] = ["appstack-status", "appstack-teardown"];
    let entries = json::items(object, "/metadata/managedFields");
    entries.filter(|entry| !OURS.contains(&json::text(entry, "/manager"))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    fn wrong(statuses: &[Value]) -> Vec<String> {
        let history: Vec<Seen> = (1u64..)
            .zip(statuses)
            .map(|(version, status)| Seen {
                kind: Kind::AppStack,
                version,
                at: Instant::now(),
                deleted: false,
                object: Arc::new(json!({"metadata": {"name": "s", "uid": "u", "generation": 1, "resourceVersion": version.to_string()}, "status": status})),
            })
            .collect();
        violations(&history)
    }

    fn status(is: &str, time: &str, message: &str) -> Value {
        json!({"observedGeneration": 1, "services": {"db": {"state": is, "since": time}}, "conditions": [
            {"type": "Ready", "status": is, "lastTransitionTime": time, "message": message, "observedGeneration": 1}]})
    }

    #[test]
    fn a_value_of_the_environment_is_found_wherever_it_is_said() {
        let spec = json!({"services": {"backend": {"image": "img", "env": {"HOST": "backend", "PASS": "hunter22", "N": "1", "WORD": "cannot"},
            "preStart": [{"env": {"STEP": "step-value"}}], "envTemplate": {"URL": "db://$(PASS)"}}}});
        let stack = |message: &str| Seen {
            kind: Kind::AppStack,
            version: 1,
            at: Instant::now(),
            deleted: false,
            object: Arc::new(
                json!({"metadata": {"name": "s"}, "spec": spec, "status": {"conditions": [{"message": message}]}}),
            ),
        };
        let wrong = |said: &str, told: &str| repeated(&[stack(said)], &[json!({"message": told})]).len();
        assert_eq!(wrong("backend waits for 1 pod", "img cannot be pulled"), 0);
        assert_eq!(wrong("it says hunter22", "and step-value, and db://$(PASS)"), 3);
        assert_eq!(wrong("", &"x".repeat(1025)), 1);
    }

    #[test]
    fn each_law_is_broken_by_its_own_breach() {
        let first = status("False", "1", "a");
        assert_eq!(wrong(&[first.clone(), status("False", "1", "b"), status("True", "2", "b")]), [""; 0]);
        assert!(wrong(&[first.clone(), first.clone()])[0].contains("nothing differs"));
        let moved = wrong(&[first.clone(), status("False", "2", "a")]);
        assert!(moved[0].contains("transition time") && moved[1].contains("without the state"), "{moved:?}");
        assert!(wrong(&[status("False", "1", &"x".repeat(1025))])[0].contains("1025 bytes"));
        let mut early = first.clone();
        early["observedGeneration"] = json!(2);
        assert_eq!(wrong(&[early]).len(), 2, "the status, and its condition that is behind it");
        let both = |is: &str| json!({"conditions": [{"type": "Reconciling", "status": "True"}, {"type": "Stalled", "status": is}]});
        assert!(wrong(&[both("True")])[0].contains("at once"));
        assert!(wrong(&[both("False")])[0].contains("not true"));
    }
}
