//! The Gateway API on the test cluster: the real definition of HTTPRoutes, as its Go module carries it.

use std::time::Duration;

use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::{eventually, go, json};

const NAME: &str = "httproutes.gateway.networking.k8s.io";
/// Marks a definition that tests have brought along, and may take away.
const MARK: &str = "appstack.dev/e2e";
const SOON: Duration = Duration::from_secs(20);

/// Makes the cluster know HTTPRoutes, if it does not; returns once it does.
pub async fn install(client: &Client) {
    let definitions = definitions(client);
    let there = definitions.get_opt(NAME).await.expect("reading a definition").is_some();
    if !there {
        let mut definition = definition();
        definition["metadata"]["labels"] = json!({MARK: "brought-along"});
        let how = PatchParams::apply("e2e").force();
        definitions.patch(NAME, &how, &Patch::Apply(&definition)).await.expect("the server takes the Gateway API");
    }
    eventually(SOON, "HTTPRoutes to be served", async || {
        routes(client, "default").list(&kube::api::ListParams::default()).await.map(drop).map_err(|e| e.to_string())
    })
    .await;
}

/// Makes the cluster forget HTTPRoutes; returns once it has. Only where they are of the tests' own bringing.
pub async fn remove(client: &Client) {
    let definitions = definitions(client);
    let Some(live) = definitions.get_opt(NAME).await.expect("reading a definition") else { return };
    let ours = live.metadata.labels.is_some_and(|labels| labels.contains_key(MARK));
    assert!(ours, "this cluster has a Gateway API of its own, which is not taken away: run the test on another one");
    definitions.delete(NAME, &DeleteParams::default()).await.expect("deleting a definition");
    eventually(SOON, "HTTPRoutes to be forgotten", async || {
        match routes(client, "default").list(&kube::api::ListParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// What a gateway's controller would say of a route: a condition of its entry for the route's only parent.
pub async fn say(client: &Client, namespace: &str, route: &str, condition: (&str, bool), reason: &str, message: &str) {
    let routes = routes(client, namespace);
    let live = serde_json::to_value(routes.get(route).await.expect("the route")).unwrap();
    let accepted = condition == ("Accepted", true) || condition.0 != "Accepted";
    let generation = json::number(&live, "/metadata/generation");
    let one = |kind: &str, is: bool, reason: &str, message: &str| {
        json!({"type": kind, "status": if is { "True" } else { "False" }, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let mut conditions = vec![one(condition.0, condition.1, reason, message)];
    if condition.0 != "Accepted" {
        conditions.push(one("Accepted", accepted, "Accepted", ""));
    }
    let status = json!({"status": {"parents": [{
        "parentRef": live["spec"]["parentRefs"][0], "controllerName": "example.com/e2e", "conditions": conditions,
    }]}});
    let how = PatchParams { field_manager: Some("e2e-gateway".into()), ..PatchParams::default() };
    routes.patch_status(route, &how, &Patch::Merge(&status)).await.expect("the route's status");
}

fn definition() -> Value {
    let folder = go::files("gateway-api", "sigs.k8s.io/gateway-api");
    let file = folder.join("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_saphyr::from_str(&text).expect("a definition in YAML")
}

fn definitions(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Api::all_with(client.clone(), &ApiResource::from_gvk(&kind))
}

fn routes(client: &Client, namespace: &str) -> Api<DynamicObject> {
    crate::Kind::HttpRoute.api(client.clone(), namespace)
}
