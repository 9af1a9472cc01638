//! `make bench-render`: how long the pure half of a pass takes for a big stack: 500 services in 50 networks. One line per case, of 101 runs each.

// A benchmark that cannot run has nothing to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use appstack::api::{AppStack, PodSecurity};
use appstack::render::{Children, Settings, policies, render};
use appstack::stack::check;
use appstack::stack::reachability::Matrix;
use serde_json::{Value, json};

const SERVICES: usize = 500;
const NETWORKS: usize = 50;
const RUNS: usize = 101;
/// For the policies of such a stack.
const GOAL: Duration = Duration::from_millis(5);

fn main() {
    let written = big();
    let stack = check(&written, PodSecurity::Baseline).unwrap();
    let settings = Settings::default();
    println!("{SERVICES} services, {NETWORKS} networks, {} kB as JSON; {RUNS} runs each", size(&json!(written)) / 1024);
    let said = |children: &Children| {
        let bytes: usize = children.values().map(|child| size(&child.object)).sum();
        format!("{} objects, {} kB", children.len(), bytes / 1024)
    };
    let children = policies(&stack, &settings);
    let walls = time("policies", &said(&children), || policies(&stack, &settings));
    time("whole render", &said(&render(&stack, &settings)), || render(&stack, &settings));
    time("check", "the model from what is written", || check(&written, PodSecurity::Baseline));
    let entries = Matrix::of(&stack).entries().count();
    time("reachability", &format!("{entries} answers"), || Matrix::of(&stack).entries().count());
    if walls > GOAL {
        println!("the policies took longer than {GOAL:?}");
        std::process::exit(1);
    }
}

/// Each service in three networks, every second network internal, every fifth service published, edges to earlier ones.
fn big() -> AppStack {
    let networks = (0..NETWORKS).map(|n| (format!("net-{n}"), json!({"internal": n % 2 == 1})));
    let services = (0..SERVICES).map(|n| {
        let joins = [n % NETWORKS, (n / 7) % NETWORKS, (n / 3) % NETWORKS].map(|n| (format!("net-{n}"), json!({})));
        let mut service = json!({
            "image": format!("registry.example/team/service-{n}:1.4.0"),
            "networks": joins.into_iter().collect::<serde_json::Map<_, _>>(),
            "env": {"LOG_LEVEL": "info", "PEER": format!("service-{}", n / 2), "PORT": "8080"},
            "ports": {"http": {"port": 8080}, "metrics": {"port": 9090}},
            "healthcheck": {"http": {"port": "http", "path": "/health"}, "interval": "10s", "timeout": "5s"},
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "replicas": 2,
        });
        if n % 5 == 0 {
            service["ports"]["http"]["published"] = json!(80);
        }
        if n > 0 {
            service["dependsOn"] = json!({format!("service-{}", n / 2): {}});
        }
        (format!("service-{n}"), service)
    });
    let spec = json!({
        "networks": networks.collect::<serde_json::Map<_, _>>(),
        "services": services.collect::<serde_json::Map<_, _>>(),
    });
    let mut stack = AppStack::new("big", serde_json::from_value(spec).unwrap());
    stack.metadata.namespace = Some("ns".into());
    stack.metadata.uid = Some("uid".into());
    stack
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// Prints the median and the slowest but one; returns the median.
fn time<T>(case: &str, what: &str, mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            black_box(run());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, slow) = (times[RUNS / 2], times[RUNS - 2]);
    println!("{case:14} {:>8.2} ms (p99 {:>8.2} ms)   {what}", ms(median), ms(slow));
    median
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
