//! Names: what a service answers to, when it answers, and what happens where two want one name.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use e2e::cluster::appstack;
use e2e::operator::folder;
use e2e::{Kind, Live, Space, eventually, json, live};
use serde_json::json;

use crate::stacks::{SOON, is_signal, operator_has_looked, stack, wait_state};

// "headless without ports, endpointMode and publishNotReady with their computed defaults": a name answers for pods that are not ready where it is to, and
// for no other (reference/compose.md, trap 7).
#[test]
fn names_answer_for_pods_that_are_not_ready_only_where_they_are_to() {
    live("names_not_ready", async |t| {
        let _operator = t.space.operator().start();
        let ports = json!({"http": {"port": 8000}});
        let mut services = json!({
            "vip": {"ports": ports, "replicas": 2},
            "vip-early": {"ports": ports, "publishNotReady": true},
            "one": {},
            "peers": {"ports": ports, "endpointMode": "DNSRR", "replicas": 2},
            "peers-late": {"ports": ports, "endpointMode": "DNSRR", "replicas": 2, "publishNotReady": false},
            "own": {"ports": ports, "mounts": {"/own": {"volume": "own"}}},
        });
        for (name, service) in services.as_object_mut().unwrap() {
            service["image"] = json!(format!("{name}:1"));
            service["env"] = json!({"SIM_MODE": "never-ready"});
            service["networks"] = json!({"default": {"aliases": [format!("{name}-too")]}});
        }
        let mut all = stack("names", &services);
        all["spec"]["volumes"] = json!({"own": {"size": "1Gi", "perReplica": true}});
        t.space.apply_object(&all).await;
        let expected = [
            // headless, pods, of which answer before they are ready
            ("vip", false, 2, 0),
            ("vip-early", false, 1, 1),
            ("one", true, 1, 0),
            ("peers", true, 2, 2),
            ("peers-late", true, 2, 0),
            ("own", true, 1, 1),
        ];
        for (service, headless, pods, answer) in expected {
            for name in [service.to_owned(), format!("{service}-too")] {
                let live = eventually(SOON, &format!("Service {name}"), async || {
                    t.space.get(Kind::Service, &name).await.ok_or_else(|| "none".into())
                })
                .await;
                assert_eq!(live["spec"]["clusterIP"] == "None", headless, "{name}");
                eventually(SOON, &format!("{answer} of {pods} pods behind {name} to answer"), async || {
                    let found = endpoints(&t, &name).await;
                    let ready = found.values().filter(|ready| **ready).count();
                    if (found.len(), ready) == (pods, answer) { Ok(()) } else { Err(format!("{found:?}")) }
                })
                .await;
            }
        }
        println!("{} names, of which 6 answer for pods that are not ready", 2 * expected.len());
    });
}

