//! Volumes: filled first, shared, grown, kept, and refused by name.

use std::collections::BTreeSet;

use e2e::{Kind, Live, eventually, json, live};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::stacks::{SOON, is_signal, operator_has_looked, stack, wait_state};

fn with_volumes(services: &Value, volumes: &Value) -> Value {
    let mut all = stack("shop", services);
    all["spec"]["volumes"] = volumes.clone();
    all
}

async fn claim(t: &Live, name: &str) -> Value {
    t.space.get(Kind::PersistentVolumeClaim, name).await.unwrap_or_else(|| panic!("no claim {name}"))
}

async fn has_size(t: &Live, name: &str, size: &str) {
    eventually(SOON, &format!("claim {name} to have {size}"), async || {
        let claim = t.space.get(Kind::PersistentVolumeClaim, name).await.unwrap_or_default();
        let there = json::text(&claim, "/status/capacity/storage").to_owned();
        if there == size { Ok(()) } else { Err(there) }
    })
    .await;
}

// "`populate` jobs gating their consumers (models)"
#[test]
fn a_volume_is_filled_before_the_first_service_that_mounts_it_starts() {
    live("storage_populate", async |t| {
        let mut operator = t.space.operator().start();
        let services = json!({
            "model": {"image": "model:1", "mounts": {"/models": {"volume": "models", "readOnly": true}}},
            "other": {"image": "other:1"},
        });
        let populate = |code: &str| {
            json!({"models": {"size": "1Gi", "populate": {
            "image": "fetch:1", "command": ["fetch", "--to", "/volume"], "env": {"SIM_EXIT_CODE": code, "SIM_RUN_FOR": "600ms"}}}})
        };
        t.space.apply_object(&with_volumes(&services, &populate("1"))).await;
        wait_state(&t, "shop", "other", "Ready").await;
        let model = wait_state(&t, "shop", "model", "Failed").await;
        let message = json::text(&model, "/message");
        assert!(message.contains("volume models") && message.contains("BackoffLimitExceeded"), "{model}");
        assert!(t.space.get(Kind::Deployment, "shop-model").await.is_none());

        t.space.apply_object(&with_volumes(&services, &populate("0"))).await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        let filled =
            history.iter().find(|s| s.kind == Kind::Job && json::holds(&s.object, "Complete")).map(|s| s.version);
        let started = history
            .iter()
            .find(|s| s.kind == Kind::Deployment && json::name(&s.object) == "shop-model")
            .map(|s| s.version);
        assert!(filled.is_some() && filled < started, "filled at {filled:?}, started at {started:?}");

        // Once for each definition: neither a new consumer nor a restart of the operator runs it again.
        let runs = async || -> Vec<String> {
            let jobs = t.space.list(Kind::Job).await;
            jobs.iter().map(|job| json::text(job, "/metadata/uid").to_owned()).collect()
        };
        let first = runs().await;
        assert_eq!(first.len(), 1, "the failed one of the older definition has gone");
        t.space.patch("shop", json!({"spec": {"services": {"model": {"image": "model:2"}}}})).await;
        t.space.wait_ready("shop", SOON).await;
        operator_has_looked(&t, "changed").await;
        assert_eq!(runs().await, first, "a changed consumer");
        operator.restart();
        operator_has_looked(&t, "restarted").await;
        assert_eq!(runs().await, first, "a restart");
        let second = json!({"image": "second:1", "mounts": {"/models": {"volume": "models", "readOnly": true}}});
        t.space.patch("shop", json!({"spec": {"services": {"second": second}}})).await;
        t.space.wait_ready("shop", SOON).await;
        operator_has_looked(&t, "added").await;
        assert_eq!(runs().await, first, "a new consumer");
        let fillers = async |code: &str| -> usize {
            let history = t.observer.history().await;
            let pods = history
                .iter()
                .filter(|s| s.kind == Kind::Pod && json::text(&s.object, "/spec/containers/0/env/0/value") == code)
                .filter(|s| !json::label(&s.object, "appstack.dev/populate").is_empty());
            pods.map(|s| json::name(&s.object)).collect::<BTreeSet<&str>>().len()
        };
        assert_eq!(fillers("0").await, 1, "it ran once");

        // Nor does a stack that is made again on the claim that was kept; another definition does.
        t.space.delete(Kind::AppStack, "shop").await;
        eventually(SOON, "the Job to be gone", async || {
            let left = runs().await.len() + t.space.list(Kind::Pod).await.len();
            if left == 0 { Ok(()) } else { Err(left.to_string()) }
        })
        .await;
        t.space.apply_object(&with_volumes(&services, &populate("0"))).await;
        t.space.wait_ready("shop", SOON).await;
        operator_has_looked(&t, "made again").await;
        assert_eq!((runs().await.len(), fillers("0").await), (0, 1), "the claim tells that it was filled");
        let mut other = populate("0");
        other["models"]["populate"]["env"]["AGAIN"] = json!("again");
        t.space.apply_object(&with_volumes(&services, &other)).await;
        eventually(SOON, "it to be filled anew", async || {
            let pods = fillers("again").await;
            if pods == 1 { Ok(()) } else { Err(pods.to_string()) }
        })
        .await;
        t.space.wait_ready("shop", SOON).await;
    });
}

