//! `podTemplatePatch`: merged over the rendered template last.

use serde_json::{Value, json};

use crate::api::{PodTemplatePatch, Quantity};
use crate::stack::{self, Service};

/// The workload with the patch of its service in its template.
pub(super) fn patched(mut object: Value, service: &Service) -> Value {
    if let Some(patch) = &service.patch {
        let PodTemplatePatch { metadata, spec } = patch;
        let mut patch = json!({"metadata": metadata, "spec": spec});
        without_nothing(&mut patch);
        let template = &mut object["spec"]["template"];
        merge(template, patch);
        canonical(template, "");
    }
    object
}

/// Nulls and empty lists say nothing: they take nothing away from what the operator writes.
fn without_nothing(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(without_nothing);
            map.retain(|_, value| {
                !matches!(value, Value::Null) && value.as_array().is_none_or(|list| !list.is_empty())
            });
        }
        Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
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

/// As the API server writes it back: without what means "unset" there, amounts in their shortest form, and with the defaults that it puts into
/// lists which it takes as a whole. `of` is the field, or the list, in which the value stands.
fn canonical(value: &mut Value, of: &str) {
    match value {
        Value::Object(map) => {
            for (field, below) in map.iter_mut() {
                canonical(below, field);
                if matches!(of, "requests" | "limits") || matches!(field.as_str(), "sizeLimit" | "divisor") {
                    shorten(field, below);
                }
            }
            if !matches!(of, "labels" | "annotations" | "matchLabels" | "nodeSelector") {
                map.retain(|field, value| !is_unset(of, field, value));
            }
            let default = match of {
                "ports" => ("protocol", json!("TCP")),
                "fieldRef" => ("apiVersion", json!("v1")),
                "resourceFieldRef" => ("divisor", json!("0")),
                "serviceAccountToken" => ("expirationSeconds", json!(3600)),
                _ => return,
            };
            map.entry(default.0).or_insert(default.1);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| canonical(item, of)),
        _ => {}
    }
}

/// What the server does not tell from unset, and drops. Empty maps mean something (`emptyDir: {}`), and so do some empty texts.
fn is_unset(of: &str, field: &str, value: &Value) -> bool {
    match value {
        Value::String(text) if text.is_empty() => match field {
            "storageClassName" | "service" | "type" => false,
            "value" => matches!(of, "env" | "tolerations"),
            _ => true,
        },
        Value::Bool(false) => match field {
            "hostNetwork" | "hostPID" | "hostIPC" | "stdin" | "stdinOnce" | "tty" => true,
            "readOnly" => of != "csi",
            _ => false,
        },
        Value::Number(number) if number.as_i64() == Some(0) => {
            field == "hostPort"
                || matches!(of, "livenessProbe" | "readinessProbe" | "startupProbe")
                    && field != "terminationGracePeriodSeconds"
        }
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
        let thousandths = name == "cpu" || millis % 1000 != 0;
        *amount = json!(if thousandths { stack::cores(millis) } else { stack::bytes(millis / 1000) });
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
        for (written, kept) in [
            (json!({"limits": {"cpu": 1, "memory": "1024Mi"}}), json!({"limits": {"cpu": "1", "memory": "1Gi"}})),
            (
                json!({"ports": [{"containerPort": 80, "hostPort": 0}]}),
                json!({"ports": [{"containerPort": 80, "protocol": "TCP"}]}),
            ),
            (json!({"workingDir": "", "tty": false, "emptyDir": {}}), json!({"emptyDir": {}})),
            (json!({"env": [{"name": "A", "value": ""}]}), json!({"env": [{"name": "A"}]})),
            (json!({"fieldRef": {"fieldPath": "a"}}), json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "a"}})),
            (
                json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}),
                json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}),
            ),
            (json!({"resourceFieldRef": {}}), json!({"resourceFieldRef": {"divisor": "0"}})),
            (json!({"serviceAccountToken": {}}), json!({"serviceAccountToken": {"expirationSeconds": 3600}})),
            (json!({"readinessProbe": {"initialDelaySeconds": 0}}), json!({"readinessProbe": {}})),
            // These are kept: an empty text, false or 0 is not unset here.
            (json!({"labels": {"a": ""}}), json!({"labels": {"a": ""}})),
            (json!({"httpHeaders": [{"value": ""}]}), json!({"httpHeaders": [{"value": ""}]})),
            (json!({"csi": {"readOnly": false}}), json!({"csi": {"readOnly": false}})),
            (json!({"runAsUser": 0, "runAsNonRoot": false}), json!({"runAsUser": 0, "runAsNonRoot": false})),
        ] {
            let mut patch = written.clone();
            canonical(&mut patch, "");
            assert_eq!(patch, kept, "{written}");
        }
    }

    #[test]
    fn a_patch_takes_nothing_away_by_null_or_an_empty_list() {
        let mut patch = json!({"securityContext": null, "capabilities": {"drop": []}, "args": [], "value": ""});
        without_nothing(&mut patch);
        assert_eq!(patch, json!({"capabilities": {}, "value": ""}));
    }
}
