//! What is switched and edited on a stack that runs, or is just being rolled out: `stopped`, `suspend`, profiles, services that go or are renamed, edges
//! that are turned round, many edits at once. That the order holds is checked at the end of each.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::observer::Seen;
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stacks::{
    SOON, first_complete, first_written, is_signal, operator_has_looked, runs, service, stack, wait_state,
};

fn uid(object: &Value) -> String {
    json::text(object, "/metadata/uid").to_owned()
}

/// The versions of a service's pods that the observer saw from here on, whose image is this.
fn pods_of<'a>(history: &'a [Seen], image: &'a str, from: u64) -> impl Iterator<Item = &'a Seen> {
    let is = move |seen: &&Seen| {
        let of = json::text(&seen.object, "/spec/containers/0/image");
        seen.kind == Kind::Pod && seen.version > from && of == image
    };
    history.iter().filter(is)
}

async fn last_version(t: &Live) -> u64 {
    t.observer.history().await.last().map_or(0, |seen| seen.version)
}

// "stopped ... switched on a running stack", with one of every kind of workload in it.
#[test]
fn a_stopped_stack_of_every_kind_comes_back_in_order_with_its_counts_and_runs_no_job_twice() {
    live("switch_stopped", async |t| {
        let _operator = t.space.operator().start();
        let mut all = stack(
            "shop",
            &json!({
                "db": {"image": "db:1", "replicas": 2, "mounts": {"/data": {"volume": "own"}}},
                "seed": {"image": "seed:1", "mode": "Job", "dependsOn": {"db": {}}, "env": {"SIM_RUN_FOR": "100ms"}},
                "web": {
                    "image": "web:1", "autoscale": {"min": 2, "max": 6, "cpuPercent": 70},
                    "resources": {"requests": {"cpu": "10m"}}, "dependsOn": {"seed": {}},
                },
                "agent": {"image": "agent:1", "mode": "Global", "dependsOn": {"web": {}}},
                "log": service("log:1", 50, &["agent"]),
            }),
        );
        all["spec"]["volumes"] = json!({"own": {"size": "1Gi", "perReplica": true}});
        t.space.apply_object(&all).await;
        t.space.wait_ready("shop", SOON).await;
        // As the autoscaler would.
        t.space.edit(Kind::Deployment, "shop-web", json!({"spec": {"replicas": 3}})).await;
        t.space.wait_ready("shop", SOON).await;
        let claims = async || t.space.list(Kind::PersistentVolumeClaim).await.iter().map(uid).collect::<Vec<_>>();
        let (kept, jobs) = (claims().await, t.space.list(Kind::Job).await);
        assert_eq!((kept.len(), jobs.len()), (2, 1));

        t.space.patch("shop", json!({"spec": {"stopped": true}})).await;
        eventually(SOON, "all pods but the Job's to be gone, and every service Stopped", async || {
            let pods = t.space.list(Kind::Pod).await;
            let run = pods.iter().filter(|pod| json::text(pod, "/status/phase") != "Succeeded").count();
            let status = t.space.status("shop").await;
            let said = json::entries(&status, "/services").map(|(_, service)| json::text(service, "/state"));
            let told = said.into_iter().all(|state| ["Stopped", "Completed"].contains(&state));
            if run == 0 && told { Ok(()) } else { Err(format!("{run} pods run; {status:#}")) }
        })
        .await;
        assert!(t.space.get(Kind::HorizontalPodAutoscaler, "shop-web").await.is_some(), "inert, and there");
        assert_eq!(claims().await, kept);
        operator_has_looked(&t, "stopped").await;
        let mark = t.audit().mark().await;
        t.space.touch("shop", "stopped").await;
        operator_has_looked(&t, "touched").await;
        t.audit().since(mark).await.without(is_signal).assert_none("a stopped stack");

        let from = last_version(&t).await;
        t.space.patch("shop", json!({"spec": {"stopped": null}})).await;
        t.space.wait_ready("shop", SOON).await;
        let web = t.space.get(Kind::Deployment, "shop-web").await.unwrap();
        assert_eq!(web["spec"]["replicas"], 2, "the least that the autoscaler is given: the load is gone");
        assert_eq!(claims().await, kept);
        assert_eq!(t.space.list(Kind::Job).await.iter().map(uid).collect::<Vec<_>>(), [uid(&jobs[0])]);
        let history = t.observer.history().await;
        assert_eq!(pods_of(&history, "seed:1", from).filter(|s| !s.deleted).count(), 0, "what was done is done");
        let first = |image: &str| pods_of(&history, image, from).find(|s| !s.deleted).expect(image).version;
        let order = ["db:1", "web:1", "agent:1", "log:1"].map(first);
        assert!(order.is_sorted(), "the way back goes through the gates: {order:?}");
    });
}

