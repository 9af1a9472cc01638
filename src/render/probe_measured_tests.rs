//! The simulators, held against what is known: of both engines by their sources, and of the kubelet by a table that is measured on real nodes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::api::{AppStack, PodSecurity};

/// What `e2e/tests/node/health.rs` measures, in seconds; it says what each field is.
const MEASURED: &str = include_str!("../../e2e/tests/node/health.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    check: Value,
    numbers: (i32, i32, i32),
    healthy_after: u64,
    ready: (u64, u64),
    then: Option<String>,
    unready: Option<(u64, u64)>,
}

impl Case {
    /// The probes of a service with this check, by the whole way from the stack to the pod.
    fn probes(&self) -> Probes {
        let stack: AppStack = serde_json::from_value(json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "s", "namespace": "n", "uid": "u"},
            "spec": {"services": {"web": {"image": "web:1", "ports": {"http": {"port": 8080}}, "healthcheck": self.check}}},
        }))
        .unwrap();
        let stack = stack::check(&stack, PodSecurity::Baseline).unwrap();
        probes(stack.services["web"].health.as_ref().unwrap())
    }
}

/// All moments that were seen lie within the bounds, and come to a quarter of a period near both.
fn fills(what: &str, seen: &[u64], (least, most): (u64, u64), period: u64, case: &Case) {
    let (least, most) = (1000 * least, 1000 * most);
    let (soonest, latest) = (*seen.iter().min().unwrap(), *seen.iter().max().unwrap());
    let near = soonest <= least + period / 4 && latest + period / 4 >= most;
    assert!(
        least <= soonest && latest <= most && near,
        "{}: {what} from {soonest} to {latest}, not {least} to {most}",
        case.name
    );
}

#[test]
fn what_real_nodes_are_measured_by_is_what_the_simulator_says() {
    let cases: Vec<Case> = serde_json::from_str(MEASURED).unwrap();
    assert!(
        cases.len() > 10
            && ["exec", "shell", "http", "tcp", "grpc"]
                .iter()
                .all(|kind| cases.iter().any(|c| !c.check[*kind].is_null()))
    );
    for case in &cases {
        let probes = case.probes();
        assert!(probes.liveness.is_none() && probes.startup.is_none(), "{}: nothing is restarted", case.name);
        let readiness = probes.readiness.as_ref().unwrap();
        let seconds = (readiness.period_seconds, readiness.timeout_seconds, readiness.failure_threshold);
        assert_eq!(seconds, (Some(case.numbers.0), Some(case.numbers.1), Some(case.numbers.2)), "{}", case.name);
        let numbers = Numbers::of(readiness);
        let (healthy, settled) = (1000 * case.healthy_after, 1000 * case.healthy_after + 5 * numbers.period);
        let (mut ready, mut unready) = (Vec::new(), Vec::new());
        for (phase, part) in PHASES.flat_map(|phase| (0..8).map(move |part| (phase, part))) {
            let bad = settled + part * numbers.period / 8;
            let changes = match case.then.as_deref() {
                None => vec![healthy],
                Some("fail" | "hang") => vec![healthy, bad],
                Some(flaps) => {
                    let each =
                        1000 * flaps.strip_prefix("flap:").unwrap().strip_suffix('s').unwrap().parse::<u64>().unwrap();
                    [healthy].into_iter().chain((0..8).map(|n| bad + n * each)).collect()
                }
            };
            let service = Service { changes, hangs: case.then.as_deref() == Some("hang") };
            let said = kubelet(&probes, phase, &service, bad + 25_000).ready;
            ready.extend(when(&said, true, 0));
            unready.extend(when(&said, false, bad).map(|at| at - bad));
            let unnoticed = when(&said, false, healthy).is_none();
            assert!(case.unready.is_some() || unnoticed, "{}: nobody notices, {said:?}", case.name);
        }
        fills("ready", &ready, case.ready, numbers.period, case);
        if let Some(bounds) = case.unready {
            assert_eq!(unready.len(), ready.len(), "{}", case.name);
            fills("unready", &unready, bounds, numbers.period, case);
        }
    }
}

/// The simulators themselves, on what is known of both.
#[test]
fn the_simulators_know_both_engines() {
    let check = Check {
        interval: 10_000,
        timeout: 3000,
        retries: 3,
        start_period: 25_000,
        start_interval: 5000,
        restart: false,
    };
    let never = |hangs| Service { changes: Vec::new(), hangs };
    // Asked at 5, 10, 15, 20; the check at 25 is the first that counts, then one each interval.
    assert_eq!(docker(check, &never(false), 100_000), [(45_000, false)]);
    // Each takes 3 s more: 5-8, 13-16, 21-24, then 29-32, 42-45, 55-58.
    assert_eq!(docker(check, &never(true), 100_000), [(58_000, false)]);
    // One success makes it healthy, and from then on failures count, in the start period too.
    let flaps = Service { changes: vec![4000, 6000], hangs: false };
    assert_eq!(docker(check, &flaps, 100_000), [(5000, true), (35_000, false)]);
    // Two failures in a row are none.
    let shaky = Service { changes: vec![4000, 6000, 30_000], hangs: false };
    assert_eq!(docker(check, &shaky, 100_000), [(5000, true)]);

    let probe = Numbers { period: 10_000, timeout: 15_000, failures: 3 };
    assert_eq!(worker(probe, 2000, &never(false), 100_000, |_| false), [(22_000, false)]);
    // The tick at 12 s passes while the check of 2 s hangs until 17 s: the next one follows at once.
    assert_eq!(worker(probe, 2000, &never(true), 100_000, |_| false), [(47_000, false)]);
    assert_eq!(worker(probe, 2000, &shaky, 100_000, |_| false), [(22_000, false), (32_000, true)]);
}
