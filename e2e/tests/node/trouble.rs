//! What breaks on real nodes, and what is said of it. These take a node or the cluster's DNS away: nothing else runs beside them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use e2e::dice::Dice;
use e2e::nodes::{Nodes, exec, kubectl, pod_of, pods_of};
use e2e::{Kind, Live, json, live};
use serde_json::{Value, json as value};
use tokio::time::sleep;

use crate::data::{APP, SOON, acknowledged, assert_kept, database, goes_on, says, stack, teller, verify};

/// The bench, for one test at a time.
fn alone() -> (&'static Nodes, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    (Nodes::get(), ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A node that is switched on again at the end, also after a failure.
struct Off(&'static Nodes, String);

impl Drop for Off {
    fn drop(&mut self) {
        self.0.power(&self.1, true);
    }
}

#[test]
fn a_node_that_stops_and_comes_back_loses_no_record_and_starts_no_second_writer() {
    let (nodes, _alone) = alone();
    live("node_trouble_power", async |t| {
        let _operator = t.space.operator().start();
        let mut bank = stack("bank", &value!({"db": database(), "teller": teller()}));
        // The records are asked for from the other node than the one that stops.
        bank["spec"]["services"]["db"]["tolerations"] = value!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}]);
        let mut first = bank.clone();
        first["spec"]["services"].as_object_mut().unwrap().remove("teller");
        t.space.apply_object(&first).await;
        t.space.wait_ready("bank", SOON).await;
        let before = pods_of(&t.space, "bank", "db").await.remove(0);
        let node = json::text(&before, "/spec/nodeName").to_owned();
        let other = if node == "node-0" { "node-1" } else { "node-0" };
        bank["spec"]["services"]["teller"]["nodeSelector"] = value!({"kubernetes.io/hostname": other});
        t.space.apply_object(&bank).await;
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;
        nodes.power(&node, false);
        let off = Off(nodes, node);
        let lost = says(&t, "bank", "db", &["Degraded", "NodeLost", "does not answer"]).await;
        // It is evicted; the next one has to be where the volume is in use, and that node takes none.
        says(&t, "bank", "db", &["Unschedulable", "untolerated taint"]).await;
        let told = acknowledged(&t, "bank").await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(acknowledged(&t, "bank").await, told, "nobody writes");
        drop(off);
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;
        let after = pods_of(&t.space, "bank", "db").await.remove(0);
        assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
        let account = verify(&t, json::name(&after));
        assert_kept(&told, &account);
        t.shows(format!(
            "named NodeLost after {:.0} s, {} records kept, no two writers",
            lost.as_secs_f64(),
            told.len()
        ));
    });
}

#[test]
fn a_kubelet_that_is_restarted_disturbs_nobody() {
    let (nodes, _alone) = alone();
    live("node_trouble_kubelet", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        t.space.apply_object(&stack("bank", &value!({"db": database(), "teller": teller()}))).await;
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;
        let pods = async || -> Vec<Value> {
            let mut pods: Vec<Value> = t.space.list(Kind::Pod).await;
            pods.sort_by_key(|p| json::name(p).to_owned());
            pods.iter()
                .map(|p| value!([p["metadata"]["uid"], p["status"]["containerStatuses"][0]["restartCount"]]))
                .collect()
        };
        let (before, mark) = (pods().await, audit.mark().await);
        for node in ["node-0", "node-1"] {
            nodes.daemon("restart", node, "kubelet");
        }
        sleep(Duration::from_secs(10)).await;
        t.space.wait_ready("bank", SOON).await;
        goes_on(&t, "bank").await;
        assert_eq!(pods().await, before, "the same pods, not restarted");
        let seen = audit.since(mark).await;
        assert!(seen.child_writes().is_empty(), "the operator wrote:\n{seen}");
        // The kubelet still does its work: an update goes through.
        t.space.patch("bank", value!({"spec": {"services": {"db": {"env": {"VERSION": "2"}}}}})).await;
        t.space.wait_ready("bank", SOON).await;
        let told = acknowledged(&t, "bank").await;
        assert_kept(&told, &verify(&t, &pod_of(&t.space, "bank", "db").await));
        t.shows("same pods, 0 restarts, 0 writes of the operator; an update afterwards");
    });
}

