//! A foreign item of a list that makes our own item invalid.
//!
//! Ports are keyed by number and protocol, and must differ in name. Who renumbers a port of ours by hand leaves an item of his own with our name;
//! our apply adds ours beside it, and the server refuses two of one name. An apply cannot remove what another manager owns, so a JSON patch takes it out.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::error::Failure;
use super::store::StackKey;
use super::writer::Writer;
use crate::child::ChildId;

/// Removes the items of the live object that stand in the way of `wanted`. False if there are none: the refusal has another cause.
pub(super) async fn clear(writer: &Writer, key: &StackKey, id: &ChildId, wanted: &Value) -> Result<bool, Failure> {
    let Some(live) = writer.look_whole(&key.namespace, id).await? else { return Err(Failure::Stale) };
    if live["metadata"]["uid"] != wanted["metadata"]["uid"] {
        return Err(Failure::Stale);
    }
    let paths = in_the_way(wanted, &live);
    if paths.is_empty() {
        return Ok(false);
    }
    let mut patch =
        vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]})];
    patch.extend(paths.iter().map(|path| json!({"op": "remove", "path": path})));
    writer.remove_items(&key.namespace, id, &json!(patch)).await?;
    tracing::info!(stack = %key, child = %id, ?paths, "took foreign items out of the way");
    Ok(true)
}

impl Writer {
    async fn remove_items(&self, namespace: &str, id: &ChildId, patch: &Value) -> Result<(), Failure> {
        let patch = serde_json::from_value(patch.clone()).map_err(|error| Failure::Refused(error.to_string()))?;
        let api = self.children(namespace, id);
        self.bounded(false, async { api.patch(&id.name, &PatchParams::default(), &Patch::<Value>::Json(patch)).await })
            .await
            .map(|_| ())
    }
}

/// JSON pointers, last first, so that each is still right when the ones before it are gone.
fn in_the_way(wanted: &Value, live: &Value) -> Vec<String> {
    let mut lists = vec!["/spec/ports".to_owned()];
    let containers = "/spec/template/spec/containers";
    let count = live.pointer(containers).and_then(Value::as_array).map_or(0, Vec::len);
    lists.extend((0..count).map(|at| format!("{containers}/{at}/ports")));
    let mut paths: Vec<String> = lists.iter().flat_map(|list| among(list, wanted, live)).collect();
    paths.reverse();
    paths
}

fn among(list: &str, wanted: &Value, live: &Value) -> Vec<String> {
    let items = |object: &Value| object.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let key = |item: &Value| (item["port"].clone(), item["containerPort"].clone(), item["protocol"].clone());
    let ours = items(wanted);
    let stands = |item: &Value| {
        ours.iter().any(|our| our["name"] == item["name"] && key(our) != key(item))
            && !ours.iter().any(|our| key(our) == key(item))
    };
    items(live).iter().enumerate().filter(|(_, item)| stands(item)).map(|(at, _)| format!("{list}/{at}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_items_of_our_names_are_in_the_way() {
        let wanted = json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}});
        let live = json!({"spec": {"ports": [{"name": "http", "port": 81, "protocol": "TCP"}, {"name": "theirs", "port": 9, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns", "port": 54, "protocol": "UDP"}]}});
        assert_eq!(in_the_way(&wanted, &live), ["/spec/ports/3", "/spec/ports/0"]);
        assert!(in_the_way(&wanted, &wanted).is_empty());
        let pods = |port: i32| json!({"spec": {"template": {"spec": {"containers": [{"ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}]}]}}}});
        assert_eq!(in_the_way(&pods(80), &pods(81)), ["/spec/template/spec/containers/0/ports/0"]);
    }
}
