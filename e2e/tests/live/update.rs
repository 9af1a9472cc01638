//! How pods are replaced, and what becomes of a rollout that stands still.

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, is_signal, operator_has_looked, stack, wait_state};

fn shop(services: &Value) -> Value {
    let mut shop = stack("shop", services);
    shop["spec"]["volumes"] = json!({"own": {"size": "1Gi", "perReplica": true}});
    shop
}

async fn says(t: &Live, service: &str, words: &str) {
    eventually(SOON, &format!("{service} to say '{words}'"), async || {
        let status = t.space.status("shop").await["services"][service].clone();
        let said = json::text(&status, "/message");
        if said.contains(words) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

/// Short, and longer than pods take to start there: one that is still being started when its deadline passes is progress, and takes the failure back.
fn short_deadline() -> &'static str {
    if e2e::cluster::Cluster::get().real { "25s" } else { "4s" }
}

// "Deadlines for kinds without progressDeadlineSeconds are the operator's, at the exact instant"
#[test]
fn a_stateful_set_and_a_daemon_set_fail_at_their_deadlines_with_those_behind_them_and_heal() {
    live("update_deadlines", async |t| {
        let _operator = t.space.operator().start();
        let deadline = short_deadline();
        let shop = |mode: &str| {
            let (env, update) = (json!({"SIM_MODE": mode}), json!({"deadline": deadline}));
            shop(&json!({
                "db": {"image": "db:1", "mounts": {"/d": {"volume": "own"}}, "env": env, "update": update},
                "agent": {"image": "agent:1", "mode": "Global", "env": env, "update": update},
                "web": {"image": "web:1", "dependsOn": {"db": {}}},
                "log": {"image": "log:1", "dependsOn": {"agent": {}}},
                "patient": {"image": "patient:1", "mode": "Global", "env": env, "update": {"deadline": deadline, "onFailure": "Continue"}},
            }))
        };
        t.space.apply_object(&shop("never-ready")).await;
        for (first, behind) in [("db", "web"), ("agent", "log")] {
            wait_state(&t, "shop", first, "Failed").await;
            says(&t, behind, &format!("waits for {first}: ProgressDeadlineExceeded")).await;
        }
        let status = t.space.status("shop").await;
        let [failed, begun] = ["db", "agent"].map(|name| status["services"][name].clone());
        for service in [&failed, &begun] {
            assert_eq!(service["reason"], "ProgressDeadlineExceeded", "{service}");
        }
        wait_state(&t, "shop", "patient", "Progressing").await;

        t.space.apply_object(&shop("none")).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

// "update: ... parallelism, minReady, deadline -> ... StatefulSet and DaemonSet strategy": this server keeps what is sent.
#[test]
fn how_pods_are_replaced_is_kept_by_the_server_and_changing_it_replaces_none() {
    live("update_strategies", async |t| {
        let _operator = t.space.operator().start();
        let shop = |update: &Value| {
            shop(&json!({
                "db": {"image": "db:1", "replicas": 3, "mounts": {"/d": {"volume": "own"}}, "update": update},
                "agent": {"image": "agent:1", "mode": "Global", "update": update},
                "web": {"image": "web:1", "replicas": 3, "update": update},
            }))
        };
        t.space.apply_object(&shop(&json!({}))).await;
        t.space.wait_ready("shop", SOON).await;
        let pods = async || {
            let mut uids: Vec<String> =
                t.space.list(Kind::Pod).await.iter().map(|pod| json::text(pod, "/metadata/uid").to_owned()).collect();
            uids.sort();
            uids
        };
        let before = pods().await;
        t.space.apply_object(&shop(&json!({"order": "StopFirst", "parallelism": 2, "minReady": "1s"}))).await;
        eventually(SOON, "the strategies to be written", async || {
            let of = async |kind: Kind, name: &str| t.space.get(kind, name).await.unwrap_or_default()["spec"].clone();
            let (db, agent, web) = (
                of(Kind::StatefulSet, "shop-db").await,
                of(Kind::DaemonSet, "shop-agent").await,
                of(Kind::Deployment, "shop-web").await,
            );
            let unavailable = [&agent["updateStrategy"], &web["strategy"]]
                .map(|strategy| strategy["rollingUpdate"]["maxUnavailable"].clone());
            let ready = [&db, &agent, &web].map(|spec| spec["minReadySeconds"].clone());
            if unavailable.iter().all(|n| *n == 2) && ready.iter().all(|n| *n == 1) {
                Ok(())
            } else {
                Err(format!("{unavailable:?} {ready:?}"))
            }
        })
        .await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(pods().await, before, "no pod is replaced by it");

        operator_has_looked(&t, "rest").await;
        let (audit, mark) = (t.audit(), t.audit().mark().await);
        t.space.touch("shop", "1").await;
        operator_has_looked(&t, "touched").await;
        audit.since(mark).await.without(|name| is_signal(name) || name == "shop").assert_none("of a strategy in place");
    });
}

async fn images(t: &Live, kind: Kind, name: &str) -> Value {
    let object = t.space.get(kind, name).await.unwrap_or_default();
    object["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

// "Rollback with last-good templates in ControllerRevisions, the failed revision remembered on the workload and not retried until the spec changes; configs of the
// good revision still exist."
#[test]
fn a_rollout_that_fails_is_rolled_back_with_its_config_and_not_tried_again() {
    live("update_rollback", async |t| {
        let mut operator = t.space.operator().start();
        let shop = |tag: &str, mode: &str| {
            let (env, update) =
                (json!({"SIM_MODE": mode}), json!({"deadline": short_deadline(), "onFailure": "Rollback"}));
            let mounts = |path: &str, more: &Value| {
                let mut mounts = json!({"/c": {"config": "conf"}});
                if !more.is_null() {
                    mounts[path] = more.clone();
                }
                mounts
            };
            let image = |name: &str| format!("{name}:{tag}");
            let mut shop = shop(&json!({
                "web": {"image": image("web"), "env": env, "update": update, "mounts": mounts("", &Value::Null), "replicas": 2},
                "db": {"image": image("db"), "env": env, "update": update, "mounts": mounts("/d", &json!({"volume": "own"}))},
                "agent": {"image": image("agent"), "mode": "Global", "env": env, "update": update, "mounts": mounts("", &Value::Null)},
                "behind": {"image": image("behind"), "dependsOn": {"web": {}}},
            }));
            shop["spec"]["configs"] = json!({"conf": {"content": tag}});
            shop
        };
        let workloads = [(Kind::Deployment, "web"), (Kind::StatefulSet, "db"), (Kind::DaemonSet, "agent")];
        t.space.apply_object(&shop("1", "none")).await;
        t.space.wait_ready("shop", SOON).await;

        t.space.apply_object(&shop("2", "never-ready")).await;
        for (kind, name) in workloads {
            wait_state(&t, "shop", name, "RolledBack").await;
            eventually(SOON, &format!("{name} to run what was good"), async || {
                let object = t.space.get(kind, &format!("shop-{name}")).await.unwrap_or_default();
                let image = images(&t, kind, &format!("shop-{name}")).await;
                let whole = e2e::workload::is_complete(kind, &object);
                if whole && image == format!("{name}:1") { Ok(()) } else { Err(object["status"].to_string()) }
            })
            .await;
        }
        says(&t, "behind", "waits for web: RolledBack").await;
        let configs = t.space.list(Kind::ConfigMap).await;
        let content = |tag: &str| configs.iter().any(|c| json::entries(c, "/data").any(|(_, text)| *text == tag));
        assert!(content("1"), "the config that it was started with");

        // Nothing more happens, whoever leads.
        operator.restart();
        operator_has_looked(&t, "rest").await;
        let (audit, mark) = (t.audit(), t.audit().mark().await);
        t.space.touch("shop", "1").await;
        operator_has_looked(&t, "touched").await;
        audit
            .since(mark)
            .await
            .without(|name| is_signal(name) || name == "shop")
            .assert_none("of what was rolled back");

        t.space.apply_object(&shop("3", "none")).await;
        t.space.wait_ready("shop", SOON).await;
        for (kind, name) in workloads {
            assert_eq!(images(&t, kind, &format!("shop-{name}")).await, format!("{name}:3"));
        }
    });
}

// The pod that failed takes its time to stop, and until it has, its Deployment goes on saying that the deadline has passed.
#[test]
fn a_new_definition_is_not_failed_by_the_deadline_of_the_one_before() {
    live("update_next", async |t| {
        let _operator = t.space.operator().start();
        let of = |tag: u8, mode: &str| {
            let db = json!({
                "image": format!("db:{tag}"), "mounts": {"/d": {"volume": "data"}},
                "env": {"SIM_MODE": mode, "SIM_DELETE_DELAY": "3s"}, "update": {"deadline": "10s", "onFailure": "Rollback"},
            });
            let mut all =
                stack("shop", &json!({"db": db, "web": {"image": format!("web:{tag}"), "dependsOn": {"db": {}}}}));
            all["spec"]["volumes"] = json!({"data": {"size": "1Gi"}});
            all
        };
        t.space.apply_object(&of(1, "never-ready")).await;
        wait_state(&t, "shop", "web", "Failed").await;
        let next = t.space.apply_object(&of(2, "none")).await;
        t.space.wait_ready("shop", SOON).await;
        let db = t.space.get(Kind::Deployment, "shop-db").await.unwrap();
        assert_eq!(db["spec"]["strategy"]["type"], "Recreate");
        for seen in t.observer.of(Kind::AppStack, "shop").await {
            let (about, generation) = (&seen.object["status"]["observedGeneration"], &next["metadata"]["generation"]);
            let said = &seen.object["status"]["services"];
            let failed = about == generation && ["db", "web"].iter().any(|name| said[*name]["state"] == "Failed");
            assert!(!failed, "{said}");
        }
    });
}
