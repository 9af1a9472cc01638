//! One number for "the fields we own", computed alike from an object to be sent and from one read back.
//!
//! Maps hash without regard to key order, lists in order. [`Digest::owned`] walks a live object along the `fieldsV1` of our own
//! `managedFields` entry, so defaults, foreign fields and foreign list items do not count. The hash is SipHash-1-3 with zero keys over
//! bytes laid out here: digests stand in annotations and names, so every build must compute the same.

use std::hash::Hasher;

use serde_json::{Map, Value};
use siphasher::sip::SipHasher13;

use super::labels;

/// Paths that are no part of what a digest compares: identity, which every write states anew; the count of pods, which has an owner of
/// its own (`rollout::replicas`); and the annotations that speak about the object rather than belong to it.
const LEFT_OUT: [&[&str]; 11] = [
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "resourceVersion"],
    &["metadata", "annotations", labels::SENT],
    &["metadata", "annotations", labels::KEPT_REPLICAS],
    &["metadata", "annotations", labels::LAST_GOOD],
    &["metadata", "annotations", labels::FAILED_REVISION],
    &["metadata", "annotations", labels::FAILED_BECAUSE],
    &["metadata", "annotations", labels::FILLED],
    &["spec", "replicas"],
];

/// Stands for a JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    /// Of any JSON value.
    pub fn of(value: &Value) -> Self {
        Digest(whole(value))
    }

    /// Of an object about to be sent. It is not copied for that: rendering computes one for each object of a stack.
    pub fn wanted(object: &Value) -> Self {
        let tops: [&[&str]; 3] = [&["apiVersion"], &["kind"], &["status"]];
        let paths: Vec<&[&str]> = LEFT_OUT.into_iter().chain(tops).collect();
        Digest(without(object, &paths).unwrap_or_else(|| map(std::iter::empty())))
    }

    /// Of the part of a live object that `manager` applied; none if it applied nothing.
    pub fn owned(object: &Value, manager: &str) -> Option<Self> {
        let mut fields = Value::Object(applied(object, manager)?.clone());
        for path in LEFT_OUT {
            let path: Vec<String> = path.iter().map(|key| format!("f:{key}")).collect();
            leave_out(&mut fields, &path.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Some(Digest(project(object, fields.as_object()?)))
    }

    /// Of what `manager` applied at this path of a live object; none if it applied nothing there.
    pub fn owned_part(object: &Value, manager: &str, path: &[&str]) -> Option<Self> {
        let mut fields = applied(object, manager)?;
        let mut live = object;
        for key in path {
            fields = fields.get(&format!("f:{key}"))?.as_object()?;
            live = live.get(key)?;
        }
        Some(Digest(project(live, fields)))
    }

    /// 8 hex digits, for names.
    pub fn hex8(self) -> String {
        format!("{:08x}", self.0 >> 32)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The `fieldsV1` that `manager` applied to the object itself, not to a subresource.
fn applied<'a>(object: &'a Value, manager: &str) -> Option<&'a Map<String, Value>> {
    let ours = |e: &&Value| e["manager"] == manager && e["operation"] == "Apply" && e.get("subresource").is_none();
    object["metadata"]["managedFields"].as_array()?.iter().find(ours)?["fieldsV1"].as_object()
}

/// Removes what is at `path`, and what becomes empty by it.
fn leave_out(node: &mut Value, path: &[&str]) {
    let (Some((key, rest)), Some(fields)) = (path.split_first(), node.as_object_mut()) else { return };
    let Some(below) = fields.get_mut(*key) else { return };
    leave_out(below, rest);
    if rest.is_empty() || below.as_object().is_some_and(|left| left.keys().all(|k| k == ".")) {
        fields.remove(*key);
    }
}

/// Hash of a value less what is at these paths; none if nothing is left of it.
fn without(node: &Value, paths: &[&[&str]]) -> Option<u64> {
    let Value::Object(fields) = node else { return Some(whole(node)) };
    let kept = fields.iter().filter_map(|(key, below)| {
        let into = paths.iter().filter_map(|path| path.split_first().filter(|(first, _)| *first == key));
        let rest: Vec<&[&str]> = into.map(|(_, rest)| rest).collect();
        let hash = match rest.as_slice() {
            [] => whole(below),
            rest if rest.iter().any(|path| path.is_empty()) => return None,
            rest => without(below, rest)?,
        };
        Some((key.as_str(), hash))
    });
    let kept: Vec<(&str, u64)> = kept.collect();
    (!kept.is_empty()).then(|| map(kept.into_iter()))
}

/// Hash of what `fields` names in `live`.
fn project(live: &Value, fields: &Map<String, Value>) -> u64 {
    if fields.is_empty() {
        return whole(live); // a leaf: a scalar, or an atomic list or map, taken as it is
    }
    match live {
        Value::Object(object) => map(fields.iter().filter_map(|(path, below)| {
            let key = path.strip_prefix("f:")?; // "." says that the map itself is ours
            Some((key, project(object.get(key)?, below.as_object()?)))
        })),
        Value::Array(items) => {
            let ours: Vec<(Item, &Map<String, Value>)> =
                fields.iter().filter_map(|(path, below)| Some((Item::parse(path)?, below.as_object()?))).collect();
            list(items.iter().enumerate().filter_map(|(at, item)| {
                let (_, below) = ours.iter().find(|(key, _)| key.names(at, item))?;
                Some(project(item, below))
            }))
        }
        scalar => whole(scalar), // owned as a structure, now a scalar: differs, as it should
    }
}

/// How `fieldsV1` names one item of a list.
enum Item {
    /// `k:{"containerPort":80,"protocol":"TCP"}`
    Key(Map<String, Value>),
    /// `v:"foregroundDeletion"`
    Value(Value),
    /// `i:0`
    Index(usize),
}

impl Item {
    fn parse(path: &str) -> Option<Self> {
        let (kind, text) = path.split_once(':')?;
        match kind {
            "k" => serde_json::from_str(text).ok().map(Item::Key),
            "v" => serde_json::from_str(text).ok().map(Item::Value),
            "i" => text.parse().ok().map(Item::Index),
            _ => None,
        }
    }

    fn names(&self, at: usize, item: &Value) -> bool {
        match self {
            Item::Key(key) => key.iter().all(|(k, v)| item.get(k).unwrap_or(&Value::Null) == v),
            Item::Value(value) => item == value,
            Item::Index(index) => *index == at,
        }
    }
}

fn whole(value: &Value) -> u64 {
    match value {
        Value::Object(object) => map(object.iter().map(|(k, v)| (k.as_str(), whole(v)))),
        Value::Array(items) => list(items.iter().map(whole)),
        Value::String(text) => hash(b's', text.as_bytes(), 0),
        Value::Number(number) => hash(b'n', number.to_string().as_bytes(), 0),
        Value::Bool(yes) => hash(b'b', &[u8::from(*yes)], 0),
        Value::Null => hash(b'0', &[], 0),
    }
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, u64)>) -> u64 {
    let sum = entries.fold(0u64, |sum, (key, value)| sum.wrapping_add(hash(b'e', key.as_bytes(), value)));
    hash(b'{', &[], sum)
}

