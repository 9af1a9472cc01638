//! Things that go wrong between the operator and the API server, and end well.

use std::time::{Duration, Instant};

use e2e::proxy::Proxy;
use e2e::replicas::assert_no_dip;
use e2e::{Kind, eventually, json, live};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use crate::stacks::{
    Dice, SOON, first_complete, first_written, is_signal, one_of_each, operator_has_looked, runs, service, stack,
    wait_state,
};

// Watches expire in the middle of a rollout, again and again, and with them every call under way: it comes to its end, and then to rest.
#[test]
fn a_rollout_survives_relists_and_comes_to_rest() {
    live("faults_relist", async |t| {
        let audit = t.audit();
        let proxy = Proxy::start("faults_relist").await;
        let _operator = t.space.operator().kubeconfig(&proxy.kubeconfig).start();
        t.space.apply_object(&one_of_each("first")).await;
        t.space.wait_ready("first", SOON).await;
        let (mut dice, begun) = (Dice(7), Instant::now());
        for name in ["a", "b", "c"] {
            t.space
                .apply_object(&stack(name, &json!({name: {"image": "web:1", "ports": {"http": {"port": 80}}}})))
                .await;
            t.space.patch("first", json!({"spec": {"services": {"db": {"image": format!("db:{name}")}}}})).await;
            while begun.elapsed() < Duration::from_secs(6) {
                sleep(Duration::from_millis(50 + dice.roll(400))).await;
                proxy.expire_watches();
                if dice.roll(4) == 0 {
                    break;
                }
            }
        }
        for name in ["first", "a", "b", "c"] {
            t.space.wait_ready(name, SOON).await;
        }
        operator_has_looked(&t, "after").await;
        let mark = audit.mark().await;
        sleep(Duration::from_secs(2)).await;
        operator_has_looked(&t, "rested").await;
        audit.since(mark).await.without(is_signal).assert_none("at rest after relists");
    });
}

// Deleted and made again under its name while its status is being written: the new one gets its own children and its own status.
#[test]
fn a_stack_of_the_same_name_is_another_stack() {
    live("faults_same_name", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        for round in 0..6_u64 {
            let service = format!("svc{round}");
            t.space.apply_object(&stack("again", &json!({&service: {"image": "web:1", "replicas": 1}}))).await;
            sleep(Duration::from_millis(40 * round)).await;
            if round < 5 {
                t.space.delete(Kind::AppStack, "again").await;
            }
        }
        t.space.wait_ready("again", SOON).await;
        let live = t.space.get(Kind::AppStack, "again").await.expect("the last one");
        let services: Vec<&String> = live["status"]["services"].as_object().unwrap().keys().collect();
        assert_eq!(services, ["svc5"], "a status of its own");
        eventually(SOON, "the children of the earlier ones to be collected", async || {
            let children = t.space.children("again").await;
            let uid = |child: &serde_json::Value| child.pointer("/metadata/ownerReferences/0/uid").cloned();
            let left =
                children.iter().filter(|(_, child)| uid(child).as_ref() != Some(&live["metadata"]["uid"])).count();
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        })
        .await;
        t.space.wait_ready("again", SOON).await;
        operator_has_looked(&t, "after").await;
        let mark = audit.mark().await;
        sleep(Duration::from_secs(2)).await;
        audit.since(mark).await.without(is_signal).assert_none("at rest, with one stack of that name");
    });
}