#[test]
fn claims_grow_and_what_cannot_be_done_is_named_and_blocks_nothing_else() {
    live("storage_growth", async |t| {
        no_growth_class(&t).await;
        let _operator = t.space.operator().start();
        let stack = |bound: &str, fixed: &str| {
            with_volumes(
                &json!({
                    "db": {"image": "db:1", "mounts": {"/data": {"volume": "data"}}},
                    "log": {"image": "log:1", "mounts": {"/logs": {"volume": "logs"}}},
                }),
                &json!({"data": {"size": bound}, "logs": {"size": fixed, "storageClassName": "no-growth"}}),
            )
        };
        t.space.apply_object(&stack("1Gi", "1Gi")).await;
        t.space.wait_ready("shop", SOON).await;
        let uid = json::text(&claim(&t, "shop-data").await, "/metadata/uid").to_owned();
        t.space.apply_object(&stack("2Gi", "2Gi")).await;
        has_size(&t, "shop-data", "2Gi").await;
        assert_eq!(json::text(&claim(&t, "shop-data").await, "/metadata/uid"), uid, "grown, not made anew");
        let log = wait_state(&t, "shop", "log", "Failed").await;
        assert_eq!(log["reason"], "VolumeResizeRefused", "{log}");
        assert!(json::text(&log, "/message").contains("1Gi"), "the live size is stated: {log}");
        wait_state(&t, "shop", "db", "Ready").await;
        t.space.patch("shop", json!({"spec": {"services": {"log": {"image": "log:2"}}}})).await;
        eventually(SOON, "the service to be changed all the same", async || {
            let log = t.space.get(Kind::Deployment, "shop-log").await.unwrap_or_default();
            let image = json::text(&log, "/spec/template/spec/containers/0/image").to_owned();
            if image == "log:2" { Ok(()) } else { Err(image) }
        })
        .await;

        // Larger by hand than the stack says: a claim never shrinks.
        t.space
            .edit(
                Kind::PersistentVolumeClaim,
                "shop-data",
                json!({"spec": {"resources": {"requests": {"storage": "4Gi"}}}}),
            )
            .await;
        let db = wait_state(&t, "shop", "db", "Failed").await;
        assert_eq!(db["reason"], "VolumeResizeRefused", "{db}");
        assert!(json::text(&db, "/message").contains("4Gi"), "{db}");
        operator_has_looked(&t, "refused").await;
        let (audit, mark) = (t.audit(), t.audit().mark().await);
        t.space.touch("shop", "1").await;
        operator_has_looked(&t, "touched").await;
        let requests = audit.since(mark).await.without(|name| is_signal(name) || name == "shop");
        requests.assert_none("what is refused is not tried again at once");
        t.space.apply_object(&stack("4Gi", "2Gi")).await;
        wait_state(&t, "shop", "db", "Ready").await;
    });
}

async fn no_growth_class(t: &Live) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("storage.k8s.io", "v1", "StorageClass"));
    let api: kube::Api<DynamicObject> = kube::Api::all_with(t.space.client.clone(), &resource);
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "no-growth"},
        "provisioner": e2e::steered::provisioner(&t.space.client).await, "volumeBindingMode": "WaitForFirstConsumer"});
    api.patch("no-growth", &PatchParams::apply("e2e").force(), &Patch::Apply(&class)).await.expect("a storage class");
}

// "a Pending claim never held data and is re-created"
#[test]
fn a_claim_that_was_never_bound_is_made_anew_with_its_new_size() {
    live("storage_pending", async |t| {
        let _operator = t.space.operator().start();
        let stack = |size: &str, node: &Value| {
            with_volumes(
                &json!({"db": {"image": "db:1", "nodeSelector": node, "mounts": {"/data": {"volume": "data"}}}}),
                &json!({"data": {"size": size}}),
            )
        };
        t.space.apply_object(&stack("1Gi", &json!({"no": "node"}))).await;
        wait_state(&t, "shop", "db", "Progressing").await;
        let before = claim(&t, "shop-data").await;
        assert_eq!(before["status"]["phase"], "Pending");
        t.space.apply_object(&stack("3Gi", &json!({"kubernetes.io/os": "linux"}))).await;
        t.space.wait_ready("shop", SOON).await;
        has_size(&t, "shop-data", "3Gi").await;
        let after = claim(&t, "shop-data").await;
        assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    });
}

