//! Publishing: the Service of published ports, its kind, its numbers and its walls.

use std::time::Duration;

use e2e::{Kind, Live, eventually, json, live};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::reach::Reach;
use crate::stacks::{SOON, first_written, is_signal, operator_has_looked, stack, wait_state};

// "`publish` of service and stack with ClusterIP, NodePort (a `published` inside 30000-32767 is the node port) ... several protocols; one port published twice".
#[test]
fn published_ports_are_what_they_say_and_stay_so() {
    live("publish_kinds", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        let web = json!({
            "http": {"port": 8000, "published": 80},
            "more": {"port": 8000, "published": 8080},
            "node": {"port": 9000, "published": 32101},
        });
        let dns = json!({
            "tcp": {"port": 53, "published": 32102},
            "udp": {"port": 53, "protocol": "UDP", "published": 32102},
        });
        let mut all = stack(
            "kinds",
            &json!({
                "web": {"image": "web:1", "ports": web},
                "dns": {"image": "dns:1", "ports": dns},
                "in": {"image": "in:1", "ports": {"http": {"port": 8000, "published": 32103}}, "publish": {"type": "ClusterIP"}},
                "edge": {
                    "image": "edge:1", "ports": {"tcp": {"port": 443, "published": 443}, "quic": {"port": 443, "protocol": "UDP", "published": 443}},
                    "publish": {"type": "LoadBalancer", "loadBalancerClass": "example.com/internal", "annotations": {"example.com/scheme": "private"}},
                },
            }),
        );
        all["spec"]["publish"] = json!({"type": "NodePort"});
        t.space.apply_object(&all).await;
        t.space.wait_ready("kinds", SOON).await;
        let get = async |name: &str| t.space.get(Kind::Service, name).await.unwrap_or_else(|| panic!("Service {name}"));
        let first = get("web-published").await;
        assert_eq!(first["spec"]["type"], "NodePort", "as the stack says");
        assert_eq!(ports(&first), ["80/TCP->http", "8080/TCP->http", "32101/TCP->node"], "one port under two numbers");
        let assigned = node_ports(&first);
        assert_eq!(assigned[2], 32101, "a number of the range is the node port");
        assert!(assigned.iter().all(|n| (30_000..=32_767).contains(n)), "{assigned:?}");
        let dns = get("dns-published").await;
        assert_eq!(node_ports(&dns), [32102, 32102], "one number for both protocols");
        let inside = get("in-published").await;
        assert_eq!(
            (&inside["spec"]["type"], node_ports(&inside)),
            (&json!("ClusterIP"), vec![0]),
            "as the service says"
        );
        let edge = get("edge-published").await;
        assert_eq!(edge["spec"]["loadBalancerClass"], "example.com/internal");
        assert_eq!(edge["metadata"]["annotations"]["example.com/scheme"], "private");
        assert_eq!(ports(&edge), ["443/UDP->quic", "443/TCP->tcp"]);
        assert!(t.space.status("kinds").await["services"]["edge"]["address"].is_null(), "it has none yet");

        let versions = [&first, &dns, &inside, &edge].map(json::version);
        operator_has_looked(&t, "rested").await;
        let mark = audit.mark().await;
        t.space.touch("kinds", "again").await;
        t.space.apply_object(&all).await;
        operator_has_looked(&t, "again").await;
        audit.since(mark).await.without(is_signal).assert_none("published ports that are as they should be");
        t.space.patch("kinds", json!({"spec": {"services": {"web": {"image": "web:2"}}}})).await;
        t.space.wait_ready("kinds", SOON).await;
        let names = ["web-published", "dns-published", "in-published", "edge-published"];
        for (name, version) in names.into_iter().zip(versions) {
            assert_eq!(json::version(&get(name).await), version, "{name} is not written again");
        }
        assert_eq!(node_ports(&get("web-published").await), assigned, "assigned numbers stay");

        // What the load balancer says is said of the service.
        for (ingress, expected) in [
            (json!([{"ip": "198.51.100.7"}]), json!("198.51.100.7:443")),
            (json!([{"hostname": "edge.example.com"}]), json!("edge.example.com:443")),
            (Value::Null, Value::Null),
        ] {
            balance(&t, "edge-published", &ingress).await;
            eventually(SOON, &format!("the address {expected}"), async || {
                let status = t.space.status("kinds").await["services"]["edge"].clone();
                if status["address"] == expected { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
        }
    });
}

// Type changes in both directions keep the object, and nothing is refused.
#[test]
fn the_type_changes_in_place_and_the_class_does_not() {
    live("publish_changes", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        let web = |publish: &Value| {
            let ports = json!({"http": {"port": 8000, "published": 32111}, "admin": {"port": 9000, "published": 90}});
            stack("types", &json!({"web": {"image": "web:1", "ports": ports, "publish": publish}}))
        };
        let class = |name: &str| json!({"type": "LoadBalancer", "loadBalancerClass": name});
        let plain = |kind: &str| json!({"type": kind});
        t.space.apply_object(&web(&plain("LoadBalancer"))).await;
        t.space.wait_ready("types", SOON).await;
        // What is written next, and whether the object is another one then.
        let steps = [
            (plain("ClusterIP"), false),
            (plain("NodePort"), false),
            (plain("LoadBalancer"), false),
            (plain("NodePort"), false),
            (plain("ClusterIP"), false),
            (class("example.com/a"), false),
            (class("example.com/b"), true),
            (plain("LoadBalancer"), true),
            (class("example.com/a"), true),
            (plain("NodePort"), false),
            (class("example.com/b"), false),
            (plain("ClusterIP"), false),
        ];
        let mut made_anew = 0;
        for (n, (publish, is_another)) in steps.iter().enumerate() {
            operator_has_looked(&t, &format!("before {n}")).await;
            let before = t.space.get(Kind::Service, "web-published").await.expect("the Service");
            if before["spec"]["type"] == "LoadBalancer" {
                balance(&t, "web-published", &json!([{"ip": "198.51.100.7"}])).await;
            }
            let mark = audit.mark().await;
            t.space.apply_object(&web(publish)).await;
            let live = eventually(SOON, &format!("{publish}"), async || {
                let live = t.space.get(Kind::Service, "web-published").await.ok_or("it is gone")?;
                let is = live["spec"]["type"] == publish["type"]
                    && live["spec"]["loadBalancerClass"] == publish["loadBalancerClass"];
                if is { Ok(live) } else { Err(live["spec"].to_string()) }
            })
            .await;
            operator_has_looked(&t, &format!("after {n}")).await;
            let requests = audit.since(mark).await.without(is_signal);
            // A status may cross with this edit of the stack, and is then refused and written anew.
            let refused: Vec<_> = requests.child_writes().into_iter().filter(|r| r.code >= 400).collect();
            assert!(refused.is_empty(), "{publish}: {refused:?}");
            let writes = requests.child_writes().len();
            assert_eq!(writes, if *is_another { 2 } else { 1 }, "{publish}: {requests}");
            assert_eq!(live["metadata"]["uid"] != before["metadata"]["uid"], *is_another, "{publish}");
            made_anew += usize::from(*is_another);
            if publish["type"] == "NodePort" {
                assert!(node_ports(&live).contains(&32111), "{}", live["spec"]["ports"]);
            }
            if publish["type"] == "ClusterIP" {
                assert_eq!(node_ports(&live), [0, 0]);
            }
            t.space.wait_ready("types", SOON).await;
            let address = t.space.status("types").await["services"]["web"]["address"].clone();
            let expected =
                if publish["type"] == "LoadBalancer" && (*is_another || before["spec"]["type"] != "LoadBalancer") {
                    Value::Null
                } else {
                    json!("web-published:90")
                };
            assert_eq!(address, expected, "{publish}");
        }
        println!("{} changes, {made_anew} of them of the class and by a new Service; nothing refused", steps.len());
        assert_eq!(
            t.space.list(Kind::Pod).await.iter().filter(|p| json::label(p, "appstack.dev/stack") == "types").count(),
            1
        );
    });
}

// Node ports that services of one stack give up and take over in one edit: swapped, or one after the other.
#[test]
fn node_ports_change_hands_in_one_edit() {
    live("publish_swapped", async |t| {
        let _operator = t.space.operator().start();
        let of = |numbers: &[(&str, i64)]| {
            let service = |n: i64| json!({"image": "web:1", "ports": {"http": {"port": 8000, "published": n}}, "publish": {"type": "NodePort"}});
            stack("swap", &numbers.iter().map(|(name, n)| ((*name).to_owned(), service(*n))).collect())
        };
        let edits: [&[(&str, i64)]; 5] = [
            &[("blue", 32141), ("green", 32142)],
            &[("blue", 32142), ("green", 32141)],
            &[("blue", 32141), ("green", 32142), ("red", 32143)],
            &[("blue", 32142), ("green", 32144), ("red", 32143)],
            &[("green", 32142), ("red", 32144)],
        ];
        for edit in edits {
            t.space.apply_object(&of(edit)).await;
            let begin = std::time::Instant::now();
            eventually(Duration::from_secs(20), &format!("{edit:?}"), async || {
                let mut wrong = Vec::new();
                for (name, number) in edit {
                    let live = t.space.get(Kind::Service, &format!("{name}-published")).await;
                    if live.as_ref().map(node_ports) != Some(vec![*number]) {
                        wrong.push(format!("{name}: {:?}", live.map(|s| s["spec"]["ports"].clone())));
                    }
                }
                if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
            })
            .await;
            println!("{edit:?}: after {:?}", begin.elapsed());
            t.space.wait_ready("swap", SOON).await;
        }
    });
}

// A cloud holds a Service back until its load balancer is down: the next one waits for that, without a hot loop and without trouble in the status.
#[test]
fn another_class_waits_for_the_load_balancer_to_be_taken_down() {
    live("publish_held_back", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        let of = |class: &str| {
            let publish = json!({"type": "LoadBalancer", "loadBalancerClass": class});
            stack(
                "cloud",
                &json!({"web": {"image": "web:1", "ports": {"http": {"port": 8000, "published": 80}}, "publish": publish}}),
            )
        };
        t.space.apply_object(&of("example.com/a")).await;
        t.space.wait_ready("cloud", SOON).await;
        let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
        let cleanup = json!(["service.kubernetes.io/load-balancer-cleanup"]);
        t.space.edit(Kind::Service, "web-published", finalizers(cleanup)).await;
        operator_has_looked(&t, "held back").await;
        let mark = audit.mark().await;
        t.space.apply_object(&of("example.com/b")).await;
        eventually(SOON, "the Service to be on its way out", async || {
            let live = t.space.get(Kind::Service, "web-published").await.ok_or("it is gone")?;
            if live["metadata"]["deletionTimestamp"].is_null() { Err(live["metadata"].to_string()) } else { Ok(()) }
        })
        .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let requests = audit.since(mark).await;
        println!("{} requests while it is held back", requests.child_writes().len());
        assert_eq!(requests.child_writes().len(), 1, "the delete, and nothing until it is gone\n{requests}");
        assert_eq!(t.space.status("cloud").await["services"]["web"]["state"], "Ready");
        t.space.edit(Kind::Service, "web-published", finalizers(json!([]))).await;
        eventually(SOON, "the next one", async || {
            let live = t.space.get(Kind::Service, "web-published").await.ok_or("it is gone")?;
            if live["spec"]["loadBalancerClass"] == "example.com/b" { Ok(()) } else { Err(live["spec"].to_string()) }
        })
        .await;
    });
}

