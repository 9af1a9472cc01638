//! `make bench-gate`: how long a gate takes, the operator's and a bare "watch then apply" loop's, in turns in one run.
//!
//! Printed are p50 and p99 over 200 edges (10 chains of 20 behind one service that starts them all at once) from the
//! event that made a dependency ready, as the observer received it, to the dependant's write; and the time of one chain
//! of 20 from its first write to its last ready event. The bare loop sends the Deployments that the operator had made.

// A benchmark that cannot run has nothing to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::gate::{latencies, quantile, total};
use e2e::{Kind, Live, json, live_within};
use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::{Map, Value, json};

const ROUNDS: usize = 2;
const CHAINS: usize = 10;
const LENGTH: usize = 20;
const PATIENCE: Duration = Duration::from_secs(100);

/// Dependant and dependency, by Deployment.
type Edges = Vec<(String, String)>;

#[derive(Default)]
struct Times {
    gates: Vec<Duration>,
    chain: Vec<Duration>,
}

fn main() {
    e2e::cluster::Cluster::get();
    let (mut ours, mut bare) = (Times::default(), Times::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for round in 1..=ROUNDS {
            for (what, chains) in [("wide", CHAINS), ("chain", 1)] {
                let mut bodies = Vec::new();
                let begin = Instant::now();
                live_within("bench_operator", async |t| bodies = operator(&t, chains, &mut ours).await).await;
                let middle = Instant::now();
                live_within("bench_bare", async |t| bare_run(&t, &bodies, chains, &mut bare).await).await;
                let (ours, bare) = (middle - begin, middle.elapsed());
                println!("round {round} of {ROUNDS}, {what}: operator {ours:.1?}, bare loop {bare:.1?}, all in all");
            }
        }
    });
    report(&ours, &bare);
}

/// One stack: a service `start`, and chains behind it.
fn stack(chains: usize) -> (Value, Edges) {
    let quick = |delay: &str| json!({"SIM_READY_DELAY": delay, "SIM_START_DELAY": "1ms"});
    let mut services = Map::new();
    let mut edges = Edges::new();
    // Long enough for everything that is not gated (names, policies) to be there before the first gate opens.
    services.insert("start".into(), json!({"image": "start:1", "env": quick("4s")}));
    for chain in 0..chains {
        let mut last = "start".to_owned();
        for n in 0..LENGTH {
            let name = format!("c{chain}-{n}");
            services.insert(
                name.clone(),
                json!({"image": "link:1", "env": quick("1ms"), "dependsOn": {&last: {"condition": "Healthy"}}}),
            );
            edges.push((format!("gate-{name}"), format!("gate-{last}")));
            last = name;
        }
    }
    let stack = json!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "gate"}, "spec": {"services": services},
    });
    (stack, edges)
}

async fn operator(t: &Live, chains: usize, times: &mut Times) -> Vec<Value> {
    let _operator = t.space.operator().start();
    let (stack, edges) = stack(chains);
    t.space.apply_object(&stack).await;
    t.space.wait_ready("gate", PATIENCE).await;
    measure(t, &edges, chains, times).await;
    t.space.list(Kind::Deployment).await
}

/// As a person would with a script: whenever a Deployment is complete, apply those that wait for it alone.
async fn bare_run(t: &Live, live: &[Value], chains: usize, times: &mut Times) {
    let (_, edges) = stack(chains);
    let bodies: BTreeMap<String, Value> = live.iter().map(|d| (json::name(d).to_owned(), body(d))).collect();
    let api = t.space.api(Kind::Deployment);
    let how = PatchParams::apply("bare").force();
    let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default(), &from).await.unwrap().boxed();
    api.patch("gate-start", &how, &Patch::Apply(&bodies["gate-start"])).await.unwrap();
    let mut done = BTreeSet::new();
    while done.len() < bodies.len() {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.expect("an event in time").unwrap();
        let Some(WatchEvent::Added(deployment) | WatchEvent::Modified(deployment)) = event else { continue };
        let deployment = serde_json::to_value(deployment).unwrap();
        let name = json::name(&deployment).to_owned();
        if e2e::world::is_complete(&deployment) && done.insert(name.clone()) {
            for (next, _) in edges.iter().filter(|(_, on)| *on == name) {
                let (api, how, body, next) = (api.clone(), how.clone(), bodies[next].clone(), next.clone());
                tokio::spawn(async move { api.patch(&next, &how, &Patch::Apply(&body)).await.unwrap() });
            }
        }
    }
    measure(t, &edges, chains, times).await;
}

async fn measure(t: &Live, edges: &Edges, chains: usize, times: &mut Times) {
    let history = t.observer.history().await;
    if chains == 1 {
        let names: Vec<String> = edges.iter().map(|(name, _)| name.clone()).collect();
        times.chain.push(total(&history, &names));
    } else {
        times.gates.extend(latencies(&history, edges));
    }
}

/// What the operator sent, as far as it can be sent again by another: without what the server added, without an owner,
/// and without the labels by which the order law would take it for a stack's.
fn body(live: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": live["spec"],
        "metadata": {"name": live["metadata"]["name"]},
    })
}

fn report(ours: &Times, bare: &Times) {
    let edges = ours.gates.len() / ROUNDS;
    println!("\ngate latency over {edges} edges, {ROUNDS} rounds each in turns");
    println!("{:<12} {:>12} {:>12} {:>8}", "", "operator", "bare loop", "ratio");
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        line(what, quantile(&ours.gates, share), quantile(&bare.gates, share));
    }
    for (n, (a, b)) in ours.chain.iter().zip(&bare.chain).enumerate() {
        line(&format!("chain {}", n + 1), *a, *b);
    }
}

fn line(what: &str, a: Duration, b: Duration) {
    let ratio = a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE);
    println!("{what:<12} {:>12} {:>12} {ratio:>8.2}", format!("{a:.1?}"), format!("{b:.1?}"));
}
