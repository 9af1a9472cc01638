//! Stacks that several tests use, and small questions about them.

use std::time::Duration;

pub use e2e::dice::Dice;
use e2e::observer::Seen;
use e2e::workload::is_complete;
use e2e::{Kind, Live, eventually, json};
use serde_json::{Value, json};

/// Time enough for a small stack on a busy machine, whose nodes may be real.
pub const SOON: Duration = Duration::from_secs(150);

/// A stack of these services.
pub fn stack(name: &str, services: &Value) -> Value {
    json!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
        "metadata": {"name": name}, "spec": {"services": services},
    })
}

/// A service whose pods become ready after so many milliseconds, and that waits for these to be healthy.
pub fn service(image: &str, delay: u64, after: &[&str]) -> Value {
    let mut service = json!({"image": image, "env": {"SIM_READY_DELAY": format!("{delay}ms")}});
    if !after.is_empty() {
        service["dependsOn"] = after.iter().map(|d| ((*d).to_owned(), json!({"condition": "Healthy"}))).collect();
    }
    service
}

/// A stack with one child of each kind: claim, config, published and in-stack Service, autoscaler, every policy.
pub fn one_of_each(name: &str) -> Value {
    let mut all = stack(
        name,
        &json!({
            "db": {
                "image": "db:1", "ports": {"sql": {"port": 5432}}, "networks": {"data": {}},
                "mounts": {"/data": {"volume": "data"}, "/etc/db.conf": {"config": "settings"}},
            },
            "web": {
                "image": "web:1", "ports": {"http": {"port": 8000, "published": 80}}, "networks": {"data": {}, "front": {}},
                "autoscale": {"min": 2, "max": 4, "cpuPercent": 70}, "resources": {"requests": {"cpu": "100m"}},
                "dependsOn": {"db": {"condition": "Healthy"}},
            },
        }),
    );
    all["spec"]["networks"] = json!({"data": {"internal": true}, "front": {}});
    all["spec"]["volumes"] = json!({"data": {"size": "1Gi"}});
    all["spec"]["configs"] = json!({"settings": {"content": "max_connections = 10\n"}});
    all
}

/// Everything the sample file holds, with the time each service takes to become ready.
pub fn finity(delays: impl Fn(&str) -> u64) -> Vec<Value> {
    let file = e2e::cluster::root().join("manifests/samples/finity.yaml");
    let yaml = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut documents = e2e::space::documents(&yaml);
    for stack in documents.iter_mut().filter(|d| d["kind"] == "AppStack") {
        let services = stack["spec"]["services"].as_object_mut().expect("services");
        for (name, service) in services {
            service["env"]["SIM_READY_DELAY"] = json!(format!("{}ms", delays(name)));
        }
    }
    documents.retain(|d| d["kind"] != "Namespace");
    documents
}

/// The version at which a Deployment first was completely rolled out with this image.
pub fn first_complete(history: &[Seen], deployment: &str, image: &str) -> Option<u64> {
    first(history, deployment, |d| is_complete(Kind::Deployment, d) && runs(d, image))
}

/// The version at which a Deployment was first written with this image.
pub fn first_written(history: &[Seen], deployment: &str, image: &str) -> Option<u64> {
    first(history, deployment, |d| runs(d, image))
}

fn first(history: &[Seen], deployment: &str, is: impl Fn(&Value) -> bool) -> Option<u64> {
    let of = |s: &&Seen| s.kind == Kind::Deployment && json::name(&s.object) == deployment && !s.deleted;
    history.iter().filter(of).find(|s| is(&s.object)).map(|s| s.version)
}

/// Whether the Deployment's first container runs an image that contains this; any, if empty.
pub fn runs(deployment: &Value, image: &str) -> bool {
    json::text(deployment, "/spec/template/spec/containers/0/image").contains(image)
}

/// The operator has looked at everything that had happened before: it has dealt with news that came later. The news is a
/// second stack, [`SIGNAL`], whose requests tests leave out by its name.
pub async fn operator_has_looked(live: &Live, mark: &str) {
    let signal = stack(SIGNAL, &json!({SIGNAL: {"image": "signal:1", "replicas": 0, "env": {"MARK": mark}}}));
    live.space.apply_object(&signal).await;
    live.space.wait_ready(SIGNAL, SOON).await;
    tokio::time::sleep(Duration::from_millis(300)).await; // what it began at the same time may still be on its way
}

/// Name of the stack that serves as a signal, of its service and of all its children's beginning.
pub const SIGNAL: &str = "signal";

/// Whether an object belongs to the signal.
pub fn is_signal(name: &str) -> bool {
    name.starts_with(SIGNAL)
}

/// Waits until the stack's service is in this state; returns what the status says of the service.
pub async fn wait_state(live: &Live, stack: &str, service: &str, state: &str) -> Value {
    eventually(SOON, &format!("service {service} to be {state}"), async || {
        let status = live.space.status(stack).await;
        let found = status["services"][service].clone();
        if found["state"] == state { Ok(found) } else { Err(format!("{status:#}")) }
    })
    .await
}
