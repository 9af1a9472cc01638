//! An autoscaler that scales by what the pods really use.

use std::time::Duration;

use e2e::nodes::{Nodes, exec, pods_of};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::json as value;

use crate::data::{APP, SOON, stack};

async fn counts(t: &Live, count: impl Fn(i64) -> bool) -> i64 {
    eventually(SOON, "the autoscaler to act", async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let web = t.space.get(Kind::Deployment, "scale-web").await.expect("a Deployment");
        let (wanted, ready) = (json::number(&web, "/spec/replicas"), json::number(&web, "/status/readyReplicas"));
        if count(wanted) && ready == wanted {
            return Ok(wanted);
        }
        let scaler = t.space.get(Kind::HorizontalPodAutoscaler, "scale-web").await.unwrap_or_default();
        Err(format!("{wanted} wanted, {ready} ready; {}", scaler["status"]))
    })
    .await
}

#[test]
fn an_autoscaler_follows_the_processor_up_and_down_and_the_operator_leaves_the_count_alone() {
    Nodes::get();
    live("node_scaling", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        let mut all = stack(
            "scale",
            &value!({"web": {
                "image": APP, "ports": {"http": {"port": 8080}}, "healthcheck": {"http": {"port": "http"}, "interval": "2s"},
                "resources": {"requests": {"cpu": "100m"}}, "stopGracePeriod": "1s",
                "autoscale": {"min": 1, "max": 3, "cpuPercent": 50, "scaleDownAfter": "5s"},
            }}),
        );
        all["spec"].as_object_mut().unwrap().remove("volumes");
        t.space.apply_object(&all).await;
        t.space.wait_ready("scale", SOON).await;
        counts(&t, |n| n == 1).await;
        let mark = audit.mark().await;
        let pod = json::name(&pods_of(&t.space, "scale", "web").await[0]).to_owned();
        // Not waited for: `kubectl exec` would be in the way until it ends.
        exec(&t.space, &pod, &["sh", "-c", "app burn 100 1 >/dev/null 2>&1 & echo $! > /tmp/burning"]);
        let most = counts(&t, |n| n > 1).await;
        exec(&t.space, &pod, &["sh", "-c", "kill $(cat /tmp/burning)"]);
        counts(&t, |n| n == 1).await;
        t.space.wait_ready("scale", SOON).await;
        let seen = audit.since(mark).await;
        assert!(seen.child_writes().is_empty(), "the operator wrote:\n{seen}");
        let fields = t.space.get(Kind::Deployment, "scale-web").await.expect("a Deployment");
        let ours = json::items(&fields, "/metadata/managedFields")
            .filter(|e| json::text(e, "/manager").starts_with("appstack"))
            .any(|e| e.to_string().contains("f:replicas"));
        assert!(!ours, "the count is the autoscaler's");
        t.shows(format!("1, {most}, 1 pods by load; 0 writes of the operator to its children"));
    });
}
