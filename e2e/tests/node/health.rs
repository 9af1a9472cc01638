//! Health as the kubelet measures it: ready and unready come when the arithmetic of probes says, and nothing else comes of a check.

use std::fmt::Write as _;
use std::time::Duration;

use e2e::nodes::{Nodes, exec, pod_of, state};
use e2e::{Kind, Live, eventually, json, live};
use serde::Deserialize;
use serde_json::{Value, json as value};

/// The kubelet's clock is seen in whole seconds, and two cores are shared: what is added to a bound, for each of the two.
const SLACK: f64 = 2.0;

/// The table. A test beside the probes' own (`src/render/probe_measured_tests.rs`) holds its bounds against the simulator of the kubelet.
const CASES: &str = include_str!("health.json");

/// A check, what the program does, and what is to be seen of it, in seconds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    check: Value,
    /// (period, timeout, failureThreshold) of readiness.
    numbers: [i64; 3],
    /// From its start it is healthy after so long.
    healthy_after: u32,
    /// After its start it is ready, at the soonest and the latest.
    ready: (f64, f64),
    /// What it is told to do once it was ready: `fail`, `hang` (each check takes its timeout), or `flap:3s`, which is well again before it has failed often
    /// enough.
    then: Option<String>,
    /// After that it is unready.
    unready: Option<(f64, f64)>,
}

impl Case {
    fn service(&self) -> Value {
        let after = format!("{}s", self.healthy_after);
        // Who opens no port until then is what a check by TCP can see.
        let variable = if self.name.starts_with("tcp") { "APP_START_AFTER" } else { "APP_HEALTHY_AFTER" };
        value!({"image": "appstack.test/app:1", "ports": {"http": {"port": 8080}}, "env": {variable: after}, "healthcheck": self.check})
    }
}