// "switching between headless and not": deleted and made anew in one pass, nothing else touched, and the name is back within moments.
#[test]
fn a_name_goes_between_headless_and_not_and_is_hardly_away() {
    live("names_switched", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        let ports = json!({"http": {"port": 8000, "published": 80}});
        let member = json!({"default": {"aliases": ["site"]}});
        let web = json!({"image": "web:1", "ports": ports, "networks": member});
        let services = json!({"web": web, "db": {"image": "db:1", "ports": {"sql": {"port": 5432}}}, "quiet": {"image": "quiet:1"}});
        t.space.apply_object(&stack("switch", &services)).await;
        t.space.wait_ready("switch", SOON).await;
        operator_has_looked(&t, "first").await;
        let pods = t.space.list(Kind::Pod).await.len();
        let others = ["db", "quiet", "web-published"];
        let before = versions(&t, &others).await;
        let mut away = Vec::new();
        for round in 0..3 {
            for (mode, headless) in [("DNSRR", true), ("VIP", false)] {
                let mark = audit.mark().await;
                t.space.patch("switch", json!({"spec": {"services": {"web": {"endpointMode": mode}}}})).await;
                eventually(SOON, &format!("web to be {mode}"), async || {
                    let mut wrong = Vec::new();
                    for name in ["web", "site"] {
                        let live = t.space.get(Kind::Service, name).await;
                        if live.as_ref().is_none_or(|s| (s["spec"]["clusterIP"] == "None") != headless) {
                            wrong.push(format!("{name}: {live:?}"));
                        }
                    }
                    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
                })
                .await;
                operator_has_looked(&t, &format!("{mode} {round}")).await;
                let requests = audit.since(mark).await.without(is_signal);
                let writes: Vec<String> =
                    requests.child_writes().iter().map(|r| format!("{} {} {}", r.verb, r.name, r.code)).collect();
                let of = |name: &str| {
                    let mut of: Vec<&String> = writes.iter().filter(|w| w.split(' ').nth(1) == Some(name)).collect();
                    of.dedup();
                    of.into_iter().cloned().collect::<Vec<_>>()
                };
                for name in ["web", "site"] {
                    assert_eq!(
                        of(name),
                        [format!("delete {name} 200"), format!("patch {name} 201")],
                        "one pass: {writes:?}"
                    );
                    away.push(gap(&t, name).await);
                }
                assert_eq!(writes.len(), 4, "nothing else is written: {writes:?}");
            }
        }
        assert_eq!(versions(&t, &others).await, before, "no other Service is touched");
        assert_eq!(
            t.space.list(Kind::Pod).await.iter().filter(|p| json::label(p, "appstack.dev/stack") == "switch").count(),
            pods
        );
        away.sort();
        let (half, most) = (away[away.len() / 2], away[away.len() - 1]);
        println!("{} switches: the name was away for {half:?}, {most:?} at most", away.len());
        // The kubelets of real nodes share the machine with the server.
        let moments = Duration::from_secs(if e2e::cluster::Cluster::get().real { 10 } else { 2 });
        assert!(most < moments, "expected the name to be back within moments, was away {away:?}");
        eventually(SOON, "the name to lead to its pod again", async || {
            let (web, site) = (endpoints(&t, "web").await, endpoints(&t, "site").await);
            if web.len() == 1 && web == site { Ok(()) } else { Err(format!("{web:?} {site:?}")) }
        })
        .await;
    });
}

// A service that gets its first ports, and loses its last, in the same edit as its image: names first, then pods, each in its turn.
#[test]
fn a_name_that_changes_with_its_pods_goes_first_and_waits_for_the_gate() {
    live("names_ports", async |t| {
        let _operator = t.space.operator().start();
        let services = |n: u32, mode: &str, ports: bool| {
            let mut web = json!({"image": format!("web:{n}"), "dependsOn": {"db": {}}});
            if ports {
                web["ports"] = json!({"http": {"port": 8000}});
            }
            stack("turn", &json!({"web": web, "db": {"image": format!("db:{n}"), "env": {"SIM_MODE": mode}}}))
        };
        t.space.apply_object(&services(1, "none", false)).await;
        t.space.wait_ready("turn", SOON).await;
        for (n, ports) in [(2, true), (3, false)] {
            let before = t.space.get(Kind::Service, "web").await.expect("the Service")["metadata"]["uid"].clone();
            t.space.apply_object(&services(n, "never-ready", ports)).await;
            wait_state(&t, "turn", "web", "Waiting").await;
            operator_has_looked(&t, &format!("held {n}")).await;
            let held = t.space.get(Kind::Service, "web").await.expect("the Service");
            assert_eq!(held["metadata"]["uid"], before, "a held service keeps its name as it is");
            let heal = json!({"spec": {"services": {"db": {"env": {"SIM_MODE": "none"}}}}});
            t.space.patch("turn", heal).await;
            t.space.wait_ready("turn", SOON).await;
            let history = t.observer.history().await;
            let made =
                history.iter().rev().find(|s| s.kind == Kind::Service && json::name(&s.object) == "web" && !s.deleted);
            let made = made.expect("the Service").version;
            let image = format!("web:{n}");
            let pods = crate::stacks::first_written(&history, "turn-web", &image).expect("the Deployment");
            assert!(made < pods, "the name was made at {made}, its pods' template written at {pods}");
            let live = t.space.get(Kind::Service, "web").await.expect("the Service");
            assert_eq!((live["spec"]["clusterIP"] == "None", live["metadata"]["uid"] == before), (!ports, false));
        }
    });
}

