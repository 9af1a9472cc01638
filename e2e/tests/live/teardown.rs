//! `teardown: Ordered`: a stack goes in reverse order of its dependencies, and is never kept from going.

use std::time::{Duration, Instant};

use e2e::cluster::Cluster;
use e2e::observer::Seen;
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, operator_has_looked, service, stack};

/// From the delete to the end, of a stack whose pods go at once; where nodes are real, theirs go one kubelet's round after the other.
fn bound() -> Duration {
    Duration::from_secs(if Cluster::get().real { 60 } else { 20 })
}
const FINALIZER: &str = "appstack.dev/teardown";

/// `web` waits for `api` waits for `db`; `aside` for nobody. One claim stays, one goes.
fn shop(teardown: &str) -> Value {
    let mut shop = stack(
        "shop",
        &json!({
            "db": service("db:1", 100, &[]), "api": service("api:1", 100, &["db"]), "web": service("web:1", 100, &["api"]),
            "aside": service("aside:1", 100, &[]),
        }),
    );
    shop["spec"]["teardown"] = json!(teardown);
    shop["spec"]["volumes"] = json!({"data": {"size": "1Gi"}, "scratch": {"size": "1Gi", "retention": "Delete"}});
    shop["spec"]["services"]["db"]["mounts"] = json!({"/data": {"volume": "data"}, "/scratch": {"volume": "scratch"}});
    shop["spec"]["services"]["api"]["replicas"] = json!(2);
    shop["spec"]["services"]["web"]["autoscale"] = json!({"min": 2, "max": 4, "cpuPercent": 70});
    shop["spec"]["services"]["web"]["resources"] = json!({"requests": {"cpu": "100m"}});
    shop
}

const EDGES: [(&str, &str); 2] = [("web", "api"), ("api", "db")];

async fn up(t: &Live, teardown: &str) {
    t.space.apply_object(&shop(teardown)).await;
    t.space.wait_ready("shop", SOON).await;
}

fn finalizers(stack: &Value) -> Vec<&str> {
    json::items(stack, "/metadata/finalizers").filter_map(Value::as_str).collect()
}

async fn gone(t: &Live, what: &str) {
    eventually(SOON, what, async || match t.space.get(Kind::AppStack, "shop").await {
        None => Ok(()),
        Some(stack) => Err(format!("{:?} {:#}", finalizers(&stack), stack["status"])),
    })
    .await;
}

/// Versions at which objects of a kind, whose service is this one where one is given, were deleted, or marked for it.
fn deletions(history: &[Seen], kind: Kind, service: Option<&str>, marked: bool) -> Vec<u64> {
    let is = |seen: &&Seen| {
        seen.kind == kind
            && service.is_none_or(|s| json::label(&seen.object, "appstack.dev/service") == s)
            && (seen.deleted || (marked && seen.object.pointer("/metadata/deletionTimestamp").is_some()))
    };
    history.iter().filter(is).map(|seen| seen.version).collect()
}

fn assert_in_order(history: &[Seen]) {
    for (dependant, dependency) in EDGES {
        let pods = deletions(history, Kind::Pod, Some(dependant), false);
        let workload = deletions(history, Kind::Deployment, Some(dependency), true);
        let (last, first) = (pods.iter().max().unwrap(), workload.iter().min().unwrap());
        assert!(last < first, "{dependency} was deleted at {first}, the last pod of {dependant} went at {last}");
    }
    let last_pod = *deletions(history, Kind::Pod, None, false).iter().max().unwrap();
    for kind in [Kind::NetworkPolicy, Kind::Service, Kind::PersistentVolumeClaim] {
        let first = *deletions(history, kind, None, true).iter().min().unwrap();
        assert!(last_pod < first, "{kind} at {first}, the last pod at {last_pod}");
    }
    let walls = *deletions(history, Kind::NetworkPolicy, None, true).iter().min().unwrap();
    for kind in [Kind::Service, Kind::PersistentVolumeClaim] {
        let last = *deletions(history, kind, None, false).iter().max().unwrap();
        assert!(last < walls, "the walls at {walls}, a {kind} at {last}");
    }
    let autoscaler = *deletions(history, Kind::HorizontalPodAutoscaler, None, true).iter().min().unwrap();
    let scaled = *deletions(history, Kind::Deployment, Some("web"), true).iter().min().unwrap();
    assert!(autoscaler < scaled, "the autoscaler goes before what it scales");
}

