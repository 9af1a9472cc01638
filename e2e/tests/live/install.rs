//! What `appstack manifests` prints, on the real server, and whether the rights in it are enough.

use std::process::Command;

use e2e::cluster::{Cluster, appstack, root};
use e2e::grant::account;
use e2e::{Kind, Live, json, live};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::stacks::{SOON, one_of_each};

pub fn manifests(args: &[&str]) -> Vec<Value> {
    let printed = Command::new(appstack()).arg("manifests").args(args).output().expect("appstack manifests");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    e2e::space::documents(&String::from_utf8_lossy(&printed.stdout))
}

pub(crate) fn api(t: &Live, object: &Value) -> Api<DynamicObject> {
    let (group, version) = json::text(object, "/apiVersion").rsplit_once('/').unwrap_or(("", "v1"));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, json::text(object, "/kind")));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(t.space.client.clone(), namespace, &resource),
        None => Api::all_with(t.space.client.clone(), &resource),
    }
}

pub async fn apply(t: &Live, object: &Value, dry_run: bool) {
    let how = PatchParams {
        dry_run,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("e2e").force()
    };
    let answer = api(t, object).patch(json::name(object), &how, &Patch::Apply(object)).await;
    answer.unwrap_or_else(|e| panic!("{} {}: {e}", object["kind"], json::name(object)));
}

// "manifests/install.yaml ... applied to the control plane"
#[test]
fn what_installs_the_operator_is_taken_by_the_server_and_its_pod_is_restricted() {
    live("install_cluster", async |t| {
        let objects = manifests(&["--namespace", &t.space.name]);
        for object in &objects {
            apply(&t, object, true).await;
        }
        let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect("an object").clone();
        apply(&t, &of("Namespace"), false).await; // with its label, in which pods are judged
        apply(&t, &of("ServiceAccount"), false).await;
        let mut pod = of("Deployment")["spec"]["template"].clone();
        (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
        (pod["metadata"]["name"], pod["metadata"]["namespace"]) = (json!("operator"), json!(t.space.name));
        let how = PostParams { dry_run: true, ..PostParams::default() };
        let body: DynamicObject = serde_json::from_value(pod.clone()).expect("a pod");
        api(&t, &pod).create(&how, &body).await.unwrap_or_else(|e| panic!("its pod: {e}"));
        t.shows(format!("{} objects", objects.len()));
    });
}

// "a namespaced variant with a Role only", "Namespaced install mode with Role only: works for all features"
#[test]
fn a_role_in_one_namespace_is_enough() {
    live("install_role", async |t| {
        let place = t.space.name.as_str();
        let objects = manifests(&["--namespace", place, "--watch-namespace", place]);
        for object in objects
            .iter()
            .filter(|object| !["CustomResourceDefinition", "Deployment"].contains(&json::text(object, "/kind")))
        {
            assert!(object["metadata"]["namespace"].is_string(), "{} is for the whole cluster", object["kind"]);
            apply(&t, object, false).await;
        }
        let file = root().join("target/e2e").join(&t.space.test).join("role.kubeconfig");
        account(Cluster::get(), &t.space.client, (place, "appstack"), &file).await;
        let _operator = t.space.operator().kubeconfig(&file).args(&["--lease-namespace", place]).start();
        t.space.apply_object(&one_of_each("shop")).await;
        t.space.wait_ready("shop", SOON).await;
        let mut next = one_of_each("shop");
        next["spec"]["teardown"] = json!("Ordered");
        next["spec"]["services"]["db"]["image"] = json!("db:2");
        t.space.apply_object(&next).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.delete(Kind::AppStack, "shop").await;
        e2e::eventually(SOON, "the stack to be gone", async || match t.space.get(Kind::AppStack, "shop").await {
            None => Ok(()),
            Some(stack) => Err(stack["status"].to_string()),
        })
        .await;
    });
}
