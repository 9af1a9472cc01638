//! A stack that goes in order, as a conversation.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Fake, NAMESPACE, Sent};
use crate::child::{Kind, labels};
use crate::controller::queue::Outcome;

fn spec(teardown: &str) -> Value {
    json!({"teardown": teardown, "services": {
        "db": {"image": "db:1"},
        "web": {"image": "web:1", "dependsOn": {"db": {}}, "autoscale": {"min": 1, "max": 3, "cpuPercent": 70}, "resources": {"requests": {"cpu": "100m"}}},
    }})
}

fn calls(sent: &[Sent]) -> Vec<String> {
    sent.iter().filter(|s| !s.path.contains("/status")).map(|s| format!("{} {}", s.verb, s.path)).collect()
}

fn pod(service: &str, finalizers: &[&str], is_going: bool) -> Value {
    let mut pod = json!({"metadata": {"name": format!("s-{service}-1"), "namespace": "n", "uid": format!("pod-{service}"),
        "labels": {labels::STACK: "s", labels::SERVICE: service}, "annotations": {labels::REVISION: "x"}, "finalizers": finalizers,
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "x", "controller": true}]},
        "spec": {"containers": []}, "status": {}});
    if is_going {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    }
    pod
}

/// What somebody does to a stack that goes.
type Change = Box<dyn Fn(&Fake)>;

/// A converged stack, with a pod for each service.
async fn up(teardown: &str) -> Fake {
    let fake = Fake::new(&json!({"db": {"image": "db:1"}}));
    fake.write(1, &spec(teardown));
    fake.pass().await;
    fake.bring_up("s-db");
    fake.pass().await;
    fake.bring_up("s-web");
    for service in ["db", "web"] {
        fake.appears(Kind::Pod, &pod(service, &[], false));
    }
    fake.pass().await;
    assert!(fake.pass().await.0.is_empty(), "converged");
    fake
}

/// One pass, after which the watches tell what it did.
async fn pass(fake: &Fake) -> Vec<String> {
    let (sent, _) = fake.pass().await;
    fake.tell_of_deletions();
    calls(&sent)
}

const GET: &str = "GET /api/v1/namespaces/n";

#[tokio::test(start_paused = true)]
async fn a_stack_that_goes_in_order_is_held_before_anything_of_it_is_made_and_others_never_are() {
    let fake = Fake::new(&json!({"db": {"image": "db:1"}}));
    fake.write(1, &spec("Ordered"));
    let (sent, _) = fake.pass().await;
    assert_eq!(calls(&sent)[0], "PATCH appstacks/s");
    let text = sent[0].body.to_string();
    assert!(text.contains("/metadata/finalizers") && text.contains("uid-1") && !text.contains("spec"), "{text}");
    assert_eq!(fake.finalizers(), json!(["appstack.dev/teardown"]));
    assert!(calls(&fake.pass().await.0).is_empty(), "once");

    let fake = up("Immediate").await;
    assert_eq!(fake.finalizers(), Value::Null);
    fake.begin_deletion();
    assert!(fake.pass().await.0.is_empty(), "owner references take the children along");
}