// Design 6 and 7: `suspend` freezes what there is, in the middle of a rollout as well.
#[test]
fn a_stack_suspended_in_mid_rollout_stays_there_and_goes_on_to_its_last_definition() {
    live("switch_suspended", async |t| {
        let mut operator = t.space.operator().start();
        let chain = |n: u32| {
            let delay = if n == 2 { 1500 } else { 100 };
            let of = |name: &str, after: &[&str]| service(&format!("{name}:{n}"), delay, after);
            json!({"a": of("a", &[]), "b": of("b", &["a"]), "c": of("c", &["b"])})
        };
        t.space.apply_object(&stack("shop", &chain(1))).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.apply_object(&stack("shop", &chain(2))).await;
        wait_state(&t, "shop", "a", "Progressing").await;
        t.space.patch("shop", json!({"spec": {"suspend": true}})).await;
        operator_has_looked(&t, "suspended").await;
        let live = t.space.get(Kind::AppStack, "shop").await.unwrap();
        let ready = json::condition(&live, "Ready").expect("a condition");
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("Suspended")));
        assert_eq!(live["status"]["observedGeneration"], live["metadata"]["generation"]);

        let mark = t.audit().mark().await;
        eventually(SOON, "a to be up", async || {
            let a = t.space.get(Kind::Deployment, "shop-a").await.unwrap_or_default();
            if e2e::workload::is_complete(Kind::Deployment, &a) { Ok(()) } else { Err(a["status"].to_string()) }
        })
        .await;
        t.space.apply_object(&stack("shop", &chain(3))).await; // says nothing of `suspend`, which another hand has set
        t.space.delete(Kind::Deployment, "shop-c").await;
        operator_has_looked(&t, "changed").await;
        operator.restart();
        operator_has_looked(&t, "restarted").await;
        let asked = t.audit().since(mark).await.without(is_signal);
        assert!(asked.child_writes().is_empty(), "suspended: {asked}");
        let b = t.space.get(Kind::Deployment, "shop-b").await.unwrap();
        assert!(runs(&b, "b:1") && t.space.get(Kind::Deployment, "shop-c").await.is_none());

        t.space.patch("shop", json!({"spec": {"suspend": null}})).await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        for image in ["b:2", "c:2"] {
            assert_eq!(pods_of(&history, image, 0).count(), 0, "nothing of what was skipped: {image}");
        }
    });
}

// "profiles switched on a running stack": a service off by profile has no objects, and its claims stay.
#[test]
fn a_profile_goes_on_and_off_on_a_running_stack_and_its_claims_stay() {
    live("switch_profiles", async |t| {
        let _operator = t.space.operator().start();
        let of = |profiles: &Value| {
            let mut all = stack(
                "shop",
                &json!({
                    "web": service("web:1", 100, &[]),
                    "tool": {
                        "image": "tool:1", "profiles": ["tools"], "ports": {"http": {"port": 80, "published": 8080}},
                        "mounts": {"/data": {"volume": "data"}, "/conf": {"config": "conf"}}, "dependsOn": {"web": {}},
                    },
                    "watch": {
                        "image": "watch:1", "profiles": ["tools"], "replicas": 2, "dependsOn": {"tool": {}},
                        "mounts": {"/own": {"volume": "own"}},
                    },
                    "user": {"image": "user:1", "dependsOn": {"tool": {"required": false}}},
                }),
            );
            all["spec"]["volumes"] = json!({"data": {"size": "1Gi"}, "own": {"size": "1Gi", "perReplica": true}});
            all["spec"]["configs"] = json!({"conf": {"content": "x"}});
            if profiles.is_array() {
                all["spec"]["profiles"] = profiles.clone();
            }
            all
        };
        let there = async || {
            let children = t.space.children("shop").await;
            let name = |(kind, o): &(Kind, Value)| format!("{kind}/{}", json::name(o));
            let mut names: BTreeMap<String, String> =
                children.iter().map(|child| (name(child), uid(&child.1))).collect();
            names.retain(|name, _| !name.starts_with("NetworkPolicy/shop-net") && !name.ends_with("/shop"));
            names
        };
        let is_claim = |name: &str| name.starts_with("PersistentVolumeClaim/");
        t.space.apply_object(&of(&Value::Null)).await;
        t.space.wait_ready("shop", SOON).await;
        let off = there().await;
        assert!(!off.keys().any(|name| name.contains("tool") || name.contains("watch") || is_claim(name)), "{off:?}");
        let user = uid(&t.space.get(Kind::Deployment, "shop-user").await.unwrap());

        let mut claims = Vec::new();
        for round in 0..2 {
            t.space.apply_object(&of(&json!(["tools"]))).await;
            t.space.wait_ready("shop", SOON).await;
            let on = there().await;
            for name in [
                "Deployment/shop-tool",
                "StatefulSet/shop-watch",
                "Service/tool-published",
                "NetworkPolicy/shop-pub-tool",
            ] {
                assert!(on.contains_key(name), "{name}: {on:?}");
            }
            let now: Vec<_> =
                on.iter().filter(|(name, _)| is_claim(name)).map(|(n, uid)| (n.clone(), uid.clone())).collect();
            assert_eq!(now.len(), 3, "{on:?}");
            if round == 1 {
                assert_eq!(now, claims, "the claims that were left are taken up again");
            }
            claims = now;
            t.space.apply_object(&of(&Value::Null)).await;
            eventually(SOON, "its objects to be gone, and its claims to stay", async || {
                let mut left = there().await;
                for claim in &claims {
                    assert_eq!(left.remove(&claim.0), Some(claim.1.clone()), "the claim {} stays", claim.0);
                }
                if left == off { Ok(()) } else { Err(format!("{:?}", left.keys())) }
            })
            .await;
            t.space.wait_ready("shop", SOON).await;
        }
        let now = t.space.get(Kind::Deployment, "shop-user").await.unwrap();
        assert_eq!(
            (uid(&now), json::number(&now, "/metadata/generation")),
            (user, 1),
            "who does not change is not touched"
        );
    });
}

