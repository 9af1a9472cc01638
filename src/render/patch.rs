//! `podTemplatePatch`: merged over the rendered template last.

use serde_json::{Value, json};

use crate::api::{PodTemplatePatch, Quantity};
use crate::stack::{self, Service};

/// The workload with the patch of its service in its template.
pub(super) fn patched(mut object: Value, service: &Service) -> Value {
    if let Some(patch) = &service.patch {
        let PodTemplatePatch { metadata, spec } = patch;
        let mut patch = json!({"metadata": metadata, "spec": spec});
        canonical(&mut patch, "");
        merge(&mut object["spec"]["template"], patch);
    }
    object
}

/// Maps deep, lists by what names their items, anything else replaced.
fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                match into.get_mut(&key) {
                    Some(below) => merge(below, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) => match key_of(into, &patch) {
            Some(key) => {
                for item in patch {
                    match into.iter_mut().find(|there| there[key] == item[key]) {
                        Some(there) => merge(there, item),
                        None => into.push(item),
                    }
                }
            }
            None => *into = patch,
        },
        (into, patch) => *into = patch,
    }
}

/// What names the items of two lists: mounts by their path, since one volume may be mounted twice, all others by `name`.
fn key_of(into: &[Value], patch: &[Value]) -> Option<&'static str> {
    let all_have = |key: &str| into.iter().chain(patch).all(|item| item[key].is_string());
    ["mountPath", "name"].into_iter().find(|key| all_have(key))
}

/// As the API server writes it back: no empty values, amounts in their shortest form, a protocol at each port.
fn canonical(value: &mut Value, key: &str) {
    match value {
        Value::Object(map) => {
            for (key, below) in map.iter_mut() {
                canonical(below, key);
            }
            let amounts = matches!(key, "requests" | "limits");
            for (name, amount) in map.iter_mut().filter(|_| amounts) {
                shorten(name, amount);
            }
            map.retain(|_, value| !is_nothing(value));
        }
        Value::Array(items) => {
            for item in items {
                canonical(item, "");
                if let (true, Some(port)) = (key == "ports", item.as_object_mut()) {
                    port.entry("protocol").or_insert_with(|| json!("TCP"));
                }
            }
        }
        _ => {}
    }
    if key == "sizeLimit" {
        shorten(key, value);
    }
}

/// What the server drops. Empty maps mean something (`emptyDir: {}`), and so does an empty label.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn shorten(name: &str, amount: &mut Value) {
    let written = match &*amount {
        Value::String(text) => Quantity::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Quantity::Int(whole),
            None => Quantity::Text(number.to_string()),
        },
        _ => return,
    };
    if let Some(millis) = written.millis() {
        *amount = json!(if name == "cpu" { stack::cores(millis) } else { stack::bytes(millis / 1000) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(mut into: Value, patch: Value) -> Value {
        merge(&mut into, patch);
        into
    }

    #[test]
    fn maps_deep_lists_by_name_the_rest_replaced() {
        let template = json!({"spec": {
            "containers": [{"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}],
                "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]}],
            "tolerations": [{"key": "a"}]}});
        let patch = json!({"spec": {
            "hostname": "web",
            "containers": [
                {"name": "web", "env": [{"name": "B", "value": "2"}], "volumeMounts": [{"name": "v", "mountPath": "/b", "readOnly": true}]},
                {"name": "sidecar", "image": "side:1"}],
            "tolerations": [{"key": "b"}]}});
        assert_eq!(
            merged(template, patch),
            json!({"spec": {
                "hostname": "web",
                "containers": [
                    {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                     "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b", "readOnly": true}]},
                    {"name": "sidecar", "image": "side:1"}],
                "tolerations": [{"key": "b"}]}})
        );
    }

    #[test]
    fn a_patch_is_made_canonical() {
        let mut patch = json!({"resources": {"limits": {"cpu": 1, "memory": "1024Mi"}}, "args": [], "ports": [{"containerPort": 80}]});
        canonical(&mut patch, "");
        assert_eq!(
            patch,
            json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}, "ports": [{"containerPort": 80, "protocol": "TCP"}]})
        );
    }
}
