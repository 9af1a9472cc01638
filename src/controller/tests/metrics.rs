//! What is counted of the work, as a conversation.

use serde_json::json;

use super::fake::Fake;

/// The value of a series; none until there is one.
fn value(fake: &Fake, series: &str) -> Option<f64> {
    let text = fake.context.ops.metrics.text();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

const REPAIRED: &str = "appstack_drift_repairs_total{kind=\"Service\"}";

#[tokio::test(start_paused = true)]
async fn what_somebody_else_takes_away_is_a_repair_and_what_we_make_is_none() {
    let fake = Fake::new(&json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}));
    fake.pass().await;
    fake.bring_up("s-db");
    fake.pass().await;
    fake.bring_up("s-web");
    fake.pass().await;
    assert_eq!(value(&fake, REPAIRED), None, "the first rollout, in two steps");

    fake.goes("services/db");
    fake.pass().await;
    assert_eq!(value(&fake, REPAIRED), Some(1.0));
    fake.goes("services/db");
    fake.pass().await;
    assert_eq!(value(&fake, REPAIRED), Some(2.0), "each time");

    fake.write_stack(2, &json!({"db": {"image": "db:2"}, "web": {"image": "web:1", "ports": {"http": {"port": 80}}}}));
    fake.pass().await;
    assert_eq!(value(&fake, REPAIRED), Some(2.0), "an edit of the spec");
}

#[tokio::test(start_paused = true)]
async fn how_long_a_service_was_held_back_is_counted_by_what_it_waited_for() {
    let fake = Fake::new(
        &json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {"condition": "Healthy"}}}}),
    );
    let waits = |of: &str| value(&fake, &format!("appstack_gate_wait_seconds_{of}{{condition=\"Healthy\"}}"));
    fake.pass().await;
    assert_eq!(waits("count"), None, "it still waits");
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    fake.bring_up("s-db");
    fake.pass().await;
    assert_eq!(waits("count"), Some(1.0));
    assert!(waits("sum").is_some_and(|seconds| (20.0..60.0).contains(&seconds)), "{:?}", waits("sum"));
}
