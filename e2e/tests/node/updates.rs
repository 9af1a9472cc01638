//! Updates as clients and data see them: nobody is turned away, no two generations at once, and the way back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::client::{Client, Request};
use e2e::nodes::{Nodes, exec, pod_of, pods_of};
use e2e::{Kind, Live, eventually, json, live};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json as value};

const SOON: Duration = Duration::from_secs(60);

fn stack(service: &Value) -> Value {
    value!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "up"},
        "spec": {"services": {"web": service}},
    })
}

/// The test is the controller of load balancers.
async fn balance(t: &Live, service: &str, address: &str) {
    let status = value!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    let how = PatchParams::default();
    t.space.api(Kind::Service).patch_status(service, &how, &Patch::Merge(&status)).await.expect("a load balancer");
}

/// The next generation, and when its rollout is complete.
async fn roll(t: &Live, generation: usize) {
    t.space.patch("up", value!({"spec": {"services": {"web": {"env": {"GENERATION": generation.to_string()}}}}})).await;
    t.space.wait_ready("up", SOON).await;
}

/// Everything that went wrong, with the second of the run in which it did.
fn failures(seen: &[Request]) -> Vec<String> {
    let since = |r: &Request| r.at.duration_since(seen[0].at).unwrap_or_default();
    seen.iter()
        .filter_map(|r| r.answer.as_ref().err().map(|why| format!("{:.2?}, after {:.2?}: {why}", since(r), r.took)))
        .collect()
}

