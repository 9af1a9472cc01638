//! `make bench-gate`: how long a gate takes, the operator's and a bare "watch then apply" loop's, in turns in one run.
//!
//! Printed are p50 and p99 from the event that made a dependency ready, as the observer received it, to the dependant's
//! write: over 200 edges one after the other (a chain of 20, ten rounds), with the time of such a chain from its first write to its last
//! ready event; and, as the hard case, over 200 edges of one stack that open ten at a time (ten chains at once). The bare loop sends the
//! Deployments that the operator had made.

// A benchmark that cannot run has nothing to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e2e::gate::{latencies, quantile, total};
use e2e::{Kind, Live, json, live_within};
use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::{Map, Value, json};

const ROUNDS: usize = 10;
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
    let (mut ours, mut bare, mut our_wide, mut bare_wide) =
        (Times::default(), Times::default(), Times::default(), Times::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for round in 0..=ROUNDS {
            // The wide one first, once.
            let (chains, ours, bare) =
                if round == 0 { (CHAINS, &mut our_wide, &mut bare_wide) } else { (1, &mut ours, &mut bare) };
            let mut bodies = Vec::new();
            live_within("bench_operator", async |t| bodies = operator(&t, chains, ours).await).await;
            live_within("bench_bare", async |t| bare_run(&t, &bodies, chains, bare).await).await;
            println!("{round} of {ROUNDS} rounds done");
        }
    });
    report("one after the other: chain of 20, ten rounds", &ours, &bare);
    report("ten at a time: ten chains of 20 in one stack", &our_wide, &bare_wide);
}

/// One stack: a service `start`, and chains behind it.
fn stack(chains: usize) -> (Value, Edges) {
    let quick = |delay: &str| json!({"SIM_READY_DELAY": delay, "SIM_START_DELAY": "1ms"});
    let mut services = Map::new();
    let mut edges = Edges::new();
    // Long enough for everything that is not gated (names, policies) to be there before the first gate opens.
    let prepare = if chains == 1 { "1500ms" } else { "4s" };
    services.insert("start".into(), json!({"image": "start:1", "env": quick(prepare)}));
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

async fn operator(t: &Live, chains: usize, times: &mut Times) -> Vec<(Kind, Value)> {
    let _operator = t.space.operator().start();
    let (stack, edges) = stack(chains);
    t.space.apply_object(&stack).await;
    t.space.wait_ready("gate", PATIENCE).await;
    measure(t, &edges, times).await;
    t.space.children("gate").await
}

/// As a person would with a script: whenever a Deployment is complete, apply those that wait for it alone.
async fn bare_run(t: &Live, live: &[(Kind, Value)], chains: usize, times: &mut Times) {
    let (_, edges) = stack(chains);
    let how = PatchParams::apply("bare").force();
    let (deployments, beside): (Vec<_>, Vec<_>) = live.iter().partition(|(kind, _)| *kind == Kind::Deployment);
    // Names and walls first, as the operator has them: the cluster's own work on them is part of both runs.
    for (kind, object) in beside {
        t.space.api(*kind).patch(json::name(object), &how, &Patch::Apply(&body(*kind, object))).await.unwrap();
    }
    let bodies: BTreeMap<String, Value> =
        deployments.iter().map(|(_, d)| (json::name(d).to_owned(), body(Kind::Deployment, d))).collect();
    let api = t.space.api(Kind::Deployment);
    let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default(), &from).await.unwrap().boxed();
    api.patch("gate-start", &how, &Patch::Apply(&bodies["gate-start"])).await.unwrap();
    let mut done = BTreeSet::new();
    while done.len() < bodies.len() {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.expect("an event in time").unwrap();
        let Some(WatchEvent::Added(deployment) | WatchEvent::Modified(deployment)) = event else { continue };
        let deployment = serde_json::to_value(deployment).unwrap();
        let name = json::name(&deployment).to_owned();
        if e2e::workload::is_complete(Kind::Deployment, &deployment) && done.insert(name.clone()) {
            for (next, _) in edges.iter().filter(|(_, on)| *on == name) {
                let (api, how, body, next) = (api.clone(), how.clone(), bodies[next].clone(), next.clone());
                tokio::spawn(async move { api.patch(&next, &how, &Patch::Apply(&body)).await.unwrap() });
            }
        }
    }
    measure(t, &edges, times).await;
}

async fn measure(t: &Live, edges: &Edges, times: &mut Times) {
    let history = t.observer.history().await;
    let names: Vec<String> = edges.iter().map(|(name, _)| name.clone()).collect();
    times.chain.push(total(&history, &names));
    times.gates.extend(latencies(&history, edges));
}

/// What the operator sent, as far as it can be sent again by another: without what the server added, without an owner,
/// and without the labels by which the order law would take it for a stack's.
fn body(kind: Kind, live: &Value) -> Value {
    let names = kind.resource();
    let mut spec = live["spec"].clone();
    for given in ["clusterIP", "clusterIPs"] {
        if spec[given] != "None" && spec[given] != json!(["None"]) {
            spec.as_object_mut().unwrap().remove(given);
        }
    }
    json!({"apiVersion": names.api_version, "kind": names.kind, "spec": spec, "metadata": {"name": live["metadata"]["name"]}})
}

fn report(what: &str, ours: &Times, bare: &Times) {
    println!("\n{what}: {} gates", ours.gates.len());
    println!("{:<14} {:>12} {:>12} {:>8}", "", "operator", "bare loop", "ratio");
    for (what, share) in [("gate p50", 0.5), ("gate p99", 0.99)] {
        line(what, quantile(&ours.gates, share), quantile(&bare.gates, share));
    }
    line("whole, median", quantile(&ours.chain, 0.5), quantile(&bare.chain, 0.5));
}

fn line(what: &str, a: Duration, b: Duration) {
    let ratio = a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE);
    println!("{what:<14} {:>12} {:>12} {ratio:>8.2}", format!("{a:.1?}"), format!("{b:.1?}"));
}
