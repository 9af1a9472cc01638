//! What becomes of a status and its events when the server does not take them.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::Fake;

fn one() -> Value {
    json!({"db": {"image": "db:1"}})
}

fn statuses(fake: &Fake) -> usize {
    fake.state.lock().unwrap().sent.iter().filter(|sent| sent.path == "appstacks/s/status").count()
}

#[tokio::test(start_paused = true)]
async fn a_status_that_was_not_taken_is_written_again_with_its_events() {
    for code in [409, 422, 429, 500, 503] {
        let fake = Fake::new(&one());
        fake.fail(&[("appstacks/s/status", 3, code, "not now")]);
        fake.pass().await;
        assert_eq!(statuses(&fake), 4, "{code}");
        assert_eq!(fake.status()["observedGeneration"], 1, "{code}");
        assert_eq!(fake.told(), ["RolloutStarted"], "{code}: told once, and after the status");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_come_further_and_further_apart() {
    let fake = Fake::new(&one());
    fake.fail(&[("appstacks/s/status", 100, 503, "not now")]);
    fake.look().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let first = statuses(&fake);
    assert!((7..=11).contains(&first), "{first} in the first minute");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!((30..=62).contains(&(statuses(&fake) - first)), "{} in an hour", statuses(&fake) - first);
    assert!(fake.told().is_empty(), "an event goes with a written status");
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_gone_hears_no_more() {
    for code in [404, 409] {
        let fake = Fake::new(&one());
        fake.fail(&[("appstacks/s/status", 1, code, "gone")]);
        fake.look().await;
        fake.delete_stack();
        fake.settled().await;
        assert!(statuses(&fake) <= 1, "{code}");
        assert!(fake.told().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_does_not_get_the_status_of_an_earlier_one_of_its_name() {
    let fake = Fake::new(&one());
    fake.fail(&[("appstacks/s/status", 1, 503, "not now")]);
    fake.look().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    fake.delete_stack();
    fake.write_as("uid-2", 1, &json!({"services": {"other": {"image": "other:1"}}}));
    fake.settled().await;
    assert_eq!(fake.status()["observedGeneration"], -1, "nobody has looked at it yet");

    fake.look().await;
    fake.settled().await;
    let services = fake.status()["services"].as_object().cloned().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["other"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_said_of_an_earlier_stack_is_dropped_when_its_successor_is_looked_at() {
    let fake = Fake::new(&one());
    fake.fail(&[("appstacks/s/status", 1, 503, "not now")]);
    fake.look().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    fake.delete_stack();
    fake.write_as("uid-2", 1, &json!({"suspend": true, "services": {"db": {"image": "db:1"}}}));
    fake.look().await;
    fake.settled().await;
    assert_eq!(fake.condition("Ready")["reason"], "Suspended");
    assert_eq!(fake.status()["services"], Value::Null, "what was known of the other one");
    assert_eq!(fake.told(), ["Suspended"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_hangs_keeps_no_status_waiting_for_longer_than_a_call_may_take() {
    let fake = Fake::new(&one());
    fake.fail(&[("POST events", 1, 0, "")]);
    fake.look().await;
    let began = tokio::time::Instant::now();
    fake.settled().await;
    assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_mere_count_goes_along_with_the_next_news_and_waits_not_long_for_it() {
    let fake = Fake::new(&one());
    fake.pass().await;
    fake.bring_up("s-db");
    fake.pass().await;
    let before = statuses(&fake);
    let began = tokio::time::Instant::now();
    fake.count("s-db", 2);
    fake.look().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(statuses(&fake), before, "nobody waits for a number");
    fake.settled().await;
    assert_eq!(statuses(&fake), before + 1);
    assert_eq!(fake.status()["services"]["db"]["ready"], 2);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

// "Status writes during a rollout of k services: k+2", also where each pod takes long to become ready.
#[tokio::test(start_paused = true)]
async fn that_a_pod_was_made_is_told_with_what_comes_next_and_at_the_end_at_once() {
    let fake = Fake::new(&one());
    fake.pass().await;
    let (before, began) = (statuses(&fake), tokio::time::Instant::now());
    let made = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 0, "availableReplicas": 0});
    fake.says("s-db", &made);
    fake.look().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(statuses(&fake), before, "nobody waits for it");
    fake.context.publisher.hasten();
    fake.settled().await;
    assert_eq!(statuses(&fake), before + 1);
    assert_eq!(fake.status()["services"]["db"]["updated"], 1);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}
