//! What becomes of writes and deletes that the server does not carry out.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Fake, Sent};
use crate::controller::queue::Outcome;

/// Longer than a first delay, and than a second one.
const A_WHILE: Duration = Duration::from_millis(600);

fn two() -> Value {
    json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "ports": {"http": {"port": 80, "published": 80}}, "dependsOn": {"db": {}}}})
}

fn apart() -> Value {
    json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "ports": {"http": {"port": 80, "published": 80}}}})
}

fn calls(sent: &[Sent], verb: &str, place: &str) -> usize {
    sent.iter().filter(|s| s.verb == verb && s.path == place).count()
}

async fn converged(services: &Value) -> Fake {
    let fake = Fake::new(services);
    for name in ["s-db", "s-web"] {
        fake.pass().await;
        fake.bring_up(name);
    }
    fake.pass().await;
    assert_eq!(fake.condition("Ready")["status"], "True");
    fake
}

fn shut() -> Value {
    json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "ports": {"http": {"port": 80}}}})
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_go_well_another_time_waits_by_itself() {
    for code in [409, 429, 500, 503, 504] {
        let fake = Fake::new(&two());
        fake.fail(&[("networkpolicies/s-dns", 1, code, "later")]);
        let outcome = fake.look().await;
        assert!(matches!(outcome, Outcome::At(_)), "{code}: {outcome:?}");
        fake.look().await;
        let sent = fake.sent();
        assert_eq!(calls(&sent, "PATCH", "networkpolicies/s-dns"), 1, "{code}: not before it is due");
        assert_eq!(calls(&sent, "PATCH", "deployments/s-db"), 0, "what it needs is not there yet");
        assert_eq!(calls(&sent, "PATCH", "services/web-published"), 1, "the others are written");
        tokio::time::sleep(A_WHILE).await;
        let (sent, outcome) = fake.pass().await;
        assert_eq!(outcome, Outcome::Settled, "{code}");
        assert_eq!(calls(&sent, "PATCH", "networkpolicies/s-dns"), 1);
        assert_eq!(calls(&sent, "PATCH", "deployments/s-db"), 1);
        assert_eq!(calls(&sent, "PATCH", "services/web-published"), 0, "what was written is known");
    }
}

#[tokio::test(start_paused = true)]
async fn one_child_in_trouble_does_not_slow_its_stack() {
    let fake = Fake::new(&two());
    fake.fail(&[("services/web-published", 99, 500, "webhook is down")]);
    for _ in 0..8 {
        fake.pass().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    fake.bring_up("s-db");
    let (sent, _) = fake.pass().await;
    assert!(calls(&sent, "PATCH", "services/web-published") <= 1);
    fake.write_stack(
        2,
        &json!({"db": {"image": "db:1"}, "new": {"image": "new:1", "dependsOn": {"db": {}}}, "web": two()["web"]}),
    );
    let (sent, _) = fake.pass().await;
    assert_eq!(calls(&sent, "PATCH", "deployments/s-new"), 1, "its dependency has come up: it starts at once");
    assert_eq!(calls(&sent, "PATCH", "services/web-published"), 1, "and under a new spec the one in trouble is due");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_failing_is_said_of_its_service_and_fails_nobody() {
    let fake = Fake::new(&two());
    fake.fail(&[("deployments/s-db", 99, 500, "webhook is down")]);
    fake.pass().await;
    assert_eq!(fake.status()["services"]["db"]["reason"], Value::Null, "a hiccup is no news");
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        fake.pass().await;
    }
    let status = fake.status();
    let db = &status["services"]["db"];
    assert_eq!((&db["state"], &db["reason"]), (&json!("Pending"), &json!("NotApplied")));
    assert!(db["message"].as_str().unwrap().contains("Deployment 's-db'"), "{db}");
    assert!(db["message"].as_str().unwrap().contains("webhook is down"), "{db}");
    assert_eq!(status["services"]["web"]["state"], "Waiting");
    assert_eq!(fake.condition("Stalled"), Value::Null);
    assert_eq!(fake.condition("Reconciling")["status"], "True");

    fake.fail(&[]);
    tokio::time::sleep(Duration::from_secs(120)).await;
    fake.pass().await;
    assert_eq!(fake.status()["services"]["db"]["reason"], Value::Null, "it is over");
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_is_closed_though_another_service_cannot_be_written() {
    let fake = converged(&apart()).await;
    fake.fail(&[("deployments/s-db", 99, 500, "webhook is down")]);
    let mut services = shut();
    services["db"]["image"] = json!("db:2");
    fake.write_stack(2, &services);
    let (sent, outcome) = fake.pass().await;
    assert_eq!(calls(&sent, "PATCH", "deployments/s-db"), 1);
    assert_eq!(calls(&sent, "DELETE", "services/web-published"), 1);
    assert_eq!(calls(&sent, "DELETE", "networkpolicies/s-pub-web"), 1);
    assert!(matches!(outcome, Outcome::At(_)));
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_of_a_service_that_cannot_be_written() {
    let fake = converged(&apart()).await;
    fake.fail(&[("PATCH deployments/s-web", 1, 500, "webhook is down")]);
    let mut services = shut();
    services["web"]["image"] = json!("web:2");
    services.as_object_mut().unwrap().remove("db");
    fake.write_stack(2, &services);
    let (sent, _) = fake.pass().await;
    assert_eq!(sent.iter().filter(|s| s.verb == "DELETE").count(), 0);
    tokio::time::sleep(A_WHILE).await;
    let (sent, _) = fake.pass().await;
    assert_eq!(calls(&sent, "DELETE", "services/web-published"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_was_not_carried_out_is_tried_again() {
    for code in [409, 422, 429, 500, 503] {
        let fake = converged(&apart()).await;
        fake.fail(&[("DELETE services/web-published", 1, code, "not now")]);
        fake.write_stack(2, &shut());
        fake.clear();
        let outcome = fake.look().await;
        assert!(matches!(outcome, Outcome::At(_)), "{code}: nothing else may wake us: {outcome:?}");
        fake.look().await;
        let sent = fake.sent();
        assert_eq!(calls(&sent, "DELETE", "services/web-published"), 1, "{code}: not before it is due");
        assert_eq!(calls(&sent, "DELETE", "networkpolicies/s-pub-web"), 1, "{code}: the others go");
        tokio::time::sleep(A_WHILE).await;
        let (sent, outcome) = fake.pass().await;
        assert_eq!(calls(&sent, "DELETE", "services/web-published"), 1, "{code}");
        assert_eq!(outcome, Outcome::Settled, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_already_is_as_good_as_deleted() {
    let fake = converged(&apart()).await;
    fake.fail(&[("DELETE services/web-published", 9, 404, "not found")]);
    fake.write_stack(2, &shut());
    assert_eq!(fake.pass().await.1, Outcome::Settled);
    assert!(fake.pass().await.0.is_empty());
}
