//! A service that changes what it is: replicated, on every node, a job, with claims of its own.

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::jobs::most_at_once;
use crate::stacks::{SOON, is_signal, operator_has_looked, stack};

/// Each mode, and the kind of object that it is.
const MODES: [(&str, Kind); 2] = [("Global", Kind::DaemonSet), ("Replicated", Kind::Deployment)];

fn agent(mode: &str, rest: &Value) -> Value {
    let mut agent =
        json!({"image": format!("agent:{}", mode.to_lowercase()), "mode": mode, "env": {"SIM_READY_DELAY": "200ms"}});
    agent.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let mut stack = stack("shop", &json!({"agent": agent}));
    stack["spec"]["volumes"] = json!({"data": {"size": "1Gi"}, "own": {"size": "1Gi", "perReplica": true}});
    stack
}

async fn only(t: &Live, kind: Kind) {
    t.space.wait_ready("shop", SOON).await;
    eventually(SOON, &format!("the {kind} to be all there is"), async || {
        let mut there = Vec::new();
        for kind in Kind::WORKLOADS {
            there.extend(t.space.list(kind).await.iter().map(|o| format!("{kind}/{}", json::name(o))));
        }
        if there == [format!("{kind}/shop-agent")] { Ok(()) } else { Err(there.join(", ")) }
    })
    .await;
}

// "new one first where two may live"
#[test]
fn a_mode_changes_without_a_gap_where_old_and_new_may_live_together() {
    live("modes_new_first", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&agent("Replicated", &json!({}))).await;
        only(&t, Kind::Deployment).await;
        for (mode, kind) in MODES {
            t.space.apply_object(&agent(mode, &json!({}))).await;
            only(&t, kind).await;
        }
        let with_claims = json!({"mounts": {"/own": {"volume": "own"}}});
        t.space.apply_object(&agent("Replicated", &with_claims)).await;
        only(&t, Kind::StatefulSet).await;
        let history = t.observer.history().await;
        let mut ready = std::collections::BTreeSet::new();
        let mut up = false;
        for seen in history.iter().filter(|s| s.kind == Kind::Pod) {
            let name = json::name(&seen.object).to_owned();
            let going = seen.deleted || seen.object["metadata"]["deletionTimestamp"].is_string();
            if json::holds(&seen.object, "Ready") && !going {
                ready.insert(name)
            } else {
                ready.remove(&name)
            };
            up |= !ready.is_empty();
            assert!(!up || !ready.is_empty(), "no pod was ready at version {}", seen.version);
        }

        // At rest it costs nothing: no hot loop on a field that cannot change.
        operator_has_looked(&t, "rest").await;
        let (audit, mark) = (t.audit(), t.audit().mark().await);
        t.space.touch("shop", "1").await;
        operator_has_looked(&t, "touched").await;
        audit.since(mark).await.without(|name| is_signal(name) || name == "shop").assert_none("after changes of mode");
    });
}

// "old one first where a volume forbids it"
#[test]
fn a_mode_changes_with_the_old_pods_gone_first_where_a_volume_has_one_writer() {
    live("modes_old_first", async |t| {
        let _operator = t.space.operator().start();
        let shared = json!({"mounts": {"/data": {"volume": "data"}}, "env": {"SIM_DELETE_DELAY": "400ms"}});
        let both = json!({"mounts": {"/data": {"volume": "data"}, "/own": {"volume": "own"}}, "env": {"SIM_DELETE_DELAY": "400ms"}});
        t.space.apply_object(&agent("Replicated", &shared)).await;
        only(&t, Kind::Deployment).await;
        t.space.apply_object(&agent("Replicated", &both)).await;
        only(&t, Kind::StatefulSet).await;
        t.space.apply_object(&agent("Replicated", &shared)).await;
        only(&t, Kind::Deployment).await;
        assert_eq!(most_at_once(&t.observer.history().await, "agent:"), 1, "pods that had the volume at once");
    });
}

