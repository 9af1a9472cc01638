//! Drift: children that somebody edits or deletes are put right, and what others added stays.

use std::time::Instant;

use e2e::{Kind, Live, budget, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, is_signal, one_of_each, operator_has_looked};

/// A child by kind and name, a change of what is ours in it, and where the change can be seen.
struct Edit {
    kind: Kind,
    name: String,
    change: Value,
    at: &'static str,
}

fn edits(settings: &str) -> Vec<Edit> {
    let edit = |kind, name: &str, change, at| Edit { kind, name: name.to_owned(), change, at };
    vec![
        edit(
            Kind::Deployment,
            "drift-db",
            json!({"spec": {"template": {"metadata": {"labels": {"appstack.dev/network.data": "edited"}}}}}),
            "/spec/template/metadata/labels/appstack.dev~1network.data",
        ),
        edit(Kind::Deployment, "drift-db", json!({"spec": {"replicas": 3}}), "/spec/replicas"),
        edit(
            Kind::Service,
            "db",
            json!({"spec": {"selector": {"appstack.dev/service": "edited"}, "sessionAffinity": "ClientIP"}}),
            "/spec/selector/appstack.dev~1service",
        ),
        edit(
            Kind::PersistentVolumeClaim,
            "drift-data",
            json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "edited"}}}),
            "/metadata/labels/app.kubernetes.io~1part-of",
        ),
        edit(
            Kind::ConfigMap,
            settings,
            json!({"metadata": {"labels": {"appstack.dev/config": "edited"}}}),
            "/metadata/labels/appstack.dev~1config",
        ),
        edit(Kind::HorizontalPodAutoscaler, "drift-web", json!({"spec": {"maxReplicas": 9}}), "/spec/maxReplicas"),
        edit(
            Kind::NetworkPolicy,
            "drift",
            json!({"spec": {"policyTypes": ["Ingress", "Egress"]}}),
            "/spec/policyTypes",
        ),
        edit(Kind::NetworkPolicy, "drift-dns", json!({"spec": {"egress": []}}), "/spec/egress"),
        edit(Kind::NetworkPolicy, "drift-net-data", json!({"spec": {"ingress": [{}]}}), "/spec/ingress"),
        edit(Kind::NetworkPolicy, "drift-pub-web", json!({"spec": {"ingress": null}}), "/spec/ingress"),
        // The list is keyed by port: what we apply merges with what the hand left, and two ports of one name are refused.
        edit(
            Kind::Service,
            "web-published",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": "http"}]}}),
            "/spec/ports/0/port",
        ),
    ]
}

// "Hand-edited ... children (each kind) are put right within a second, in one reconcile, and foreign fields stay."
#[test]
fn edited_children_are_put_right_and_foreign_fields_stay() {
    live("drift_edited", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        t.space.apply_object(&one_of_each("drift")).await;
        t.space.wait_ready("drift", SOON).await;
        operator_has_looked(&t, "before").await;
        for edit in edits(&config(&t).await) {
            let Edit { kind, name, at, .. } = &edit;
            let mut change = edit.change.clone();
            change["metadata"]["annotations"]["e2e/foreign"] = json!("stays");
            change["metadata"]["labels"]["e2e-foreign"] = json!("stays");
            let right = t.space.get(*kind, name).await.unwrap_or_else(|| panic!("there is no {kind} {name}"));
            let mark = audit.mark().await;

            let edited = t.space.edit(*kind, name, change).await;
            let begin = Instant::now();
            assert_ne!(edited.pointer(at), right.pointer(at), "the edit of {kind} {name} must change {at}");
            let now = eventually(SOON, &format!("{kind} {name} to be put right at {at}"), async || {
                let now = t.space.get(*kind, name).await.ok_or("it is gone")?;
                if now.pointer(at) == right.pointer(at) { Ok(now) } else { Err(format!("{:?}", now.pointer(at))) }
            })
            .await;
            let took = begin.elapsed();
            assert!(took <= budget::repair(), "{kind} {name}: expected within {:?}, took {took:?}", budget::repair());
            assert_eq!(json::text(&now, "/metadata/annotations/e2e~1foreign"), "stays", "{kind} {name}: annotation");
            assert_eq!(json::label(&now, "e2e-foreign"), "stays", "{kind} {name}: label");
            if *kind == Kind::Service && name == "db" {
                assert_eq!(now["spec"]["sessionAffinity"], "ClientIP", "a field of others must stay");
            }

            t.space.wait_ready("drift", SOON).await;
            operator_has_looked(&t, &format!("{kind} {name} {at}")).await;
            let requests = audit.since(mark).await.without(is_signal);
            println!("{kind} {name}: put right after {took:.1?}, {} writes of children", requests.child_writes().len());
            // Where the hand left an item of its own under our name: one is refused, one gives it another name, one puts
            // ours there, one takes it away.
            let expected = if at.starts_with("/spec/ports") { 4 } else { 1 };
            assert_eq!(
                requests.child_writes().len(),
                expected,
                "{kind} {name}: expected {expected} writes, saw\n{requests}"
            );
        }
    });
}