// "`StartFirst` with a client sending 100 requests/s through the published Service: 0 failed requests over ten rollouts."
#[test]
fn ten_rollouts_under_start_first_fail_no_request() {
    let nodes = Nodes::get();
    live("node_start_first", async |t| {
        const ADDRESS: &str = "172.30.1.77";
        let _operator = t.space.operator().start();
        // The program ends at once on SIGTERM, as many do.
        let web = value!({
            "image": "appstack.test/app:1", "publish": {"type": "LoadBalancer"},
            "ports": {"http": {"port": 8080, "published": 80}},
            "healthcheck": {"http": {"port": "http", "path": "/"}, "interval": "1s"},
            "update": {"order": "StartFirst"},
        });
        t.space.apply_object(&stack(&web)).await;
        t.space.wait_ready("up", SOON).await;
        balance(&t, "web-published", ADDRESS).await;
        eventually(SOON, "the load balancer", async || {
            let seen = nodes.dial_from_outside(&[(ADDRESS, 80)]);
            if seen[0].outcome == "answered" { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;

        let client = Client::start(nodes, &format!("{ADDRESS}:80"), 100);
        let begin = Instant::now();
        for generation in 1..=10 {
            roll(&t, generation).await;
        }
        // The last pod goes as well.
        eventually(SOON, "the last old pod to be gone", async || {
            let pods = t.space.list(Kind::Pod).await.len();
            if pods == 1 { Ok(()) } else { Err(format!("{pods} pods")) }
        })
        .await;
        let took = begin.elapsed();
        let seen = client.stop();
        let answered: BTreeSet<&String> = seen.iter().filter_map(|r| r.answer.as_ref().ok()).collect();
        println!("{} requests in {took:.1?}, {} pods have answered", seen.len(), answered.len());
        let failed = failures(&seen);
        assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), seen.len(), failed.join("\n"));
        assert!(seen.len() as u128 >= took.as_millis() / 20, "too few requests: {}", seen.len());
        assert_eq!(answered.len(), 11, "every generation has served: {answered:?}");
    });
}

// "`StopFirst` never has two generations at once."
#[test]
fn stop_first_never_runs_two_generations_at_once() {
    Nodes::get();
    live("node_stop_first", async |t| {
        let _operator = t.space.operator().start();
        // Each writes to one file from its start until its end, holding a lock, and takes its time to end.
        let web = value!({
            "image": "appstack.test/app:1", "ports": {"http": {"port": 8080}},
            "command": ["sh", "-c", "trap 'touch /tmp/end' TERM; app append /data/log -every 50ms -count 100000 & w=$!; \
                while [ ! -e /tmp/end ] && kill -0 $w; do sleep 0.1; done; sleep 1; kill $w; wait $w"],
            "mounts": {"/data": {"volume": "data"}},
            "update": {"order": "StopFirst"},
        });
        let mut stack = stack(&web);
        stack["spec"]["volumes"] = value!({"data": {"size": "1Gi", "accessMode": "ReadWriteMany"}});
        t.space.apply_object(&stack).await;
        t.space.wait_ready("up", SOON).await;
        for generation in 1..=4 {
            roll(&t, generation).await;
        }
        let pod = pod_of(&t.space, "up", "web").await;
        let account: Value = eventually(SOON, "the last generation to write", async || {
            let account: Value = serde_json::from_str(&exec(&t.space, &pod, &["app", "verify", "/data/log"])).unwrap();
            if account["writers"].as_array().unwrap().len() == 5 { Ok(account) } else { Err(account.to_string()) }
        })
        .await;
        println!("{account}");
        assert_eq!((&account["overlaps"], &account["broken"]), (&value!(0), &value!([])), "{account}");
        // By the server's own record: no two pods of the service have a container that runs.
        let mut running: BTreeSet<String> = BTreeSet::new();
        for seen in t.observer.history().await.iter().filter(|seen| seen.kind == Kind::Pod) {
            let name = json::name(&seen.object).to_owned();
            let runs = json::items(&seen.object, "/status/containerStatuses")
                .any(|container| !container["state"]["running"].is_null());
            if runs && !seen.deleted {
                running.insert(name)
            } else {
                running.remove(&name)
            };
            assert!(running.len() <= 1, "at once: {running:?}");
        }
    });
}

// "Rollback on a broken image within its deadline plus 5 s."
#[test]
fn a_broken_image_is_rolled_back_within_five_seconds_of_its_deadline() {
    Nodes::get();
    live("node_rollback", async |t| {
        let _operator = t.space.operator().start();
        let deadline = Duration::from_secs(10);
        let web = value!({
            "image": "appstack.test/app:1", "ports": {"http": {"port": 8080}},
            "healthcheck": {"http": {"port": "http", "path": "/"}, "interval": "1s"},
            "update": {"deadline": "10s", "onFailure": "Rollback"},
        });
        t.space.apply_object(&stack(&web)).await;
        t.space.wait_ready("up", SOON).await;
        let good = pod_of(&t.space, "up", "web").await;
        let begin = Instant::now();
        t.space.patch("up", value!({"spec": {"services": {"web": {"image": "appstack.test/app:none"}}}})).await;
        let back = eventually(SOON, "the good image", async || {
            let status = t.space.status("up").await;
            let deployment = t.space.get(Kind::Deployment, "up-web").await.unwrap();
            let image = json::text(&deployment, "/spec/template/spec/containers/0/image");
            let state = json::text(&status, "/services/web/state").to_owned();
            if image.ends_with(":1") && state == "RolledBack" {
                Ok(begin.elapsed())
            } else {
                Err(format!("{image} {status}"))
            }
        })
        .await;
        println!("rolled back after {back:.1?}");
        assert!(back <= deadline + Duration::from_secs(5), "after {back:?}");
        assert_eq!(pod_of_service(&t).await, [good], "the old pod has served all the time");
    });
}

async fn pod_of_service(t: &Live) -> Vec<String> {
    eventually(SOON, "the broken pod to be gone", async || {
        let pods = pods_of(&t.space, "up", "web").await;
        if pods.len() == 1 {
            Ok(pods.iter().map(|pod| json::name(pod).to_owned()).collect())
        } else {
            Err(format!("{} pods", pods.len()))
        }
    })
    .await
}