// A node port that somebody else in the cluster has: said of the service, the rest goes on, no hot loop, and it heals.
#[test]
fn a_node_port_that_is_taken_is_told_and_heals() {
    live("publish_taken", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().args(&["--refusal-retry", "1s"]).start();
        let other = |port: i64| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("other-{port}")},
                "spec": {"type": "NodePort", "selector": {"app": "other"}, "ports": [{"port": 80, "nodePort": port}]}})
        };
        for port in [32121, 32122] {
            t.space.create(&other(port)).await;
        }
        let services = |old: i64| {
            json!({
                "web": {"image": "web:1", "ports": {"http": {"port": 8000, "published": 32121}}},
                "old": {"image": "old:1", "ports": {"http": {"port": 8000, "published": old}}},
                "free": {"image": "free:1"},
            })
        };
        let with = |old: i64| {
            let mut all = stack("taken", &services(old));
            all["spec"]["publish"] = json!({"type": "NodePort"});
            all
        };
        t.space.apply_object(&with(32123)).await;
        let told = wait_state(&t, "taken", "web", "Failed").await;
        println!("new: {told}");
        assert_eq!(told["reason"], "Refused");
        assert!(
            json::text(&told, "/message").contains("32121") && json::text(&told, "/message").contains("allocated"),
            "{told}"
        );
        wait_state(&t, "taken", "old", "Ready").await;
        wait_state(&t, "taken", "free", "Ready").await;

        // A service that runs already stays where it is.
        let before = t.space.get(Kind::Service, "old-published").await.expect("the Service");
        let mark = audit.mark().await;
        t.space.apply_object(&with(32122)).await;
        let told = wait_state(&t, "taken", "old", "Failed").await;
        assert!(json::text(&told, "/message").contains("32122"), "{told}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = t.space.get(Kind::Service, "old-published").await.expect("the Service");
        assert_eq!(json::version(&before), json::version(&after), "it answers as before");
        let requests = audit.since(mark).await;
        let tries = requests.acts.iter().filter(|r| r.is_child_write() && r.code >= 400).count();
        println!("{tries} tries of 2 ports in about 3 s, a retry each second");
        assert!((2..=12).contains(&tries), "{requests}");

        for port in [32121, 32122] {
            t.space.delete(Kind::Service, &format!("other-{port}")).await;
        }
        t.space.wait_ready("taken", SOON).await;
        for (name, port) in [("web-published", 32121), ("old-published", 32122)] {
            assert_eq!(node_ports(&t.space.get(Kind::Service, name).await.expect("the Service")), [port]);
        }
    });
}

