//! Volumes with real files: what was acknowledged is kept, writers take turns, users see the same, a volume is filled once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::nodes::{Nodes, exec, kubectl, pod_of, pods_of};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json as value};
use tokio::time::sleep;

/// Time enough for a few pods on a busy machine.
pub const SOON: Duration = Duration::from_secs(120);

/// The stand-in by its own name.
pub const APP: &str = "appstack.test/app:1";

/// A stack with one volume, `data`.
pub fn stack(name: &str, services: &Value) -> Value {
    value!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": name},
        "spec": {"services": services, "volumes": {"data": {"size": "1Gi"}}},
    })
}

/// A database that adds a record to its log for each request.
pub fn database() -> Value {
    value!({
        "image": "postgres:15-alpine", "env": {"APP_APPEND": "/data/log"}, "ports": {"pg": {"port": 5432}},
        "mounts": {"/data": {"volume": "data"}}, "stopGracePeriod": "2s",
        "healthcheck": {"http": {"port": "pg"}, "interval": "1s", "retries": 2},
    })
}

/// Who asks the database for records, and notes which of them were acknowledged.
pub fn teller() -> Value {
    let ask = "while sleep 0.1; do [ -e /tmp/stop ] || timeout 3 curl http://db:5432/app/append >> /tmp/acknowledged 2>/dev/null; done";
    value!({"image": APP, "entrypoint": ["sh", "-c", ask], "stopGracePeriod": "1s"})
}

/// The numbers that were acknowledged so far.
pub async fn acknowledged(t: &Live, stack: &str) -> Vec<u64> {
    let pod = pod_of(&t.space, stack, "teller").await;
    let text = exec(&t.space, &pod, &["sh", "-c", "cat /tmp/acknowledged 2>/dev/null || true"]);
    text.lines().map(|n| n.trim().parse().expect("a number")).collect()
}

/// Returns when more records were acknowledged than there are now.
pub async fn goes_on(t: &Live, stack: &str) {
    let before = acknowledged(t, stack).await.len();
    eventually(SOON, "more records to be acknowledged", async || {
        sleep(Duration::from_millis(500)).await;
        let now = acknowledged(t, stack).await.len();
        if now > before + 3 { Ok(()) } else { Err(format!("{before} before, {now} now")) }
    })
    .await;
}

/// What `app verify` says of the log in a pod. Fails on a gap, and if two have written at once.
pub fn verify(t: &Live, pod: &str) -> Value {
    serde_json::from_str(&exec(&t.space, pod, &["app", "verify", "/data/log"])).expect("an account")
}

/// Every number that was acknowledged is in the log, and was told once.
pub fn assert_kept(acknowledged: &[u64], account: &Value) {
    assert!(acknowledged.windows(2).all(|two| two[0] < two[1]), "a number was given twice: {acknowledged:?}");
    let last = json::number(account, "/last");
    assert!(acknowledged.last().is_some_and(|n| i64::try_from(*n).unwrap() <= last), "{acknowledged:?}, {account}");
}

/// Waits until the status of a service says these words, in its reason or its message; returns how long it took.
pub async fn says(t: &Live, stack: &str, service: &str, words: &[&str]) -> Duration {
    let begun = Instant::now();
    eventually(SOON, &format!("{service} to say {words:?}"), async || {
        let said = t.space.status(stack).await["services"][service].clone();
        if words.iter().all(|w| said.to_string().contains(w)) { Ok(()) } else { Err(said.to_string()) }
    })
    .await;
    begun.elapsed()
}

/// Returns when the stack has no pod any more.
pub async fn no_pods(t: &Live) {
    eventually(SOON, "the pods to be gone", async || {
        let left = t.space.list(Kind::Pod).await.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    })
    .await;
}

/// A node that takes no pods, until this is dropped.
struct Cordoned<'a>(&'a Live, String);

impl Drop for Cordoned<'_> {
    fn drop(&mut self) {
        kubectl(&self.0.space, &["uncordon", &self.1]);
    }
}