// Design 9: workloads and names go when no remaining service of the stack is held or rolling.
#[test]
fn a_service_removed_while_others_roll_serves_until_they_are_done() {
    live("switch_removed", async |t| {
        let _operator = t.space.operator().start();
        let with_ports = |image: &str, delay: u64, after: &[&str]| {
            let mut it = service(image, delay, after);
            it["ports"] = json!({"http": {"port": 80}});
            it
        };
        let of = |n: u32, delay: u64| json!({"db": service(&format!("db:{n}"), delay, &[]), "api": with_ports(&format!("api:{n}"), delay, &["db"])});
        let mut whole = of(1, 100);
        whole["old"] = with_ports("old:1", 50, &[]);
        t.space.apply_object(&stack("shop", &whole)).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.apply_object(&stack("shop", &whole)).await;

        t.space
            .patch(
                "shop",
                json!({"spec": {"services": {"db": of(2, 1200)["db"], "api": of(2, 1200)["api"], "old": null}}}),
            )
            .await;
        t.space.wait_ready("shop", SOON).await;
        eventually(SOON, "the removed service to be gone", async || {
            let (workload, name) =
                (t.space.get(Kind::Deployment, "shop-old").await, t.space.get(Kind::Service, "old").await);
            if workload.is_none() && name.is_none() { Ok(()) } else { Err("it is there".into()) }
        })
        .await;
        let history = t.observer.history().await;
        let rolled = first_complete(&history, "shop-api", "api:2").expect("api is rolled out");
        let goes = |kind: Kind, name: &str| {
            let of = |s: &&Seen| s.kind == kind && json::name(&s.object) == name;
            let gone = |s: &Seen| s.deleted || s.object.pointer("/metadata/deletionTimestamp").is_some();
            history.iter().filter(of).find(|s| gone(s)).expect(name).version
        };
        for (kind, name) in [(Kind::Deployment, "shop-old"), (Kind::Service, "old")] {
            assert!(goes(kind, name) > rolled, "{name} went at {}, api was rolled out at {rolled}", goes(kind, name));
        }
    });
}

// A renamed service is one that goes and one that comes: the old pods serve until the new ones do.
#[test]
fn a_renamed_services_old_pods_serve_until_its_new_ones_are_ready() {
    live("switch_renamed", async |t| {
        let _operator = t.space.operator().start();
        let of = |name: &str| {
            let web = json!({"image": "web:1", "replicas": 2, "ports": {"http": {"port": 80}}, "env": {"SIM_READY_DELAY": "1s"}});
            stack("shop", &json!({"db": service("db:1", 50, &[]), name: web, "proxy": service("proxy:1", 50, &[name])}))
        };
        t.space.apply_object(&of("web")).await;
        t.space.wait_ready("shop", SOON).await;
        let from = last_version(&t).await;
        // A merge by apply: what the new one does not name goes.
        t.space.apply_object(&of("site")).await;
        t.space.wait_ready("shop", SOON).await;
        eventually(SOON, "the old one to be gone", async || {
            let (old, name) =
                (t.space.get(Kind::Deployment, "shop-web").await, t.space.get(Kind::Service, "web").await);
            if old.is_none() && name.is_none() { Ok(()) } else { Err("it is there".into()) }
        })
        .await;
        let history = t.observer.history().await;
        let mut ready: BTreeMap<String, &str> = BTreeMap::new();
        for seen in history.iter().filter(|s| s.kind == Kind::Pod) {
            let of = json::label(&seen.object, "appstack.dev/service");
            if !["web", "site"].contains(&of) {
                continue;
            }
            let going = seen.deleted || seen.object.pointer("/metadata/deletionTimestamp").is_some();
            if json::holds(&seen.object, "Ready") && !going {
                ready.insert(uid(&seen.object), of);
            } else {
                ready.remove(&uid(&seen.object));
            }
            assert!(seen.version <= from || ready.len() >= 2, "{} pods serve at version {}", ready.len(), seen.version);
        }
        assert_eq!(ready.values().copied().collect::<Vec<_>>(), ["site", "site"]);
        let site = first_complete(&history, "shop-site", "").expect("site is rolled out");
        let gone = history.iter().find(|s| s.kind == Kind::Service && s.deleted && json::name(&s.object) == "web");
        assert!(gone.expect("the name goes").version > site);
    });
}

