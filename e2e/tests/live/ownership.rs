//! What is the stack's, what is kept when it goes, and what is somebody else's.

use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use e2e::cluster::appstack;
use e2e::operator::folder;
use e2e::{Kind, Live, eventually, json, live, live_within};
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

use crate::stacks::{SOON, one_of_each, wait_state};

// "Deleting the stack removes everything but the PVC; applying it again takes the PVC up again."
#[test]
fn deleting_the_stack_leaves_the_kept_claim_which_is_taken_up_again() {
    live("ownership_delete", async |t| {
        let _operator = t.space.operator().start();
        let mut all = one_of_each("going");
        all["spec"]["volumes"]["scratch"] = json!({"size": "1Gi", "retention": "Delete"});
        all["spec"]["services"]["db"]["mounts"]["/scratch"] = json!({"volume": "scratch"});
        t.space.apply_object(&all).await;
        t.space.wait_ready("going", SOON).await;
        let kept = t.space.get(Kind::PersistentVolumeClaim, "going-data").await.expect("the claim");
        assert!(t.space.get(Kind::PersistentVolumeClaim, "going-scratch").await.is_some());

        t.space.delete(Kind::AppStack, "going").await;
        eventually(SOON, "everything but the claim to be gone", async || {
            let mut left = names(&t, "going").await;
            left.extend(t.space.list(Kind::Pod).await.iter().map(|p| format!("Pod/{}", json::name(p))));
            if left == ["PersistentVolumeClaim/going-data"] { Ok(()) } else { Err(left.join(" ")) }
        })
        .await;

        t.space.apply_object(&all).await;
        t.space.wait_ready("going", SOON).await;
        let again = t.space.get(Kind::PersistentVolumeClaim, "going-data").await.expect("the claim");
        assert_eq!(again["metadata"]["uid"], kept["metadata"]["uid"], "the same claim, not a new one");
        assert_eq!(again["spec"]["volumeName"], kept["spec"]["volumeName"], "and the same data");
        let events = eventually(SOON, "an event that tells of it", async || {
            let events = t.space.events().await;
            if events.lines().any(|l| l.contains("AppStack/going") && l.contains("going-data")) {
                Ok(events)
            } else {
                Err(events)
            }
        })
        .await;
        let line = events.lines().find(|l| l.contains("AppStack/going") && l.contains("going-data"));
        println!("told: {}", line.unwrap_or_default().trim());
    });
}

// Row F45: "CR deleted and recreated with same name at once: new uid owns children; no cross-talk."
#[test]
fn a_stack_recreated_at_once_owns_its_children() {
    live("ownership_recreated", async |t| {
        let _operator = t.space.operator().start();
        let all = one_of_each("again");
        t.space.apply_object(&all).await;
        t.space.wait_ready("again", SOON).await;
        t.space.delete(Kind::AppStack, "again").await;
        let new = t.space.apply_object(&all).await;
        eventually(SOON, "every child to be owned by the new stack", async || {
            let children = t.space.children("again").await;
            let owner = |c: &Value| json::items(c, "/metadata/ownerReferences").next().map(|o| o["uid"].clone());
            let foreign: Vec<String> = children
                .iter()
                .filter(|(kind, c)| {
                    *kind != Kind::PersistentVolumeClaim && owner(c).as_ref() != Some(&new["metadata"]["uid"])
                })
                .map(|(kind, c)| format!("{kind}/{}", json::name(c)))
                .collect();
            if foreign.is_empty() && children.len() >= 11 {
                Ok(())
            } else {
                Err(format!("{} children, of others: {foreign:?}", children.len()))
            }
        })
        .await;
        t.space.wait_ready("again", SOON).await;
    });
}

// "A foreign object under the name of each child kind is never changed, named in status, and the rest of the stack goes
// on; when it goes away the stack heals." (Row B71: one object at a time.)
#[test]
fn a_foreign_object_is_never_touched_and_the_rest_goes_on() {
    e2e::cluster::Cluster::get();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let children = rendered(&with_a_free_service());
        assert!(children.len() >= 31, "expected one of each kind from `appstack render`, saw {}", children.len());
        let outcomes = stream::iter(children).map(|(kind, name)| {
            let test = format!("ownership_{}_{}", kind.to_string().to_lowercase(), name.replace('-', "_"));
            let what = format!("{kind}/{name}");
            let run = async move { live_within(&test, async |t| conflict(t, kind, &name).await).await };
            async move { (what, AssertUnwindSafe(run).catch_unwind().await.is_ok()) }
        });
        let outcomes: Vec<_> = outcomes.buffer_unordered(4).collect().await;
        let failed: Vec<_> = outcomes.iter().filter(|(_, good)| !good).map(|(what, _)| what).collect();
        assert!(failed.is_empty(), "{} of {} failed, see above: {failed:?}", failed.len(), outcomes.len());
        println!("{} names taken by others, one at a time: none touched, all healed", outcomes.len());
    });
}

