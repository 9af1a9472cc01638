//! Order: no workload is created or updated before its dependencies hold their condition. The law itself is checked at
//! the end of every live test; these make it hard to keep.

use std::time::Duration;

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::stacks::{self, Dice, SOON, first_complete, first_written, service, stack, wait_state};

/// Before which of Finity's services which other one must be healthy, as its compose file wants it.
const FINITY: [(&str, &str); 5] = [
    ("finity-db", "finity-backend"),
    ("finity-db", "finity-backend-node"),
    ("finity-backend", "finity-backend-node"),
    ("finity-backend", "finity-frontend"),
    ("finity-backend-node", "finity-frontend"),
];

// "Order: an observer that shares no code with the operator watches the API server and finds ... no workload created or
// updated before its dependencies held their condition."
// "Also: change the image of the database and of the frontend in one edit, and the database is done before the frontend
// is touched."
#[test]
fn finity_comes_up_in_order_and_is_changed_in_order() {
    live("order_finity", async |t| {
        let _operator = t.space.operator().start();
        for document in stacks::finity(|name| if name == "finity-db" { 700 } else { 300 }) {
            t.space.apply_object(&document).await;
        }
        t.space.wait_ready("finity", SOON).await;
        let history = t.observer.history().await;
        for (before, after) in FINITY {
            let (healthy, written) = (
                first_complete(&history, &format!("finity-{before}"), ""),
                first_written(&history, &format!("finity-{after}"), ""),
            );
            assert!(
                healthy.is_some() && healthy < written,
                "{after} written at {written:?}, {before} healthy at {healthy:?}"
            );
        }
        assert_eq!(t.assert_order().await, 4, "the four creations are what was judged");

        let middle = ["finity-finity-backend", "finity-finity-backend-node"];
        let untouched = generations(&t, &middle).await;
        t.space
            .patch(
                "finity",
                json!({"spec": {"services": {"finity-db": {"image": "postgres:new"}, "finity-frontend": {"image": "frontend:new"}}}}),
            )
            .await;
        t.space.wait_ready("finity", SOON).await;
        let history = t.observer.history().await;
        let done = first_complete(&history, "finity-finity-db", "postgres:new");
        let touched = first_written(&history, "finity-finity-frontend", "frontend:new");
        assert!(done.is_some() && done < touched, "frontend touched at {touched:?}, database done at {done:?}");
        assert_eq!(generations(&t, &middle).await, untouched, "what did not change in the spec is not touched");
    });
}

// "Order: ... in every live test"; many edits at once, in the middle of rollouts.
#[test]
fn random_edits_never_break_the_order() {
    live("order_random_edits", async |t| {
        let _operator = t.space.operator().start();
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut dice = Dice(0x5eed_1234_5678_9abc);
        let mut services: Map<String, Value> = Map::new();
        for (n, name) in names.iter().enumerate() {
            let after: Vec<&str> = names[..n].iter().rev().step_by(2).copied().collect();
            services.insert((*name).to_owned(), service(&format!("{name}:0"), 40 + dice.roll(120), &after));
        }
        t.space.apply_object(&stack("edits", &Value::Object(services.clone()))).await;
        for edit in 1..=50_u64 {
            for _ in 0..=dice.roll(3) {
                let n = usize::try_from(dice.roll(6)).unwrap();
                let service = &mut services[names[n]];
                match dice.roll(5) {
                    0 | 1 => service["image"] = json!(format!("{}:{edit}", names[n])),
                    2 => service["env"]["EDIT"] = json!(edit.to_string()),
                    3 => service["replicas"] = json!(dice.roll(3)),
                    _ if n > 0 => {
                        let other = names[usize::try_from(dice.roll(n as u64)).unwrap()];
                        service["dependsOn"] =
                            json!({other: {"condition": if dice.roll(4) == 0 { "Started" } else { "Healthy" }}});
                    }
                    _ => service["env"]["SIM_READY_DELAY"] = json!(format!("{}ms", 40 + dice.roll(200))),
                }
            }
            t.space.apply_object(&stack("edits", &Value::Object(services.clone()))).await;
            sleep(Duration::from_millis(dice.roll(250))).await;
        }
        t.space.wait_ready("edits", SOON).await;
        let judged = t.assert_order().await;
        println!("50 edits: {judged} starts of pods, all in order");
        assert!(judged > 15, "expected the edits to start pods more than 15 times, saw {judged}");
    });
}

// "Kill the operator (SIGKILL) at ten random moments of a rollout and restart it: same end, no violation."
#[test]
fn ten_kills_in_a_rollout_change_neither_order_nor_end() {
    live("order_kills", async |t| {
        let mut operator = t.space.operator().start();
        let version = |n: u32| {
            let mut all = stacks::one_of_each("kills");
            let chain =
                [("one", vec!["web"]), ("two", vec!["one"]), ("three", vec!["two", "db"]), ("four", vec!["three"])];
            for (name, after) in chain {
                all["spec"]["services"][name] = service(&format!("{name}:{n}"), 250, &after);
            }
            for name in ["db", "web"] {
                all["spec"]["services"][name]["image"] = json!(format!("{name}:{n}"));
            }
            all["spec"]["configs"]["settings"]["content"] = json!(format!("version = {n}\n"));
            all
        };
        t.space.apply_object(&version(1)).await;
        t.space.wait_ready("kills", SOON).await;
        t.space.apply_object(&version(2)).await;
        t.space.wait_ready("kills", SOON).await;
        let undisturbed = what_is_there(&t, "kills").await;
        t.space.apply_object(&version(1)).await;
        t.space.wait_ready("kills", SOON).await;

        let mut dice = Dice(0xdead_beef_cafe_f00d);
        t.space.apply_object(&version(2)).await;
        for _ in 0..10 {
            sleep(Duration::from_millis(20 + dice.roll(330))).await;
            operator.kill();
            operator.start_again();
        }
        t.space.wait_ready("kills", SOON).await;
        let disturbed = eventually(SOON, "the same end", async || {
            let now = what_is_there(&t, "kills").await;
            if now == undisturbed { Ok(now) } else { Err(difference(&undisturbed, &now)) }
        })
        .await;
        println!("10 kills: the same {} children, {} starts of pods in order", disturbed.len(), t.assert_order().await);
    });
}

