//! A foreign item of a list that makes our own item invalid.
//!
//! Ports are keyed by number and protocol, and must differ in name. Who renumbers a port of ours by hand leaves an item of his own with our name;
//! our apply adds ours beside it, and the server refuses two of one name. An apply cannot remove what another manager owns, so a JSON patch does: it gives the
//! item another name first, since a Service may never be without ports, and takes it away once ours is there.

use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::error::Failure;
use super::store::StackKey;
use super::writer::Writer;
use crate::child::{Child, ChildId, MANAGER};

const DISPLACED: &str = "displaced";

/// Applies `body` past items of other managers that stand in its way. None if there are none: the refusal has another cause.
pub(super) async fn apply_past(
    writer: &Writer,
    key: &StackKey,
    id: &ChildId,
    body: &Value,
) -> Result<Option<Child>, Failure> {
    let live = writer.look_whole(&key.namespace, id).await?.ok_or(Failure::Stale)?;
    if live["metadata"]["uid"] != body["metadata"]["uid"] {
        return Err(Failure::Stale);
    }
    let items = in_the_way(body, &live);
    if items.is_empty() {
        return Ok(None);
    }
    let rename = |(at, path): (usize, &String)| {
        let name = format!("{DISPLACED}-{at}");
        json!({"op": "replace", "path": format!("{path}/name"), "value": name})
    };
    patch(writer, key, id, &live, items.iter().enumerate().map(rename).collect()).await?;
    let mut body = body.clone();
    body["metadata"].as_object_mut().and_then(|meta| meta.remove("resourceVersion")); // moved by our own hand
    let child = writer.apply(&key.namespace, id, &body, false).await?;
    let live = writer.look_whole(&key.namespace, id).await?.ok_or(Failure::Stale)?;
    let remove = displaced(&live).into_iter().map(|path| json!({"op": "remove", "path": path})).collect();
    patch(writer, key, id, &live, remove).await?;
    tracing::info!(stack = %key, child = %id, items = items.len(), "took foreign items out of the way");
    Ok(Some(child))
}

async fn patch(
    writer: &Writer,
    key: &StackKey,
    id: &ChildId,
    live: &Value,
    operations: Vec<Value>,
) -> Result<(), Failure> {
    let version =
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]});
    let all: Vec<Value> = std::iter::once(version).chain(operations).collect();
    let patch = serde_json::from_value(json!(all)).map_err(|error| Failure::Refused(error.to_string()))?;
    let api = writer.children(&key.namespace, id);
    let params = PatchParams::default();
    writer.act(false, async { api.patch(&id.name, &params, &Patch::<Value>::Json(patch)).await }).await.map(|_| ())
}

/// JSON pointers of the live items that have a name of ours under another key, and that others hold: what is ours alone goes with our apply.
fn in_the_way(wanted: &Value, live: &Value) -> Vec<String> {
    let key = |item: &Value| (item["port"].clone(), item["containerPort"].clone(), item["protocol"].clone());
    let find = |list: String| {
        let ours = items(wanted, &list);
        let stands = |item: &Value| {
            ours.iter().any(|our| our["name"] == item["name"])
                && !ours.iter().any(|our| key(our) == key(item))
                && others_hold(live, &list, item)
        };
        let there = items(live, &list);
        let found: Vec<String> =
            there.iter().enumerate().filter(|(_, item)| stands(item)).map(|(at, _)| format!("{list}/{at}")).collect();
        found
    };
    lists(live).into_iter().flat_map(find).collect()
}

