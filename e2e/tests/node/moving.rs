//! Walls hold while a stack is changed around those who talk and those who must not: services come, go and move between networks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::nodes::{Dialled, Nodes, Pace, dial, keep_dialling, pod_of};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json as value};

use crate::rollout::roll_out;

/// How long everybody dials.
const SPAN: Duration = Duration::from_secs(120);
/// No edit begins later than this.
const EDITS: Duration = Duration::from_secs(95);
const READY: Duration = Duration::from_secs(60);

/// Longer than a lookup that is asked again takes: who is slow has not failed.
const PATIENT: Pace = Pace { every: Duration::from_millis(50), span: SPAN, timeout: Duration::from_secs(10) };
const EAGER: Pace = Pace { every: Duration::from_millis(100), span: SPAN, timeout: Duration::from_secs(1) };

fn service(networks: &[&str]) -> Value {
    let networks: BTreeMap<&str, Value> = networks.iter().map(|name| (*name, value!({}))).collect();
    value!({
        "image": "appstack.test/app:1", "networks": networks, "ports": {"http": {"port": 8080}},
        "healthcheck": {"http": {"port": "http"}, "interval": "1s"}, "stopGracePeriod": "1s",
    })
}

#[test]
fn walls_hold_while_services_are_added_removed_and_moved_between_networks() {
    Nodes::get();
    live("node_walls_moving", async |t| {
        let stack = value!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "moving"},
            "spec": {
                "networks": {"front": {}, "back": {"internal": true}},
                "services": {
                    "near": service(&["front"]), "web": service(&["front"]),
                    "worker": service(&["back"]), "store": service(&["back"]), "mover": service(&["front"]),
                },
            },
        });
        let (_operator, name) = roll_out(&t, vec![stack, stranger()]).await;
        let mut pods = BTreeMap::new();
        for unchanged in ["near", "web", "worker", "store"] {
            pods.insert(unchanged, pod_of(&t.space, &name, unchanged).await);
        }
        let mut addresses = BTreeMap::new();
        for (service, pod) in &pods {
            addresses
                .insert(*service, json::text(&t.space.get(Kind::Pod, pod).await.unwrap(), "/status/podIP").to_owned());
        }
        pods.insert("stranger", "stranger".into());
        walls_stand(&t, &pods["worker"], &pods["stranger"]).await;

        let begin = Instant::now();
        let dialling = |from: &str, targets: &[(&str, u16)], pace: Pace| {
            let by_name = targets.iter().map(|(to, port)| ((*to).to_owned(), *port));
            let by_address = targets.iter().filter_map(|(to, port)| Some((addresses.get(to)?.clone(), *port)));
            (from.to_owned(), keep_dialling(&t.space, &pods[from], by_name.chain(by_address).collect(), pace))
        };
        let allowed = [
            dialling("near", &[("web", 8080), ("outside.example", 80)], PATIENT),
            dialling("web", &[("near", 8080)], PATIENT),
            dialling("worker", &[("store", 8080)], PATIENT),
        ];
        // `late` is not there yet, and will be again and again: it is to be walled from its first answer on.
        let forbidden = [
            dialling("near", &[("store", 8080), ("worker", 8080), ("worker", 7070), ("late", 8080)], EAGER),
            dialling("worker", &[("web", 8080), ("near", 8080), ("near", 7070), ("outside.example", 80)], EAGER),
            dialling("stranger", &[("web", 8080), ("near", 7070), ("store", 8080), ("late", 8080)], EAGER),
        ];
        let rounds = edits(&t, &name, &pods["near"], begin).await;
        assert!(rounds >= 2, "{rounds} rounds are not much of a load");

        let (mut reached, mut failed) = (Vec::new(), Vec::new());
        let (mut dialled, mut slowest) = ([0; 2], 0);
        for (from, dialler) in allowed {
            for seen in dialler.join().expect("a dialler") {
                dialled[0] += 1;
                slowest = slowest.max(seen.ms);
                if !seen.reached() {
                    failed.push(format!("{from} to {}: {seen:?}", who(&addresses, &seen)));
                }
            }
        }
        for (from, dialler) in forbidden {
            for seen in dialler.join().expect("a dialler") {
                dialled[1] += 1;
                if seen.reached() {
                    reached.push(format!("{from} to {}: {seen:?}", who(&addresses, &seen)));
                }
            }
        }
        println!(
            "{rounds} rounds of edits: {} allowed connections, {} failed, the slowest took {slowest} ms; {} forbidden ones, {} succeeded",
            dialled[0],
            failed.len(),
            dialled[1],
            reached.len()
        );
        assert!(
            reached.is_empty(),
            "{} forbidden connections:\n  {}",
            reached.len(),
            reached[..reached.len().min(20)].join("\n  ")
        );
        assert!(
            failed.is_empty(),
            "{} allowed ones failed:\n  {}",
            failed.len(),
            failed[..failed.len().min(20)].join("\n  ")
        );
        assert!(dialled.iter().all(|count| *count > 1000), "nobody was busy: {dialled:?}");
        for unchanged in ["near", "web", "worker", "store"] {
            assert_eq!(pod_of(&t.space, &name, unchanged).await, pods[unchanged], "{unchanged} was never touched");
        }
    });
}