#[test]
fn a_database_keeps_every_acknowledged_write_over_update_rollback_drain_and_re_creation() {
    Nodes::get();
    live("node_data_kept", async |t| {
        let _operator = t.space.operator().start();
        let mut bank = stack("bank", &value!({"db": database(), "teller": teller()}));
        bank["spec"]["services"]["db"]["update"] = value!({"onFailure": "Rollback", "deadline": "25s"});
        t.space.apply_object(&bank).await;
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;

        bank["spec"]["services"]["db"]["env"]["VERSION"] = value!("2");
        t.space.apply_object(&bank).await;
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;

        let mut broken = bank.clone();
        broken["spec"]["services"]["db"]["image"] = value!("appstack.test/nobody:1");
        t.space.apply_object(&broken).await;
        says(&t, "bank", "db", &["Image", "appstack.test/nobody:1"]).await;
        says(&t, "bank", "db", &["RolledBack", "was put back", "Image", "appstack.test/nobody:1"]).await;
        goes_on(&t, "bank").await;
        t.space.apply_object(&bank).await;
        t.space.wait_ready("bank", SOON).await;

        let node = json::text(&pods_of(&t.space, "bank", "db").await[0], "/spec/nodeName").to_owned();
        let begun = Instant::now();
        let cordoned = Cordoned(&t, node.clone());
        kubectl(
            &t.space,
            &[
                "drain",
                &node,
                "--pod-selector=appstack.dev/service=db,appstack.dev/stack=bank",
                "--ignore-daemonsets",
                "--timeout=60s",
            ],
        );
        t.space.wait_ready("bank", SOON).await;
        let moved = begun.elapsed();
        let now = pods_of(&t.space, "bank", "db").await;
        let nodes: Vec<&str> = now.iter().map(|pod| json::text(pod, "/spec/nodeName")).collect();
        assert!(!nodes.is_empty() && nodes.iter().all(|n| !n.is_empty() && **n != node), "{nodes:?}, drained: {node}");
        goes_on(&t, "bank").await;
        drop(cordoned);

        let client = pod_of(&t.space, "bank", "teller").await;
        exec(&t.space, &client, &["touch", "/tmp/stop"]);
        let told = acknowledged(&t, "bank").await;
        t.space.delete(Kind::AppStack, "bank").await;
        no_pods(&t).await;
        t.space.apply_object(&bank).await;
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;
        let account = verify(&t, &pod_of(&t.space, "bank", "db").await);
        assert_kept(&told, &account);
        assert!(acknowledged(&t, "bank").await[0] > *told.last().unwrap(), "it goes on where it was: {account}");
        let writers = json::items(&account, "/writers").count();
        assert!(writers >= 5, "first, updated, put back, drained, made again: {account}");
        t.shows(format!(
            "{} acknowledged and none lost, by {writers} pods one after the other; drained, and up on the other node, in {moved:.1?}",
            told.len()
        ));
    });
}

/// A writer that holds the log from its start.
fn writer(version: &str) -> Value {
    value!({
        "image": APP, "env": {"VERSION": version}, "entrypoint": ["app", "append", "/data/log", "-every", "20ms", "-count", "1000000"],
        "mounts": {"/data": {"volume": "data"}}, "stopGracePeriod": "2s",
    })
}

#[test]
fn writers_of_one_claim_take_turns_over_updates_changes_of_mode_and_of_name() {
    Nodes::get();
    live("node_data_turns", async |t| {
        let _operator = t.space.operator().start();
        for version in ["1", "2", "3"] {
            t.space.apply_object(&stack("turns", &value!({"db": writer(version)}))).await;
            t.space.wait_ready("turns", SOON).await;
        }
        let mut job = writer("4");
        job["mode"] = value!("Job");
        job["entrypoint"][6] = value!("50");
        t.space.apply_object(&stack("turns", &value!({"db": job}))).await;
        t.space.wait_ready("turns", SOON).await;
        t.space.apply_object(&stack("turns", &value!({"db": writer("5")}))).await;
        t.space.wait_ready("turns", SOON).await;
        // By another name it is another service, for which the first one makes room.
        t.space.apply_object(&stack("turns", &value!({"store": writer("6")}))).await;
        t.space.wait_ready("turns", SOON).await;
        let account = verify(&t, &pod_of(&t.space, "turns", "store").await);
        let writers = json::items(&account, "/writers").count();
        assert_eq!((json::number(&account, "/overlaps"), writers), (0, 6), "{account}");
        t.shows(format!("{} records by {writers} writers, none beside another", json::number(&account, "/last")));
    });
}