#[test]
fn a_service_becomes_a_job_and_back() {
    live("modes_job", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&agent("Replicated", &json!({}))).await;
        only(&t, Kind::Deployment).await;
        t.space.apply_object(&agent("Job", &json!({}))).await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(t.space.status("shop").await["services"]["agent"]["state"], "Completed");
        eventually(SOON, "the Deployment to be gone", async || {
            t.space.get(Kind::Deployment, "shop-agent").await.map_or(Ok(()), |_| Err("it is there".into()))
        })
        .await;
        t.space.apply_object(&agent("Replicated", &json!({}))).await;
        only(&t, Kind::Deployment).await;
        assert_eq!(most_at_once(&t.observer.history().await, "agent:"), 1);
    });
}

#[test]
fn a_stopped_stack_has_no_pods_keeps_the_rest_and_comes_back_in_order() {
    live("modes_stopped", async |t| {
        let _operator = t.space.operator().start();
        let mut all = stack(
            "shop",
            &json!({
                "db": {"image": "db:1", "mounts": {"/data": {"volume": "data"}}},
                "web": {"image": "web:1", "replicas": 2, "dependsOn": {"db": {}}},
                "agent": {"image": "agent:1", "mode": "Global", "dependsOn": {"web": {}}},
                "slow": {"image": "slow:1", "mode": "Job", "env": {"SIM_RUN_FOR": "60s"}},
                "reader": {"image": "reader:1", "mounts": {"/models": {"volume": "models", "readOnly": true}}},
                "old": {"image": "old:1", "mounts": {"/old": {"volume": "old"}}},
            }),
        );
        let fetch = json!({"image": "fetch:1", "command": ["fetch"], "env": {"SIM_RUN_FOR": "60s"}});
        all["spec"]["volumes"] = json!({
            "data": {"size": "1Gi"}, "old": {"size": "1Gi"}, "models": {"size": "1Gi", "populate": fetch}});
        t.space.apply_object(&all).await;
        eventually(SOON, "the agents to be up", async || {
            let status = t.space.status("shop").await;
            if status["services"]["agent"]["state"] == "Ready" { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        t.space.patch("shop", json!({"spec": {"stopped": true}})).await;
        eventually(SOON, "all pods to be gone", async || {
            let pods = t.space.list(Kind::Pod).await;
            if pods.is_empty() { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        eventually(SOON, "every service to be Stopped", async || {
            let status = t.space.status("shop").await;
            let running = json::entries(&status, "/services").any(|(_, s)| s["state"] != "Stopped");
            if running { Err(format!("{status:#}")) } else { Ok(()) }
        })
        .await;
        assert!(t.space.get(Kind::PersistentVolumeClaim, "shop-data").await.is_some());
        assert!(t.space.get(Kind::Service, "db").await.is_some());

        // What leaves the stack while it is stopped goes, and its data stays.
        t.space.patch("shop", json!({"spec": {"services": {"old": null}}})).await;
        eventually(SOON, "the removed service to be gone", async || {
            let name = t.space.get(Kind::Service, "old").await.is_some();
            let workload = t.space.get(Kind::Deployment, "shop-old").await.is_some();
            if name || workload { Err(format!("name {name}, workload {workload}")) } else { Ok(()) }
        })
        .await;
        assert!(t.space.get(Kind::PersistentVolumeClaim, "shop-old").await.is_some());
        assert!(t.space.list(Kind::Pod).await.is_empty(), "nothing starts meanwhile");

        let from = t.observer.history().await.len();
        let quick = json!({"env": {"SIM_RUN_FOR": "100ms"}});
        t.space
            .patch(
                "shop",
                json!({"spec": {"stopped": null, "services": {"slow": quick}, "volumes": {"models": {"populate": quick}}}}),
            )
            .await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        let filled = history.iter().skip(from).find(|s| {
            let fills = !json::label(&s.object, "appstack.dev/populate").is_empty();
            s.kind == Kind::Job && fills && json::holds(&s.object, "Complete")
        });
        let filled = filled.map(|s| s.version);
        let first = |service: &str| {
            let of = history.iter().skip(from).filter(|s| s.kind == Kind::Pod && !s.deleted);
            of.filter(|s| json::label(&s.object, "appstack.dev/service") == service).map(|s| s.version).min()
        };
        assert!(first("db") < first("web") && first("web") < first("agent"), "the way back goes through the gates");
        let reader = first("reader");
        assert!(filled.is_some() && filled < reader, "filled at {filled:?}, read from at {reader:?}");
        assert_eq!(most_at_once(&history, "fetch:"), 1, "a volume is filled by one at a time");
    });
}