/// Round after round, until there is no time for another one.
async fn edits(t: &Live, name: &str, near: &str, begin: Instant) -> usize {
    let mut rounds = 0;
    while begin.elapsed() < EDITS {
        // A new member of the internal network, and the mover joins it; a network that nobody knew.
        let spec = value!({
            "networks": {"side": {}},
            "services": {"late": service(&["back"]), "mover": {"networks": {"front": null, "back": {}, "side": {}}}},
        });
        t.space.patch(name, value!({"spec": spec})).await;
        t.space.wait_ready(name, READY).await;
        mover(t, near, false).await;
        // All back.
        let spec = value!({
            "networks": {"side": null},
            "services": {"late": null, "mover": {"networks": {"front": {}, "back": null, "side": null}}},
        });
        t.space.patch(name, value!({"spec": spec})).await;
        t.space.wait_ready(name, READY).await;
        mover(t, near, true).await;
        rounds += 1;
    }
    rounds
}

/// The mover is among its new neighbours, and no longer among the old ones.
async fn mover(t: &Live, near: &str, open: bool) {
    eventually(Duration::from_secs(20), &format!("near to reach mover: {open}"), async || {
        let seen = from(t, near, &[("mover", 8080)]).await;
        if seen[0].reached() == open { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

/// Returns when the policy agents know the pods.
async fn walls_stand(t: &Live, worker: &str, stranger: &str) {
    eventually(Duration::from_secs(30), "the walls", async || {
        let inside = from(t, worker, &[("outside.example", 80), ("web", 8080), ("near", 7070)]).await;
        let outside = from(t, stranger, &[("web", 8080), ("store", 8080)]).await;
        let reached: Vec<&Dialled> = inside.iter().chain(&outside).filter(|seen| seen.reached()).collect();
        if reached.is_empty() { Ok(()) } else { Err(format!("{reached:?}")) }
    })
    .await;
    // And that whoever may is let in.
    eventually(Duration::from_secs(30), "the ways", async || {
        let seen = from(t, worker, &[("store", 8080)]).await;
        if seen[0].reached() { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

async fn from(t: &Live, pod: &str, targets: &'static [(&'static str, u16)]) -> Vec<Dialled> {
    let (space, pod) = (t.space.clone(), pod.to_owned());
    tokio::task::spawn_blocking(move || dial(&space, &pod, targets)).await.expect("a dialler")
}

fn who<'a>(addresses: &'a BTreeMap<&str, String>, seen: &'a Dialled) -> &'a str {
    addresses.iter().find(|(_, address)| **address == seen.host).map_or(seen.host.as_str(), |(service, _)| *service)
}

/// In none of the stack's networks.
fn stranger() -> Value {
    value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "appstack.test/app:1", "command": ["app", "pause"]}],
        },
    })
}