// "... or deleted children (each kind) are put right within a second."
#[test]
fn deleted_children_are_put_right() {
    live("drift_deleted", async |t| {
        let _operator = t.space.operator().start();
        let mut all = one_of_each("gone");
        // A claim in use is kept by Kubernetes itself; this one has a user without pods.
        all["spec"]["volumes"]["spare"] = json!({"size": "1Gi"});
        all["spec"]["services"]["idle"] = json!({"image": "idle:1", "replicas": 0, "networks": {"front": {}}, "mounts": {"/spare": {"volume": "spare"}}});
        t.space.apply_object(&all).await;
        t.space.wait_ready("gone", SOON).await;
        operator_has_looked(&t, "before").await;
        for (kind, child) in t.space.children("gone").await {
            let name = json::name(&child);
            if name == "gone-data" {
                continue; // in use, as said above
            }
            t.space.delete(kind, name).await;
            let begin = Instant::now();
            let again = eventually(SOON, &format!("{kind} {name} to be there again"), async || {
                let now = t.space.get(kind, name).await.ok_or("nothing")?;
                if now["metadata"]["uid"] == child["metadata"]["uid"] { Err("the old one".to_owned()) } else { Ok(now) }
            })
            .await;
            let took = begin.elapsed();
            println!("{kind} {name}: there again after {took:.1?}");
            assert!(took <= budget::repair(), "{kind} {name}: expected within {:?}, took {took:?}", budget::repair());
            assert_eq!(again["metadata"]["labels"], child["metadata"]["labels"], "{kind} {name}");
            t.space.wait_ready("gone", SOON).await;
        }
    });
}

async fn config(t: &Live) -> String {
    let all = t.space.children("drift").await;
    let config = all.iter().find(|(kind, _)| *kind == Kind::ConfigMap).expect("a ConfigMap of the stack");
    json::name(&config.1).to_owned()
}

// Rows F42 and F43: a label or the owner taken away by hand; the operator looks, finds it ours, and puts it back.
#[test]
fn a_stripped_label_and_a_stripped_owner_are_put_back() {
    live("drift_stripped", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&one_of_each("strip")).await;
        t.space.wait_ready("strip", SOON).await;
        operator_has_looked(&t, "before").await;
        let strips = [
            ("label", json!({"metadata": {"labels": {"appstack.dev/stack": null}}})),
            ("owner", json!({"metadata": {"ownerReferences": null}})),
        ];
        for (kind, child) in t.space.children("strip").await {
            if kind == Kind::PersistentVolumeClaim {
                continue; // a kept claim has no owner, and without its labels it is nobody's: it is left alone
            }
            for (what, strip) in &strips {
                let name = json::name(&child);
                let edited = t.space.edit(kind, name, strip.clone()).await;
                assert_eq!(edited["metadata"]["uid"], child["metadata"]["uid"]);
                let begin = Instant::now();
                eventually(SOON, &format!("the {what} of {kind} {name} to be put back"), async || {
                    let now = t.space.get(kind, name).await.ok_or("it is gone")?;
                    let same = |at: &str| now.pointer(at) == child.pointer(at);
                    let right = same("/metadata/labels") && same("/metadata/ownerReferences") && same("/metadata/uid");
                    if right { Ok(()) } else { Err(now["metadata"].to_string()) }
                })
                .await;
                println!("{kind} {name}: {what} put back after {:.1?}", begin.elapsed());
            }
        }
    });
}
