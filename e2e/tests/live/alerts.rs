//! Alerts on what an operator really tells: a fault is brought about, and Prometheus's own engine reads the scrapes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::cluster::root;
use e2e::prom::ask;
use e2e::{Kind, eventually, live};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::probes::{answers, free, metrics, value};
use crate::stacks::{SOON, service, stack};

/// What it tells now, as scraped so many seconds after the first time.
fn scrape(at: i64, address: SocketAddr) -> Value {
    let labels = json!({"namespace": "appstack-system", "job": "appstack-metrics", "instance": address.to_string()});
    json!({"at": at, "labels": labels, "text": metrics(address)})
}

/// The seconds of these scrapes at which the alert's expression holds.
fn held(alert: &str, scrapes: &[Value]) -> Vec<i64> {
    let until = scrapes.iter().filter_map(|scrape| scrape["at"].as_i64()).max().expect("a scrape");
    let answer = ask(1, &[json!({"alert": alert, "scrapes": scrapes, "until": until})], &[]);
    assert_eq!(answer.problems, Vec::<String>::new());
    answer.cases[0].held.clone()
}

// "alert on real behaviour": no leader.
#[test]
fn a_lease_that_a_dead_operator_left_raises_the_alert_of_no_leader() {
    live("alerts_no_leader", async |t| {
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {"name": "appstack-operator"},
            "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 3600, "renewTime": "2026-01-01T00:00:00.000000Z"},
        }))
        .expect("a lease");
        let leases: Api<Lease> = Api::namespaced(t.space.client.clone(), &t.space.name);
        leases.create(&PostParams::default(), &lease).await.expect("a lease is made");
        let address = free();
        let _operator = t.space.operator().args(&["--listen", &address.to_string()]).start();
        answers(address, 200, "standing by: another one leads").await;
        let mut scrapes = vec![scrape(0, address), scrape(1, address)];
        assert_eq!(held("AppStackNoLeader", &scrapes), [0, 1], "nobody leads");
        assert_eq!(held("AppStackOperatorDown", &scrapes), [0; 0], "and yet it is there");

        leases.delete("appstack-operator", &kube::api::DeleteParams::default()).await.expect("somebody helps");
        answers(address, 200, "held: this one leads").await;
        scrapes.push(scrape(2, address));
        assert_eq!(held("AppStackNoLeader", &scrapes), [0, 1], "it leads");
    });
}

// "drift war"; and what the operator tells is on the list that alerts and dashboard are held against.
#[test]
fn who_keeps_editing_what_is_ours_raises_the_alert_of_a_drift_war() {
    live("alerts_drift", async |t| {
        const EDITS: u32 = 22;
        let address = free();
        let _operator = t.space.operator().args(&["--listen", &address.to_string()]).start();
        // One waits for another: how long is a series as well.
        let (db, api, web) = (service("db:1", 20, &[]), service("api:1", 20, &["db"]), service("web:1", 20, &[]));
        let shop = stack("shop", &json!({"db": db, "api": api, "web": web}));
        t.space.apply_object(&shop).await;
        t.space.wait_ready("shop", SOON).await;
        let begin = Instant::now();
        let seconds = || i64::try_from(begin.elapsed().as_secs()).expect("few");
        let mut scrapes = Vec::new();
        let repairs = || value(&metrics(address), "appstack_drift_repairs_total{kind=\"Deployment\"}");
        for edit in 0..EDITS {
            let theirs = json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "theirs"}}});
            t.space.edit(Kind::Deployment, "shop-web", theirs).await;
            eventually(SOON, "it to be put right", async || {
                if repairs() > f64::from(edit) { Ok(()) } else { Err(format!("{} times", repairs())) }
            })
            .await;
            if edit == 0 {
                scrapes.push(scrape(seconds(), address)); // the series begins with it
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await; // seconds differ
        let last = seconds();
        scrapes.extend([scrape(last, address), scrape(last + 1, address)]);
        t.shows(format!("{EDITS} edits put right within {last} s"));
        let held = held("AppStackDriftWar", &scrapes);
        assert_eq!(held, [last, last + 1], "over both scrapes, and not before");

        let known = std::fs::read_to_string(root().join("src/ops/series.txt")).expect("the list");
        let known: BTreeSet<&str> = known.lines().collect();
        let text = metrics(address);
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let unknown: Vec<&str> = series
            .map(|(name, _)| name)
            .filter(|name| !known.contains(name) && !name.starts_with("appstack_build_info"))
            .collect();
        assert!(unknown.is_empty(), "not in src/ops/series.txt: {unknown:?}");
        let of_list: BTreeSet<&str> = known.iter().map(|name| name.split('{').next().unwrap_or_default()).collect();
        for metric in of_list {
            let family =
                ["_bucket", "_sum", "_count", "_total", "_info"].iter().find_map(|end| metric.strip_suffix(end));
            let family = family.unwrap_or(metric);
            assert!(text.contains(&format!("# TYPE {family} ")), "{family} is not told:\n{text}");
        }
    });
}
