//! Names, as a pod resolves them and where they lead.

use std::time::Duration;

use e2e::nodes::{Dialled, Nodes, dial, pod_of, pods_of};
use e2e::{Live, json, live, live_within};
use serde_json::{Value, json as value};

use crate::rollout::roll_out;

const APP: &str = "appstack.test/app:1";

fn stack(name: &str, spec: Value) -> Value {
    value!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": name}, "spec": spec})
}

/// Healthy while it reaches another.
fn needs(other: &str, publish_not_ready: bool) -> Value {
    let ask = format!("http://{other}:8080/app/who");
    value!({
        "image": APP, "ports": {"http": {"port": 8080}}, "publishNotReady": publish_not_ready,
        "healthcheck": {"exec": ["curl", "--fail", "--silent", "--output", "/dev/null", ask], "interval": "1s", "timeout": "3s", "retries": 60},
    })
}

/// Dials until all are reached that are to be: what has just become ready may not be known everywhere.
async fn dialled(t: &Live, pod: &str, targets: Vec<(String, u16)>, open: bool) -> Vec<Dialled> {
    let (space, pod) = (t.space.clone(), pod.to_owned());
    let dialler = move || {
        let targets: Vec<(&str, u16)> = targets.iter().map(|(host, port)| (host.as_str(), *port)).collect();
        let mut seen = dial(&space, &pod, &targets);
        for _ in 0..20 {
            if !open || seen.iter().all(Dialled::reached) {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
            seen = dial(&space, &pod, &targets);
        }
        seen
    };
    tokio::task::spawn_blocking(dialler).await.expect("a dialler")
}

#[test]
fn every_name_of_a_service_leads_to_its_pods_and_peers_find_each_other_before_they_are_ready() {
    let nodes = Nodes::get();
    live("node_names", async |t| {
        // Each pod is healthy once it sees two addresses behind the name of all.
        let both = "name=peers.$(awk '/^search/ {print $2}' /etc/resolv.conf); test $(nslookup $name | grep -c 'Address.*10[.]244') -ge 2";
        let names = value!({"services": {
            "web": {"image": APP, "ports": {"http": {"port": 8080, "published": 80}}, "publish": {"type": "LoadBalancer"}, "networks": {"default": {"aliases": ["site"]}}},
            "quiet": {"image": APP, "networks": {"default": {"aliases": ["hush"]}}},
            "client": {"image": APP},
            "left": needs("right", true), "right": needs("left", true),
            "peers": {
                "image": APP, "ports": {"http": {"port": 8080}}, "endpointMode": "DNSRR", "replicas": 2,
                "healthcheck": {"shell": both, "interval": "1s", "timeout": "3s", "retries": 60},
            },
        }});
        let shy = value!({"services": {"shy-left": needs("shy-right", false), "shy-right": needs("shy-left", false)}});
        // The shy ones first: they have had all the time that the others needed.
        t.space.apply_object(&stack("shy", shy)).await;
        let (_operator, name) = roll_out(&t, vec![stack("names", names)]).await;
        let balanced = nodes.balance(&t.space).await;
        let client = pod_of(&t.space, &name, "client").await;

        let home = &t.space.name;
        let ways = [
            ("web", 8080, "web"),
            ("site", 8080, "web"),
            (&format!("web.{home}"), 8080, "web"),
            (&format!("web.{home}.svc.cluster.local"), 8080, "web"),
            ("web-published", 80, "web"),
            ("quiet", 8080, "quiet"),
            ("quiet", 7070, "quiet"),
            ("hush", 7070, "quiet"),
            ("left", 8080, "left"),
            ("right", 8080, "right"),
            ("peers", 8080, "peers"),
        ];
        let targets = ways.iter().map(|(host, port, _)| ((*host).to_owned(), *port)).collect();
        let seen = dialled(&t, &client, targets, true).await;
        for ((host, port, service), seen) in ways.iter().zip(&seen) {
            let pods = pods_of(&t.space, &name, service).await;
            assert!(pods.iter().any(|pod| json::name(pod) == seen.who), "{host}:{port} is {service}: {seen:?}");
        }
        let nobody = [("nobody".to_owned(), 8080), ("web".to_owned(), 7070), ("site".to_owned(), 80)];
        let seen_shut = dialled(&t, &client, nobody.into(), false).await;
        assert!(!seen_shut.iter().any(Dialled::reached), "{seen_shut:#?}");
        assert_eq!(seen_shut[0].outcome, "no such name");

        let outside = nodes.dial_from_outside(&[(&balanced["web-published"], 80)]);
        assert_eq!(outside[0].who, pod_of(&t.space, &name, "web").await, "{outside:?}");

        let peers = pods_of(&t.space, &name, "peers").await;
        assert_eq!(peers.len(), 2);
        // Who needs another and is not published before it is ready waits for ever: what publishNotReady is for.
        for shy in ["shy-left", "shy-right"] {
            for pod in pods_of(&t.space, "shy", shy).await {
                assert!(!json::holds(&pod, "Ready"), "{shy} was not to be found, and yet its peer is healthy");
            }
        }
        println!(
            "{} names lead where they are to; {} lead nowhere; two pairs of peers found each other",
            seen.len(),
            seen_shut.len()
        );
    });
}

fn twin() -> Value {
    stack(
        "twin",
        value!({
            "networks": {"front": {}, "back": {"internal": true}},
            "services": {
                "web": {"image": APP, "ports": {"http": {"port": 8080, "published": 80}}, "networks": {"front": {}, "back": {}}},
                "db": {"image": APP, "env": {"APP_LISTEN": "5432"}, "ports": {"sql": {"port": 5432}}, "networks": {"back": {"aliases": ["store"]}}},
            },
        }),
    )
}

#[test]
fn two_stacks_of_one_name_in_two_namespaces_reach_each_their_own() {
    Nodes::get();
    live("node_twins", async |one| {
        live_within("node_twins_other", async |other| {
            let (first, second) = tokio::join!(roll_out(&one, vec![twin()]), roll_out(&other, vec![twin()]));
            assert_eq!(first.1, second.1, "one name");
            let mut asked = 0;
            for (own, foreign) in [(&one, &other), (&other, &one)] {
                let web = pod_of(&own.space, "twin", "web").await;
                let db = pod_of(&own.space, "twin", "db").await;
                let away = &foreign.space.name;
                let mine = [("db", 5432), ("store", 5432), ("web", 8080), ("web-published", 80)];
                let mine = mine.map(|(host, port)| (host.to_owned(), port));
                let seen = dialled(own, &web, mine.into(), true).await;
                let answered: Vec<&str> = seen.iter().map(|seen| seen.who.as_str()).collect();
                assert_eq!(answered, [db.as_str(), &db, &web, &web], "{seen:#?}");

                let foreign_db = pods_of(&foreign.space, "twin", "db").await.remove(0);
                let address = json::text(&foreign_db, "/status/podIP").to_owned();
                let theirs = vec![
                    (format!("db.{away}"), 5432),
                    (format!("store.{away}"), 5432),
                    (format!("web.{away}"), 7070),
                    (address.clone(), 5432),
                    (address, 7070),
                ];
                let shut = dialled(own, &web, theirs, false).await;
                assert!(!shut.iter().any(Dialled::reached), "the other's: {shut:#?}");
                // What is published is open to everyone: the other namespace is within reach, its walls are not.
                let open = dialled(own, &web, vec![(format!("web.{away}"), 8080)], true).await;
                assert_eq!(open[0].who, pod_of(&foreign.space, "twin", "web").await, "{open:?}");
                asked += seen.len() + shut.len() + open.len();
            }
            println!("two stacks of one name: {asked} targets, each reached its own alone");
        })
        .await;
    });
}
