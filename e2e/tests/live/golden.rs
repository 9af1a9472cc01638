//! The golden fixtures of the renderer on the real server.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use e2e::{Live, eventually, json, live_within};
use futures::{FutureExt, StreamExt, stream};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::needs;
use crate::stacks::{SOON, is_signal, operator_has_looked};

// "Every object of every golden fixture, applied once to the real server, reads back with the same digest": an operator
// that starts anew, knows nothing but what it reads, and finds nothing to send, has read the digest it would have sent.
#[test]
fn every_golden_object_reads_back_as_it_was_sent() {
    e2e::cluster::Cluster::get();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let fixtures = fixtures();
        assert!(!fixtures.is_empty(), "there are no golden fixtures");
        let classes: Vec<String> = fixtures.iter().flat_map(|(_, documents)| classes(documents)).collect();
        make_classes(classes).await;
        let client = e2e::cluster::Cluster::get().client("golden").await;
        for (_, documents) in &fixtures {
            needs::make_for_cluster(&client, documents).await;
        }
        let count = fixtures.len();
        let outcomes = stream::iter(fixtures).map(|(name, documents)| {
            let test = format!("golden_{}", name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
            let run = async move { live_within(&test, async |t| reads_back(t, documents).await).await };
            async move { (name, AssertUnwindSafe(run).catch_unwind().await) }
        });
        let outcomes: Vec<_> = outcomes.buffer_unordered(4).collect().await;
        let failed: Vec<&String> = outcomes.iter().filter(|(_, o)| o.is_err()).map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "{} of {count} fixtures failed, see above: {failed:?}", failed.len());
        println!("{count} fixtures read back as they were sent");
    });
}

async fn reads_back(t: Arc<Live>, documents: Vec<Value>) {
    let audit = t.audit();
    let args = ["--max-pod-security", "Privileged"];
    let mut operator = t.space.operator().args(&args).start();
    for object in needs::of_namespace(&documents) {
        t.space.apply_object(&object).await;
    }
    for document in &documents {
        t.space.apply_object(document).await;
    }
    for stack in documents.iter().filter(|d| d["kind"] == "AppStack") {
        at_rest(&t, json::name(stack)).await;
    }
    operator_has_looked(&t, "applied").await;
    let mark = audit.mark().await;
    operator.restart();
    operator_has_looked(&t, "restarted").await;
    audit.since(mark).await.without(is_signal).assert_none(&t.space.test);
}

/// Ready, or waiting for nothing but a node that these nodes are not.
async fn at_rest(t: &Live, stack: &str) {
    eventually(SOON, &format!("stack {stack} to be at rest"), async || {
        let status = t.space.status(stack).await;
        // That is said once nodes were looked at; a claim that is still to be made is waited for.
        let looked = |message: &str| message.contains("node(s)") || message.contains("Insufficient");
        let placeless = json::entries(&status, "/services")
            .any(|(_, s)| s["reason"] == "Unschedulable" && looked(json::text(s, "/message")));
        if placeless || status["conditions"][0]["status"] == "True" { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await;
}

/// The input of each golden pair: `stack.yaml` of each folder, by the folder's name.
fn fixtures() -> Vec<(String, Vec<Value>)> {
    let folder = e2e::cluster::root().join("src/render/golden");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    paths.sort();
    let read = |folder: PathBuf| {
        let file = folder.join("stack.yaml");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut documents = e2e::space::documents(&text);
        for document in &mut documents {
            document["metadata"].as_object_mut().unwrap().remove("namespace");
        }
        (folder.file_name().unwrap().to_string_lossy().into_owned(), documents)
    };
    paths.into_iter().map(read).collect()
}

fn classes(documents: &[Value]) -> Vec<String> {
    let volumes = documents.iter().flat_map(|d| json::entries(d, "/spec/volumes"));
    volumes.filter_map(|(_, v)| v["storageClassName"].as_str()).map(str::to_owned).collect()
}

/// Storage classes as the fixtures name them, which do what the cluster's default class does.
async fn make_classes(names: Vec<String>) {
    let client: Client = e2e::cluster::Cluster::get().client("golden").await;
    let api: Api<DynamicObject> =
        Api::all_with(client, &ApiResource::from_gvk(&GroupVersionKind::gvk("storage.k8s.io", "v1", "StorageClass")));
    let known = api.list(&ListParams::default()).await.expect("storage classes").items;
    let is_default = |c: &&DynamicObject| {
        let annotations = c.metadata.annotations.as_ref();
        annotations.and_then(|a| a.get("storageclass.kubernetes.io/is-default-class")).is_some_and(|v| v == "true")
    };
    let model = known.iter().find(is_default).expect("a default storage class");
    for name in names.iter().filter(|n| known.iter().all(|k| k.metadata.name.as_ref() != Some(n))) {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": model.data["provisioner"], "volumeBindingMode": model.data["volumeBindingMode"],
            "allowVolumeExpansion": true,
        });
        api.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&class)).await.expect("a storage class");
    }
}