#[test]
fn a_stack_goes_in_reverse_order_and_its_walls_last() {
    live("teardown_order", async |t| {
        let _operator = t.space.operator().start();
        up(&t, "Ordered").await;
        let mark = t.audit().mark().await;
        operator_has_looked(&t, "held").await;
        t.audit().since(mark).await.without(crate::stacks::is_signal).assert_none("a held stack that is converged");
        let before = t.space.get(Kind::AppStack, "shop").await.unwrap();
        assert_eq!(finalizers(&before), [FINALIZER]);
        assert_eq!(before["metadata"]["generation"], 1, "nothing of the spec was written");

        let begin = Instant::now();
        t.space.delete(Kind::AppStack, "shop").await;
        gone(&t, "the stack to be gone").await;
        println!("gone after {:.1?}", begin.elapsed());
        assert!(begin.elapsed() < bound(), "{:?}", begin.elapsed());

        let history = t.observer.history().await;
        let ours: Vec<Seen> = history
            .into_iter()
            .filter(|seen| json::label(&seen.object, "appstack.dev/stack") == "shop" || seen.kind == Kind::AppStack)
            .collect();
        assert_in_order(&ours);
        let statuses: Vec<&Value> = ours
            .iter()
            .filter(|seen| seen.kind == Kind::AppStack && json::name(&seen.object) == "shop")
            .map(|seen| &seen.object["status"])
            .collect();
        let reasons = statuses.iter().flat_map(|s| json::items(s, "/conditions")).map(|c| json::text(c, "/reason"));
        assert!(reasons.into_iter().any(|reason| reason == "TearingDown"));
        let left = t.space.children("shop").await;
        let left: Vec<&str> = left.iter().map(|(_, object)| json::name(object)).collect();
        assert_eq!(left, ["shop-data"], "what is retained stays");
        let events = t.space.events().await;
        assert!(events.contains("TearingDown"), "{events}");
    });
}

#[test]
fn an_operator_that_is_killed_in_the_middle_goes_on_where_it_was() {
    live("teardown_killed", async |t| {
        let mut operator = t.space.operator().start();
        up(&t, "Ordered").await;
        hold_pod(&t, "api").await;
        t.space.delete(Kind::AppStack, "shop").await;
        eventually(SOON, "web to be gone and api to be going", async || {
            let held = t.space.list(Kind::Pod).await;
            let is = |service: &str| held.iter().any(|pod| json::label(pod, "appstack.dev/service") == service);
            let going = held.iter().any(|pod| pod.pointer("/metadata/deletionTimestamp").is_some());
            if !is("web") && going { Ok(()) } else { Err(format!("{} pods", held.len())) }
        })
        .await;
        operator.kill();
        release_pods(&t).await;
        operator.start_again();
        gone(&t, "the next operator to go on").await;
        let history = t.observer.history().await;
        assert_in_order(&history);
    });
}

#[test]
fn a_stuck_pod_is_named_and_left_to_whoever_holds_it() {
    live("teardown_stuck", async |t| {
        let _operator = t.space.operator().start();
        up(&t, "Ordered").await;
        let pod = hold_pod(&t, "web").await;
        t.space.delete(Kind::AppStack, "shop").await;
        let status = eventually(SOON, "the pod to be named", async || {
            let status = t.space.status("shop").await;
            let said = json::text(&status, "/services/web/message").contains("their.example/hold");
            if said { Ok(status) } else { Err(format!("{status:#}")) }
        })
        .await;
        let said = format!("Pod '{pod}' is held by finalizer their.example/hold");
        println!("{}", json::text(&status, "/waitingOn"));
        assert!(json::text(&status, "/waitingOn").contains(&said), "{status:#}");
        assert_eq!(status["services"]["web"]["reason"], "HeldByFinalizer");
        assert_eq!(status["services"]["api"]["waitingOn"], "web's pods");
        assert_eq!(status["services"]["api"]["message"], "waits for web's pods to go");
        assert_eq!(status["services"]["db"]["message"], "waits for api's pods to go");
        let mark = t.audit().mark().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let asked = t.audit().since(mark).await;
        assert!(asked.child_writes().is_empty(), "nothing is forced: {asked}");
        let held = t.space.get(Kind::Pod, &pod).await.expect("the pod is there");
        assert_eq!(finalizers(&held), ["their.example/hold"]);
        assert!(t.space.get(Kind::Deployment, "shop-api").await.is_some(), "and whom it depends on");

        let begin = Instant::now();
        release_pods(&t).await;
        gone(&t, "the rest to go").await;
        assert!(begin.elapsed() < bound(), "{:?}", begin.elapsed());
        let events = t.space.events().await;
        assert!(events.contains("HeldByFinalizer"), "{events}");
    });
}