// "a dependency edge reversed in mid-rollout"
#[test]
fn an_edge_turned_round_in_mid_rollout_turns_the_order_round() {
    live("switch_reversed", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32, delay: u64, a_after: &[&str], b_after: &[&str]| {
            let (a, b) = (format!("a:{n}"), format!("b:{n}"));
            stack(
                "shop",
                &json!({"a": service(&a, delay, a_after), "b": service(&b, delay, b_after), "c": service(&format!("c:{n}"), 50, &["a", "b"])}),
            )
        };
        t.space.apply_object(&of(1, 100, &[], &["a"])).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.apply_object(&of(2, 3000, &[], &["a"])).await;
        wait_state(&t, "shop", "b", "Waiting").await;
        wait_state(&t, "shop", "a", "Progressing").await;
        t.space.apply_object(&of(3, 300, &["b"], &[])).await;
        t.space.wait_ready("shop", SOON).await;
        let history = t.observer.history().await;
        assert_eq!(first_written(&history, "shop-b", "b:2"), None, "b waited for a, and was never at 2");
        let (b, a) = (first_complete(&history, "shop-b", "b:3"), first_written(&history, "shop-a", "a:3"));
        assert!(b.is_some() && b < a, "b complete at {b:?}, a written at {a:?}");
        assert_eq!(first_written(&history, "shop-c", "c:2"), None);
    });
}

// "20 edits in 10 s: last one wins, order holds"
#[test]
fn of_twenty_edits_in_ten_seconds_the_last_one_wins() {
    live("switch_edits", async |t| {
        let _operator = t.space.operator().start();
        let names = ["a", "b", "c", "d", "e"];
        let of = |n: u32| {
            let mut services = json!({});
            for (at, name) in names.iter().enumerate() {
                let after: Vec<&str> = names[..at].iter().rev().take(1).copied().collect();
                services[*name] = service(&format!("{name}:{n}"), 250, &after);
            }
            services["d"]["mode"] = json!("Global");
            let mut all = stack("shop", &services);
            all["spec"]["configs"] = json!({"conf": {"content": n.to_string()}});
            all["spec"]["services"]["b"]["mounts"] = json!({"/conf": {"config": "conf"}});
            all
        };
        t.space.apply_object(&of(0)).await;
        t.space.wait_ready("shop", SOON).await;
        let begin = std::time::Instant::now();
        for n in 1..=20 {
            t.space.apply_object(&of(n)).await;
            tokio::time::sleep_until((begin + Duration::from_millis(400) * n).into()).await;
        }
        println!("20 edits in {:.1?}", begin.elapsed()); // longer only where the server itself is short of breath
        t.space.wait_ready("shop", SOON).await;
        let end = last_version(&t).await;
        sleep(Duration::from_secs(2)).await; // whatever might follow
        let history = t.observer.history().await;
        for name in names {
            for n in 1..20 {
                let late = pods_of(&history, &format!("{name}:{n}"), end)
                    .any(|s| !s.deleted && s.object.pointer("/metadata/deletionTimestamp").is_none());
                assert!(!late, "a pod of {name}:{n} after the end");
            }
        }
        let pods = t.space.list(Kind::Pod).await;
        let image = |pod: &Value| json::text(pod, "/spec/containers/0/image").to_owned();
        assert!(
            pods.iter().map(image).all(|image| image.ends_with(":20")),
            "{:?}",
            pods.iter().map(image).collect::<Vec<_>>()
        );
        let configs = t.space.list(Kind::ConfigMap).await;
        let ours = configs.iter().filter(|c| json::label(c, "appstack.dev/stack") == "shop");
        let content: Vec<&Value> = ours.flat_map(|c| json::entries(c, "/data").map(|(_, text)| text)).collect();
        assert_eq!(content, ["20"], "the configs in between are gone");
        // Those at the end of the chain are spared most of what is not to last.
        let starts =
            |name: &str| (1..20).filter(|n| pods_of(&history, &format!("{name}:{n}"), 0).next().is_some()).count();
        println!("20 edits: pods of in-between definitions by service: {:?}", names.map(starts));
    });
}