// "growth: each claim, then the StatefulSet deleted with `Orphan` and applied again"
#[test]
fn claims_of_each_pod_grow_without_a_restart() {
    live("storage_per_replica", async |t| {
        let mut operator = t.space.operator().start();
        let stack = |size: &str, image: &str| {
            with_volumes(
                &json!({"db": {"image": image, "replicas": 3, "ports": {"sql": {"port": 5432}}, "mounts": {"/data": {"volume": "data"}}}}),
                &json!({"data": {"size": size, "perReplica": true}}),
            )
        };
        t.space.apply_object(&stack("1Gi", "db:1")).await;
        t.space.wait_ready("shop", SOON).await;
        let service = t.space.get(Kind::Service, "db").await.unwrap();
        assert_eq!(
            (&service["spec"]["clusterIP"], &service["spec"]["publishNotReadyAddresses"]),
            (&json!("None"), &json!(true))
        );
        let pods = async || {
            let mut pods: Vec<String> =
                t.space.list(Kind::Pod).await.iter().map(|p| json::text(p, "/metadata/uid").to_owned()).collect();
            pods.sort();
            pods
        };
        let before = pods().await;
        t.space.apply_object(&stack("2Gi", "db:1")).await;
        for number in 0..3 {
            has_size(&t, &format!("volume-data-shop-db-{number}"), "2Gi").await;
        }
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(pods().await, before, "no pod was restarted");
        let set = t.space.get(Kind::StatefulSet, "shop-db").await.unwrap();
        let template = &set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
        assert_eq!((template, &set["spec"]["replicas"]), (&json!("2Gi"), &json!(3)), "the next pod gets as much");

        operator_has_looked(&t, "grown").await;
        let (audit, mark) = (t.audit(), t.audit().mark().await);
        operator.restart();
        operator_has_looked(&t, "restarted").await;
        audit.since(mark).await.without(is_signal).assert_none("claims of each pod");
        t.space.apply_object(&stack("2Gi", "db:2")).await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(t.space.list(Kind::PersistentVolumeClaim).await.len(), 3);
    });
}

// "sharing by affinity"; "`claimName`": mounted, never owned, also across stacks of the namespace.
#[test]
fn users_of_one_claim_share_a_node_and_an_existing_claim_is_left_as_it_is() {
    live("storage_sharing", async |t| {
        let _operator = t.space.operator().start();
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "theirs"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        t.space.apply_object(&claim).await;
        let mounts = json!({"/own": {"volume": "own"}, "/theirs": {"volume": "theirs"}, "/scratch": {"ephemeral": {"size": "1Gi"}}});
        let volumes = json!({"own": {"size": "1Gi"}, "theirs": {"claimName": "theirs"}});
        let writer = json!({"image": "a:1", "replicas": 3, "mounts": mounts});
        t.space.apply_object(&with_volumes(&json!({"a": writer, "b": writer}), &volumes)).await;
        let mut other = with_volumes(
            &json!({"c": {"image": "c:1", "mounts": {"/x": {"volume": "x"}}}}),
            &json!({"x": {"claimName": "theirs"}}),
        );
        other["metadata"]["name"] = json!("other");
        t.space.apply_object(&other).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.wait_ready("other", SOON).await;
        let pods = t.space.list(Kind::Pod).await;
        let nodes: BTreeSet<&str> = pods.iter().map(|p| json::text(p, "/spec/nodeName")).collect();
        assert_eq!((pods.len(), nodes.len()), (7, 1), "{nodes:?}");
        let theirs = self::claim(&t, "theirs").await;
        let writers = json::items(&theirs, "/metadata/managedFields").map(|e| json::text(e, "/manager").to_owned());
        assert!(
            writers.into_iter().all(|m| !m.starts_with("appstack")) && theirs["metadata"]["ownerReferences"].is_null()
        );
        t.space.delete(Kind::AppStack, "shop").await;
        t.space.delete(Kind::AppStack, "other").await;
        eventually(SOON, "the pods to be gone", async || {
            let pods = t.space.list(Kind::Pod).await.len();
            if pods == 0 { Ok(()) } else { Err(pods.to_string()) }
        })
        .await;
        assert_eq!(self::claim(&t, "theirs").await["metadata"]["uid"], theirs["metadata"]["uid"]);
    });
}
