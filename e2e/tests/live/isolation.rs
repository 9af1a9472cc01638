//! `appstack check --isolation`: the real command against the real API server. Real nodes enforce policies, and show that; where they are simulated the test
//! plays them: it decides each call by the policies that are there, or lets everything through as a cluster that enforces none.

use std::process::{Command, Output};
use std::time::Duration;

use e2e::policy::{Cluster, End, Pod};
use e2e::{Kind, Live, cluster, eventually, json, live};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stacks::{SOON, stack};

const MARK: &str = "appstack.dev/check";
const TYPE: &str = "NetworkIsolation";

// "a condition NetworkIsolation that says Unknown until something proves it; `appstack check --isolation` starts a short-lived pod pair, proves whether the
// cluster enforces policies, and cleans up."
#[test]
fn isolation_is_unknown_until_a_pair_of_pods_has_proved_it() {
    live("isolation", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&stack("shop", &json!({"web": {"image": "web:1"}}))).await;
        let mut open = stack("open", &json!({"web2": {"image": "web:1"}}));
        open["spec"]["isolation"] = json!("None");
        t.space.apply_object(&open).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.wait_ready("open", SOON).await;
        assert_eq!(condition(&t, "shop").await, ("Unknown".into(), "NotProven".into()));
        assert_eq!(condition(&t, "open").await, ("False".into(), "NoWalls".into()));

        let outcomes = [(true, 0, "True", "Enforced"), (false, 1, "False", "NotEnforced")];
        let real = cluster::Cluster::get().real;
        for (enforcing, code, status, reason) in outcomes.into_iter().filter(|(enforcing, ..)| *enforcing || !real) {
            let said = check(&t, enforcing).await;
            let out = String::from_utf8_lossy(&said.stdout).into_owned();
            assert_eq!(said.status.code(), Some(code), "{out}{}", String::from_utf8_lossy(&said.stderr));
            assert!(out.contains("noted on: open, shop"), "{out}");
            eventually(Duration::from_secs(5), reason, async || {
                let seen = condition(&t, "shop").await;
                if seen == (status.into(), reason.into()) { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await;
            assert_eq!(condition(&t, "open").await.1, "NoWalls", "a stack without walls has none to prove");
            let made = |objects: Vec<Value>| objects.into_iter().filter(|o| !json::label(o, MARK).is_empty()).count();
            assert_eq!(made(t.space.list(Kind::Pod).await) + made(t.space.list(Kind::NetworkPolicy).await), 0);
        }
        t.space.wait_ready("shop", SOON).await;
    });
}

async fn condition(t: &Live, stack: &str) -> (String, String) {
    let status = t.space.status(stack).await;
    let found = json::items(&status, "/conditions").find(|c| c["type"] == TYPE).cloned().unwrap_or_default();
    (json::text(&found, "/status").to_owned(), json::text(&found, "/reason").to_owned())
}

/// Runs the command to its end, and the pods it makes beside it.
async fn check(t: &Live, enforcing: bool) -> Output {
    let mut command = Command::new(cluster::appstack());
    command.args(["check", "--isolation", "-n", &t.space.name]);
    command.env("KUBECONFIG", &cluster::Cluster::get().kubeconfig);
    let real = cluster::Cluster::get().real;
    if real {
        command.args(["--image", "appstack.test/app:1"]);
    }
    let running = tokio::task::spawn_blocking(move || command.output());
    if real {
        return running.await.expect("a thread").expect("what the command says");
    }
    tokio::select! {
        said = running => said.expect("a thread").expect("what the command says"),
        () = nodes(t, enforcing) => unreachable!("nodes never end"),
    }
}

/// Ends each calling pod as its calls would.
async fn nodes(t: &Live, enforcing: bool) {
    loop {
        sleep(Duration::from_millis(100)).await;
        let pods = t.space.list(Kind::Pod).await;
        let of = |role: &str| {
            pods.iter().find(|p| {
                json::label(p, "appstack.dev/check-role") == role && json::text(p, "/status/phase") == "Running"
            })
        };
        let (Some(listener), Some(caller)) = (of("listener"), of("caller")) else { continue };
        let policies = t.space.list(Kind::NetworkPolicy).await;
        let policies = policies.into_iter().map(|p| serde_json::from_value(p).expect("a policy")).collect();
        let pod = |object: &Value| Pod::of(&t.space.name, json::name(object), object);
        let all = Cluster { pods: vec![pod(listener), pod(caller)], policies, ..Cluster::default() };
        let arrives = !enforcing || all.verdict(End::Pod(&all.pods[1]), End::Pod(&all.pods[0]), 8080, "TCP").allowed;
        // The command tells its pod what to expect in its script: a call that arrives ends it at once, or three that do not.
        let script = json::text(caller, "/spec/containers/0/command/2");
        let expected = if script.contains("cut=") { !arrives } else { arrives };
        let (phase, code) = if expected { ("Succeeded", 0) } else { ("Failed", 3) };
        let mut container = caller["status"]["containerStatuses"][0].clone();
        container["state"] = json!({"terminated": {"exitCode": code}});
        let phase = json!({"status": {"phase": phase, "containerStatuses": [container]}});
        let api = t.space.api(Kind::Pod);
        let _ = api.patch_status(json::name(caller), &PatchParams::default(), &Patch::Merge(&phase)).await; // it may be gone
    }
}