/// Seconds of the day of a time that the API server writes.
fn clock(time: &str) -> Option<f64> {
    let mut parts = time.strip_suffix('Z')?.split_once('T')?.1.splitn(3, ':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    since.as_secs_f64() % 86400.0
}

fn started(pod: &Value) -> Option<f64> {
    clock(json::text(pod, "/status/containerStatuses/0/state/running/startedAt"))
}

/// When the kubelet has last changed its mind about a pod's readiness, and what it thinks.
fn readiness(pod: &Value) -> Option<(f64, bool)> {
    let condition = json::condition(pod, "ContainersReady")?;
    Some((clock(json::text(condition, "/lastTransitionTime"))?, condition["status"] == "True"))
}

async fn only_pod(t: &Live, name: &str) -> Value {
    t.space.get(Kind::Pod, &pod_of(&t.space, "health", name).await).await.expect("the pod")
}

/// The moment at which the pod of a service is ready, or is not any more.
async fn turned(t: &Live, name: &str, to: bool) -> f64 {
    eventually(Duration::from_secs(60), &format!("{name} to be ready: {to}"), async || {
        match readiness(&only_pod(t, name).await) {
            Some((at, ready)) if ready == to => Ok(at),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await
}

/// A line of the report, and what is wrong with it.
async fn measured(t: &Live, case: &Case) -> Result<String, String> {
    let name = case.name.as_str();
    let mut line = format!("{name:15} {:?}", case.numbers);
    let mut wrong = Vec::new();
    let mut hold = |what: &str, took: f64, least: f64, most: f64| {
        let _ = write!(line, "; {what} after {took:.1} s, from {least} to {most}");
        if took < least - SLACK || took > most + SLACK {
            wrong.push(what.to_owned());
        }
    };
    let ready = turned(t, name, true).await;
    let pod = only_pod(t, name).await;
    #[allow(clippy::cast_precision_loss)] // small
    let [period, _, failures] = case.numbers.map(|n| n as f64);
    hold("ready", ready - started(&pod).expect("a container that runs"), case.ready.0, case.ready.1);
    let pod_name = json::name(&pod).to_owned();
    match case.then.as_deref() {
        None => {}
        Some(flaps) if flaps.starts_with("flap") => {
            exec(&t.space, &pod_name, &["app", "ctl", &format!("health={flaps}")]);
            tokio::time::sleep(Duration::from_secs(25)).await;
            let now = readiness(&only_pod(t, name).await);
            hold("not ready", if now == Some((ready, true)) { 0.0 } else { 99.0 }, 0.0, 0.0);
            let bad = told(t, &pod_name, false);
            hold("bad answers", bad, 3.0, 20.0);
        }
        Some(turns) => {
            let (least, most) = case.unready.expect("bounds");
            exec(&t.space, &pod_name, &["app", "ctl", &format!("health={turns}")]);
            let bad = now();
            let unready = turned(t, name, false).await;
            hold("unready", unready - bad, least, most);
            let asked = told(t, &pod_name, false);
            // The kubelet does not ask oftener than it has to, nor gives up sooner. A check that hangs is answered by nobody.
            hold("bad answers", asked, failures, 99.0);
            exec(&t.space, &pod_name, &["app", "ctl", "health=ok"]);
            let well = now();
            hold("ready again", turned(t, name, true).await - well, 0.0, period);
        }
    }
    let pod = only_pod(t, name).await;
    hold("restarts", 10.0 * restarts(&pod), 0.0, 0.0);
    if wrong.is_empty() { Ok(line) } else { Err(format!("{line}\n    WRONG: {wrong:?}")) }
}

#[allow(clippy::cast_precision_loss)] // small
fn restarts(pod: &Value) -> f64 {
    json::number(pod, "/status/containerStatuses/0/restartCount") as f64
}

/// How often the stand-in was asked and has said so, by its own account.
#[allow(clippy::cast_precision_loss)] // small
fn told(t: &Live, pod: &str, what: bool) -> f64 {
    let state = state(&t.space, pod);
    json::entries(&state, "/probes")
        .filter(|(who, _)| who.ends_with(&format!(" {what}")))
        .filter_map(|(_, n)| n.as_i64())
        .sum::<i64>() as f64
}

// "exec, shell, http, tcp, grpc with the health arithmetic: measured moments of ready and unready agree with the simulator within a
// probe period, over a table of cases; a failing check never restarts a container"
#[test]
fn ready_and_unready_come_when_the_arithmetic_says_and_nothing_is_restarted() {
    Nodes::get();
    live("node_health", async |t| {
        let _operator = t.space.operator().start();
        let cases: Vec<Case> = serde_json::from_str(CASES).expect("the table");
        let services: serde_json::Map<String, Value> = cases.iter().map(|c| (c.name.clone(), c.service())).collect();
        t.space.apply_object(&stack(&services)).await;
        eventually(Duration::from_secs(60), "the pods", async || {
            let pods = t.space.list(Kind::Pod).await;
            if pods.len() == cases.len() { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        for case in &cases {
            let probe = &only_pod(&t, &case.name).await["spec"]["containers"][0]["readinessProbe"];
            let numbers = ["periodSeconds", "timeoutSeconds", "failureThreshold"].map(|n| probe[n].as_i64().unwrap());
            assert_eq!(numbers, case.numbers, "{}", case.name);
        }
        let all = futures::future::join_all(cases.iter().map(|case| measured(&t, case))).await;
        let wrong = all.iter().filter(|line| line.is_err()).count();
        let report: Vec<&str> =
            all.iter().map(|line| line.as_ref().map_or_else(String::as_str, String::as_str)).collect();
        println!("{}", report.join("\n"));
        assert_eq!(wrong, 0, "not as the arithmetic says");
    });
}

fn stack(services: &serde_json::Map<String, Value>) -> Value {
    value!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "health"},
        "spec": {"services": services},
    })
}

// "... unless asked."
#[test]
fn a_check_restarts_a_container_where_that_is_asked_for() {
    Nodes::get();
    live("node_restart", async |t| {
        let _operator = t.space.operator().start();
        let check = |on: &str| value!({"http": {"port": 8080, "path": "/"}, "interval": "1s", "timeout": "1s", "retries": 2, "startPeriod": "3s", "startInterval": "1s", "onUnhealthy": on});
        let service = |on: &str, health: &str| value!({"image": "appstack.test/app:1", "env": {"APP_HEALTH": health}, "stopGracePeriod": "1s", "healthcheck": check(on)});
        let services = [
            ("asked", service("Restart", "ok")),
            ("never-well", service("Restart", "fail")),
            ("ignored", service("Ignore", "ok")),
            ("ignored-never-well", service("Ignore", "fail")),
        ];
        t.space
            .apply_object(&stack(&services.map(|(name, service)| (name.to_owned(), service)).into_iter().collect()))
            .await;
        for name in ["asked", "ignored"] {
            eventually(Duration::from_secs(60), name, async || {
                let pods = e2e::nodes::pods_of(&t.space, "health", name).await;
                if pods.iter().any(|pod| json::holds(pod, "Ready")) {
                    Ok(())
                } else {
                    Err(format!("{} pods", pods.len()))
                }
            })
            .await;
            exec(&t.space, &pod_of(&t.space, "health", name).await, &["app", "ctl", "health=fail"]);
        }
        for (name, restart) in
            [("asked", true), ("never-well", true), ("ignored", false), ("ignored-never-well", false)]
        {
            if restart {
                let pod = eventually(Duration::from_secs(60), &format!("{name} to be restarted"), async || {
                    let pod = only_pod(&t, name).await;
                    if restarts(&pod) > 0.0 { Ok(pod) } else { Err(pod["status"].to_string()) }
                })
                .await;
                let last = |at: &str| {
                    clock(json::text(&pod, &format!("/status/containerStatuses/0/lastState/terminated/{at}")))
                };
                let (from, to) = (last("startedAt").unwrap(), last("finishedAt").unwrap());
                println!("{name}: killed {} s after its start", to - from);
                // startPeriod + retries x interval: not before the kubelet may, by its clock of whole seconds.
                assert!(name == "asked" || to - from >= 4.0, "{name} was killed {} s after its start", to - from);
            } else {
                assert!(restarts(&only_pod(&t, name).await) < 1.0, "{name} was restarted");
            }
        }
    });
}
