//! Who sets the number of pods: one owner at a time, and never fewer pods on the way from one to the other.

use std::time::Duration;

use e2e::audit::Request;
use e2e::cluster::Cluster;
use e2e::observer::Seen;
use e2e::replicas::{assert_no_dip, over_time};
use e2e::{Kind, Live, eventually, json, live};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stacks::{SOON, is_signal, operator_has_looked, stack};

const WEB: &str = "scale-web";

fn scaled(count: &Value) -> Value {
    let mut web = json!({"image": "web:1", "resources": {"requests": {"cpu": "10m"}}});
    web.as_object_mut().unwrap().extend(count.as_object().unwrap().clone());
    stack("scale", &json!({"web": web}))
}

fn automatic(min: u32, max: u32) -> Value {
    json!({"autoscale": {"min": min, "max": max, "cpuPercent": 70}})
}

// "HPA and replicas: scale by hand under an HPA, reconcile ten times: count unchanged."
#[test]
fn a_count_set_under_an_autoscaler_stays() {
    live("autoscale_by_hand", async |t| {
        let audit = t.audit();
        let mut operator = t.space.operator().start();
        t.space.apply_object(&scaled(&automatic(2, 6))).await;
        t.space.wait_ready("scale", SOON).await;
        assert_eq!(wanted(&t).await, 2, "created with the fewest pods allowed");

        scale(&t, 4).await;
        // Ready it was before as well: what is to be said of four pods has been said.
        eventually(SOON, "the status to tell of four pods", async || {
            let web = t.space.status("scale").await["services"]["web"].clone();
            if web["state"] == "Ready" && web["ready"] == 4 { Ok(()) } else { Err(web.to_string()) }
        })
        .await;
        operator_has_looked(&t, "scaled").await;
        let mark = audit.mark().await;
        for n in 0..10 {
            t.space.touch("scale", &n.to_string()).await;
            operator_has_looked(&t, &n.to_string()).await;
            stays(&t, 4, &format!("after reconcile {n}")).await;
        }
        operator.restart();
        operator_has_looked(&t, "restarted").await;
        // A change of the definition is written, and leaves the count alone all the same.
        let mut requests = audit.since(mark).await.without(is_signal);
        if Cluster::get().real {
            // The autoscaler may have set another count by now, which the status tells, and an event.
            requests.acts.retain(Request::is_child_write);
        }
        requests.assert_none("ten reconciles and a restart under an autoscaler");
        t.space.patch("scale", json!({"spec": {"services": {"web": {"image": "web:2"}}}})).await;
        t.space.wait_ready("scale", SOON).await;
        stays(&t, 4, "after a rollout").await;
        assert!(!owns_count(&t).await, "the operator must not state a count that the autoscaler owns");
        assert_no_dip(&t.observer.of(Kind::Deployment, WEB).await, 2);
    });
}

// "Turn `autoscale` on and off: an observer sees no dip."
#[test]
fn autoscaling_goes_on_and_off_without_a_dip() {
    live("autoscale_on_off", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&scaled(&json!({"replicas": 4}))).await;
        t.space.wait_ready("scale", SOON).await;

        t.space.apply_object(&scaled(&automatic(2, 6))).await;
        autoscaler(&t, true).await;
        t.space.wait_ready("scale", SOON).await;
        settle().await;
        assert_eq!(wanted(&t).await, 4, "turning it on keeps the count");

        t.space.apply_object(&scaled(&json!({"replicas": 4}))).await;
        autoscaler(&t, false).await;
        t.space.wait_ready("scale", SOON).await;
        settle().await;
        assert_eq!(wanted(&t).await, 4, "turning it off states the wanted count");
        assert!(owns_count(&t).await, "the count is the operator's again");

        t.space.apply_object(&scaled(&automatic(5, 6))).await;
        eventually(SOON, "the autoscaler to raise the count to its least", async || match wanted(&t).await {
            5 => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
        t.space.wait_ready("scale", SOON).await;
        // Off without a count of its own: the live one stays.
        t.space.apply_object(&scaled(&json!({}))).await;
        autoscaler(&t, false).await;
        t.space.wait_ready("scale", SOON).await;
        settle().await;
        assert_eq!(wanted(&t).await, 5, "turning it off without a count keeps the live one");

        let history = t.observer.of(Kind::Deployment, WEB).await;
        println!("counts over time: {:?}", over_time(&history));
        assert_no_dip(&history, 4);

        t.space.apply_object(&scaled(&json!({"replicas": 3}))).await;
        t.space.wait_ready("scale", SOON).await;
        assert_eq!(wanted(&t).await, 3, "and a count that is stated afterwards is obeyed");
    });
}

async fn wanted(t: &Live) -> i64 {
    json::number(&t.space.get(Kind::Deployment, WEB).await.expect("the Deployment"), "/spec/replicas")
}

/// As `kubectl scale`.
async fn scale(t: &Live, count: u32) {
    let patch = Patch::Merge(json!({"spec": {"replicas": count}}));
    let how = PatchParams { field_manager: Some("e2e-scale".into()), ..PatchParams::default() };
    t.space.api(Kind::Deployment).patch_scale(WEB, &how, &patch).await.expect("scaling");
}

async fn autoscaler(t: &Live, there: bool) {
    eventually(SOON, &format!("an autoscaler to be there: {there}"), async || {
        let found = t.space.get(Kind::HorizontalPodAutoscaler, WEB).await;
        if found.is_some() == there { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// The count is as somebody else has set it. Where nodes are real, so is the autoscaler, which may set another one; then
/// whoever set it was not the operator.
async fn stays(t: &Live, count: i64, when: &str) {
    if !Cluster::get().real {
        assert_eq!(wanted(t).await, count, "{when}");
        return;
    }
    let history = t.observer.of(Kind::Deployment, WEB).await;
    let count = |seen: &Seen| json::number(&seen.object, "/spec/replicas");
    for pair in history.windows(2).filter(|pair| count(&pair[0]) != count(&pair[1])) {
        assert!(!states_count(&pair[1].object), "{when}: the operator has set {}", count(&pair[1]));
    }
}

/// Whether the operator's entry in `managedFields` says that the count is its own.
async fn owns_count(t: &Live) -> bool {
    states_count(&t.space.get(Kind::Deployment, WEB).await.expect("the Deployment"))
}

fn states_count(deployment: &Value) -> bool {
    let mut entries = json::items(deployment, "/metadata/managedFields");
    entries.any(|e| e["manager"] == "appstack" && e.pointer("/fieldsV1/f:spec/f:replicas").is_some())
}

/// A dip would come within this time, from the autoscaler's next sync or a late write.
async fn settle() {
    sleep(Duration::from_secs(1)).await;
}