// "unpublishing": the Service and the policy that opens go after the service's own apply, and not while it is held.
#[test]
fn what_is_unpublished_goes_after_its_services_own_apply() {
    live("publish_not_any_more", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32, mode: &str, published: bool| {
            let mut http = json!({"port": 8000});
            if published {
                http["published"] = json!(80);
            }
            let web = json!({"image": format!("web:{n}"), "ports": {"http": http}, "dependsOn": {"db": {}}});
            stack("un", &json!({"web": web, "db": {"image": format!("db:{n}"), "env": {"SIM_MODE": mode}}}))
        };
        t.space.apply_object(&of(1, "none", true)).await;
        t.space.wait_ready("un", SOON).await;
        assert!(Reach::of(&[&t.space]).await.may("outside", "un/web", "8000"));
        t.space.apply_object(&of(2, "never-ready", false)).await;
        wait_state(&t, "un", "web", "Waiting").await;
        operator_has_looked(&t, "held").await;
        assert!(t.space.get(Kind::Service, "web-published").await.is_some(), "its pods are the old ones");
        assert!(Reach::of(&[&t.space]).await.may("outside", "un/web", "8000"));
        t.space.apply_object(&of(3, "none", false)).await;
        t.space.wait_ready("un", SOON).await;
        eventually(SOON, "both to be gone", async || {
            let service = t.space.get(Kind::Service, "web-published").await.is_some();
            let policy = t.space.get(Kind::NetworkPolicy, "un-pub-web").await.is_some();
            if service || policy { Err(format!("{service} {policy}")) } else { Ok(()) }
        })
        .await;
        let history = t.observer.history().await;
        let applied = first_written(&history, "un-web", "web:3").expect("its own apply");
        for (kind, name) in [(Kind::Service, "web-published"), (Kind::NetworkPolicy, "un-pub-web")] {
            let gone = history.iter().find(|s| s.kind == kind && s.deleted && json::name(&s.object) == name);
            let gone = gone.expect("its last event").version;
            assert!(gone > applied, "{kind} {name} gone at {gone}, web applied at {applied}");
        }
        let reach = Reach::of(&[&t.space]).await;
        reach.assert_all("unpublished", &[("outside", "un/web", "8000", false), ("un/db", "un/web", "8000", true)]);
    });
}

