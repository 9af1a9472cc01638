//! `make bench-render`: how long the pure half of a pass takes for a big stack: 500 services in 50 networks. One line per case, of at
//! most 101 runs each.

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
/// A case that takes long is not run so often.
const PATIENCE: Duration = Duration::from_secs(3);
/// For the policies of such a stack.
const GOAL: Duration = Duration::from_millis(5);

fn main() {
    let written = big();
    let stack = check(&written, PodSecurity::Baseline).unwrap();
    let settings = Settings::default();
    println!("{SERVICES} services, {NETWORKS} networks, {} kB as JSON", size(&json!(written)) / 1024);
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

/// Prints the median and the slowest; returns the median.
fn time<T>(case: &str, what: &str, mut run: impl FnMut() -> T) -> Duration {
    let (mut times, started) = (Vec::new(), Instant::now());
    while times.is_empty() || times.len() < RUNS && started.elapsed() < PATIENCE {
        let began = Instant::now();
        black_box(run());
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let runs = times.len();
    println!("{case:14} {:>8.2} ms (slowest of {runs}: {:.2} ms)   {what}", ms(median), ms(slowest));
    median
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