#[test]
fn a_volume_is_filled_once_and_all_users_see_the_same() {
    Nodes::get();
    live("node_data_shared", async |t| {
        let mut operator = t.space.operator().start();
        let reader = |version: &str| value!({"image": APP, "replicas": 2, "env": {"VERSION": version}, "mounts": {"/in": {"volume": "data"}}, "stopGracePeriod": "1s"});
        let all = |version: &str| {
            let mut all = stack("media", &value!({"a": reader(version), "b": reader("1")}));
            all["spec"]["volumes"]["data"]["populate"] = value!({"image": APP, "command": ["sh", "-c", "date +%s >> /volume/filled && echo model > /volume/model"]});
            all
        };
        t.space.apply_object(&all("1")).await;
        t.space.wait_ready("media", SOON).await;
        let pods = async |service: &str| -> Vec<String> {
            pods_of(&t.space, "media", service).await.iter().map(|p| json::name(p).to_owned()).collect()
        };
        let mut all_pods = pods("a").await;
        all_pods.extend(pods("b").await);
        assert_eq!(all_pods.len(), 4);
        for pod in &all_pods {
            exec(&t.space, pod, &["sh", "-c", "hostname > /in/from-$(hostname)"]);
        }
        for pod in &all_pods {
            let seen = exec(&t.space, pod, &["sh", "-c", "cat /in/model; ls /in | grep -c ^from-"]);
            assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["model", "4"], "{pod}");
        }
        t.space.apply_object(&all("2")).await;
        t.space.wait_ready("media", SOON).await;
        operator.restart();
        t.space.touch("media", "restarted").await;
        t.space.wait_ready("media", SOON).await;
        let filled = |pod: &str| exec(&t.space, pod, &["cat", "/in/filled"]).lines().count();
        assert_eq!(filled(&pods("a").await[0]), 1, "over an update and a restart of the operator");

        // A stack that is made again runs its Jobs again, but for this one: the claim tells that it was filled.
        t.space.delete(Kind::AppStack, "media").await;
        no_pods(&t).await;
        t.space.apply_object(&all("2")).await;
        t.space.wait_ready("media", SOON).await;
        let pod = pods("a").await.remove(0);
        let users = exec(&t.space, &pod, &["sh", "-c", "ls /in | grep -c ^from-"]);
        assert_eq!((users.trim(), filled(&pod)), ("4", 1), "what was written is there, and nothing more");
        t.shows("4 users on one volume, filled before the first, once; what they wrote outlives the stack");
    });
}

#[test]
fn a_seeded_volume_has_the_images_files_and_owner_and_who_is_not_root_can_write() {
    Nodes::get();
    live("node_data_seed", async |t| {
        let _operator = t.space.operator().start();
        let image = "registry.example/finity/backend-node:1.4.0";
        let service = |volume: &str, user: Option<i64>| {
            let mut service = value!({
                "image": image, "stopGracePeriod": "1s", "entrypoint": ["app", "serve"],
                "mounts": {"/app/node_modules": {"volume": volume, "seed": "FromImage"}},
            });
            if let Some(user) = user {
                service["securityContext"] = value!({"runAsUser": user, "runAsNonRoot": true});
            }
            service
        };
        let mut all = stack(
            "seeds",
            &value!({"root": service("as-root", None), "user": service("as-user", Some(1000)), "lost": service("ext", Some(1000))}),
        );
        all["spec"]["volumes"] = value!({
            "as-root": {"size": "1Gi"}, "as-user": {"size": "1Gi", "storageClassName": "standard"},
            "ext": {"size": "1Gi", "storageClassName": "ext4"},
        });
        t.space.apply_object(&all).await;
        t.space.wait_ready("seeds", SOON).await;
        let mut shown = BTreeSet::new();
        for service in ["root", "user", "lost"] {
            let pod = pod_of(&t.space, "seeds", service).await;
            let folder = "cd /app/node_modules && stat -c '%u:%g' from-image && cat from-image && echo mine > mine && cat mine && id -u";
            let seen = exec(&t.space, &pod, &["sh", "-c", folder]);
            let seen: Vec<&str> = seen.split_whitespace().collect();
            let user = if service == "root" { "0" } else { "1000" };
            assert_eq!(seen, ["1000:1000", image, "mine", user], "{service}");
            shown.insert(user.to_owned());
        }
        // What was written stays when the pods are made anew: a volume is seeded once.
        let pod = pod_of(&t.space, "seeds", "user").await;
        exec(&t.space, &pod, &["sh", "-c", "echo changed > /app/node_modules/from-image"]);
        t.space.patch("seeds", value!({"spec": {"services": {"user": {"env": {"VERSION": "2"}}}}})).await;
        t.space.wait_ready("seeds", SOON).await;
        let pod = pod_of(&t.space, "seeds", "user").await;
        assert_eq!(exec(&t.space, &pod, &["cat", "/app/node_modules/from-image"]).trim(), "changed");
        t.shows(format!("as users {shown:?}, also beside lost+found"));
    });
}
