//! `spec.dependsOn`: stacks that wait for stacks of their namespace.

use std::time::Duration;

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{
    SOON, first_complete, first_written, is_signal, operator_has_looked, runs, service, stack, wait_state,
};

/// A stack of one service, named after it, that waits for these stacks.
fn after(name: &str, delay: u64, stacks: &[&str]) -> Value {
    let image = format!("{name}:1");
    let mut one = stack(name, &json!({ name: service(&image, delay, &[]) }));
    if !stacks.is_empty() {
        one["spec"]["dependsOn"] = stacks.iter().map(|s| ((*s).to_owned(), json!({}))).collect();
    }
    one
}

async fn condition(t: &Live, name: &str) -> (String, String) {
    let live = t.space.get(Kind::AppStack, name).await.unwrap_or_default();
    let ready = json::condition(&live, "Ready").cloned().unwrap_or_default();
    (json::text(&ready, "/reason").to_owned(), json::text(&ready, "/message").to_owned())
}

async fn wait_on(t: &Live, name: &str, text: &str) {
    eventually(SOON, &format!("{name} to say '{text}'"), async || {
        let status = t.space.status(name).await;
        if json::text(&status, "/waitingOn").contains(text) { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await;
}

#[test]
fn three_stacks_come_up_one_after_the_other_and_then_cost_nothing() {
    live("neighbours_chain", async |t| {
        let _operator = t.space.operator().start();
        // The last first: one that is not there is waited for, by name.
        t.space.apply_object(&after("front", 100, &["middle"])).await;
        wait_on(&t, "front", "front waits for stack middle (Ready): there is no such stack in this namespace").await;
        t.space.apply_object(&after("middle", 100, &["base"])).await;
        wait_on(&t, "middle", "middle waits for stack base (Ready): there is no such stack").await;
        wait_on(&t, "front", "front waits for stack middle (Ready): 0/1 services ready").await;
        assert!(t.space.get(Kind::Service, "front").await.is_some(), "what starts no pods is there");
        assert!(t.space.list(Kind::Deployment).await.is_empty());
        t.space.apply_object(&after("base", 6000, &[])).await;
        wait_on(&t, "middle", "middle waits for stack base (Ready): 0/1 services ready").await;
        for name in ["base", "middle", "front"] {
            t.space.wait_ready(name, SOON).await;
        }
        let history = t.observer.history().await;
        for (first, second) in [("base", "middle"), ("middle", "front")] {
            let complete = first_complete(&history, &format!("{first}-{first}"), "").unwrap();
            let written = first_written(&history, &format!("{second}-{second}"), "").unwrap();
            assert!(complete < written, "{second} at {written}, {first} complete at {complete}");
        }

        operator_has_looked(&t, "before").await;
        let mark = t.audit().mark().await;
        for name in ["base", "middle", "front"] {
            t.space.touch(name, "again").await;
        }
        operator_has_looked(&t, "after").await;
        t.audit().since(mark).await.without(is_signal).assert_none("three stacks that wait for each other, converged");
    });
}

#[test]
fn a_change_waits_for_the_other_stack_and_what_runs_runs_on() {
    live("neighbours_update", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&after("base", 100, &[])).await;
        t.space.apply_object(&after("front", 100, &["base"])).await;
        t.space.wait_ready("front", SOON).await;
        // Both change: the one that is waited for never comes up.
        t.space
            .patch(
                "base",
                json!({"spec": {"services": {"base": {"image": "base:2", "env": {"SIM_READY_DELAY": "1h"}}}}}),
            )
            .await;
        wait_state(&t, "base", "base", "Progressing").await;
        let live = t.space.get(Kind::AppStack, "front").await.unwrap();
        assert!(json::holds(&live, "Ready"), "a stack that turns unready stops nobody");
        t.space.patch("front", json!({"spec": {"services": {"front": {"image": "front:2"}}}})).await;
        wait_on(&t, "front", "front waits for stack base (Ready): 0/1 services ready").await;
        let front = t.space.get(Kind::Deployment, "front-front").await.unwrap();
        assert!(runs(&front, "front:1"), "it keeps its pods");
        t.space.patch("base", json!({"spec": {"services": {"base": {"env": {"SIM_READY_DELAY": "100ms"}}}}})).await;
        t.space.wait_ready("front", SOON).await;
        let front = t.space.get(Kind::Deployment, "front-front").await.unwrap();
        assert!(runs(&front, "front:2"));
    });
}

// "Cycles between stacks found and named", on both; what runs of them runs on meanwhile.
#[test]
fn two_stacks_that_wait_for_each_other_are_told_so_and_an_edit_heals_both() {
    live("neighbours_two", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&after("base", 100, &[])).await;
        t.space.apply_object(&after("front", 100, &["base"])).await;
        t.space.wait_ready("front", SOON).await;
        // The edit that closes the circle changes what runs as well.
        let closes = json!({"dependsOn": {"front": {}}, "services": {"base": {"image": "base:2"}}});
        t.space.patch("base", json!({"spec": closes})).await;
        for (name, path) in [("base", "base -> front -> base"), ("front", "front -> base -> front")] {
            eventually(SOON, &format!("{name} to be told of the circle"), async || {
                let (reason, message) = condition(&t, name).await;
                let live = t.space.get(Kind::AppStack, name).await.unwrap_or_default();
                let told = reason == "DependencyCycle" && message.contains(path) && json::holds(&live, "Stalled");
                if told { Ok(()) } else { Err(live["status"].to_string()) }
            })
            .await;
        }
        operator_has_looked(&t, "told").await;
        for name in ["base", "front"] {
            let workload = t.space.get(Kind::Deployment, &format!("{name}-{name}")).await.unwrap();
            assert!(runs(&workload, &format!("{name}:1")), "what runs is left as it is");
        }
        t.space.patch("base", json!({"spec": {"dependsOn": null}})).await;
        for name in ["base", "front"] {
            t.space.wait_ready(name, Duration::from_secs(20)).await;
        }
        let base = t.space.get(Kind::Deployment, "base-base").await.unwrap();
        assert!(runs(&base, "base:2"), "and the edit is carried out");
    });
}

#[test]
fn stacks_in_a_circle_are_told_so_and_an_edit_heals_them_all() {
    live("neighbours_circle", async |t| {
        let _operator = t.space.operator().start();
        for (name, on) in [("one", "two"), ("two", "three"), ("three", "one")] {
            t.space.apply_object(&after(name, 100, &[on])).await;
        }
        t.space.apply_object(&after("behind", 100, &["one"])).await;
        let circles = [
            ("one", "one -> two -> three -> one"),
            ("two", "two -> three -> one -> two"),
            ("three", "three -> one -> two -> three"),
        ];
        for (name, path) in circles {
            eventually(SOON, &format!("{name} to be told of the circle"), async || {
                let (reason, message) = condition(&t, name).await;
                if reason == "DependencyCycle" && message.contains(path) {
                    Ok(())
                } else {
                    Err(format!("{reason}: {message}"))
                }
            })
            .await;
            let live = t.space.get(Kind::AppStack, name).await.unwrap();
            assert!(json::holds(&live, "Stalled"), "{:#}", live["status"]);
        }
        wait_on(&t, "behind", "services ready: DependencyCycle").await;
        assert!(t.space.list(Kind::Deployment).await.is_empty());
        t.space.patch("three", json!({"spec": {"dependsOn": null}})).await;
        for name in ["three", "two", "one", "behind"] {
            t.space.wait_ready(name, Duration::from_secs(20)).await;
        }
        let events = t.space.events().await;
        assert!(events.contains("DependencyCycle"), "{events}");
    });
}
