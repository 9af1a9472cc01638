//! Networks that stacks share, and services that are in none.

use e2e::{Kind, json, live, live_within};
use serde_json::{Value, json};

use crate::reach::{Reach, gaps};
use crate::stacks::{SOON, operator_has_looked, stack};

fn member(name: &str, network: &Value, service: &str) -> Value {
    let mut all = stack(
        name,
        &json!({
            service: {"image": "a:1", "networks": {"bus": {}}, "ports": {"http": {"port": 8000}}},
            format!("{service}-alone"): {"image": "b:1", "networks": {"own": {}}, "ports": {"http": {"port": 8000}}},
        }),
    );
    all["spec"]["networks"] = json!({"bus": network, "own": {}});
    all
}

// "Shared networks between stacks of a namespace": members of both, by the evaluator; a stack that does not share, and one of another namespace that says
// the same name, are strangers.
#[test]
fn stacks_that_share_a_network_reach_its_members_and_nobody_else_does() {
    live("shared_here", async |here| {
        live_within("shared_there", async |there| {
            let _operators = (here.space.operator().start(), there.space.operator().start());
            let (bus, walled) = (json!({"sharedName": "bus"}), json!({"sharedName": "bus", "internal": true}));
            here.space.apply_object(&member("one", &bus, "a")).await;
            here.space.apply_object(&member("two", &walled, "b")).await;
            here.space.apply_object(&member("three", &json!({}), "c")).await;
            here.space.apply_object(&member("four", &json!({"sharedName": "other"}), "d")).await;
            there.space.apply_object(&member("one", &bus, "x")).await;
            for stack in ["one", "two", "three", "four"] {
                here.space.wait_ready(stack, SOON).await;
            }
            there.space.wait_ready("one", SOON).await;
            let reach = Reach::of(&[&here.space, &there.space]).await;
            let x = format!("{}:one/x", there.space.name);
            let mut expected = vec![("one/a", "two/b", "8000", true), ("two/b", "one/a", "8000", true)];
            let strangers =
                ["one/a-alone", "two/b-alone", "three/c", "four/d", x.as_str(), "stranger", "elsewhere", "outside"];
            for from in strangers {
                expected.extend([(from, "one/a", "8000", false), (from, "two/b", "8000", false)]);
            }
            expected.extend([
                ("one/a", x.as_str(), "8000", false),
                ("two/b", x.as_str(), "8000", false),
                ("one/a", "three/c", "8000", false),
                ("one/a", "four/d", "8000", false),
                ("one/a", "outside", "443", true),
                ("two/b", "outside", "443", false),
                ("two/b", "dns", "53/UDP", true),
            ]);
            reach.assert_all("two of five stacks share a network", &expected);
        })
        .await;
    });
}

// "adding sharedName to a running network opens no gap": every state that the observer saw, put to the evaluator. And taking it away.
#[test]
fn a_running_network_is_shared_and_kept_again_without_a_gap() {
    live("shared_added", async |t| {
        let _operator = t.space.operator().start();
        for (network, internal) in [("open", false), ("walled", true)] {
            let of = |shared: bool| {
                let mut spec = json!({"internal": internal});
                if shared {
                    spec["sharedName"] = json!("bus");
                }
                let service = |n: u32| json!({"image": "a:1", "replicas": n, "networks": {"bus": {}}, "env": {"SIM_READY_DELAY": "150ms"}});
                let mut all = stack(
                    network,
                    &json!({"a": service(2), "b": service(1), "alone": {"image": "b:1", "networks": {"own": {}}}}),
                );
                all["spec"]["networks"] = json!({"bus": spec, "own": {}});
                all
            };
            let guest = format!("{network}-guest");
            t.space.apply_object(&of(false)).await;
            t.space.apply_object(&member(&guest, &json!({"sharedName": "bus"}), "g")).await;
            t.space.wait_ready(network, SOON).await;
            t.space.wait_ready(&guest, SOON).await;
            for shared in [true, false] {
                operator_has_looked(&t, &format!("{network} {shared}")).await;
                let since = t.observer.history().await.last().expect("a history").version;
                t.space.apply_object(&of(shared)).await;
                t.space.wait_ready(network, SOON).await;
                operator_has_looked(&t, &format!("{network} {shared} done")).await;
                let (found, verdicts) = gaps(&t.observer.history().await, since, 8000);
                println!("{network}, shared: {shared}: {verdicts} verdicts over every state, {} gaps", found.len());
                assert!(
                    verdicts > 100,
                    "expected the pods to be replaced while the observer looks, saw {verdicts} verdicts"
                );
                assert!(found.is_empty(), "{}", found.join("\n"));
                let reach = Reach::of(&[&t.space]).await;
                let (guest, a) = (format!("{guest}/g"), format!("{network}/a"));
                reach.assert_all("as it is now", &[(&guest, &a, "8000", shared), (&a, &guest, "8000", shared)]);
            }
            for name in [network, &guest] {
                t.space.delete(Kind::AppStack, name).await;
            }
        }
    });
}

// "`networkMode: None`": nothing in, nothing out, no name resolution, and no name; also after it had a network.
#[test]
fn a_service_without_a_network_neither_dials_nor_is_dialled() {
    live("shared_none", async |t| {
        let _operator = t.space.operator().start();
        let of = |mode: &str| {
            let sealed = json!({"image": "sealed:1", "networkMode": mode,
                "ports": {"http": {"port": 8000, "published": 80}, "open": {"port": 9000, "openTo": "Cluster"}}});
            stack("none", &json!({"sealed": sealed, "web": {"image": "web:1", "ports": {"http": {"port": 8000}}}}))
        };
        let sealed = async |is: bool| {
            let mut expected = Vec::new();
            for port in ["8000", "9000", "53/UDP"] {
                for from in ["none/web", "stranger", "elsewhere", "outside", "dns"] {
                    let open = from == "none/web" || port == "8000" || (port == "9000" && from != "outside");
                    expected.push((from, "none/sealed", port, !is && open && (port != "53/UDP" || from == "none/web")));
                }
                for to in ["none/web", "stranger", "elsewhere", "outside", "dns"] {
                    expected.push(("none/sealed", to, port, !is));
                }
            }
            expected.push(("none/web", "dns", "53/UDP", true));
            Reach::of(&[&t.space]).await.assert_all(if is { "sealed" } else { "not sealed" }, &expected);
            let names: Vec<String> =
                t.space.list(Kind::Service).await.iter().map(|s| json::name(s).to_owned()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).filter(|n| *n != "signal").collect();
            let expected: &[&str] = if is { &["web"] } else { &["sealed", "sealed-published", "web"] };
            assert_eq!(names, expected, "in Compose such a service has no name");
        };
        for mode in ["None", "Stack", "None"] {
            t.space.apply_object(&of(mode)).await;
            t.space.wait_ready("none", SOON).await;
            operator_has_looked(&t, mode).await;
            sealed(mode == "None").await;
        }
    });
}