// "A dependency that turns unhealthy later does not stop its dependants" (design 3): an unchanged service is not touched.
#[test]
fn a_dependency_that_turns_unhealthy_stops_nobody() {
    live("order_unhealthy_later", async |t| {
        let _operator = t.space.operator().start();
        let db = json!({"image": "db:1", "healthcheck": {"http": {"port": 8080}, "interval": "1s"}});
        t.space.apply_object(&stack("later", &json!({"db": db, "web": service("web:1", 1, &["db"])}))).await;
        t.space.wait_ready("later", SOON).await;
        let (pods, before) = (pods_of(&t, "web").await, generations(&t, &["later-web"]).await);

        let sick = pods_of(&t, "db").await.remove(0);
        let mode = |mode: Value| json!({"metadata": {"annotations": {"sim.appstack.dev/mode": mode}}});
        t.space.edit(Kind::Pod, &sick, mode(json!("unready"))).await;
        let db = wait_state(&t, "later", "db", "Degraded").await;
        println!("the sick dependency is told: {db}");
        t.space.touch("later", "look again").await;
        stacks::operator_has_looked(&t, "sick").await;
        assert_eq!(pods_of(&t, "web").await, pods, "the pods that run, run on");
        assert_eq!(generations(&t, &["later-web"]).await, before, "and their Deployment is not touched");

        // A change of the dependant does wait, since its dependency has no available pod.
        t.space.patch("later", json!({"spec": {"services": {"web": {"image": "web:2"}}}})).await;
        let held = wait_state(&t, "later", "web", "Waiting").await;
        assert!(json::text(&held, "/waitingOn").contains("db"), "expected it to say what it waits for: {held}");
        t.space.edit(Kind::Pod, &sick, mode(json!("none"))).await;
        t.space.wait_ready("later", SOON).await;
        assert!(first_written(&t.observer.history().await, "later-web", "web:2").is_some());
    });
}

// `Started` (design 3): the container has run, be it only to crash; `Healthy` on the same service waits for ever.
#[test]
fn started_is_satisfied_by_a_crash_loop_and_healthy_is_not() {
    live("order_started", async |t| {
        let _operator = t.space.operator().start();
        let mut second = service("second:1", 1, &[]);
        second["dependsOn"] = json!({"crashing": {"condition": "Started"}});
        let services = json!({
            "crashing": {"image": "crashing:1", "env": {"SIM_MODE": "crashloop"}},
            "second": second,
            "third": service("third:1", 1, &["crashing"]),
        });
        t.space.apply_object(&stack("started", &services)).await;
        wait_state(&t, "started", "second", "Ready").await;
        let held = wait_state(&t, "started", "third", "Waiting").await;
        assert!(json::text(&held, "/waitingOn").contains("crashing"), "expected it to say what it waits for: {held}");
        assert!(
            t.space.get(Kind::Deployment, "started-third").await.is_none(),
            "nothing of a held new service may start"
        );
        let trouble = eventually(SOON, "the crash loop to be named", async || {
            let status = t.space.status("started").await["services"]["crashing"].clone();
            if json::text(&status, "/reason").contains("Crash") { Ok(status) } else { Err(status.to_string()) }
        })
        .await;
        println!("told: {trouble}");
    });
}

async fn generations(t: &Live, deployments: &[&str]) -> Vec<i64> {
    let mut found = Vec::new();
    for name in deployments {
        let live = t.space.get(Kind::Deployment, name).await.unwrap_or_else(|| panic!("no Deployment {name}"));
        found.push(json::number(&live, "/metadata/generation"));
    }
    found
}

async fn pods_of(t: &Live, service: &str) -> Vec<String> {
    let pods = t.space.list(Kind::Pod).await;
    let of =
        |p: &&Value| json::label(p, "appstack.dev/service") == service && p["metadata"]["deletionTimestamp"].is_null();
    pods.iter().filter(of).map(|p| json::name(p).to_owned()).collect()
}

/// Every child without what differs between two runs that did the same: names, labels, our annotations, spec and data.
async fn what_is_there(t: &Live, stack: &str) -> Vec<(String, Value)> {
    let children = t.space.children(stack).await;
    let mut found: Vec<(String, Value)> = children
        .into_iter()
        .map(|(kind, child)| {
            let annotations: Map<String, Value> = json::entries(&child, "/metadata/annotations")
                .filter(|(key, _)| key.starts_with("appstack.dev/"))
                .map(|(key, text)| (key.to_owned(), text.clone()))
                .collect();
            let kept = json!({
                "labels": child["metadata"]["labels"], "annotations": annotations, "spec": child["spec"], "data": child["data"],
                "owners": child["metadata"]["ownerReferences"],
            });
            (format!("{kind}/{}", json::name(&child)), kept)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn difference(expected: &[(String, Value)], seen: &[(String, Value)]) -> String {
    let missing = expected.iter().filter(|e| !seen.contains(e)).map(|(name, child)| format!("expected {name} {child}"));
    let surplus = seen.iter().filter(|s| !expected.contains(s)).map(|(name, child)| format!("saw {name} {child}"));
    missing.chain(surplus).collect::<Vec<_>>().join("\n")
}