async fn conflict(t: Arc<Live>, kind: Kind, name: &str) {
    t.space.create(&foreign(kind, name)).await;
    // Its own controller has its say first.
    let before = eventually(SOON, "the foreign object to be settled", async || {
        let now = t.space.get(kind, name).await.ok_or("it is gone")?;
        let counts = matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::PodDisruptionBudget);
        let settled = !counts || json::number(&now, "/status/observedGeneration") > 0;
        if settled { Ok(now) } else { Err(now["status"].to_string()) }
    })
    .await;
    let _operator = t.space.operator().args(&["--conflict-retry", "1s"]).start();
    t.space.apply_object(&with_a_free_service()).await;

    let told = eventually(SOON, &format!("the status to name {kind} {name}"), async || {
        let status = t.space.status("fc").await;
        let services: Vec<(String, Value)> =
            json::entries(&status, "/services").map(|(n, s)| (n.to_owned(), s.clone())).collect();
        let found = services.into_iter().find(|(_, s)| {
            let message = json::text(s, "/message");
            s["reason"] == "NameConflict" && message.contains(name) && message.contains(&kind.to_string())
        });
        found.ok_or_else(|| format!("{status:#}"))
    })
    .await;
    println!("{kind} {name}: {}: {}", told.0, json::text(&told.1, "/message"));
    // A policy or a claim holds every service that needs it.
    let held = held_by(kind, name);
    eventually(SOON, &format!("{held:?} to be held"), async || {
        let status = t.space.status("fc").await;
        let wrong = held.iter().find(|s| status["services"][**s]["reason"] != "NameConflict");
        if wrong.is_none() { Ok(()) } else { Err(format!("{wrong:?}: {status:#}")) }
    })
    .await;
    let pods = t.space.list(Kind::Pod).await;
    let started: Vec<&str> =
        pods.iter().map(|p| json::label(p, "appstack.dev/service")).filter(|s| held.contains(s)).collect();
    assert!(started.is_empty(), "{kind} {name}: pods of {started:?} were started without it");
    // The rest goes on: `free` has nothing to do with the others. The two policies that every pod needs hold every pod.
    match name {
        "fc" | "fc-dns" | "fc-populate" => {}
        "free" | "fc-free" | "fc-net-alone" => drop(wait_state(&t, "fc", "web", "Ready").await),
        _ => drop(wait_state(&t, "fc", "free", "Ready").await),
    }
    tokio::time::sleep(Duration::from_millis(1500)).await; // at least one retry
    let after = t.space.get(kind, name).await.expect("the foreign object must not be deleted");
    unchanged(kind, &before, &after);

    t.space.delete(kind, name).await;
    t.space.wait_ready("fc", SOON).await;
    let ours = t.space.get(kind, name).await.expect("our own object");
    assert_eq!(json::label(&ours, "appstack.dev/stack"), "fc", "after the foreign object has gone");
}

/// Services that may not start without an object: their walls, their claims, their configs.
fn held_by(kind: Kind, name: &str) -> &'static [&'static str] {
    match (kind, name) {
        (Kind::NetworkPolicy, "fc" | "fc-dns") => &["db", "web", "peers", "agent", "migrate", "model", "api", "free"],
        (Kind::NetworkPolicy, "fc-net-alone") => &["peers", "agent", "migrate", "model", "api", "free"],
        (Kind::NetworkPolicy, "fc-net-data") => &["db", "web"],
        (Kind::NetworkPolicy, "fc-net-front") => &["web"],
        (Kind::PersistentVolumeClaim, "fc-data") | (Kind::ConfigMap, _) => &["db"],
        (Kind::PersistentVolumeClaim, "fc-models") | (Kind::Service, "inference") => &["model"],
        _ => &[],
    }
}