// Children are watched by the stack's label. Who owns them decides all the same.
#[test]
fn a_workload_that_lost_its_label_goes_in_its_turn_and_nobody_waits_for_its_pods_forever() {
    live("teardown_unlabelled", async |t| {
        let mut operator = t.space.operator().start();
        up(&t, "Ordered").await;
        operator.stop(); // or the label would be put back
        for kind in ["shop-api", "shop-db"] {
            let gone = json!({"metadata": {"labels": {"appstack.dev/stack": null}}});
            t.space.edit(Kind::Deployment, kind, gone).await;
        }
        t.space.delete(Kind::AppStack, "shop").await;
        let begin = Instant::now();
        operator.start_again();
        gone(&t, "the stack to be gone").await;
        t.shows(format!("gone after {:.1?}", begin.elapsed()));
        for workload in ["shop-web", "shop-api", "shop-db"] {
            assert!(t.space.get(Kind::Deployment, workload).await.is_none(), "{workload}");
        }
        assert_in_order(&t.observer.history().await);
    });
}

#[test]
fn a_workload_that_somebody_has_taken_out_of_the_stack_is_left_to_him() {
    live("teardown_taken", async |t| {
        let mut operator = t.space.operator().start();
        up(&t, "Ordered").await;
        operator.stop();
        let taken = json!({"metadata": {"labels": {"appstack.dev/stack": null}, "ownerReferences": null}});
        t.space.edit(Kind::Deployment, "shop-web", taken).await;
        t.space.delete(Kind::AppStack, "shop").await;
        operator.start_again();
        gone(&t, "the stack to be gone").await;
        assert!(t.space.get(Kind::Deployment, "shop-web").await.is_some(), "it is his now");
        let pods = t.space.list(Kind::Pod).await;
        let going = |pod: &&Value| pod.pointer("/metadata/deletionTimestamp").is_some();
        let his = pods.iter().filter(|pod| json::label(pod, "appstack.dev/service") == "web");
        assert!(his.clone().count() > 0 && !his.clone().any(|pod| going(&pod)), "{} of {}", his.count(), pods.len());
        t.space.delete(Kind::Deployment, "shop-web").await; // walls and names are gone: nothing more to see
    });
}

#[test]
fn a_stack_that_goes_at_once_needs_no_operator() {
    live("teardown_immediate", async |t| {
        let mut operator = t.space.operator().start();
        up(&t, "Immediate").await;
        let live = t.space.get(Kind::AppStack, "shop").await.unwrap();
        assert!(finalizers(&live).is_empty());
        operator.stop();
        t.space.delete(Kind::AppStack, "shop").await;
        gone(&t, "the stack to be gone").await;
    });
}

#[test]
fn a_stack_that_must_not_be_waited_for_is_let_go_at_once() {
    // What is changed while it is on its way out, and how it is said.
    let cases = [
        ("teardown_now_immediate", json!({"spec": {"teardown": "Immediate"}})),
        ("teardown_suspended", json!({"spec": {"suspend": true}})),
        ("teardown_invalid", json!({"spec": {"services": {"db": {"dependsOn": {"web": {}}}}}})),
    ];
    for (test, change) in cases {
        live(test, async |t| {
            let _operator = t.space.operator().start();
            up(&t, "Ordered").await;
            hold_pod(&t, "web").await;
            t.space.delete(Kind::AppStack, "shop").await;
            eventually(SOON, "the order to hold it up", async || {
                let status = t.space.status("shop").await;
                if status["services"]["web"]["reason"] == "HeldByFinalizer" { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
            t.space.patch("shop", change.clone()).await;
            let begin = Instant::now();
            gone(&t, "the stack to be let go").await;
            assert!(begin.elapsed() < Duration::from_secs(5), "{test}: {:?}", begin.elapsed());
            release_pods(&t).await;
        });
    }
}

#[test]
fn a_namespace_goes_with_its_stacks_whatever_their_order() {
    live("teardown_namespace", async |t| {
        let _operator = t.space.operator().start();
        up(&t, "Ordered").await;
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(t.space.client.clone());
        let begin = Instant::now();
        namespaces.delete(&t.space.name, &kube::api::DeleteParams::default()).await.expect("a delete");
        eventually(SOON, "the namespace to be gone", async || match namespaces.get_opt(&t.space.name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|ns| ns.and_then(|ns| ns.status)))),
        })
        .await;
        println!("namespace gone after {:.1?}", begin.elapsed());
    });
}

/// Somebody holds a pod of a service; returns its name.
async fn hold_pod(t: &Live, service: &str) -> String {
    let pods = t.space.list(Kind::Pod).await;
    let pod = pods.iter().find(|pod| json::label(pod, "appstack.dev/service") == service).expect("a pod");
    let name = json::name(pod).to_owned();
    t.space.edit(Kind::Pod, &name, json!({"metadata": {"finalizers": ["their.example/hold"]}})).await;
    name
}

/// Whoever held them lets go.
async fn release_pods(t: &Live) {
    for pod in t.space.list(Kind::Pod).await {
        if pod.pointer("/metadata/finalizers").is_some() {
            t.space.edit(Kind::Pod, json::name(&pod), json!({"metadata": {"finalizers": null}})).await;
        }
    }
}
