//! A cluster without the Gateway API that learns it, and forgets it again. It has a binary of its own: a definition belongs to the whole cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::time::Duration;

use e2e::{Kind, eventually, gateway_api, json, live};
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);

// "Gateway API CRDs absent: a clear condition, the rest goes on, and it heals when they appear (no restart)."
#[test]
fn a_cluster_that_learns_http_routes_gets_them_without_a_restart() {
    live("gateway_absent", async |t| {
        gateway_api::remove(&t.space.client).await;
        let _operator = t.space.operator().start();
        let stack = json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
            "spec": {
                "gateway": {"name": "public"},
                "services": {
                    "api": {"image": "api:1", "ports": {"http": {"port": 8000}}, "routes": {"v1": {"path": "/api"}}},
                    "old": {"image": "old:1", "ports": {"http": {"port": 80}}, "routes": {"old": {"path": "/old", "ingressClassName": "nginx"}}},
                    "web": {"image": "web:1", "dependsOn": {"api": {}}},
                },
            },
        });
        t.space.apply_object(&stack).await;
        let is_said = async || {
            let status = t.space.status("shop").await;
            let api = &status["services"]["api"];
            let up = ["old", "web"].iter().all(|name| status["services"][name]["state"] == "Ready");
            let said = api["reason"] == "KindMissing" && json::text(api, "/message").contains("Gateway API");
            if up && said && api["ready"] == 1 { Ok(()) } else { Err(format!("{status:#}")) }
        };
        eventually(SOON, "the missing kind to be named, and everything else to be up", is_said).await;
        assert!(t.space.get(Kind::Ingress, "shop-old-old").await.is_some(), "other routes are made");
        assert_eq!(t.space.status("shop").await["conditions"][0]["reason"], "ServicesFailed");

        gateway_api::install(&t.space.client).await;
        t.space.wait_ready("shop", Duration::from_secs(15)).await;
        assert!(t.space.get(Kind::HttpRoute, "shop-api-v1").await.is_some());

        gateway_api::remove(&t.space.client).await;
        eventually(Duration::from_secs(15), "the loss to be named", is_said).await;
        gateway_api::install(&t.space.client).await;
        t.space.wait_ready("shop", Duration::from_secs(15)).await;
        assert_eq!(t.space.list(Kind::Pod).await.len(), 3, "and no pod was replaced by all that");
    });
}