// "an alias shared by two services": one Service over both; dropped from one it leads to the other's pods; dropped from both it goes after the rollout.
#[test]
fn an_alias_of_two_services_is_one_name_over_both_until_the_last_has_rolled() {
    live("names_shared_alias", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32, with: [bool; 2]| {
            let service = |at: usize, name: &str| {
                let aliases = if with[at] { json!(["api"]) } else { json!([]) };
                let mut service = json!({"image": format!("{name}:{n}"), "ports": {"http": {"port": 8000 + at}},
                    "env": {"SIM_READY_DELAY": "700ms"}});
                if with[at] {
                    service["networks"] = json!({"default": {"aliases": aliases}});
                }
                service
            };
            stack("both", &json!({"one": service(0, "one"), "two": service(1, "two")}))
        };
        let services = async || -> Vec<String> {
            let found = endpoints(&t, "api").await;
            let mut of: Vec<String> =
                found.keys().map(|pod| pod.split('-').nth(1).unwrap_or_default().to_owned()).collect();
            of.sort();
            of
        };
        let is = async |expected: &[&str]| {
            eventually(SOON, &format!("`api` to lead to {expected:?}"), async || {
                let found = services().await;
                if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
            })
            .await;
        };
        t.space.apply_object(&of(1, [true, true])).await;
        t.space.wait_ready("both", SOON).await;
        is(&["one", "two"]).await;
        let first = t.space.get(Kind::Service, "api").await.expect("the alias");
        let ports: Vec<i64> = json::items(&first, "/spec/ports").map(|p| json::number(p, "/port")).collect();
        assert_eq!(ports, [8000, 8001], "the ports of both");

        t.space.apply_object(&of(2, [false, true])).await;
        t.space.wait_ready("both", SOON).await;
        is(&["two"]).await;
        let second = t.space.get(Kind::Service, "api").await.expect("the alias");
        assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"], "it is the same Service");
        assert_eq!(json::items(&second, "/spec/ports").count(), 1, "{}", second["spec"]);

        t.space.apply_object(&of(3, [false, false])).await;
        eventually(SOON, "the alias to be gone", async || match t.space.get(Kind::Service, "api").await {
            None => Ok(()),
            Some(live) => Err(live.to_string()),
        })
        .await;
        let history = t.observer.history().await;
        let gone = history.iter().find(|s| s.kind == Kind::Service && s.deleted && json::name(&s.object) == "api");
        let complete = crate::stacks::first_complete(&history, "both-two", "two:3").expect("the rollout");
        let gone = gone.expect("its last event").version;
        assert!(gone > complete, "gone at {gone}, the rollout complete at {complete}");
        println!("`api`: 2 services, 1, 0; gone {} versions after the rollout", gone - complete);
    });
}

// A held service that drops an alias: its pods answer to it, on their ports, until the template that drops it is theirs.
#[test]
fn an_alias_that_a_held_service_drops_keeps_its_ports_until_then() {
    live("names_alias_held", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32, mode: &str, aliased: bool| {
            let mut web =
                json!({"image": format!("web:{n}"), "dependsOn": {"db": {}}, "ports": {"http": {"port": 8000}}});
            if aliased {
                web["networks"] = json!({"default": {"aliases": ["front"]}});
            }
            let api = json!({"image": "api:1", "ports": {"grpc": {"port": 9000}}, "networks": {"default": {"aliases": ["front"]}}});
            stack(
                "drop",
                &json!({"web": web, "api": api, "db": {"image": format!("db:{n}"), "env": {"SIM_MODE": mode}}}),
            )
        };
        let ports = async || -> Vec<i64> {
            let live = t.space.get(Kind::Service, "front").await.expect("the alias");
            json::items(&live, "/spec/ports").map(|p| json::number(p, "/port")).collect()
        };
        t.space.apply_object(&of(1, "none", true)).await;
        t.space.wait_ready("drop", SOON).await;
        t.space.apply_object(&of(2, "never-ready", false)).await;
        wait_state(&t, "drop", "web", "Waiting").await;
        operator_has_looked(&t, "held").await;
        assert_eq!(ports().await, [8000, 9000], "the pods of web still answer to it");
        t.space.apply_object(&of(3, "none", false)).await;
        t.space.wait_ready("drop", SOON).await;
        assert_eq!(ports().await, [9000]);
    });
}

