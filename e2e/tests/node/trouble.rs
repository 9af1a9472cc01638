//! What breaks on real nodes, and what is said of it. Nothing else runs beside these.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use e2e::dice::Dice;
use e2e::nodes::{Nodes, exec, pod_of};
use e2e::{Kind, Live, json, live};
use serde_json::{Value, json as value};
use tokio::time::sleep;

use crate::data::{APP, SOON, acknowledged, assert_kept, database, goes_on, says, stack, teller, verify};

/// The bench, for one test at a time.
fn alone() -> (&'static Nodes, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    (Nodes::get(), ALONE.lock().unwrap_or_else(PoisonError::into_inner))
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
        let mut all = stack("shop", &value!({"db": writer, "shell": shell}));
        all["spec"]["volumes"]["data"] = value!({"size": "4Mi", "storageClassName": "sized"});
        t.space.apply_object(&all).await;
        t.space.wait_ready("shop", SOON).await;
        let shell = pod_of(&t.space, "shop", "shell").await;
        exec(
            &t.space,
            &shell,
            &["sh", "-c", "dd if=/dev/zero of=/data/ballast bs=4k 2>/dev/null; test -s /data/ballast"],
        );
        let last = json::number(&verify_all(&t, &shell), "/last");
        says(&t, "shop", "db", &["Degraded", "Unhealthy", "health check fails"]).await;
        exec(&t.space, &shell, &["rm", "/data/ballast"]);
        t.space.wait_ready("shop", SOON).await;
        let account = verify_all(&t, &shell);
        assert!(json::number(&account, "/last") > last, "it goes on: {account}");
        t.shows(format!(
            "Degraded/Unhealthy while full; {last} records before, {} after",
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
