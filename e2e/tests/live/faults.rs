//! Things that go wrong between the operator and the API server, and end well.

use std::time::{Duration, Instant};

use e2e::proxy::Proxy;
use e2e::replicas::assert_no_dip;
use e2e::{Kind, eventually, json, live};
use serde_json::json;
use tokio::time::sleep;

use crate::stacks::{Dice, SOON, is_signal, one_of_each, operator_has_looked, stack};

// Watches expire in the middle of a rollout, again and again, and with them every call under way: it comes to its end, and then to rest.
#[test]
fn a_rollout_survives_relists_and_comes_to_rest() {
    live("faults_relist", async |t| {
        let audit = t.audit();
        let proxy = Proxy::start("faults_relist").await;
        let _operator = t.space.operator().kubeconfig(&proxy.kubeconfig).start();
        t.space.apply_object(&one_of_each("first")).await;
        t.space.wait_ready("first", SOON).await;
        let (mut dice, begun) = (Dice(7), Instant::now());
        for name in ["a", "b", "c"] {
            t.space
                .apply_object(&stack(name, &json!({name: {"image": "web:1", "ports": {"http": {"port": 80}}}})))
                .await;
            t.space.patch("first", json!({"spec": {"services": {"db": {"image": format!("db:{name}")}}}})).await;
            while begun.elapsed() < Duration::from_secs(6) {
                sleep(Duration::from_millis(50 + dice.roll(400))).await;
                proxy.expire_watches();
                if dice.roll(4) == 0 {
                    break;
                }
            }
        }
        for name in ["first", "a", "b", "c"] {
            t.space.wait_ready(name, SOON).await;
        }
        operator_has_looked(&t, "after").await;
        let mark = audit.mark().await;
        sleep(Duration::from_secs(2)).await;
        operator_has_looked(&t, "rested").await;
        audit.since(mark).await.without(is_signal).assert_none("at rest after relists");
    });
}

// Deleted and made again under its name while its status is being written: the new one gets its own children and its own status.
#[test]
fn a_stack_of_the_same_name_is_another_stack() {
    live("faults_same_name", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        for round in 0..6_u64 {
            let service = format!("svc{round}");
            t.space.apply_object(&stack("again", &json!({&service: {"image": "web:1", "replicas": 1}}))).await;
            sleep(Duration::from_millis(40 * round)).await;
            if round < 5 {
                t.space.delete(Kind::AppStack, "again").await;
            }
        }
        t.space.wait_ready("again", SOON).await;
        let live = t.space.get(Kind::AppStack, "again").await.expect("the last one");
        let services: Vec<&String> = live["status"]["services"].as_object().unwrap().keys().collect();
        assert_eq!(services, ["svc5"], "a status of its own");
        eventually(SOON, "the children of the earlier ones to be collected", async || {
            let children = t.space.children("again").await;
            let uid = |child: &serde_json::Value| child.pointer("/metadata/ownerReferences/0/uid").cloned();
            let left =
                children.iter().filter(|(_, child)| uid(child).as_ref() != Some(&live["metadata"]["uid"])).count();
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        })
        .await;
        t.space.wait_ready("again", SOON).await;
        operator_has_looked(&t, "after").await;
        let mark = audit.mark().await;
        sleep(Duration::from_secs(2)).await;
        audit.since(mark).await.without(is_signal).assert_none("at rest, with one stack of that name");
    });
}

// The stack and its children reach the operator by watches of their own: here it hears of the end of the stack last.
#[test]
fn a_stack_whose_end_is_told_late_starts_no_pods_again() {
    live("faults_told_late", async |t| {
        let proxy = Proxy::start("faults_told_late").await;
        let _operator = t.space.operator().kubeconfig(&proxy.kubeconfig).start();
        t.space.apply_object(&one_of_each("late")).await;
        t.space.wait_ready("late", SOON).await;
        proxy.hold("appstacks");
        t.space.delete(Kind::AppStack, "late").await;
        eventually(SOON, "the workloads to be collected", async || {
            let left = t.space.list(Kind::Deployment).await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        })
        .await;
        sleep(Duration::from_secs(4)).await; // in which it tries more than once
        let mut uids: Vec<String> = (t.observer.history().await.iter())
            .filter(|s| s.kind == Kind::Deployment && !is_signal(json::name(&s.object)))
            .map(|s| json::text(&s.object, "/metadata/uid").to_owned())
            .collect();
        uids.sort();
        uids.dedup();
        assert_eq!(uids.len(), 2, "one Deployment for each service, ever");
        proxy.release();
        operator_has_looked(&t, "told").await;
        let left = t.space.children("late").await;
        let left: Vec<&str> = left.iter().map(|(_, child)| json::name(child)).collect();
        assert_eq!(left, ["late-data"], "what is retained");
    });
}

// A Deployment that runs five pods and loses our label is taken back with five.
#[test]
fn a_workload_that_is_taken_back_keeps_its_pods() {
    live("faults_taken_back", async |t| {
        let _operator = t.space.operator().start();
        let web = json!({"image": "web:1", "resources": {"requests": {"cpu": "10m"}}, "autoscale": {"min": 2, "max": 6, "cpuPercent": 70}});
        t.space.apply_object(&stack("kept", &json!({"web": web}))).await;
        t.space.wait_ready("kept", SOON).await;
        t.space.edit(Kind::Deployment, "kept-web", json!({"spec": {"replicas": 5}})).await;
        t.space.wait_ready("kept", SOON).await;
        operator_has_looked(&t, "scaled").await;
        let strip = json!({"metadata": {"labels": {"appstack.dev/stack": null}}});
        let edited = t.space.edit(Kind::Deployment, "kept-web", strip).await;
        eventually(SOON, "the label to be put back", async || {
            let now = t.space.get(Kind::Deployment, "kept-web").await.ok_or("it is gone")?;
            if json::label(&now, "appstack.dev/stack") == "kept" { Ok(()) } else { Err(now["metadata"].to_string()) }
        })
        .await;
        operator_has_looked(&t, "taken back").await;
        let mut history = t.observer.of(Kind::Deployment, "kept-web").await;
        history.retain(|seen| seen.version >= json::version(&edited));
        assert_no_dip(&history, 5);
    });
}