// "openTo": by verdicts over the live policies and pods.
#[test]
fn ports_are_open_to_whom_they_say() {
    live("publish_open_to", async |t| {
        let _operator = t.space.operator().start();
        let web = json!({
            "image": "web:1", "networks": {"front": {}},
            "ports": {
                "http": {"port": 8000, "published": 80}, "team": {"port": 8100, "openTo": "Namespace"},
                "metrics": {"port": 8200, "openTo": "Cluster"}, "admin": {"port": 8300},
                "probe": {"port": 8200, "protocol": "UDP"},
            },
        });
        let mut all = stack(
            "open",
            &json!({
                "web": web,
                "friend": {"image": "friend:1", "networks": {"front": {}}},
                "other": {"image": "other:1", "networks": {"back": {}}},
                "walled": {"image": "walled:1", "networks": {"vault": {}}, "ports": {"http": {"port": 8000, "published": 81, "openTo": "Cluster"}}},
            }),
        );
        all["spec"]["networks"] = json!({"front": {}, "back": {}, "vault": {"internal": true}});
        t.space.apply_object(&all).await;
        t.space.wait_ready("open", SOON).await;
        assert!(
            t.space.get(Kind::Service, "walled-published").await.is_none(),
            "internal networks only: not published"
        );
        let reach = Reach::of(&[&t.space]).await;
        let mut expected = Vec::new();
        for (port, team, cluster, outside) in [
            ("8000", true, true, true),
            ("8100", true, false, false),
            ("8200", true, true, false),
            ("8200/UDP", false, false, false),
            ("8300", false, false, false),
            ("8400", false, false, false),
        ] {
            expected.extend([
                ("open/friend", "open/web", port, true),
                ("open/other", "open/web", port, team),
                ("stranger", "open/web", port, team),
                ("elsewhere", "open/web", port, cluster),
                ("outside", "open/web", port, outside),
                ("open/walled", "open/web", port, false),
                ("stranger", "open/walled", port, false),
                ("outside", "open/walled", port, false),
            ]);
        }
        reach.assert_all("openTo", &expected);

        // Closed again, in place.
        let close = json!({"metrics": {"openTo": null}, "team": {"openTo": "Cluster"}});
        t.space.patch("open", json!({"spec": {"services": {"web": {"ports": close}}}})).await;
        t.space.wait_ready("open", SOON).await;
        operator_has_looked(&t, "closed").await;
        Reach::of(&[&t.space]).await.assert_all(
            "openTo, changed",
            &[
                ("elsewhere", "open/web", "8200", false),
                ("stranger", "open/web", "8200", false),
                ("elsewhere", "open/web", "8100", true),
                ("outside", "open/web", "8100", false),
                ("outside", "open/web", "8000", true),
            ],
        );
    });
}

/// `80/TCP->http` for each port.
fn ports(service: &Value) -> Vec<String> {
    let said = |p: &Value| format!("{}/{}->{}", p["port"], json::text(p, "/protocol"), json::text(p, "/targetPort"));
    json::items(service, "/spec/ports").map(said).collect()
}

/// Of each port; 0 where it has none.
fn node_ports(service: &Value) -> Vec<i64> {
    json::items(service, "/spec/ports").map(|p| json::number(p, "/nodePort")).collect()
}

/// What a load balancer's controller would write.
async fn balance(t: &Live, service: &str, ingress: &Value) {
    let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
    let patch = t.space.api(Kind::Service).patch_status(service, &PatchParams::default(), &Patch::Merge(&status)).await;
    patch.unwrap_or_else(|e| panic!("status of {service}: {e}"));
}
