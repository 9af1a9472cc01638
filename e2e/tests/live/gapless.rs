//! Walls while they are moved: who may reach whom is asked of every state that policies and pods go through.

mod replay;

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::observer::Seen;
use e2e::{Kind, Live, json, live};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stacks::{SOON, operator_has_looked, wait_state};

/// `web` at the front with a published port, `api` behind it, `db` (two pods) behind that on an internal network, and `lone`, which shares no network.
fn base() -> Value {
    json!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "gap"},
        "spec": {
            "networks": {"front": {}, "back": {}, "data": {"internal": true}, "spare": {}},
            "services": {
                "web": {
                    "image": "web:1", "networks": {"front": {}, "back": {}},
                    "ports": {"http": {"port": 8000, "published": 80}, "admin": {"port": 8100}},
                },
                "api": {"image": "api:1", "networks": {"back": {}, "data": {}}, "ports": {"http": {"port": 9000}}},
                "db": {"image": "db:1", "replicas": 2, "networks": {"data": {}}, "ports": {"sql": {"port": 5432}}},
                "lone": {"image": "lone:1", "ports": {"http": {"port": 8000}}},
            },
        },
    })
}

/// A point in the namespace's history at which nothing moves.
async fn rest(t: &Live, mark: &str) -> u64 {
    operator_has_looked(t, mark).await;
    loop {
        let history = t.observer.history().await;
        let last = |seen: &&Seen| matches!(seen.kind, Kind::Pod | Kind::NetworkPolicy);
        let version = history.iter().rfind(last).map_or(0, |seen| seen.version);
        sleep(Duration::from_millis(700)).await;
        let later = t.observer.history().await;
        let going = t.space.list(Kind::Pod).await.iter().any(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
        if !going && later.iter().rfind(last).map_or(0, |seen| seen.version) == version {
            return version;
        }
    }
}

/// A name, and a change of the spec.
type Edit = (&'static str, fn(&mut Value));

/// Makes each edit and takes it back, and replays both ways.
async fn there_and_back(t: &Live, edits: &[Edit]) {
    let _operator = t.space.operator().start();
    t.space.apply_object(&base()).await;
    t.space.wait_ready("gap", SOON).await;
    let mut from = rest(t, "base").await;
    judge(t, "created", 0, from, 0).await;
    for (what, edit) in edits {
        let mut changed = base();
        edit(&mut changed["spec"]);
        for (way, stack) in [("", &changed), (", taken back", &base())] {
            t.space.apply_object(stack).await;
            t.space.wait_ready("gap", SOON).await;
            let to = rest(t, &format!("{what}{way}").replace(' ', "-")).await;
            judge(t, &format!("{what}{way}"), from, to, 1).await;
            from = to;
        }
    }
}

/// Fails if a gap was open between two moments of rest, or if fewer questions have another answer than the edit is meant to give.
async fn judge(t: &Live, what: &str, from: u64, to: u64, least: usize) {
    let found = replay::replay(&t.observer.history().await, from, to);
    let list: Vec<&str> = found.gaps.iter().map(String::as_str).take(12).collect();
    println!("{what}: {} states, {} answers changed, {} gaps", found.states, found.changed, found.gaps.len());
    assert!(list.is_empty(), "{what}: {} gaps\n  {}", found.gaps.len(), list.join("\n  "));
    assert!(found.changed >= least, "{what}: {} answers changed, expected {least} or more", found.changed);
}

// "Changing networks of a running service never opens a gap: an observer replays every intermediate state of the policies
// through the evaluator and finds no moment in which a forbidden pair is allowed, nor an allowed, unchanged pair cut."
#[test]
fn moving_services_between_networks_opens_no_gap() {
    live("gapless_moves", async |t| {
        let edits: [Edit; 5] = [
            ("a move from back to spare", |s| s["services"]["api"]["networks"] = json!({"spare": {}, "data": {}})),
            ("one network more", |s| s["services"]["lone"]["networks"] = json!({"default": {}, "front": {}})),
            ("one network less", |s| s["services"]["web"]["networks"] = json!({"front": {}})),
            ("a network of the spec less", |s| {
                s["networks"] = json!({"front": {}, "data": {"internal": true}, "spare": {}});
                s["services"]["web"]["networks"] = json!({"front": {}});
                s["services"]["api"]["networks"] = json!({"data": {}});
            }),
            ("without any network", |s| s["services"]["api"] = json!({"image": "api:1", "networkMode": "None"})),
        ];
        there_and_back(&t, &edits).await;
    });
}

#[test]
fn changing_what_a_network_is_opens_no_gap() {
    live("gapless_networks", async |t| {
        let edits: [Edit; 4] = [
            ("back becomes internal", |s| s["networks"]["back"] = json!({"internal": true})),
            ("data is not internal", |s| s["networks"]["data"] = json!({})),
            ("back is shared", |s| s["networks"]["back"] = json!({"sharedName": "commons"})),
            ("data is shared and open", |s| s["networks"]["data"] = json!({"sharedName": "commons"})),
        ];
        // A member of the shared network in another stack, so that sharing changes something.
        let other = json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "other"},
            "spec": {
                "networks": {"ours": {"sharedName": "commons"}},
                "services": {"guest": {"image": "guest:1", "networks": {"ours": {}}, "ports": {"http": {"port": 8000}}}},
            },
        });
        t.space.apply_object(&other).await;
        there_and_back(&t, &edits).await;
    });
}

