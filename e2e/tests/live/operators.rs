//! Several operators: replicas of which one leads, shards by the labels of stacks; and how one ends, and what it writes of its decisions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::probes::{answers, free};
use crate::stacks::{SOON, operator_has_looked, runs, service, stack};

const TERM: u64 = 3;

// "leader election with two replicas ... (failover at most lease + 2 s; 1 s on graceful)"
#[test]
fn a_replica_takes_over_within_its_time() {
    live("operators_failover", async |t| {
        let start = |name: &str| {
            let address = free();
            let args = ["--listen", &address.to_string(), "--identity", name, "--lease-term", &TERM.to_string()];
            (t.space.operator().args(&args).start(), address)
        };
        let (mut first, at_first) = start("first");
        answers(at_first, 200, "held: this one leads").await;
        let (mut second, at_second) = start("second");
        answers(at_second, 200, "standing by: another one leads").await;

        let killed = Instant::now();
        first.kill();
        answers(at_second, 200, "held: this one leads").await;
        let after_kill = killed.elapsed();

        let (_third, at_third) = start("third");
        answers(at_third, 200, "standing by: another one leads").await;
        let stopped = Instant::now();
        second.stop();
        answers(at_third, 200, "held: this one leads").await;
        let after_stop = stopped.elapsed();
        t.shows(format!("failover {after_kill:.1?} after a kill (term {TERM} s), {after_stop:.1?} after a stop"));
        assert!(after_kill <= Duration::from_secs(TERM + 2), "{after_kill:?}");
        assert!(after_stop <= Duration::from_secs(1), "{after_stop:?}");
        t.space.apply_object(&stack("shop", &json!({"web": service("web:1", 20, &[])}))).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

// "graceful shutdown within 5 s"
#[test]
fn under_load_the_operator_ends_in_time_and_the_next_one_goes_on() {
    live("operators_shutdown", async |t| {
        let mut operator = t.space.operator().start();
        let names: Vec<String> = (0..20).map(|number| format!("s{number:02}")).collect();
        for name in &names {
            let [db, api, web] = ["db", "api", "web"].map(|service| format!("{name}-{service}"));
            let services = json!({db.as_str(): service("db:1", 50, &[]), api.as_str(): service("api:1", 50, &[&db]), web.as_str(): service("web:1", 50, &[&api])});
            t.space.apply_object(&stack(name, &services)).await;
        }
        let begin = Instant::now();
        operator.stop();
        let took = begin.elapsed();
        t.shows(format!("ends {took:.1?} after SIGTERM, amid 20 stacks"));
        assert!(took <= Duration::from_secs(5), "{took:?}");
        operator.start_again();
        for name in &names {
            t.space.wait_ready(name, SOON).await;
        }
    });
}

fn in_shard(name: &str, shard: &str, image: &str) -> Value {
    let mut all = stack(name, &json!({format!("{name}-web"): service(image, 20, &[])}));
    all["metadata"]["labels"] = json!({"shard": shard});
    all
}

/// Its generation, its uid and its pods: what a roll would change.
async fn as_it_runs(t: &Live, name: &str) -> (i64, BTreeSet<String>) {
    let workload = t.space.get(Kind::Deployment, &format!("{name}-{name}-web")).await.expect("a Deployment");
    let pods = t.space.list(Kind::Pod).await;
    let of_it = pods.iter().filter(|pod| json::label(pod, "appstack.dev/stack") == name);
    let uids = of_it.map(|pod| json::text(pod, "/metadata/uid").to_owned()).collect();
    (json::number(&workload, "/metadata/generation"), uids)
}

/// Changes the image of its one service.
async fn edit(t: &Live, name: &str, image: &str) {
    let service = format!("{name}-web");
    t.space.patch(name, json!({"spec": {"services": {service: {"image": image}}}})).await;
}

async fn runs_image(t: &Live, name: &str, image: &str) {
    eventually(SOON, &format!("{name} to run {image}"), async || {
        let workload = t.space.get(Kind::Deployment, &format!("{name}-{name}-web")).await.ok_or("none")?;
        if runs(&workload, image) { Ok(()) } else { Err("not yet".into()) }
    })
    .await;
}

// "sharding by label selector (`--selector`) for clusters that outgrow one operator"
#[test]
fn each_shard_looks_after_its_own_stacks_and_a_stack_changes_hands_without_a_roll() {
    live("operators_shards", async |t| {
        let start = |selector: &str| t.space.operator().args(&["--selector", selector]).start();
        let _first = start("shard=a");
        let mut second = start("shard!=a");
        t.space.apply_object(&in_shard("one", "a", "one:1")).await;
        let mut two = in_shard("two", "b", "two:1");
        two["spec"]["dependsOn"] = json!({"one": {}});
        t.space.apply_object(&two).await; // waits for a stack of the other shard
        for name in ["one", "two"] {
            t.space.wait_ready(name, SOON).await;
        }
        let said = crate::commands::run(&t, &["version", "-o", "json"]).await;
        let all: Value = serde_json::from_str(&said.out).expect("json");
        let here = all["server"]["operators"].as_array().expect("operators").iter();
        let mut shards: Vec<&str> =
            here.filter(|one| one["namespace"] == t.space.name).filter_map(|one| one["selector"].as_str()).collect();
        shards.sort_unstable();
        assert_eq!(shards, ["shard!=a", "shard=a"], "{all:#}");

        // Where nobody looks after a shard, the other one leaves it alone.
        second.kill();
        edit(&t, "two", "two:2").await;
        edit(&t, "one", "one:2").await;
        runs_image(&t, "one", "one:2").await;
        t.space.wait_ready("one", SOON).await;
        t.space.delete(Kind::NetworkPolicy, "two").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let left = t.space.get(Kind::Deployment, "two-two-web").await.expect("a Deployment");
        assert!(runs(&left, "two:1") && t.space.get(Kind::NetworkPolicy, "two").await.is_none(), "it is not ours");
        second.start_again();
        runs_image(&t, "two", "two:2").await;
        t.space.wait_ready("two", SOON).await;

        // By its label a stack changes hands.
        let before = as_it_runs(&t, "one").await;
        t.space.patch("one", json!({"metadata": {"labels": {"shard": "b"}}})).await;
        operator_has_looked(&t, "moved").await; // a stack without the label: it is of the second
        assert_eq!(as_it_runs(&t, "one").await, before, "nothing has rolled");
        edit(&t, "one", "one:3").await;
        runs_image(&t, "one", "one:3").await;
        t.space.wait_ready("one", SOON).await;
        second.kill();
        edit(&t, "one", "one:4").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let left = t.space.get(Kind::Deployment, "one-one-web").await.expect("a Deployment");
        assert!(runs(&left, "one:3"), "the first has let go of it");
    });
}

// "structured logs (JSON or text, one line per decision, stack and service as fields)"
#[test]
fn each_decision_is_a_line_with_stack_and_service_as_fields() {
    live("operators_logs", async |t| {
        let setup = t.space.operator().json();
        let log = setup.log().to_owned();
        let _ = std::fs::remove_file(&log);
        let mut operator = setup.start();
        let mut shop = stack("shop", &json!({"db": service("db:1", 200, &[]), "web": service("web:1", 20, &["db"])}));
        shop["spec"]["services"]["old"] = service("old:1", 20, &[]);
        t.space.apply_object(&shop).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.patch("shop", json!({"spec": {"services": {"old": null}}})).await;
        eventually(SOON, "the removed service to be gone", async || {
            match t.space.get(Kind::Deployment, "shop-old").await {
                None => Ok(()),
                Some(_) => Err("it is there".into()),
            }
        })
        .await;
        t.space.wait_ready("shop", SOON).await;
        operator.stop();

        let text = std::fs::read_to_string(&log).expect("the log");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
        for line in &lines {
            for field in ["timestamp", "level", "message", "target"] {
                assert!(line[field].is_string(), "{field} of {line}");
            }
        }
        let place = format!("{}/shop", t.space.name);
        let of = |message: &str, service: &str| -> Vec<&Value> {
            lines.iter().filter(|l| l["message"] == message && l["stack"] == place && l["service"] == service).collect()
        };
        for name in ["db", "web", "old"] {
            let made: Vec<&Value> =
                of("applied", name).into_iter().filter(|l| l["child"] == format!("Deployment 'shop-{name}'")).collect();
            assert_eq!(made.len(), 1, "{name}: a line for each decision: {made:?}");
            assert_eq!(made[0]["action"], "create");
        }
        assert!(!of("told", "web").is_empty(), "that it waits, and for whom\n{text}");
        assert!(!of("pruned", "old").is_empty(), "{text}");
        assert!(lines.iter().any(|l| l["message"] == "leading") && lines.iter().any(|l| l["message"] == "stopping"));

        // As text: the same fields.
        let setup = t.space.operator();
        let plain = setup.log().to_owned();
        let _operator = setup.start();
        t.space.patch("shop", json!({"spec": {"services": {"web": {"image": "web:2"}}}})).await;
        t.space.wait_ready("shop", SOON).await;
        let said = std::fs::read_to_string(plain).expect("the log");
        let words = [format!("stack={place}"), "service=\"web\"".to_owned(), "action=\"update\"".to_owned()];
        assert!(said.lines().any(|line| words.iter().all(|word| line.contains(word))), "{said}");
    });
}
