//! Stacks roll out on real nodes as they are, in health order, with the stand-ins for their images.

use std::time::Duration;

use e2e::nodes::{Nodes, dial, exec, pod_of, pods_of, state};
use e2e::samples::{Sample, stack_of};
use e2e::verdict::broken_edges;
use e2e::{Live, json, live};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json as value};

/// Four services, one after the other; each has to be started, probed and found healthy.
const IN_TIME: Duration = Duration::from_secs(150);

/// Applies the documents of a sample and returns when its stack is Ready.
pub async fn roll_out(t: &Live, mut documents: Vec<Value>) -> (e2e::operator::Operator, String) {
    let name = json::name(stack_of(&mut documents)).to_owned();
    let operator = t.space.operator().args(&["--max-pod-security", "Privileged"]).start();
    for document in &documents {
        t.space.apply_object(document).await;
    }
    t.space.wait_ready(&name, IN_TIME).await;
    (operator, name)
}

/// How often the pod was asked for its health and said that all is well.
fn times_healthy(t: &Live, pod: &str) -> i64 {
    let state = state(&t.space, pod);
    json::entries(&state, "/probes").filter(|(who, _)| who.ends_with(" true")).filter_map(|(_, n)| n.as_i64()).sum()
}

#[test]
fn finity_rolls_out_in_health_order_and_its_probes_really_run() {
    Nodes::get();
    live("node_finity", async |t| {
        let sample = Sample::of("finity", None);
        let (_operator, name) = roll_out(&t, sample.documents()).await;
        let expected = sample.expected();
        let broken = broken_edges(&t.observer.history().await, &name, &expected);
        assert!(broken.is_empty(), "{}", broken.join("\n"));

        for service in &expected.services {
            let pod = pod_of(&t.space, &name, service).await;
            assert!(times_healthy(&t, &pod) > 0, "no probe of {service} has asked: {}", state(&t.space, &pod));
        }
        // By the kubelet's own clock: who waits has started after whom it waits for was ready.
        for (before, after) in &expected.order {
            let (before, after) = (pods_of(&t.space, &name, before).await, pods_of(&t.space, &name, after).await);
            let ready = json::condition(&before[0], "Ready").expect("Ready")["lastTransitionTime"].clone();
            let started = &after[0]["status"]["startTime"];
            assert!(
                ready.as_str() <= started.as_str(),
                "{} ready {ready}, {} started {started}",
                json::name(&before[0]),
                json::name(&after[0])
            );
        }
        // The image's files were copied into the volume.
        let node = pod_of(&t.space, &name, "finity-backend-node").await;
        assert!(exec(&t.space, &node, &["cat", "/app/node_modules/from-image"]).contains("finity/backend-node"));
    });
}

/// Each of the others is Ready with what its own health checks say, every program that they call included.
fn rolls_out(stack: &'static str) {
    Nodes::get();
    live(&format!("node_{stack}"), async |t| {
        let sample = Sample::of(stack, None);
        let expected = sample.expected();
        if !expected.gpus.is_empty() {
            plug_in_gpus(&t).await;
        }
        let (_operator, name) = roll_out(&t, sample.documents()).await;
        let broken = broken_edges(&t.observer.history().await, &name, &expected);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        let checked = expected.services.iter().filter(|s| expected.health.contains_key(*s));
        for service in checked {
            for pod in pods_of(&t.space, &name, service).await {
                assert!(times_healthy(&t, json::name(&pod)) > 0, "no probe of {service} has asked");
            }
        }
    });
}

#[test]
fn cirame_rolls_out_and_its_probes_really_run() {
    rolls_out("cirame");
}

#[test]
fn aurum_rolls_out_and_its_probes_really_run() {
    rolls_out("aurum");
}

#[test]
fn aria_rolls_out_and_its_probes_really_run() {
    rolls_out("aria");
}

#[test]
fn soundforge_rolls_out_and_its_probes_really_run() {
    rolls_out("soundforge");
}

/// A device that a test claims for a node stays, as long as no plugin knows better.
pub async fn plug_in_gpus(t: &Live) {
    let nodes: Api<DynamicObject> =
        Api::all_with(t.space.client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node")));
    let patch = value!({"status": {"capacity": {"nvidia.com/gpu": "4"}}});
    nodes.patch_status("node-1", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("a node with GPUs");
}

#[test]
fn hello_is_ready_and_its_internal_network_has_no_way_out_and_none_in() {
    Nodes::get();
    live("node_hello", async |t| {
        let text = std::fs::read_to_string(e2e::cluster::root().join("manifests/samples/hello.yaml")).unwrap();
        let (_operator, name) = roll_out(&t, e2e::space::documents(&text)).await;
        let web = pod_of(&t.space, &name, "web").await;
        let db = pods_of(&t.space, &name, "db").await.remove(0);
        let address = json::text(&db, "/status/podIP").to_owned();

        let seen = dial(&t.space, &web, &[("db", 5432), ("cache", 6379), (&address, 5432), ("outside.example", 80)]);
        assert!(seen.iter().all(e2e::nodes::Dialled::reached), "web may: {seen:#?}");
        assert_eq!((seen[0].outcome.as_str(), seen[0].who.as_str()), ("answered", json::name(&db)));
        let seen = dial(&t.space, json::name(&db), &[("outside.example", 80)]);
        assert!(!seen[0].reached(), "db is in an internal network alone: {seen:#?}");

        // A pod that is in none of the stack's networks.
        t.space
            .apply("{apiVersion: v1, kind: Pod, metadata: {name: stranger}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: 'appstack.test/app:1'}]}}")
            .await;
        e2e::eventually(Duration::from_secs(20), "the stranger", async || {
            let pod = t.space.get(e2e::Kind::Pod, "stranger").await.unwrap();
            if json::holds(&pod, "Ready") { Ok(()) } else { Err(pod["status"].to_string()) }
        })
        .await;
        let seen = dial(&t.space, "stranger", &[("db", 5432), (&address, 5432), (&address, 7070)]);
        assert!(!seen.iter().any(e2e::nodes::Dialled::reached), "a stranger may not: {seen:#?}");
    });
}
