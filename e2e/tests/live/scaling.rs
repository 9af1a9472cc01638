//! How many pods: by hand, by the command, and what a drain may take.

use std::process::Command;

use e2e::cluster::{Cluster, appstack};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::json;

use crate::stacks::{SOON, stack};

fn scale(t: &Live, args: &[&str]) -> (bool, String) {
    let done = Command::new(appstack())
        .args(["scale", "shop", "-n", &t.space.name])
        .args(args)
        .env("KUBECONFIG", &Cluster::get().kubeconfig)
        .output()
        .expect("appstack scale");
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.success(), text)
}

#[test]
fn the_scale_command_sets_counts_and_refuses_by_field() {
    live("scaling_command", async |t| {
        let _operator = t.space.operator().start();
        let request = json!({"requests": {"cpu": "100m", "memory": "64Mi"}});
        t.space
            .apply_object(&stack(
                "shop",
                &json!({
                    "web": {"image": "web:1"},
                    "worker": {"image": "worker:1"},
                    "auto": {"image": "auto:1", "resources": request, "autoscale": {"min": 2, "max": 5, "cpuPercent": 70, "memoryPercent": 80, "scaleDownAfter": "2m"}},
                }),
            ))
            .await;
        t.space.wait_ready("shop", SOON).await;
        let autoscaler = t.space.get(Kind::HorizontalPodAutoscaler, "shop-auto").await.unwrap();
        let metrics: Vec<&str> =
            json::items(&autoscaler, "/spec/metrics").map(|m| json::text(m, "/resource/name")).collect();
        assert_eq!(metrics, ["cpu", "memory"]);
        assert_eq!(autoscaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 120);
        let budget = t.space.get(Kind::PodDisruptionBudget, "shop-auto").await.unwrap();
        assert_eq!(budget["spec"]["maxUnavailable"], 1);
        assert!(t.space.get(Kind::PodDisruptionBudget, "shop-web").await.is_none(), "one pod has no budget");

        let (ok, said) = scale(&t, &["web=9", "--dry-run", "server"]);
        assert!(ok && said.contains("dry run"), "{said}");
        let (ok, said) = scale(&t, &["web=3", "worker=0"]);
        assert!(ok && said.contains("web: 1 -> 3"), "{said}");
        eventually(SOON, "three and none", async || {
            let status = t.space.status("shop").await;
            let services = &status["services"];
            let there = (services["web"]["ready"].clone(), services["worker"]["state"].clone());
            if there == (json!(3), json!("Stopped")) { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        t.space.wait_ready("shop", SOON).await;
        assert!(t.space.get(Kind::PodDisruptionBudget, "shop-web").await.is_some());
        let (ok, said) = scale(&t, &["worker=1", "auto=3"]);
        assert!(!ok && said.contains("spec.services[auto].autoscale"), "{said}");
        assert_eq!(
            t.space.get(Kind::Deployment, "shop-worker").await.unwrap()["spec"]["replicas"],
            0,
            "all or nothing"
        );
    });
}