#[test]
fn publishing_and_isolation_open_no_gap() {
    live("gapless_doors", async |t| {
        let edits: [Edit; 6] = [
            ("admin published", |s| s["services"]["web"]["ports"]["admin"]["published"] = json!(8100)),
            ("http not published", |s| s["services"]["web"]["ports"]["http"] = json!({"port": 8000})),
            ("api open to the namespace", |s| s["services"]["api"]["ports"]["http"]["openTo"] = json!("Namespace")),
            ("another port published under the same name", |s| {
                s["services"]["web"]["ports"] =
                    json!({"http": {"port": 8100, "published": 80}, "admin": {"port": 8000}});
            }),
            ("isolation Namespace", |s| s["isolation"] = json!("Namespace")),
            ("two services less", |s| {
                s["services"].as_object_mut().expect("services").retain(|name, _| name != "web" && name != "db");
                s["services"]["api"]["networks"] = json!({"spare": {}});
            }),
        ];
        there_and_back(&t, &edits).await;
    });
}

// "... keeps its walls": a held service's pods are reached by whom they were, whatever moves around them.
#[test]
fn a_held_service_keeps_its_walls_in_every_state() {
    live("gapless_held", async |t| {
        let _operator = t.space.operator().start();
        let mut stack = base();
        stack["spec"]["services"]["web"]["dependsOn"] = json!({"db": {"condition": "Healthy"}});
        t.space.apply_object(&stack).await;
        t.space.wait_ready("gap", SOON).await;
        let before = rest(&t, "before").await;

        // Web would move to spare and publish another port; db, for which it waits, never becomes ready.
        stack["spec"]["services"]["web"]["networks"] = json!({"spare": {}});
        stack["spec"]["services"]["web"]["ports"] =
            json!({"http": {"port": 8000}, "admin": {"port": 8100, "published": 81}});
        stack["spec"]["services"]["db"]["image"] = json!("db:2");
        stack["spec"]["services"]["db"]["env"] = json!({"SIM_MODE": "never-ready"});
        t.space.apply_object(&stack).await;
        wait_state(&t, "gap", "web", "Waiting").await;
        let held = rest(&t, "held").await;
        let found = replay::replay(&t.observer.history().await, before, held);
        println!("held: {} states, {} answers changed, {} gaps", found.states, found.changed, found.gaps.len());
        assert!(found.changed == 0 && found.gaps.is_empty(), "nobody's doors have moved: {found:?}");

        stack["spec"]["services"]["db"]["env"] = json!({"SIM_MODE": "none"});
        t.space.apply_object(&stack).await;
        t.space.wait_ready("gap", SOON).await;
        let released = rest(&t, "released").await;
        judge(&t, "released", held, released, 1).await;
    });
}

// "Policies exist before the first pod of a stack."
#[test]
fn policies_exist_before_the_first_pod_of_a_stack() {
    live("gapless_first", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&base()).await;
        t.space.wait_ready("gap", SOON).await;
        rest(&t, "first").await;
        let history = t.observer.history().await;
        let ours = |kind: Kind| {
            history.iter().filter(move |s| s.kind == kind && json::label(&s.object, "appstack.dev/stack") == "gap")
        };
        let first_pod = ours(Kind::Pod).map(|s| s.version).min().expect("pods");
        let mut first_written = BTreeMap::new();
        for seen in ours(Kind::NetworkPolicy) {
            first_written.entry(json::name(&seen.object)).or_insert(seen.version);
        }
        println!("policies {first_written:?}, then the first pod at {first_pod}");
        assert_eq!(
            first_written.len(),
            7,
            "one that denies, one for names, four networks with members, one published service"
        );
        assert!(first_written.values().all(|version| *version < first_pod));
    });
}
