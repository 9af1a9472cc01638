//! What the operator says of itself: `/healthz`, `/readyz`, `/metrics`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use e2e::cluster::Cluster;
use e2e::grant::account;
use e2e::{Kind, eventually, live};
use serde_json::json;

use crate::stacks::{SOON, operator_has_looked, service, stack};

/// Where the operator of a test answers: a port that nobody had a moment ago.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// The status code and the text of an answer.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|e| e.to_string())?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status code")?;
    Ok((code, body.to_owned()))
}

pub async fn answers(address: SocketAddr, code: u16, words: &str) -> String {
    eventually(SOON, &format!("/readyz to answer {code} with '{words}'"), async || match get(address, "/readyz") {
        Ok((seen, text)) if seen == code && text.contains(words) => Ok(text),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// The value of a series; 0 where there is none yet.
pub fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}

pub fn metrics(address: SocketAddr) -> String {
    get(address, "/metrics").expect("metrics").1
}

// "/healthz /readyz (says what is missing: CRD, RBAC, leadership)", "Prometheus metrics (reconciles, latency, gate wait per edge kind, requests by verb, queue, drift repairs, build info; under 150 series, no
// per-object labels)"
#[test]
fn the_operator_says_how_it_does() {
    live("probes_metrics", async |t| {
        let address = free();
        let _operator = t.space.operator().args(&["--listen", &address.to_string()]).start();
        let ready = answers(address, 200, "ready").await;
        for row in ["[+] AppStack: ok", "[+] Deployment: ok", "[+] Lease: held: this one leads"] {
            assert!(ready.contains(row), "{row}\n{ready}");
        }
        assert_eq!(get(address, "/healthz"), Ok((200, "ok\n".to_owned())));

        let shop = stack("shop", &json!({"db": service("db:1", 300, &[]), "web": service("web:1", 100, &["db"])}));
        t.space.apply_object(&shop).await;
        t.space.wait_ready("shop", SOON).await;
        operator_has_looked(&t, "before").await;
        let before = metrics(address);
        assert!(value(&before, "appstack_gate_wait_seconds_count{condition=\"Healthy\"}") >= 1.0, "{before}");
        assert!(value(&before, "appstack_api_requests_total{verb=\"patch\",result=\"ok\"}") >= 8.0, "{before}");
        assert!(value(&before, "appstack_reconciles_total{outcome=\"settled\"}") >= 1.0, "{before}");
        assert!((value(&before, "appstack_leader") - 1.0).abs() < 1e-9, "{before}");
        assert!(value(&before, "appstack_drift_repairs_total{kind=\"Deployment\"}").abs() < 1e-9, "{before}");
        assert!(value(&before, "appstack_stacks{state=\"ready\"}") >= 1.0, "{before}");

        // Somebody edits what is ours, and takes a Service away.
        let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "web:other"}]}}}});
        t.space.edit(Kind::Deployment, "shop-web", image).await;
        t.space.delete(Kind::Service, "web").await;
        let after = eventually(SOON, "both to be put right", async || {
            let now = metrics(address);
            let of = |kind: &str| value(&now, &format!("appstack_drift_repairs_total{{kind=\"{kind}\"}}"));
            if of("Service") >= 1.0 && of("Deployment") >= 1.0 { Ok(now) } else { Err(now) }
        })
        .await;
        let series: Vec<&str> = after.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(series.len() < 150, "{} series", series.len());
        for ours in ["shop", "web", &t.space.name] {
            assert!(!series.iter().any(|line| line.contains(&format!("\"{ours}\""))), "{ours} is a label:\n{after}");
        }
        t.shows(format!("{} series", series.len()));
    });
}

#[test]
fn a_replica_that_stands_by_is_ready_and_says_so() {
    live("probes_standby", async |t| {
        let (first, second) = (free(), free());
        let mut leader = t.space.operator().args(&["--listen", &first.to_string()]).start();
        answers(first, 200, "held: this one leads").await;
        let other = ["--listen", &second.to_string(), "--identity", "the-other"];
        let _standby = t.space.operator().args(&other).start();
        answers(second, 200, "standing by: another one leads").await;
        assert!(value(&metrics(second), "appstack_leader").abs() < 1e-9);

        leader.stop();
        answers(second, 200, "held: this one leads").await;
    });
}

// "says what is missing"
#[test]
fn what_is_missing_is_named_with_what_to_do() {
    live("probes_missing", async |t| {
        let address = free();
        let file = e2e::cluster::root().join("target/e2e").join(&t.space.test).join("nobody.kubeconfig");
        account(Cluster::get(), &t.space.client, (&t.space.name, "nobody"), &file).await;
        let _operator = t.space.operator().kubeconfig(&file).args(&["--listen", &address.to_string()]).start();
        let said = answers(address, 503, "[-] AppStack: apply the roles of this version (`appstack rbac`): ").await;
        for row in ["cannot list resource \"appstacks\"", "[-] Lease: could not be renewed: "] {
            assert!(said.contains(row), "{row}\n{said}");
        }
        assert!(said.ends_with("not ready\n"), "{said}");
        assert_eq!(get(address, "/healthz"), Ok((200, "ok\n".to_owned())), "a restart would not help");
    });
}
