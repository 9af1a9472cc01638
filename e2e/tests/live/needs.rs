//! What a stack takes for granted: Secrets, ConfigMaps, claims and stacks that somebody else keeps, accounts and classes of the cluster.

use std::collections::BTreeSet;

use e2e::json;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Map, Value, json};

/// Objects of the namespace that the stacks among these documents refer to.
pub fn of_namespace(documents: &[Value]) -> Vec<Value> {
    let keys: Map<String, Value> = texts(documents, "key").into_iter().map(|key| (key, json!("x"))).collect();
    let object = |kind: &str, name: &String, rest: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let secrets = texts(documents, "secretName");
    let config_maps = texts(documents, "configMapName");
    let claims = texts(documents, "claimName");
    let accounts = texts(documents, "serviceAccountName");
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let all = secrets.iter().map(|name| object("Secret", name, json!({"stringData": keys})));
    let all = all.chain(config_maps.iter().map(|name| object("ConfigMap", name, json!({"data": keys}))));
    let all = all.chain(claims.iter().map(|name| object("PersistentVolumeClaim", name, claim.clone())));
    let all = all.chain(accounts.iter().map(|name| object("ServiceAccount", name, json!({}))));
    let awaited = documents.iter().flat_map(|document| json::entries(document, "/spec/dependsOn"));
    let stacks = awaited.map(|(name, _)| {
        let service = format!("of-{name}");
        json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": name},
            "spec": {"services": {service: {"image": "x:1"}}}})
    });
    let all = all.chain(stacks);
    // What the documents bring along is theirs.
    let brought = |object: &Value| {
        documents.iter().any(|d| d["kind"] == object["kind"] && d["metadata"]["name"] == object["metadata"]["name"])
    };
    all.filter(|object| !brought(object)).collect()
}

/// Objects of the cluster that they refer to.
pub async fn make_for_cluster(client: &Client, documents: &[Value]) {
    for name in texts(documents, "runtimeClassName") {
        make(client, "node.k8s.io", "RuntimeClass", &name, json!({"handler": "runc"})).await;
    }
    // The cluster has those of its own.
    for name in texts(documents, "priorityClassName").into_iter().filter(|name| !name.starts_with("system-")) {
        make(client, "scheduling.k8s.io", "PriorityClass", &name, json!({"value": 1000})).await;
    }
}

async fn make(client: &Client, group: &str, kind: &str, name: &str, rest: Value) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    let mut object = json!({"apiVersion": resource.api_version, "kind": kind, "metadata": {"name": name}});
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let how = PatchParams::apply("e2e").force();
    api.patch(name, &how, &Patch::Apply(&object)).await.unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
}

/// Every text under a key of this name, anywhere in the stacks.
fn texts(documents: &[Value], key: &str) -> BTreeSet<String> {
    fn walk(value: &Value, key: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, below)| {
                if let (true, Some(text)) = (name == key, below.as_str()) {
                    found.insert(text.to_owned());
                }
                walk(below, key, found);
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, key, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    documents.iter().filter(|d| json::text(d, "/kind") == "AppStack").for_each(|d| walk(d, key, &mut found));
    found
}