// The stack and its children reach the operator by watches of their own: here it hears of the end of the stack last.
#[test]
fn a_stack_whose_end_is_told_late_starts_no_pods_again() {
    live("faults_told_late", async |t| {
        let proxy = Proxy::start("faults_told_late").await;
        let _operator = t.space.operator().kubeconfig(&proxy.kubeconfig).start();
        t.space.apply_object(&one_of_each("late")).await;
        t.space.wait_ready("late", SOON).await;
        proxy.hold("appstacks");
        t.space.delete(Kind::AppStack, "late").await;
        eventually(SOON, "the workloads to be collected", async || {
            let left = t.space.list(Kind::Deployment).await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        })
        .await;
        sleep(Duration::from_secs(4)).await; // in which it tries more than once
        let mut uids: Vec<String> = (t.observer.history().await.iter())
            .filter(|s| s.kind == Kind::Deployment && !is_signal(json::name(&s.object)))
            .map(|s| json::text(&s.object, "/metadata/uid").to_owned())
            .collect();
        uids.sort();
        uids.dedup();
        assert_eq!(uids.len(), 2, "one Deployment for each service, ever");
        proxy.release();
        operator_has_looked(&t, "told").await;
        let left = t.space.children("late").await;
        let left: Vec<&str> = left.iter().map(|(_, child)| json::name(child)).collect();
        assert_eq!(left, ["late-data"], "what is retained");
    });
}

// A Deployment that runs five pods and loses our label is taken back with five.
#[test]
fn a_workload_that_is_taken_back_keeps_its_pods() {
    live("faults_taken_back", async |t| {
        let _operator = t.space.operator().start();
        let web = json!({"image": "web:1", "resources": {"requests": {"cpu": "10m"}}, "autoscale": {"min": 2, "max": 6, "cpuPercent": 70}});
        t.space.apply_object(&stack("kept", &json!({"web": web}))).await;
        t.space.wait_ready("kept", SOON).await;
        t.space.edit(Kind::Deployment, "kept-web", json!({"spec": {"replicas": 5}})).await;
        eventually(SOON, "five pods", async || {
            let now = t.space.get(Kind::Deployment, "kept-web").await.ok_or("it is gone")?;
            if json::number(&now, "/status/availableReplicas") == 5 { Ok(()) } else { Err(now["status"].to_string()) }
        })
        .await;
        operator_has_looked(&t, "scaled").await;
        let strip = json!({"metadata": {"labels": {"appstack.dev/stack": null}}});
        let edited = t.space.edit(Kind::Deployment, "kept-web", strip).await;
        eventually(SOON, "the label to be put back", async || {
            let now = t.space.get(Kind::Deployment, "kept-web").await.ok_or("it is gone")?;
            if json::label(&now, "appstack.dev/stack") == "kept" { Ok(()) } else { Err(now["metadata"].to_string()) }
        })
        .await;
        operator_has_looked(&t, "taken back").await;
        let mut history = t.observer.of(Kind::Deployment, "kept-web").await;
        history.retain(|seen| seen.version >= json::version(&edited));
        assert_no_dip(&history, 5);
    });
}

// "Lost answers", "409", "429", "503": each write in two goes wrong in the middle of a rollout, the status's among them.
#[test]
fn a_rollout_survives_lost_answers_and_refusals_and_comes_to_rest() {
    live("faults_answers", async |t| {
        let audit = t.audit();
        let proxy = Proxy::start("faults_answers").await;
        let _operator = t.space.operator().kubeconfig(&proxy.kubeconfig).start();
        let version = |n: u32| {
            let mut all = one_of_each("rough");
            let chain =
                [("one", vec!["web"]), ("two", vec!["one"]), ("three", vec!["two", "db"]), ("four", vec!["three"])];
            for (name, after) in chain {
                all["spec"]["services"][name] = service(&format!("{name}:{n}"), 100, &after);
            }
            all["spec"]["services"]["db"]["image"] = json!(format!("db:{n}"));
            all["spec"]["configs"]["settings"]["content"] = json!(format!("version = {n}\n"));
            all
        };
        for n in 1..=3 {
            proxy.disturb_writes();
            t.space.apply_object(&version(n)).await;
            t.space.wait_ready("rough", SOON).await;
            println!("version {n}: Ready after {} writes, of which one in two went wrong", proxy.end_disturbance());
        }
        operator_has_looked(&t, "after").await;
        let mark = audit.mark().await;
        t.space.touch("rough", "again").await;
        operator_has_looked(&t, "rested").await;
        audit.since(mark).await.without(is_signal).assert_none("at rest after lost answers");
        let jobs = t.space.children("rough").await;
        assert_eq!(jobs.iter().filter(|(kind, _)| *kind == Kind::Deployment).count(), 6);
    });
}

