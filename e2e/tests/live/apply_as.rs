//! `spec.applyAs`: what a stack is made of is written in the name of a service account, and gets no more than that may.

use std::collections::BTreeSet;

use e2e::cluster::{Cluster, root};
use e2e::grant::account;
use e2e::operator::Operator;
use e2e::rights::told;
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::install::{apply, manifests};
use crate::stacks::{SOON, one_of_each, runs, service, stack, wait_state};

/// The operator with the rights that `appstack manifests --apply-as` gives it, in this namespace alone.
async fn operator(t: &Live, whether: &str) -> Operator {
    let place = t.space.name.as_str();
    let objects = manifests(&["--namespace", place, "--watch-namespace", place, "--apply-as", whether]);
    let needed = ["Role", "RoleBinding", "ServiceAccount"];
    for object in objects.iter().filter(|object| needed.contains(&json::text(object, "/kind"))) {
        apply(t, object, false).await;
    }
    let file = root().join("target/e2e").join(&t.space.test).join("operator.kubeconfig");
    account(Cluster::get(), &t.space.client, (place, "appstack"), &file).await;
    let args = ["--lease-namespace", place, "--apply-as", whether, "--refusal-retry", "500ms"];
    t.space.operator().kubeconfig(&file).args(&args).start()
}

/// An account, with what the rules give it here.
async fn grant(t: &Live, name: &str, rules: &Value) {
    let place = &t.space.name;
    apply(
        t,
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": place}}),
        false,
    )
    .await;
    let api = "rbac.authorization.k8s.io/v1";
    let meta = json!({"name": name, "namespace": place});
    apply(t, &json!({"apiVersion": api, "kind": "Role", "metadata": meta, "rules": rules}), false).await;
    let binding = json!({"apiVersion": api, "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": place}]});
    apply(t, &binding, false).await;
}

/// All that a stack is made of.
fn enough() -> Value {
    let verbs = ["create", "patch", "delete"];
    json!([
        {"apiGroups": [""], "resources": ["services", "configmaps", "persistentvolumeclaims"], "verbs": verbs},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": verbs},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": verbs},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": verbs},
        {"apiGroups": ["appstack.dev"], "resources": ["appstacks/finalizers"], "verbs": ["update"]},
    ])
}

fn shop(image: &str) -> Value {
    let mut shop = one_of_each("shop");
    shop["spec"]["applyAs"] = json!("deployer");
    shop["spec"]["teardown"] = json!("Ordered");
    shop["spec"]["services"]["db"]["image"] = json!(image);
    shop
}

