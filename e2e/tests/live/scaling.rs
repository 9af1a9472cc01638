//! How many pods: by hand, by the command, and what a drain may take.

use std::path::Path;
use std::process::Command;

use e2e::cluster::{Cluster, appstack};
use e2e::operator::folder;
use e2e::{Kind, Live, eventually, json, live};
use kube::config::Kubeconfig;
use serde_json::json;

use crate::stacks::{SOON, stack};

fn scale(t: &Live, args: &[&str]) -> (bool, String) {
    let (code, said) = command(&Cluster::get().kubeconfig, &[&["scale", "shop", "-n", &t.space.name], args].concat());
    (code == Some(0), said)
}

/// Exit code, and what was said.
fn command(kubeconfig: &Path, args: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(appstack()).args(args).env("KUBECONFIG", kubeconfig).output().expect("appstack");
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.code(), text)
}

#[test]
fn commands_look_in_the_namespace_of_the_context_and_say_a_refusal_in_words() {
    live("scaling_context", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&stack("shop", &json!({"web": {"image": "web:1"}}))).await;
        t.space.wait_ready("shop", SOON).await;
        let mut config = Kubeconfig::read_from(&Cluster::get().kubeconfig).unwrap();
        for context in config.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
            context.namespace = Some(t.space.name.clone());
        }
        let ours = folder("scaling_context").join("kubeconfig");
        std::fs::create_dir_all(ours.parent().unwrap()).unwrap();
        std::fs::write(&ours, serde_json::to_string(&config).unwrap()).unwrap();
        let (code, said) = command(&ours, &["status", "shop"]);
        assert!(code == Some(0) && said.contains("shop: 1/1"), "{said}");
        let (code, said) = command(&ours, &["scale", "shop", "web=2"]);
        assert!(code == Some(0) && said.contains("web: 1 -> 2"), "{said}");
        let (code, said) = command(&ours, &["status", "nope"]);
        assert!(code == Some(1) && said.contains(&format!("in namespace '{}'", t.space.name)), "{said}");

        // Somebody who may read stacks, and not write them.
        let group = "rbac.authorization.k8s.io";
        let rules = json!([{"apiGroups": ["appstack.dev"], "resources": ["appstacks"], "verbs": ["get"]}]);
        let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "reader"}, "rules": rules});
        let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"}, "subjects": [{"apiGroup": group, "kind": "User", "name": "jo"}]});
        t.space.apply_object(&role).await;
        t.space.apply_object(&binding).await;
        for user in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
            user.impersonate = Some("jo".into());
        }
        std::fs::write(&ours, serde_json::to_string(&config).unwrap()).unwrap();
        let (code, said) = command(&ours, &["scale", "shop", "web=3"]);
        assert!(
            code == Some(1) && said.contains("could not scale stack 'shop'") && said.contains("forbidden"),
            "{said}"
        );
        assert!(!said.contains("Status") && said.trim().lines().count() == 1, "no dump: {said}");
    });
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