// "Foreign edit", "foreign delete" in the middle of a rollout: what was put right is waited for like anything else.
#[test]
fn a_dependency_that_somebody_spoils_in_mid_rollout_is_put_right_and_waited_for() {
    live("faults_spoiled", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32, delay: u64| {
            stack(
                "shop",
                &json!({"db": service(&format!("db:{n}"), delay, &[]), "web": service(&format!("web:{n}"), 50, &["db"])}),
            )
        };
        t.space.apply_object(&of(1, 50)).await;
        t.space.wait_ready("shop", SOON).await;

        t.space.apply_object(&of(2, 1500)).await;
        wait_state(&t, "shop", "web", "Waiting").await;
        let foreign = json!({"spec": {"template": {"spec": {"containers": [{"name": "db", "image": "db:foreign"}]}}}});
        t.space.edit(Kind::Deployment, "shop-db", foreign).await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        let spoiled = first_written(&history, "shop-db", "db:foreign").expect("the foreign edit");
        let right = history.iter().find(|s| {
            let is = s.kind == Kind::Deployment && json::name(&s.object) == "shop-db" && s.version > spoiled;
            is && runs(&s.object, "db:2") && e2e::workload::is_complete(Kind::Deployment, &s.object)
        });
        let (right, web) = (right.expect("put right").version, first_written(&history, "shop-web", "web:2").unwrap());
        assert!(right < web, "web was written at {web}, db was put right and complete at {right}");

        t.space.apply_object(&of(3, 1500)).await;
        eventually(SOON, "db to be rolling", async || {
            let db = t.space.get(Kind::Deployment, "shop-db").await.unwrap_or_default();
            if runs(&db, "db:3") { Ok(()) } else { Err(db["spec"].to_string()) }
        })
        .await;
        t.space.delete(Kind::Deployment, "shop-db").await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        let complete = first_complete(&history, "shop-db", "db:3").expect("made again, and complete");
        let web = first_written(&history, "shop-web", "web:3").unwrap();
        assert!(complete < web, "web was written at {web}, db was complete again at {complete}");
    });
}

// "Node lost": its pods are thrown off it, all at once; others take their places, and nobody's rollout is lost for it.
#[test]
fn pods_that_lose_their_node_are_told_and_replaced_in_mid_rollout_too() {
    live("faults_node", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32| {
            let mut all = json!({"db": service(&format!("db:{n}"), 1200, &[]), "web": service(&format!("web:{n}"), 600, &["db"])});
            all["web"]["replicas"] = json!(2);
            stack("shop", &all)
        };
        let evict = async || {
            let pods = t.space.list(Kind::Pod).await;
            let ours = pods.iter().filter(|pod| json::label(pod, "appstack.dev/stack") == "shop");
            for pod in ours.filter(|pod| json::text(pod, "/status/phase") == "Running") {
                let lost = json!({"metadata": {"annotations": {"sim.appstack.dev/mode": "evicted"}}});
                let _ =
                    t.space.api(Kind::Pod).patch(json::name(pod), &PatchParams::default(), &Patch::Merge(&lost)).await;
            }
        };
        t.space.apply_object(&of(1)).await;
        t.space.wait_ready("shop", SOON).await;
        let before = t.observer.history().await.last().map_or(0, |seen| seen.version);
        evict().await;
        eventually(SOON, "the loss to be told, and to heal", async || {
            let history = t.observer.of(Kind::AppStack, "shop").await;
            let after = history.iter().filter(|s| s.version > before);
            let ready: Vec<bool> = after.map(|s| json::holds(&s.object, "Ready")).collect();
            if ready.contains(&false) && ready.last() == Some(&true) { Ok(()) } else { Err(format!("{ready:?}")) }
        })
        .await;
        t.space.apply_object(&of(2)).await;
        wait_state(&t, "shop", "web", "Waiting").await;
        evict().await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        let db = first_complete(&history, "shop-db", "db:2").expect("db is rolled out");
        let web = first_written(&history, "shop-web", "web:2").expect("web is rolled out");
        assert!(db < web, "web written at {web}, db complete at {db}");
    });
}