fn list(items: impl Iterator<Item = u64>) -> u64 {
    let bytes: Vec<u8> = items.flat_map(u64::to_le_bytes).collect();
    hash(b'[', &bytes, 0)
}

fn hash(tag: u8, bytes: &[u8], below: u64) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&[tag]);
    hasher.write(bytes);
    hasher.write(&below.to_le_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(spec: &Value, fields: &Value) -> Value {
        json!({"metadata": {"name": "x", "managedFields": [
            {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {"f:foreign": {}}}},
            {"manager": "appstack", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "appstack", "operation": "Apply", "fieldsV1": {"f:spec": fields}}]}, "spec": spec})
    }

    fn same(sent: &Value, read: &Value, fields: &Value) -> bool {
        let sent = Digest::wanted(&json!({"kind": "K", "metadata": {"name": "x"}, "spec": sent}));
        Digest::owned(&live(read, fields), "appstack") == Some(sent)
    }

    #[test]
    fn defaults_and_foreign_fields_do_not_count() {
        assert!(same(&json!({"a": 1}), &json!({"a": 1, "foreign": 2}), &json!({"f:a": {}})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 2}), &json!({"f:a": {}})));
    }

    #[test]
    fn keyed_items_are_found_wherever_they_stand() {
        let port = r#"k:{"port":1,"protocol":"TCP"}"#;
        let sent = json!({"c": [{"name": "x", "p": [{"port": 1, "protocol": "TCP"}]}, {"name": "y"}]});
        let read = json!({"c": [{"name": "sidecar"}, {"name": "x", "d": 1, "p": [{"port": 1, "protocol": "TCP", "d": 1}]}, {"name": "y"}]});
        let fields = json!({"f:c": {
            r#"k:{"name":"x"}"#: {".": {}, "f:name": {}, "f:p": {port: {".": {}, "f:port": {}, "f:protocol": {}}}},
            r#"k:{"name":"y"}"#: {".": {}, "f:name": {}}}});
        assert!(same(&sent, &read, &fields));
        let turned = json!({"c": [{"name": "y"}, {"name": "x", "p": [{"port": 1, "protocol": "TCP"}]}]});
        assert!(!same(&sent, &turned, &fields), "the order is ours too");
    }

    #[test]
    fn atomic_lists_and_maps_are_taken_whole() {
        assert!(same(&json!({"args": ["a", "b"]}), &json!({"args": ["a", "b"]}), &json!({"f:args": {}})));
        assert!(!same(&json!({"args": ["a"]}), &json!({"args": ["a", "b"]}), &json!({"f:args": {}})));
    }

    #[test]
    fn sets_and_empty_maps() {
        assert!(same(
            &json!({"fin": ["ours"]}),
            &json!({"fin": ["theirs", "ours"]}),
            &json!({"f:fin": {".": {}, "v:\"ours\"": {}}})
        ));
        assert!(same(&json!({"dir": {}}), &json!({"dir": {}}), &json!({"f:dir": {}})));
        assert!(!same(&json!({"dir": {}}), &json!({}), &json!({"f:dir": {}})));
        assert!(!same(&json!({"a": null}), &json!({}), &json!({})), "a null is never canonical");
    }

    #[test]
    fn a_field_taken_over_or_dropped_differs() {
        assert!(!same(&json!({"a": 1, "b": 2}), &json!({"a": 1, "b": 3}), &json!({"f:a": {}})));
        assert_eq!(Digest::owned(&json!({"metadata": {}}), "appstack"), None);
    }

    #[test]
    fn replicas_and_what_is_said_about_the_object_are_left_out() {
        let object = |replicas: Value, sent: &str| {
            let mut object = json!({"metadata": {"name": "x", "annotations": {labels::REVISION: "r", labels::SENT: sent}}, "spec": {"replicas": replicas, "a": 1}});
            object["metadata"]["managedFields"] = json!([{"manager": "appstack", "operation": "Apply", "fieldsV1": {
                "f:metadata": {"f:annotations": {format!("f:{}", labels::REVISION): {}, format!("f:{}", labels::SENT): {}}},
                "f:spec": {"f:replicas": {}, "f:a": {}}}}]);
            object
        };
        let rendered = json!({"metadata": {"name": "x", "annotations": {labels::REVISION: "r"}}, "spec": {"a": 1}});
        assert_eq!(Digest::owned(&object(json!(3), "one"), "appstack"), Some(Digest::wanted(&rendered)));
        assert_eq!(Digest::owned(&object(json!(5), "two"), "appstack"), Some(Digest::wanted(&rendered)));
    }

    #[test]
    fn the_hash_is_pinned() {
        let value = json!({"b": [1, "two", true, null], "a": {"c": 1.5}});
        assert_eq!(Digest::of(&value).to_string(), "1cb605e414fe85c8");
    }
}