/// Whether another manager than ours holds something of this item of a list, by `managedFields`.
fn others_hold(live: &Value, list: &str, item: &Value) -> bool {
    let is_of_item = |(key, _): (&String, &Value)| {
        let key = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Map<String, Value>>(key).ok());
        key.is_some_and(|key| key.iter().all(|(field, value)| item[field.as_str()] == *value))
    };
    let holds = |entry: &Value| {
        let (mut fields, mut there) = (&entry["fieldsV1"], live);
        for step in list.split('/').skip(1) {
            if let Ok(at) = step.parse::<usize>() {
                there = &there[at];
                fields = &fields[format!("k:{}", json!({"name": there["name"]}))];
            } else {
                there = &there[step];
                fields = &fields[format!("f:{step}")];
            }
        }
        fields.as_object().is_some_and(|fields| fields.iter().any(is_of_item))
    };
    let is_other = |entry: &&Value| entry["manager"] != MANAGER || entry["operation"] != "Apply";
    items(live, "/metadata/managedFields").iter().filter(is_other).any(holds)
}

/// JSON pointers of the items that were given another name, last first, so that each is still right when the ones before it are gone.
fn displaced(live: &Value) -> Vec<String> {
    let named = |item: &Value| item["name"].as_str().is_some_and(|name| name.starts_with(DISPLACED));
    let find = |list: String| {
        let items = items(live, &list);
        let found: Vec<String> =
            items.iter().enumerate().filter(|(_, item)| named(item)).map(|(at, _)| format!("{list}/{at}")).collect();
        found
    };
    let mut paths: Vec<String> = lists(live).into_iter().flat_map(find).collect();
    paths.reverse();
    paths
}

/// Where an object has ports.
fn lists(live: &Value) -> Vec<String> {
    let containers = "/spec/template/spec/containers";
    let count = live.pointer(containers).and_then(Value::as_array).map_or(0, Vec::len);
    std::iter::once("/spec/ports".to_owned()).chain((0..count).map(|at| format!("{containers}/{at}/ports"))).collect()
}

fn items(object: &Value, list: &str) -> Vec<Value> {
    object.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, fields: &Value) -> Value {
        json!([{"manager": by, "operation": if by == MANAGER { "Apply" } else { "Update" }, "fieldsV1": fields}])
    }

    #[test]
    fn only_foreign_items_of_our_names_are_in_the_way() {
        let wanted = json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}});
        let live = |by: &str| {
            let of = |port: i32, protocol: &str| format!("k:{}", json!({"port": port, "protocol": protocol}));
            let ports = json!({of(81, "TCP"): {}, of(9, "TCP"): {}, of(53, "UDP"): {}, of(54, "UDP"): {}});
            json!({"metadata": {"managedFields": held(by, &json!({"f:spec": {"f:ports": ports}}))},
                "spec": {"ports": [{"name": "http", "port": 81, "protocol": "TCP"}, {"name": "theirs", "port": 9, "protocol": "TCP"},
                    {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns", "port": 54, "protocol": "UDP"}]}})
        };
        assert_eq!(in_the_way(&wanted, &live("kubectl-edit")), ["/spec/ports/0", "/spec/ports/3"]);
        assert!(in_the_way(&wanted, &live(MANAGER)).is_empty(), "what we hold alone goes when we say something else");
        assert!(in_the_way(&wanted, &wanted).is_empty());
        let pods = |port: i32| {
            let key = format!("k:{}", json!({"containerPort": port, "protocol": "TCP"}));
            let containers = json!({r#"k:{"name":"web"}"#: {"f:ports": {key: {}}}});
            let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}});
            let ports = json!([{"name": "http", "containerPort": port, "protocol": "TCP"}]);
            json!({"metadata": {"managedFields": held("kubectl-edit", &fields)},
                "spec": {"template": {"spec": {"containers": [{"name": "web", "ports": ports}]}}}})
        };
        assert_eq!(in_the_way(&pods(80), &pods(81)), ["/spec/template/spec/containers/0/ports/0"]);
    }

    #[test]
    fn displaced_items_go_last_first() {
        let live = json!({"spec": {"ports": [{"name": "displaced-0"}, {"name": "http"}, {"name": "displaced-1"}]}});
        assert_eq!(displaced(&live), ["/spec/ports/2", "/spec/ports/0"]);
    }
}