async fn refused(t: &Live, service: &str, words: &[&str]) {
    eventually(SOON, &format!("{service} to be refused with {words:?}"), async || {
        let status = t.space.status("shop").await;
        let said = json::text(&status["services"][service], "/message").to_owned();
        let is_refused = status["services"][service]["reason"] == "Refused";
        if is_refused && words.iter().all(|w| said.contains(w)) { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await;
}

async fn gone(t: &Live) {
    eventually(SOON, "the stack to be gone", async || match t.space.get(Kind::AppStack, "shop").await {
        None => Ok(()),
        Some(stack) => Err(stack["status"].to_string()),
    })
    .await;
}

#[test]
fn what_the_account_may_not_is_told_and_goes_on_when_it_is_granted() {
    live("apply_as_granted", async |t| {
        let log = Cluster::get().audit_log.clone().expect("an audit log");
        let since = std::fs::metadata(&log).expect("the audit log").len();
        let _operator = operator(&t, "allowed").await;
        grant(&t, "deployer", &json!([])).await;
        t.space.apply_object(&shop("db:1")).await;
        refused(&t, "db", &["service account 'deployer' may not do this: grant it by a Role", "cannot patch resource"])
            .await;
        assert!(t.space.children("shop").await.is_empty(), "nothing is made in another name");

        grant(&t, "deployer", &enough()).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.apply_object(&shop("db:2")).await;
        t.space.wait_ready("shop", SOON).await;

        // Somebody edits what is the stack's, while the account has lost its rights and has them back.
        grant(&t, "deployer", &json!([])).await;
        let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:other"}]}}}});
        t.space.edit(Kind::Deployment, "shop-web", image).await;
        refused(&t, "web", &["'deployer'", "cannot patch resource \"deployments\" in API group \"apps\""]).await;
        grant(&t, "deployer", &enough()).await;
        eventually(SOON, "it to be put right", async || {
            let live = t.space.get(Kind::Deployment, "shop-web").await.expect("a Deployment");
            if runs(&live, "web:1") { Ok(()) } else { Err(live["spec"].to_string()) }
        })
        .await;
        t.space.wait_ready("shop", SOON).await;

        t.space.delete(Kind::AppStack, "shop").await;
        gone(&t).await;
        assert!(t.space.list(Kind::Deployment).await.is_empty(), "its workloads went before it");

        // What the operator did in its own name.
        let own = told(&log, since, &format!("system:serviceaccount:{}:appstack", t.space.name));
        let writes: BTreeSet<String> = own
            .used
            .iter()
            .filter(|r| !["get", "list", "watch"].contains(&r.verb.as_str()))
            .map(|r| r.resource.clone())
            .collect();
        for resource in &writes {
            let of_the_operator = ["appstacks", "appstacks/status", "events", "leases", "selfsubjectreviews"];
            assert!(of_the_operator.contains(&resource.as_str()), "{resource} was written in the operator's own name");
        }
        let as_account = own.lacked.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert!(as_account.is_empty(), "{as_account:?}");
    });
}

#[test]
fn a_stack_whose_account_is_gone_can_still_be_deleted() {
    live("apply_as_gone", async |t| {
        let _operator = operator(&t, "allowed").await;
        grant(&t, "deployer", &enough()).await;
        t.space.apply_object(&shop("db:1")).await;
        t.space.wait_ready("shop", SOON).await;
        grant(&t, "deployer", &json!([])).await;
        t.space.delete(Kind::AppStack, "shop").await;
        gone(&t).await;
        eventually(SOON, "the garbage collector to take the rest", async || {
            let left = t.space.list(Kind::Deployment).await.len();
            if left == 0 { Ok(()) } else { Err(left.to_string()) }
        })
        .await;
    });
}

#[test]
fn without_the_flag_a_stack_with_an_account_is_refused() {
    live("apply_as_off", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop("db:1")).await;
        eventually(SOON, "the stack to be refused", async || {
            let status = t.space.status("shop").await;
            let text = status.to_string();
            let said = text.contains("spec.applyAs: this operator acts as itself only") && text.contains("SpecInvalid");
            if said { Ok(()) } else { Err(text) }
        })
        .await;
        assert!(t.space.children("shop").await.is_empty());
    });
}

// "user with AppStack rights only cannot exceed that account"
#[test]
fn who_may_write_stacks_only_gets_no_more_than_an_account_may() {
    live("apply_as_attacks", async |t| {
        let _operator = operator(&t, "required").await;
        // May have names, and nothing that runs.
        let for_names = json!([
            {"apiGroups": [""], "resources": ["services", "configmaps"], "verbs": ["create", "patch", "delete"]},
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "patch", "delete"]},
            {"apiGroups": ["appstack.dev"], "resources": ["appstacks/finalizers"], "verbs": ["update"]},
        ]);
        grant(&t, "deployer", &for_names).await;
        let bare = || stack("shop", &json!({"web": service("web:1", 10, &[])}));
        let acting_as = |name: &str| {
            let mut shop = bare();
            shop["spec"]["applyAs"] = json!(name);
            shop
        };
        // What is no name of an account of this namespace, the API server refuses.
        for name in [
            "kube-system:default",
            "kube-system/default",
            "system:masters",
            "../default",
            "a,b",
            "A",
            "",
            "a\nImpersonate-Group: system:masters",
        ] {
            let said = t.space.try_apply(&acting_as(name)).await;
            assert!(said.is_err(), "{name:?} was taken");
        }
        let stalled = async |attack: &Value, words: &str| {
            t.space.apply_object(attack).await;
            eventually(SOON, &format!("the stack to be refused with '{words}'"), async || {
                let status = t.space.status("shop").await;
                if status.to_string().contains(words) { Ok(()) } else { Err(format!("{status:#}")) }
            })
            .await;
        };
        stalled(&bare(), "in the name of service accounts only").await;
        stalled(&acting_as("appstack"), "this is the operator's own account").await;
        stalled(&acting_as("nobody"), "service account 'nobody' may not do this").await;
        for kind in [
            json!({"image": "x:1"}),
            json!({"image": "x:1", "mode": "Job"}),
            json!({"image": "x:1", "mode": "Global"}),
            json!({"image": "x:1", "serviceAccountName": "appstack"}),
            json!({"image": "x:1", "mounts": {"/data": {"volume": "data"}}}),
        ] {
            let mut attack = acting_as("deployer");
            attack["spec"]["services"] = json!({"web": kind});
            attack["spec"]["volumes"] = json!({"data": {"size": "1Gi", "perReplica": true}});
            t.space.delete(Kind::AppStack, "shop").await;
            gone(&t).await;
            stalled(&attack, "service account 'deployer' may not do this").await;
            wait_state(&t, "shop", "web", "Failed").await;
        }
        assert!(t.space.list(Kind::Pod).await.is_empty(), "nothing has run");
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job] {
            assert!(t.space.list(kind).await.is_empty(), "{kind}");
        }
    });
}