#[tokio::test(start_paused = true)]
async fn services_go_in_reverse_order_with_their_pods_and_the_walls_go_last() {
    let fake = up("Ordered").await;
    fake.begin_deletion();
    assert_eq!(
        pass(&fake).await,
        [GET, "DELETE horizontalpodautoscalers/s-web", "DELETE deployments/s-web"],
        "the autoscaler before what it scales"
    );
    assert_eq!(fake.condition("Ready")["reason"], "TearingDown");
    assert_eq!(fake.condition("Reconciling")["reason"], "TearingDown");
    assert_eq!(fake.status()["waitingOn"], "db waits for web's pods to go");
    assert_eq!(fake.status()["services"]["db"]["state"], "Waiting");
    assert_eq!(fake.status()["services"]["web"]["state"], "Progressing");
    assert_eq!(pass(&fake).await, [GET], "the workload is gone, a pod of it is not");
    fake.goes("pods/s-web-1");
    assert_eq!(pass(&fake).await, [GET, "DELETE deployments/s-db"]);
    assert_eq!(fake.status()["summary"], "1/2");
    assert_eq!(fake.status()["services"]["web"]["state"], "Stopped");
    fake.goes("pods/s-db-1");
    let last = pass(&fake).await;
    assert_eq!(last[1..], ["DELETE services/db", "DELETE services/web", "DELETE poddisruptionbudgets/s-web"]);
    let last = pass(&fake).await;
    assert!(last[1..].iter().all(|call| call.starts_with("DELETE networkpolicies/")) && last.len() > 1, "{last:?}");
    assert_eq!(pass(&fake).await, [GET, "PATCH appstacks/s"]);
    assert!(!fake.state.lock().unwrap().objects.contains_key("appstacks/s"), "gone");
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_in_the_middle_goes_on() {
    let fake = up("Ordered").await;
    fake.begin_deletion();
    pass(&fake).await;
    fake.context.memories.lock().unwrap().clear();
    fake.goes("pods/s-web-1");
    assert_eq!(pass(&fake).await, [GET, "DELETE deployments/s-db"]);
}

/// The pod of `web` is one of its Deployment's.
fn pod_of_web() -> Value {
    let mut pod = pod("web", &[], false);
    pod["metadata"]["ownerReferences"][0]["name"] = json!("s-web-7d4b9c6f5");
    pod
}

// Watches go by the stack's label. Without it a workload is not seen, and its pods would be waited for forever.
#[tokio::test(start_paused = true)]
async fn a_workload_that_lost_the_label_is_looked_for_and_deleted_in_its_turn() {
    let fake = up("Ordered").await;
    fake.appears(Kind::Pod, &pod_of_web());
    fake.begin_deletion();
    fake.loses_labels(Kind::Deployment, "s-web");
    let look = "GET deployments/s-web";
    assert_eq!(
        pass(&fake).await,
        [GET, look, "DELETE horizontalpodautoscalers/s-web", look, "DELETE deployments/s-web"],
        "by its owner, and only then"
    );
    assert_eq!(pass(&fake).await, [GET], "it is gone, and its pod will be");
    fake.goes("pods/s-web-1");
    assert_eq!(pass(&fake).await, [GET, "DELETE deployments/s-db"]);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_seen_is_not_looked_for_even_when_it_is_gone_before_its_pods() {
    let fake = up("Ordered").await;
    fake.appears(Kind::Pod, &pod_of_web());
    fake.begin_deletion();
    let first = pass(&fake).await;
    assert_eq!(first[1..], ["DELETE horizontalpodautoscalers/s-web", "DELETE deployments/s-web"]);
    assert_eq!(pass(&fake).await, [GET]);
    // Whoever takes over does not know who has deleted it, and asks once.
    fake.context.memories.lock().unwrap().clear();
    assert_eq!(pass(&fake).await, [GET, "GET deployments/s-web"]);
    assert_eq!(pass(&fake).await, [GET]);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_somebody_has_taken_over_is_left_to_him_with_its_pods() {
    let fake = up("Ordered").await;
    fake.appears(Kind::Pod, &pod_of_web());
    fake.begin_deletion();
    let place = "deployments/s-web";
    fake.state.lock().unwrap().objects.get_mut(place).unwrap()["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("ownerReferences");
    fake.loses_labels(Kind::Deployment, "s-web");
    let sent = pass(&fake).await;
    assert_eq!(sent[1..3], ["GET deployments/s-web", "DELETE deployments/s-db"], "web is none of this stack's");
    fake.goes("pods/s-db-1");
    for _ in 0..4 {
        pass(&fake).await;
    }
    let state = fake.state.lock().unwrap();
    assert!(!state.objects.contains_key("appstacks/s"), "let go");
    assert!(state.objects.contains_key(place) && state.objects.contains_key("pods/s-web-1"), "and nothing of his");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_tried_again() {
    let fake = up("Ordered").await;
    fake.appears(Kind::Pod, &pod_of_web());
    fake.begin_deletion();
    fake.loses_labels(Kind::Deployment, "s-web");
    fake.fail(&[("GET deployments/s-web", 1, 500, "not now")]);
    let (sent, outcome) = fake.pass().await;
    assert_eq!(calls(&sent), [GET, "GET deployments/s-web"]);
    assert!(matches!(outcome, Outcome::Failed), "{outcome:?}");
    assert!(pass(&fake).await.contains(&"DELETE deployments/s-web".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_holds_back_what_comes_after_it_and_is_tried_again() {
    for code in [409, 500] {
        let fake = up("Ordered").await;
        fake.begin_deletion();
        fake.fail(&[("DELETE horizontalpodautoscalers/s-web", 1, code, "not now")]);
        let (sent, outcome) = fake.pass().await;
        assert_eq!(calls(&sent), [GET, "DELETE horizontalpodautoscalers/s-web"], "{code}");
        assert!(matches!(outcome, Outcome::At(_)), "{code}: {outcome:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(pass(&fake).await.len(), 3, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_finalizer_is_named_and_never_taken_off() {
    let fake = up("Ordered").await;
    fake.begin_deletion();
    pass(&fake).await;
    fake.appears(Kind::Pod, &pod("web", &["their.example/hold", "batch.kubernetes.io/job-tracking"], true));
    assert_eq!(pass(&fake).await, [GET]);
    let said = "Pod 's-web-1' is held by finalizer their.example/hold";
    assert!(fake.status()["services"]["web"]["message"].as_str().unwrap().starts_with(said));
    assert_eq!(fake.status()["services"]["web"]["reason"], "HeldByFinalizer");
    assert!(fake.status()["waitingOn"].as_str().unwrap().contains(said));
    assert!(fake.condition("Ready")["message"].as_str().unwrap().contains(said));
    assert!(fake.told().contains(&"HeldByFinalizer".to_owned()));
    assert!(calls(&fake.pass().await.0).iter().all(|call| call == GET), "nothing is forced");
    fake.goes("pods/s-web-1");
    assert_eq!(pass(&fake).await, [GET, "DELETE deployments/s-db"]);
    assert_eq!(fake.status()["services"]["web"]["reason"], Value::Null, "healed");
}

#[tokio::test(start_paused = true)]
async fn a_stack_is_let_go_at_once_where_order_is_not_to_be_had() {
    let going = json!({"metadata": {"name": "n", "deletionTimestamp": "2026-01-02T03:04:05Z"}});
    let edit = |spec: Value| -> Change { Box::new(move |fake| fake.write(2, &spec)) };
    let with = |key: &str, value: Value| {
        let mut spec = spec("Ordered");
        spec[key] = value;
        spec
    };
    let cases: Vec<(&str, Change)> = vec![
        ("now Immediate", edit(spec("Immediate"))),
        ("unset", edit(with("teardown", Value::Null))),
        ("suspended", edit(with("suspend", json!(true)))),
        ("invalid", edit(with("services", json!({"db": {"image": "db:1", "dependsOn": {"db": {}}}})))),
        ("undecodable", edit(with("services", json!("none")))),
        (
            "its namespace goes",
            Box::new(move |fake| drop(fake.state.lock().unwrap().objects.insert(NAMESPACE.into(), going.clone()))),
        ),
        ("its namespace is gone", Box::new(|fake| drop(fake.state.lock().unwrap().objects.remove(NAMESPACE)))),
        (
            "orphaned",
            Box::new(|fake| {
                fake.change_stack(|stack| stack["metadata"]["finalizers"] = json!(["orphan", "appstack.dev/teardown"]));
            }),
        ),
    ];
    for (case, change) in cases {
        for begun in [false, true] {
            let fake = up("Ordered").await;
            fake.begin_deletion();
            if begun {
                pass(&fake).await;
            }
            change(&fake);
            let (sent, _) = fake.pass().await;
            let calls: Vec<String> = calls(&sent).into_iter().filter(|call| call != GET).collect();
            assert_eq!(calls, ["PATCH appstacks/s"], "{case}");
            let stack = fake.state.lock().unwrap().objects.get("appstacks/s").cloned();
            assert!(stack.is_none_or(|stack| stack["metadata"]["finalizers"] == json!(["orphan"])), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_changes_its_mind_is_let_go_and_one_whose_finalizer_was_taken_is_held_again() {
    let fake = up("Ordered").await;
    fake.change_stack(|stack| stack["metadata"]["finalizers"] = json!(["their.example/other"]));
    assert_eq!(calls(&fake.pass().await.0), ["PATCH appstacks/s"]);
    assert_eq!(fake.finalizers(), json!(["their.example/other", "appstack.dev/teardown"]));
    fake.write(2, &spec("Immediate"));
    assert_eq!(calls(&fake.pass().await.0), ["PATCH appstacks/s"]);
    assert_eq!(fake.finalizers(), json!(["their.example/other"]));
}

// The namespace may take the operator's lease along before it takes the stack: then nobody is left to let it go.
#[tokio::test(start_paused = true)]
async fn a_stack_whose_namespace_goes_is_let_go_as_soon_as_that_is_known() {
    let fake = up("Ordered").await;
    let gone = "horizontalpodautoscalers/s-web";
    fake.goes(gone);
    fake.fail(&[(
        "PATCH horizontalpodautoscalers/s-web",
        1,
        403,
        "no new content in namespace n because it is being terminated",
    )]);
    assert_eq!(calls(&fake.pass().await.0), [format!("PATCH {gone}"), "PATCH appstacks/s".to_owned()]);
    assert_eq!(fake.finalizers(), json!([]));
    fake.pass().await;
    assert_eq!(fake.finalizers(), json!([]), "and not held again");
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_cannot_be_held_is_rolled_out_all_the_same_and_held_later() {
    let fake = Fake::new(&json!({"db": {"image": "db:1"}}));
    fake.write(1, &spec("Ordered"));
    fake.fail(&[("PATCH appstacks/s", 1, 403, "forbidden")]);
    fake.clear();
    let outcome = fake.look().await;
    assert!(matches!(outcome, Outcome::At(_)), "{outcome:?}");
    assert!(calls(&fake.sent()).contains(&"PATCH deployments/s-db".to_owned()));
    fake.look().await;
    let tries = |fake: &Fake| calls(&fake.sent()).iter().filter(|call| *call == "PATCH appstacks/s").count();
    assert_eq!(tries(&fake), 1, "not before it is due");
    tokio::time::sleep(Duration::from_secs(31)).await;
    fake.look().await;
    assert_eq!(tries(&fake), 2);
    assert_eq!(fake.finalizers(), json!(["appstack.dev/teardown"]));
    fake.settled().await;
}