fn unchanged(kind: Kind, before: &Value, after: &Value) {
    let writers = json::items(after, "/metadata/managedFields").map(|e| json::text(e, "/manager").to_owned());
    let ours: Vec<String> = writers.filter(|m| m.starts_with("appstack")).collect();
    assert!(ours.is_empty(), "the operator wrote to a foreign {kind}: {ours:?}");
    let own = |o: &Value| {
        let mut o = o.clone();
        o.as_object_mut().unwrap().remove("status");
        let metadata = o["metadata"].as_object_mut().unwrap();
        metadata.remove("managedFields");
        // Their controllers write their status now and then.
        let written = [
            Kind::HorizontalPodAutoscaler,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::Job,
            Kind::PodDisruptionBudget,
        ];
        if written.contains(&kind) {
            metadata.remove("resourceVersion");
        }
        o
    };
    assert_eq!(own(before), own(after), "a foreign {kind} was changed");
}

/// One of each kind, and a service that has nothing to do with the others.
fn with_a_free_service() -> Value {
    let mut all = one_of_each("fc");
    all["spec"]["volumes"]["own"] = json!({"size": "1Gi", "perReplica": true});
    all["spec"]["volumes"]["models"] = json!({"size": "1Gi", "populate": {"image": "fetch:1"}});
    let lonely = json!({"alone": {}});
    all["spec"]["services"]["peers"] =
        json!({"image": "peer:1", "networks": lonely, "mounts": {"/own": {"volume": "own"}}});
    all["spec"]["services"]["agent"] = json!({"image": "agent:1", "networks": lonely, "mode": "Global"});
    all["spec"]["services"]["migrate"] = json!({"image": "migrate:1", "networks": lonely, "mode": "Job"});
    all["spec"]["services"]["model"] = json!({
        "image": "model:1", "networks": {"alone": {"aliases": ["inference"]}}, "mounts": {"/models": {"volume": "models"}}});
    all["spec"]["networks"]["alone"] = json!({});
    all["spec"]["services"]["api"] = json!({
        "image": "api:1", "networks": lonely, "ports": {"http": {"port": 8000}},
        "routes": {"v1": {"path": "/api", "gateway": {"name": "public"}}, "old": {"path": "/old", "ingressClassName": "nginx"}}});
    all["spec"]["services"]["free"] = json!({"image": "free:1", "networks": {"alone": {}}});
    all
}

/// What somebody else may have called so.
fn foreign(kind: Kind, name: &str) -> Value {
    let labels = json!({"app": "foreign"});
    let body = match kind {
        Kind::Deployment => json!({"spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "foreign", "image": "foreign:1"}]}},
        }}),
        Kind::Service => json!({"spec": {"ports": [{"port": 1}]}}),
        Kind::NetworkPolicy => json!({"spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"]}}),
        Kind::PersistentVolumeClaim => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        }
        Kind::ConfigMap => json!({"data": {"foreign": "x"}}),
        Kind::HorizontalPodAutoscaler => {
            json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"}, "maxReplicas": 3}})
        }
        Kind::StatefulSet => json!({"spec": {
            "replicas": 0, "selector": {"matchLabels": labels}, "serviceName": "foreign",
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "foreign", "image": "foreign:1"}]}},
        }}),
        Kind::DaemonSet => json!({"spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "nodeSelector": {"no": "node"}, "containers": [{"name": "foreign", "image": "foreign:1"}]}},
        }}),
        Kind::Job => json!({"spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "foreign", "image": "foreign:1"}]}}}}),
        Kind::HttpRoute => json!({"spec": {"parentRefs": [{"name": "theirs"}]}}),
        Kind::Ingress => json!({"spec": {"defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}}}}),
        Kind::PodDisruptionBudget => json!({"spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}}),
        other => panic!("{other} is no child"),
    };
    let mut object = json!({
        "apiVersion": kind.resource().api_version, "kind": kind.to_string(), "metadata": {"name": name, "labels": labels},
    });
    object.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    object
}

/// Kind and name of everything `appstack render` prints for a stack.
fn rendered(stack: &Value) -> Vec<(Kind, String)> {
    let file = folder("ownership_foreign").join("stack.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, stack.to_string()).unwrap();
    let printed = Command::new(appstack()).arg("render").arg(&file).output().expect("appstack render");
    assert!(printed.status.success(), "`appstack render` failed: {}", String::from_utf8_lossy(&printed.stderr));
    let objects = e2e::space::documents(&String::from_utf8_lossy(&printed.stdout));
    objects.iter().map(|o| (Kind::of(json::text(o, "/kind")), json::name(o).to_owned())).collect()
}

async fn names(t: &Live, stack: &str) -> Vec<String> {
    t.space.children(stack).await.iter().map(|(kind, c)| format!("{kind}/{}", json::name(c))).collect()
}
