//! Design, section 9, as a conversation.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fake::{Fake, Sent};
use crate::controller::queue::Outcome;

fn two() -> Value {
    json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "ports": {"http": {"port": 80, "published": 80}}, "dependsOn": {"db": {}}}})
}

fn calls(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|s| format!("{} {}", s.verb, s.path)).collect()
}

fn writes_of<'a>(sent: &'a [Sent], place: &str) -> Vec<&'a Sent> {
    sent.iter().filter(|s| s.path == place).collect()
}

#[tokio::test(start_paused = true)]
async fn a_first_rollout_is_one_request_per_child_in_the_order_of_kinds_and_one_status() {
    let fake = Fake::new(&two());
    let (sent, outcome) = fake.pass().await;
    let kinds: Vec<&str> = sent.iter().map(|s| s.path.split('/').next().unwrap()).collect();
    assert_eq!(
        kinds,
        [vec!["networkpolicies"; 4], vec!["services"; 3], vec!["deployments"], vec!["appstacks"]].concat(),
        "{:?}",
        calls(&sent)
    );
    assert!(sent.iter().all(|s| s.verb == "PATCH"), "nothing is read, nothing listed");
    for child in sent.iter().filter(|s| !s.path.starts_with("appstacks")) {
        assert_eq!(child.body["metadata"]["resourceVersion"], "1", "created, or refused: {}", child.path);
    }
    assert_eq!(outcome, Outcome::Settled);
    assert_eq!(fake.status()["services"]["web"]["waitingOn"], "db (Healthy): 0/1 pods available");
    assert_eq!(fake.pass().await.0.len(), 0, "and nothing more until something happens");

    fake.bring_up("s-db");
    assert_eq!(calls(&fake.pass().await.0), ["PATCH deployments/s-web", "PATCH appstacks/s/status"]);
    fake.bring_up("s-web");
    assert_eq!(calls(&fake.pass().await.0), ["PATCH appstacks/s/status"]);
    assert_eq!(fake.condition("Ready")["status"], "True");
    assert_eq!(fake.status()["summary"], "2/2");
    assert!(fake.pass().await.0.is_empty(), "a converged stack costs nothing");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_looked_at_once_and_left_alone_until_it_is_due() {
    let fake = Fake::new(&two());
    let foreign = json!({"metadata": {"name": "db", "namespace": "n", "uid": "theirs", "resourceVersion": "7"}});
    fake.state.lock().unwrap().objects.insert("services/db".into(), foreign.clone());
    let (sent, outcome) = fake.pass().await;
    assert_eq!(
        calls(&sent).iter().filter(|c| c.ends_with("services/db")).collect::<Vec<_>>(),
        ["PATCH services/db", "GET services/db"]
    );
    assert!(writes_of(&sent, "deployments/s-db").is_empty(), "its pods would not be found");
    assert!(!writes_of(&sent, "services/web").is_empty(), "the others go on");
    assert_eq!(fake.state.lock().unwrap().objects["services/db"], foreign);
    assert_eq!(fake.status()["services"]["db"]["reason"], "NameConflict");
    assert!(fake.status()["services"]["db"]["message"].as_str().unwrap().contains("Service 'db'"));
    assert_eq!(fake.condition("Stalled")["status"], "True");
    assert!(matches!(outcome, Outcome::At(_)), "foreign objects give no event");
    assert!(fake.pass().await.0.is_empty(), "not before it is due");
}

#[tokio::test(start_paused = true)]
async fn a_child_of_ours_that_lost_its_labels_is_taken_back() {
    let fake = Fake::new(&two());
    let stripped = json!({"metadata": {"name": "db", "namespace": "n", "uid": "ours", "resourceVersion": "7",
        "ownerReferences": [{"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "name": "s", "uid": "uid-1", "controller": true}]}});
    fake.state.lock().unwrap().objects.insert("services/db".into(), stripped);
    let (sent, _) = fake.pass().await;
    let writes = writes_of(&sent, "services/db");
    assert_eq!(writes.iter().map(|s| s.verb.as_str()).collect::<Vec<_>>(), ["PATCH", "GET", "PATCH"]);
    assert_eq!(writes[2].body["metadata"]["uid"], "ours");
    assert_eq!(writes[2].body["metadata"].get("resourceVersion"), None);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_lost_its_labels_keeps_its_count() {
    // Who states `spec.replicas`, the count that the second apply states, and the version it is pinned to.
    let cases = [
        (json!({"manager": "appstack", "operation": "Apply"}), json!(5), json!("7")),
        (
            json!({"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale"}),
            Value::Null,
            Value::Null,
        ),
    ];
    for (mut owner, count, version) in cases {
        let fake = Fake::new(&json!({"db": {"image": "db:1", "replicas": 1}}));
        owner["fieldsV1"] = json!({"f:spec": {"f:replicas": {}}});
        let stripped = json!({"spec": {"replicas": 5}, "metadata": {"name": "s-db", "namespace": "n", "uid": "ours", "resourceVersion": "7",
            "managedFields": [owner], "annotations": {"appstack.dev/kept-replicas": "5"},
            "ownerReferences": [{"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "name": "s", "uid": "uid-1", "controller": true}]}});
        fake.state.lock().unwrap().objects.insert("deployments/s-db".into(), stripped);
        let (sent, _) = fake.pass().await;
        let writes = writes_of(&sent, "deployments/s-db");
        let (first, taken_back) = (&writes[0].body, &writes[2].body);
        assert_eq!(first["spec"]["replicas"], 1);
        assert_eq!(taken_back["metadata"]["uid"], "ours");
        assert_eq!(taken_back["spec"].get("replicas").unwrap_or(&Value::Null), &count);
        assert_eq!(taken_back["metadata"].get("resourceVersion").unwrap_or(&Value::Null), &version);
        assert_eq!(taken_back["metadata"]["annotations"]["appstack.dev/kept-replicas"], "5");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_said_and_not_tried_hot() {
    for (code, message) in
        [(422, "spec is invalid"), (403, "exceeded quota"), (500, "failed to create typed patch object (x)")]
    {
        let fake = Fake::new(&two());
        fake.fail(&[("deployments/s-db", 9, code, message)]);
        let (sent, outcome) = fake.pass().await;
        assert_eq!(writes_of(&sent, "deployments/s-db").len(), 1);
        assert!(matches!(outcome, Outcome::At(_)), "{code}: {outcome:?}");
        assert_eq!(fake.status()["services"]["db"]["reason"], "Refused");
        assert!(fake.status()["services"]["db"]["message"].as_str().unwrap().contains(message));
        assert_eq!(fake.status()["services"]["web"]["reason"], "DependencyFailed");
        assert!(fake.pass().await.0.is_empty());
        // Something else is wanted: tried at once.
        fake.fail(&[]);
        fake.write_stack(2, &json!({"db": {"image": "db:2"}}));
        assert_eq!(writes_of(&fake.pass().await.0, "deployments/s-db").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_holds_no_pass_for_longer_than_a_call_may_take() {
    let fake = Fake::new(&two());
    fake.fail(&[("networkpolicies/s-dns", 1, 0, "")]);
    let began = tokio::time::Instant::now();
    let (_, outcome) = fake.pass().await;
    assert!(matches!(outcome, Outcome::At(_)));
    assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_sends_nothing() {
    for until in [None, Some(Instant::now())] {
        let fake = Fake::led_until(&two(), until);
        let (sent, outcome) = fake.pass().await;
        assert!(sent.is_empty(), "{:?}", calls(&sent));
        assert_eq!(outcome, Outcome::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_goes_with_preconditions_once_all_is_quiet() {
    let fake = Fake::new(&two());
    fake.pass().await;
    fake.bring_up("s-db");
    fake.pass().await;
    fake.write_stack(2, &json!({"db": {"image": "db:1"}}));
    let (sent, _) = fake.pass().await;
    let deletes: Vec<&Sent> = sent.iter().filter(|s| s.verb == "DELETE").collect();
    let places: Vec<&str> = deletes.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(places, ["networkpolicies/s-pub-web", "services/web", "services/web-published", "deployments/s-web"]);
    for delete in deletes {
        assert!(
            delete.body["preconditions"]["uid"].is_string()
                && delete.body["preconditions"]["resourceVersion"].is_string()
        );
        assert_eq!(delete.body["propagationPolicy"], "Background");
    }
    assert!(fake.pass().await.0.is_empty(), "their last events are on the way");
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_cannot_be_run_is_explained_and_nothing_of_it_applied() {
    let fake =
        Fake::new(&json!({"a": {"image": "a", "dependsOn": {"b": {}}}, "b": {"image": "b", "dependsOn": {"a": {}}}}));
    assert_eq!(calls(&fake.pass().await.0), ["PATCH appstacks/s/status"]);
    let stalled = fake.condition("Stalled");
    assert_eq!((&stalled["reason"], &stalled["observedGeneration"]), (&json!("DependencyCycle"), &json!(1)));
    assert!(stalled["message"].as_str().unwrap().contains("a -> b -> a"));
    assert!(fake.pass().await.0.is_empty());
    fake.write_stack(2, &two());
    assert!(fake.pass().await.0.len() > 1, "a good spec heals it");
    assert_eq!(fake.condition("Stalled"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_stack_is_left_as_it_is() {
    let fake = Fake::new(&two());
    fake.pass().await;
    fake.write(2, &json!({"suspend": true, "services": {"db": {"image": "db:2"}}}));
    assert_eq!(calls(&fake.pass().await.0), ["PATCH appstacks/s/status"]);
    assert_eq!(fake.condition("Ready")["reason"], "Suspended");
    assert_eq!(fake.status()["observedGeneration"], 2);
    assert_eq!(fake.status()["services"].as_object().unwrap().len(), 2, "what was known is kept");
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_cannot_be_read_is_reported() {
    let fake = Fake::new(&two());
    fake.write(2, &json!({"services": {"db": {"image": 5}}}));
    let (sent, outcome) = fake.pass().await;
    assert_eq!(calls(&sent), ["PATCH appstacks/s/status"]);
    assert_eq!(outcome, Outcome::Settled);
    assert_eq!(fake.condition("Stalled")["reason"], "Undecodable");
    assert!(fake.pass().await.0.is_empty(), "said once");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_one_look_and_one_request_and_nothing_after_it() {
    let web = |tag: u8| json!({"web": {"image": format!("web:{tag}"), "update": {"onFailure": "Rollback"}}});
    let fake = Fake::new(&web(1));
    fake.pass().await;
    fake.bring_up("s-web");
    let (sent, _) = fake.pass().await;
    let record = sent.iter().find(|sent| sent.path.starts_with("controllerrevisions")).unwrap();
    assert_eq!(record.body["metadata"]["resourceVersion"], "1", "created, or refused");
    assert_eq!(
        record.body["metadata"]["labels"].get("appstack.dev/service"),
        None,
        "no controller takes it for its own"
    );
    let good = record.body["data"]["template"].clone();

    fake.write_stack(2, &web(2));
    fake.pass().await;
    let stands_still = || {
        let mut object = fake.state.lock().unwrap().objects["deployments/s-web"].clone();
        object["status"] = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]});
        object
    };
    fake.appears(crate::child::Kind::Deployment, &stands_still());
    let (sent, _) = fake.pass().await;
    let look = format!("GET {}", record.path);
    assert_eq!(calls(&sent), [look.as_str(), "PATCH deployments/s-web", "PATCH appstacks/s/status"]);
    assert_eq!(sent[1].body["spec"]["template"], good, "the same bytes");
    assert!(sent[1].body["metadata"]["uid"].is_string(), "only over the one that failed");
    assert_eq!(fake.status()["services"]["web"]["state"], "RolledBack");
    assert_eq!(fake.condition("Stalled")["status"], "True");
    assert!(fake.told().contains(&"RolledBack".to_owned()), "{:?}", fake.told());
    assert!(fake.pass().await.0.is_empty(), "and what failed is not tried again");
}
