//! Health as the kubelet measures it: ready and unready come when the arithmetic of probes says, and nothing else comes of a check.

use std::fmt::Write as _;
use std::time::Duration;

use e2e::nodes::{Nodes, exec, pod_of, state};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json as value};

/// The kubelet's clock is seen in whole seconds, and two cores are shared: what is added to a bound, for each of the two.
const SLACK: f64 = 2.0;

/// A check, what the program does, and the numbers by which `src/render/probe_tests.rs` has proved the bounds of its simulator:
/// (period, timeout, failureThreshold) of readiness, in seconds.
struct Case {
    name: &'static str,
    check: fn() -> Value,
    timing: fn() -> Value,
    numbers: (i64, i64, i64),
    /// From its start it is healthy after so many seconds.
    healthy_after: u32,
    /// What it is told to do once it was ready.
    then: Option<&'static str>,
}

fn http() -> Value {
    value!({"http": {"port": "http", "path": "/"}})
}

fn exec_check() -> Value {
    value!({"exec": ["redis-cli", "-p", "8080"]})
}

fn shell() -> Value {
    value!({"shell": "test $(wget -q -O - http://127.0.0.1:8080/ | wc -l) = 1 && echo $$"})
}

fn tcp() -> Value {
    value!({"tcp": {"port": "http"}})
}

fn grpc() -> Value {
    value!({"grpc": {"port": 8080}})
}

fn brisk() -> Value {
    value!({"interval": "1s", "timeout": "1s", "retries": 3})
}

#[rustfmt::skip]
const CASES: [Case; 11] = [
    Case { name: "http-at-once", check: http, timing: brisk, numbers: (1, 1, 3), healthy_after: 0, then: Some("fail") },
    Case { name: "exec-at-once", check: exec_check, timing: || value!({"interval": "2s", "timeout": "2s", "retries": 2}), numbers: (2, 2, 2), healthy_after: 0, then: Some("fail") },
    Case { name: "shell-late", check: shell, timing: || value!({"interval": "3s", "timeout": "2s", "retries": 1}), numbers: (3, 2, 1), healthy_after: 7, then: Some("fail") },
    Case { name: "tcp-late", check: tcp, timing: || value!({"interval": "2s", "timeout": "1s", "retries": 3}), numbers: (2, 1, 3), healthy_after: 5, then: None },
    Case { name: "grpc-late", check: grpc, timing: || value!({"interval": "2s", "timeout": "1s", "retries": 3}), numbers: (2, 1, 3), healthy_after: 5, then: Some("fail") },
    // A start period: asked each startInterval, as late to be unready.
    Case { name: "http-start", check: http, timing: || value!({"interval": "6s", "timeout": "1s", "retries": 2, "startPeriod": "20s", "startInterval": "1s"}), numbers: (1, 1, 12), healthy_after: 8, then: Some("fail") },
    Case { name: "grpc-start", check: grpc, timing: || value!({"interval": "4s", "timeout": "1s", "retries": 3, "startPeriod": "10s", "startInterval": "2s"}), numbers: (2, 1, 6), healthy_after: 9, then: Some("fail") },
    // Parts of a second are rounded up.
    Case { name: "http-fraction", check: http, timing: || value!({"interval": "1500ms", "timeout": "250ms", "retries": 4}), numbers: (2, 1, 4), healthy_after: 3, then: Some("fail") },
    // No answer: a timeout each.
    Case { name: "http-hangs", check: http, timing: || value!({"interval": "2s", "timeout": "3s", "retries": 2}), numbers: (2, 3, 2), healthy_after: 0, then: Some("hang") },
    Case { name: "exec-hangs", check: exec_check, timing: || value!({"interval": "3s", "timeout": "2s", "retries": 2}), numbers: (3, 2, 2), healthy_after: 0, then: Some("hang") },
    // Well again before it has failed often enough: nobody notices.
    Case { name: "http-flaps", check: http, timing: || value!({"interval": "2s", "timeout": "1s", "retries": 4}), numbers: (2, 1, 4), healthy_after: 0, then: Some("flap:3s") },
];

impl Case {
    fn service(&self) -> Value {
        let mut check = (self.check)();
        check.as_object_mut().unwrap().extend((self.timing)().as_object().unwrap().clone());
        let after = format!("{}s", self.healthy_after);
        // Who opens no port until then is what a check by TCP can see.
        let variable = if self.name.starts_with("tcp") { "APP_START_AFTER" } else { "APP_HEALTHY_AFTER" };
        value!({"image": "appstack.test/app:1", "ports": {"http": {"port": 8080}}, "env": {variable: after}, "healthcheck": check})
    }

    /// Bounds in seconds of the moment of unready after it has turned bad: between the first check after it and the last one that counts.
    fn unready(&self) -> (f64, f64) {
        let (period, timeout, failures) = self.numbers;
        let hangs = self.then == Some("hang");
        let cycle = if hangs { period.max(timeout) } else { period };
        let hung = if hangs { timeout } else { 0 };
        let least = (failures - 1) * cycle + hung;
        #[allow(clippy::cast_precision_loss)] // small
        (least as f64, (least + period) as f64)
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
    let name = case.name;
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
    let (period, ..) = case.numbers;
    #[allow(clippy::cast_precision_loss)] // small
    let period = period as f64;
    let after = f64::from(case.healthy_after);
    hold("ready", ready - started(&pod).expect("a container that runs"), after, after + period);
    let pod_name = json::name(&pod).to_owned();
    match case.then {
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
            let least = case.unready();
            exec(&t.space, &pod_name, &["app", "ctl", &format!("health={turns}")]);
            let bad = now();
            let unready = turned(t, name, false).await;
            hold("unready", unready - bad, least.0, least.1);
            let asked = told(t, &pod_name, false);
            #[allow(clippy::cast_precision_loss)] // small
            let failures = case.numbers.2 as f64;
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
        let services: serde_json::Map<String, Value> = CASES.iter().map(|c| (c.name.to_owned(), c.service())).collect();
        t.space.apply_object(&stack(&services)).await;
        eventually(Duration::from_secs(60), "the pods", async || {
            let pods = t.space.list(Kind::Pod).await;
            if pods.len() == CASES.len() { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        for case in &CASES {
            let probe = &only_pod(&t, case.name).await["spec"]["containers"][0]["readinessProbe"];
            let numbers = ["periodSeconds", "timeoutSeconds", "failureThreshold"].map(|n| probe[n].as_i64().unwrap());
            assert_eq!(numbers, <[i64; 3]>::from(case.numbers), "{}", case.name);
        }
        let all = futures::future::join_all(CASES.iter().map(|case| measured(&t, case))).await;
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