/// The cluster's DNS, gone until this is dropped.
struct NoNames<'a>(&'a Live);

impl<'a> NoNames<'a> {
    fn since_now(t: &'a Live) -> Self {
        kubectl(&t.space, &["--namespace=kube-system", "scale", "deployment/coredns", "--replicas=0"]);
        NoNames(t)
    }
}

impl Drop for NoNames<'_> {
    fn drop(&mut self) {
        kubectl(&self.0.space, &["--namespace=kube-system", "scale", "deployment/coredns", "--replicas=1"]);
    }
}

#[test]
fn without_dns_what_runs_goes_on_and_who_needs_names_is_named_and_heals() {
    let _alone = alone();
    live("node_trouble_dns", async |t| {
        let _operator = t.space.operator().start();
        // web's health is that it reaches its database by name.
        let web = value!({
            "image": APP, "dependsOn": {"db": {}}, "stopGracePeriod": "1s",
            "healthcheck": {"exec": ["curl", "http://db:5432/"], "interval": "1s", "timeout": "3s", "retries": 2},
        });
        let front = value!({"image": APP, "dependsOn": {"web": {}}, "stopGracePeriod": "1s"});
        t.space.apply_object(&stack("shop", &value!({"db": database(), "web": web, "front": front}))).await;
        t.space.wait_ready("shop", SOON).await;
        let before: Vec<Value> = t.space.list(Kind::Pod).await.iter().map(|p| p["metadata"]["uid"].clone()).collect();

        let gone = NoNames::since_now(&t);
        says(&t, "shop", "web", &["Degraded", "Unhealthy", "health check fails"]).await;
        // A change of who depends on it waits, and says for whom.
        t.space
            .patch(
                "shop",
                value!({"spec": {"services": {
            "front": {"env": {"VERSION": "2"}}, "web": {"env": {"VERSION": "2"}}}}}),
            )
            .await;
        says(&t, "shop", "front", &["Waiting", "web (Healthy)"]).await;
        let status = t.space.status("shop").await;
        assert_eq!(status["services"]["db"]["state"], "Ready", "{status:#}");
        drop(gone);
        t.space.wait_ready("shop", SOON).await;
        let after = t.space.list(Kind::Pod).await;
        let db = after.iter().find(|p| json::label(p, "appstack.dev/service") == "db").expect("db");
        assert!(before.contains(&db["metadata"]["uid"]), "who needs no names is not touched");
        let restarts: i64 = after.iter().map(|p| json::number(p, "/status/containerStatuses/0/restartCount")).sum();
        assert_eq!(restarts, 0, "a health check restarts nothing");
        t.shows("Degraded/Unhealthy, the dependant's update held, 0 restarts, all Ready once names are back");
    });
}

#[test]
fn a_missing_image_is_named_on_all_behind_it_and_heals() {
    let _alone = alone();
    live("node_trouble_image", async |t| {
        let _operator = t.space.operator().start();
        let mut db = database();
        db["image"] = value!("registry.example/nobody/has:1");
        let web = value!({"image": APP, "dependsOn": {"db": {}}, "stopGracePeriod": "1s"});
        t.space.apply_object(&stack("shop", &value!({"db": db, "web": web}))).await;
        let took = says(&t, "shop", "db", &["registry.example/nobody/has:1", "Image"]).await;
        says(&t, "shop", "web", &["db (Healthy)", "registry.example/nobody/has:1"]).await;
        assert!(t.space.get(Kind::Deployment, "shop-web").await.is_none(), "it waits");
        t.space.patch("shop", value!({"spec": {"services": {"db": {"image": "postgres:15-alpine"}}}})).await;
        t.space.wait_ready("shop", SOON).await;
        t.shows(format!("named on both after {:.0} s", took.as_secs_f64()));
    });
}