// A service under a new name, the old one kept as an alias, and its node port: name and port go over once the successor is up, though a third service
// that has changed waits for it.
#[test]
fn a_renamed_service_takes_over_its_name_and_its_node_port() {
    live("names_renamed", async |t| {
        let _operator = t.space.operator().start();
        let of = |n: u32, name: &str| {
            let aliases = if name == "web" { json!([]) } else { json!(["web"]) };
            let mut web = json!({"image": format!("web:{n}"), "env": {"SIM_READY_DELAY": "700ms"},
                "ports": {"http": {"port": 8000, "published": 32131}}, "publish": {"type": "NodePort"}});
            if name != "web" {
                web["networks"] = json!({"default": {"aliases": aliases}});
            }
            stack("re", &json!({name: web, "proxy": {"image": format!("proxy:{n}"), "dependsOn": {name: {}}}}))
        };
        t.space.apply_object(&of(1, "web")).await;
        t.space.wait_ready("re", SOON).await;
        t.space.apply_object(&of(2, "site")).await;
        let begin = std::time::Instant::now();
        t.space.wait_ready("re", SOON).await;
        let took = begin.elapsed();
        eventually(SOON, "`web` to lead to the pod of site", async || {
            let found = endpoints(&t, "web").await;
            if found.len() == 1 && found.keys().all(|pod| pod.starts_with("re-site")) {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await;
        let history = t.observer.history().await;
        let complete = crate::stacks::first_complete(&history, "re-site", "web:2").expect("the rollout of site");
        let of = |name: &'static str, gone: bool| {
            history
                .iter()
                .filter(move |s| s.kind == Kind::Service && s.deleted == gone && json::name(&s.object) == name)
        };
        let taken = of("web", false).find(|s| s.object["spec"]["selector"]["appstack.dev/service"].is_null());
        let taken = taken.expect("the alias").version;
        assert!(taken > complete, "the name was taken over at {taken}, site was complete at {complete}");
        assert_eq!(of("web", true).count(), 0, "the name was never away");
        let (gone, made) =
            (of("web-published", true).next().expect("gone"), of("site-published", false).next().expect("made"));
        let without = made.at.saturating_duration_since(gone.at);
        println!("renamed in {took:?}: the node port was free for {without:?}");
        assert!(
            without < Duration::from_secs(5),
            "expected the port to be taken at once, not after a retry: {without:?}"
        );
    });
}

// "two stacks with one service name in a namespace (NameConflict on the second, the first untouched, the rest of the second goes on)"; the same for an
// alias that is another stack's service, the other way round, and for published names. Heals when the first goes.
#[test]
fn two_stacks_that_want_one_name() {
    live("names_two_stacks", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().args(&["--conflict-retry", "1s"]).start();
        let web = |alias: &str| json!({"image": "web:1", "ports": {"http": {"port": 8000, "published": 80}}, "networks": {"default": {"aliases": [alias]}}});
        t.space.apply_object(&stack("first", &json!({"web": web("site"), "db": {"image": "db:1"}}))).await;
        t.space.wait_ready("first", SOON).await;
        operator_has_looked(&t, "first").await;
        let names = ["web", "web-published", "site", "db"];
        let before = versions(&t, &names).await;
        let mark = audit.mark().await;
        let services = json!({
            "web": {"image": "web:2", "ports": {"http": {"port": 9000, "published": 80}}},
            "api": {"image": "api:2", "networks": {"default": {"aliases": ["db"]}}},
            "site": {"image": "site:2"},
            "free": {"image": "free:2"},
            "behind": {"image": "behind:2", "dependsOn": {"web": {}}},
        });
        t.space.apply_object(&stack("second", &services)).await;
        let expected = [("web", "'web"), ("api", "'db'"), ("site", "'site'")];
        for (service, name) in expected {
            let told = wait_state(&t, "second", service, "Failed").await;
            assert_eq!(told["reason"], "NameConflict", "{told}");
            assert!(json::text(&told, "/message").contains(&format!("Service {name}")), "{told}");
            println!("{service}: {}", json::text(&told, "/message"));
        }
        wait_state(&t, "second", "free", "Ready").await;
        wait_state(&t, "second", "behind", "Failed").await;
        tokio::time::sleep(Duration::from_millis(2500)).await; // some more tries
        assert_eq!(versions(&t, &names).await, before, "the first stack's names are untouched");
        let tries = audit.since(mark).await;
        let taken = tries.acts.iter().filter(|r| r.code == 409).count();
        println!("{taken} tries in about 3 s for 4 names, a retry each second");
        assert!(taken <= 4 * 8, "expected no hot loop, saw\n{tries}");
        for service in ["web", "db"] {
            let pods = endpoints(&t, service).await;
            assert!(pods.keys().all(|pod| pod.starts_with("first-")), "{service} leads to {pods:?}");
        }

        t.space.delete(Kind::AppStack, "first").await;
        t.space.wait_ready("second", SOON).await;
        for name in names {
            let live = t.space.get(Kind::Service, name).await.unwrap_or_else(|| panic!("Service {name}"));
            assert_eq!(json::label(&live, "appstack.dev/stack"), "second");
        }
    });
}

// "the Service `kubernetes` protected": in the namespace where it lives, too.
#[test]
fn the_api_servers_own_service_is_out_of_reach() {
    live("names_kubernetes", async |t| {
        let home = Space { name: "default".into(), ..t.space.clone() };
        let before = home.get(Kind::Service, "kubernetes").await.expect("the API server's own Service");
        let named = stack("nk", &json!({"kubernetes": {"image": "a:1", "ports": {"https": {"port": 443}}}}));
        let alias = json!({"default": {"aliases": ["kubernetes"]}});
        let aliased = stack("nk", &json!({"web": {"image": "a:1", "networks": alias}}));
        let file = folder("names_kubernetes").join("stack.yaml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        for refused in [&named, &aliased] {
            let says = home.try_apply(refused).await.expect_err("the server refuses it");
            assert!(says.contains("'kubernetes' (the API server's own Service)"), "{says}");
            std::fs::write(&file, refused.to_string()).unwrap();
            let validate = Command::new(appstack()).arg("validate").arg(&file).output().expect("appstack validate");
            let says =
                String::from_utf8_lossy(&validate.stderr).into_owned() + &String::from_utf8_lossy(&validate.stdout);
            assert!(
                !validate.status.success() && says.contains("'kubernetes' (the API server's own Service)"),
                "{says}"
            );
        }
        // A stack beside it goes as any other.
        let _operator = home.operator().start();
        home.apply_object(&stack("nk", &json!({"nk-web": {"image": "a:1"}}))).await;
        home.wait_ready("nk", SOON).await;
        home.delete(Kind::AppStack, "nk").await;
        eventually(SOON, "its children to be gone", async || {
            let left = home.children("nk").await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left}")) }
        })
        .await;
        let after = home.get(Kind::Service, "kubernetes").await.expect("the API server's own Service");
        assert_eq!(before, after);
    });
}

/// The pods behind a name, by their names, and whether the name answers for them.
async fn endpoints(t: &Live, service: &str) -> BTreeMap<String, bool> {
    let slices = t.space.list(Kind::EndpointSlice).await;
    let of = slices.iter().filter(|s| json::label(s, "kubernetes.io/service-name") == service);
    let all = of.flat_map(|s| json::items(s, "/endpoints"));
    all.filter(|e| e["conditions"]["terminating"] != true)
        .map(|e| (json::text(e, "/targetRef/name").to_owned(), e["conditions"]["ready"] == true))
        .collect()
}

async fn versions(t: &Live, services: &[&str]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for name in services {
        let live = t.space.get(Kind::Service, name).await.unwrap_or_else(|| panic!("no Service {name}"));
        found.insert((*name).to_owned(), json::version(&live));
    }
    found
}

/// How long a Service was away when it was last made anew, as the observer saw it.
async fn gap(t: &Live, service: &str) -> Duration {
    let history = t.observer.of(Kind::Service, service).await;
    let gone = history.iter().rposition(|s| s.deleted).expect("it was away once");
    let back = history[gone..].iter().find(|s| !s.deleted).expect("it came back");
    back.at.saturating_duration_since(history[gone].at)
}
