//! Nodes that are drained: what shares a volume moves on as soon as the last user of it has gone.

use std::collections::BTreeSet;
use std::time::Instant;

use e2e::{Kind, Live, eventually, json, live};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, EvictParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::stacks::{SOON, stack};

/// Two nodes of this test's own, which no other test's pods go to. They go with it.
struct Pair {
    api: Api<DynamicObject>,
    names: [String; 2],
    key: String,
}

impl Pair {
    async fn make(t: &Live) -> Pair {
        let api =
            Api::all_with(t.space.client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node")));
        let pair = Pair {
            api,
            names: ["a", "b"].map(|n| format!("{}-{n}", t.space.name)),
            key: format!("e2e/{}", t.space.name),
        };
        let room = json!({"cpu": "8", "memory": "16Gi", "pods": "100"});
        for name in &pair.names {
            let node = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, &pair.key: "", "kubernetes.io/os": "linux"}},
                "spec": {"taints": [{"key": pair.key, "effect": "NoSchedule"}]},
                "status": {"capacity": room, "allocatable": room},
            });
            let node: DynamicObject = serde_json::from_value(node).unwrap();
            pair.api.create(&PostParams::default(), &node).await.expect("a node");
        }
        pair
    }

    /// A service of one image with this volume, on these nodes.
    fn service(&self, image: &str) -> Value {
        json!({
            "image": image, "mounts": {"/data": {"volume": "data"}}, "env": {"SIM_DELETE_DELAY": "2s"},
            "nodeSelector": {&self.key: ""}, "tolerations": [{"key": self.key, "operator": "Exists"}],
        })
    }

    async fn takes_pods(&self, node: &str, yes: bool) {
        let patch = json!({"spec": {"unschedulable": !yes}});
        self.api.patch(node, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("a cordon");
    }

    fn other(&self, node: &str) -> &str {
        self.names.iter().find(|name| *name != node).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            let gone = async { self.api.delete(name, &DeleteParams::default()).await };
            if let Err(error) = block_in_place(|| Handle::current().block_on(gone)) {
                eprintln!("node {name} stays: {error}");
            }
        }
    }
}

/// The one node that all pods are on.
async fn node(t: &Live, pods: usize) -> String {
    let all = t.space.list(Kind::Pod).await;
    let nodes: BTreeSet<&str> = all.iter().map(|pod| json::text(pod, "/spec/nodeName")).collect();
    assert_eq!((all.len(), nodes.len()), (pods, 1), "{nodes:?}");
    (*nodes.first().unwrap()).to_owned()
}

/// What `kubectl drain` does after the cordon: asks each pod of the node to go, again where a budget says not now, until they are gone.
async fn evict(t: &Live, node: &str) {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(t.space.client.clone(), &t.space.name);
    eventually(SOON, "the node to be empty", async || {
        let all = t.space.list(Kind::Pod).await;
        let left: Vec<&str> =
            all.iter().filter(|pod| json::text(pod, "/spec/nodeName") == node).map(json::name).collect();
        for pod in &left {
            let _ = pods.evict(pod, &EvictParams::default()).await;
        }
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

// "a database-like writer keeps every acknowledged write over [...] node drain": that it comes back, and where
#[test]
fn who_shares_a_volume_moves_to_another_node_together_when_theirs_is_drained() {
    live("drain_shared", async |t| {
        let pair = Pair::make(&t).await;
        let _operator = t.space.operator().start();
        let mut web = pair.service("web:1");
        web["replicas"] = json!(2);
        let mut shop = stack("shop", &json!({"db": pair.service("db:1"), "web": web}));
        shop["spec"]["volumes"] = json!({"data": {"size": "1Gi"}});
        t.space.apply_object(&shop).await;
        t.space.wait_ready("shop", SOON).await;
        let from = node(&t, 3).await;

        pair.takes_pods(&from, false).await;
        evict(&t, &from).await;
        let empty = Instant::now();
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(node(&t, 3).await, pair.other(&from));
        let moved = empty.elapsed();

        // Nowhere to go, as for a volume that only its own node can mount: they are back when that node takes pods again.
        let to = pair.other(&from);
        pair.takes_pods(to, false).await;
        evict(&t, to).await;
        pair.takes_pods(to, true).await;
        let open = Instant::now();
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(node(&t, 3).await, to);
        t.shows(format!("on the other node after {moved:.1?}, back after {:.1?}", open.elapsed()));
    });
}
