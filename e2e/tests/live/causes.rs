//! Fail-fast with a cause: what ails a service is named on it and on every service behind it, soon after a child shows it, with an event; and it heals.

use std::time::Duration;

use e2e::observer::Seen;
use e2e::{Kind, Live, eventually, json, live};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::pod_security::label;
use crate::stacks::{SOON, service, stack};

/// From the child that shows it to a status that names it, everywhere.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// front waits for mid, which waits for what is in trouble.
fn behind(trouble: &Value) -> Value {
    let mut all =
        json!({"mid": service("mid:1", 50, &[]), "front": service("front:1", 50, &["mid"]), "trouble": trouble});
    all["mid"]["dependsOn"] = json!({"trouble": {}});
    stack("shop", &all)
}

/// Whether a version of the stack names the reason on all three, with the way to it.
fn is_named(stack: &Value, reason: &str) -> bool {
    let said = |service: &str| stack["status"]["services"][service].to_string();
    let way = |service: &str, next: &str| said(service).contains(reason) && said(service).contains(next);
    said("trouble").contains(reason)
        && way("mid", "trouble")
        && way("front", "mid")
        && way("front", "which waits for trouble")
}

/// Waits until it is named, and holds the time against the first child that showed it.
async fn named(t: &Live, reason: &str, shows: impl Fn(&Seen) -> bool) {
    eventually(SOON, &format!("{reason} to be named on all three"), async || {
        let live = t.space.get(Kind::AppStack, "shop").await.unwrap_or_default();
        if is_named(&live, reason) { Ok(()) } else { Err(format!("{:#}", live["status"]["services"])) }
    })
    .await;
    let history = t.observer.history().await;
    let child = history.iter().find(|s| shows(s)).unwrap_or_else(|| panic!("no child shows {reason}"));
    let said = history.iter().find(|s| s.kind == Kind::AppStack && is_named(&s.object, reason)).expect("a version");
    let took = said.at.saturating_duration_since(child.at);
    println!("{reason}: named on all three {took:.1?} after {} {} shows it", child.kind, json::name(&child.object));
    assert!(took <= NAMED_WITHIN, "{reason} was named after {took:?}");
    let told = if reason == "ProgressDeadlineExceeded" { "RolloutFailed" } else { reason };
    eventually(Duration::from_secs(5), &format!("an event {told}"), async || {
        let events = t.space.list(Kind::Event).await;
        let ours = |e: &&Value| json::text(e, "/involvedObject/kind") == "AppStack" && json::text(e, "/reason") == told;
        let about = |e: &Value| json::text(e, "/message").starts_with("trouble: ") && e["type"] == "Warning";
        let found: Vec<&Value> = events.iter().filter(ours).collect();
        if found.iter().any(|e| about(e)) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

fn waits_with(seen: &Seen, reason: &str) -> bool {
    seen.kind == Kind::Pod && json::text(&seen.object, "/status/containerStatuses/0/state/waiting/reason") == reason
}

#[test]
fn a_missing_image_is_named_on_all_behind_it_and_heals() {
    live("causes_image", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&behind(&json!({"image": "db:1", "env": {"SIM_MODE": "image-pull-error"}}))).await;
        named(&t, "ImagePullBackOff", |s| waits_with(s, "ImagePullBackOff")).await;
        let pods = t.space.list(Kind::Pod).await;
        let there = json!({"metadata": {"annotations": {"sim.appstack.dev/mode": "none"}}});
        t.space.edit(Kind::Pod, json::name(&pods[0]), there).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

#[test]
fn a_failed_job_is_named_on_all_behind_it_and_heals() {
    live("causes_job", async |t| {
        let _operator = t.space.operator().start();
        let job = json!({"image": "seed:1", "mode": "Job", "env": {"SIM_FAIL_TIMES": "1", "SIM_RUN_FOR": "100ms"}});
        t.space.apply_object(&behind(&job)).await;
        named(&t, "JobFailed", |s| s.kind == Kind::Job && json::holds(&s.object, "Failed")).await;
        let jobs = t.space.list(Kind::Job).await;
        let again = json!({"image": "seed:2", "env": {"SIM_FAIL_TIMES": null}});
        t.space.patch("shop", json!({"spec": {"services": {"trouble": again}}})).await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(jobs.len(), 1);
    });
}

#[test]
fn a_passed_deadline_is_named_on_all_behind_it_and_heals() {
    live("causes_deadline", async |t| {
        let _operator = t.space.operator().start();
        let stuck = json!({"image": "db:1", "update": {"deadline": "3s"}, "env": {"SIM_MODE": "never-ready"}});
        t.space.apply_object(&behind(&stuck)).await;
        let overdue = |s: &Seen| {
            let said = json::condition(&s.object, "Progressing");
            s.kind == Kind::Deployment && said.is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded")
        };
        named(&t, "ProgressDeadlineExceeded", overdue).await;
        let pods = t.space.list(Kind::Pod).await;
        let well = json!({"metadata": {"annotations": {"sim.appstack.dev/mode": "none"}}});
        t.space.edit(Kind::Pod, json::name(&pods[0]), well).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

#[test]
fn a_pod_that_no_node_takes_is_named_on_all_behind_it_and_heals() {
    live("causes_unschedulable", async |t| {
        let _operator = t.space.operator().start();
        let room = format!("e2e/{}", t.space.name);
        t.space.apply_object(&behind(&json!({"image": "db:1", "nodeSelector": {&room: "yes"}}))).await;
        let unschedulable = |s: &Seen| {
            let said = json::condition(&s.object, "PodScheduled");
            s.kind == Kind::Pod && said.is_some_and(|c| c["reason"] == "Unschedulable")
        };
        named(&t, "Unschedulable", unschedulable).await;
        let nodes: Api<DynamicObject> =
            Api::all_with(t.space.client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node")));
        let name = "node-0";
        let labels = json!({"metadata": {"labels": {&room: "yes"}}});
        nodes.patch(name, &PatchParams::default(), &Patch::Merge(&labels)).await.expect("a node");
        t.space.wait_ready("shop", SOON).await;
        let labels = json!({"metadata": {"labels": {&room: null}}});
        nodes.patch(name, &PatchParams::default(), &Patch::Merge(&labels)).await.expect("a node");
    });
}

#[test]
fn an_exceeded_quota_is_named_on_all_behind_it_and_heals() {
    live("causes_quota", async |t| {
        let quota = |pods: &str| json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": pods}}});
        t.space.apply_object(&quota("0")).await;
        let _operator = t.space.operator().start();
        t.space.apply_object(&behind(&json!({"image": "db:1"}))).await;
        named(&t, "FailedCreate", |s| refused(s, "exceeded quota")).await;
        t.space.apply_object(&quota("10")).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

#[test]
fn a_refusal_by_pod_security_is_named_on_all_behind_it_and_heals() {
    live("causes_security", async |t| {
        label(&t.space.client, &t.space.name, &json!("restricted")).await;
        let _operator = t.space.operator().start();
        t.space.apply_object(&behind(&json!({"image": "db:1"}))).await;
        named(&t, "FailedCreate", |s| refused(s, "violates PodSecurity")).await;
        label(&t.space.client, &t.space.name, &json!("privileged")).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

fn refused(seen: &Seen, why: &str) -> bool {
    let said = json::condition(&seen.object, "ReplicaFailure");
    seen.kind == Kind::Deployment && said.is_some_and(|c| json::text(c, "/message").contains(why))
}