#[test]
fn a_full_volume_fails_its_writer_keeps_what_was_acknowledged_and_heals() {
    let _alone = alone();
    live("node_trouble_full", async |t| {
        let _operator = t.space.operator().start();
        let mut writer = database();
        // Its health is that it can write.
        writer["healthcheck"] = value!({"http": {"port": "pg", "path": "/app/append"}, "interval": "1s", "retries": 2});
        let shell = value!({"image": APP, "mounts": {"/data": {"volume": "data"}}, "stopGracePeriod": "1s"});
        // A check that says what ails it, and a program that does when it ends.
        let says_why = value!({"shell": "dd if=/dev/zero of=/data/check bs=8k count=1 2>&1 && rm /data/check", "interval": "1s", "retries": 2});
        let mut dies = shell.clone();
        dies["entrypoint"] = value!([
            "sh",
            "-c",
            "while dd if=/dev/zero of=/data/dies bs=8k count=1 2>/dev/termination-log; do rm /data/dies; sleep 0.5; done; exit 1"
        ]);
        let mut checked = shell.clone();
        checked["healthcheck"] = says_why;
        let mut all = stack("shop", &value!({"db": writer, "shell": shell, "checked": checked, "dies": dies}));
        all["spec"]["volumes"]["data"] = value!({"size": "4Mi", "storageClassName": "sized"});
        t.space.apply_object(&all).await;
        t.space.wait_ready("shop", SOON).await;
        let shell = pod_of(&t.space, "shop", "shell").await;
        exec(
            &t.space,
            &shell,
            &[
                "sh",
                "-c",
                "for n in 1 2 3; do dd if=/dev/zero of=/data/ballast$n bs=4k 2>/dev/null; sleep 1; done; test -s /data/ballast1",
            ],
        );
        let last = json::number(&verify_all(&t, &shell), "/last");
        says(&t, "shop", "db", &["Degraded", "Unhealthy", "health check fails"]).await;
        says(&t, "shop", "checked", &["Degraded", "DiskFull", "No space left on device"]).await;
        says(&t, "shop", "dies", &["DiskFull", "No space left on device", "CrashLoopBackOff"]).await;
        exec(&t.space, &shell, &["sh", "-c", "rm /data/ballast*"]);
        t.space.wait_ready("shop", SOON).await;
        let account = verify_all(&t, &shell);
        assert!(json::number(&account, "/last") > last, "it goes on: {account}");
        t.shows(format!(
            "Unhealthy or DiskFull while full; {last} records before, {} after",
            json::number(&account, "/last")
        ));
    });
}

/// The account of the log, where a record that did not fit may be cut off.
fn verify_all(t: &Live, pod: &str) -> Value {
    let text = exec(&t.space, pod, &["sh", "-c", "app verify /data/log || true"]);
    serde_json::from_str(text.lines().next().expect("an account")).expect("an account")
}

#[test]
fn an_operator_that_is_killed_again_and_again_keeps_order_and_data() {
    let _alone = alone();
    live("node_trouble_killed", async |t| {
        let mut operator = t.space.operator().start();
        let next = |after: &str| {
            value!({"image": APP, "dependsOn": {after: {}}, "stopGracePeriod": "1s", "ports": {"http": {"port": 8080}},
            "healthcheck": {"http": {"port": "http"}, "interval": "1s"}})
        };
        let mut all =
            stack("shop", &value!({"db": database(), "api": next("db"), "web": next("api"), "teller": teller()}));
        t.space.apply_object(&all).await;
        let (mut dice, mut kills) = (Dice(11), 0);
        for version in ["1", "2", "3"] {
            for service in ["db", "api", "web"] {
                all["spec"]["services"][service]["env"]["VERSION"] = value!(version);
            }
            t.space.apply_object(&all).await;
            for _ in 0..5 {
                sleep(Duration::from_millis(100 + dice.roll(2500))).await;
                operator.kill();
                sleep(Duration::from_millis(dice.roll(600))).await;
                operator.start_again();
                kills += 1;
            }
        }
        t.space.wait_ready("shop", SOON).await;
        goes_on(&t, "shop").await;
        let told = acknowledged(&t, "shop").await;
        assert_kept(&told, &verify(&t, &pod_of(&t.space, "shop", "db").await));
        t.shows(format!("{kills} kills over 3 rollouts of 3 services in order, {} records kept", told.len()));
    });
}
