//! Health checks, resources and counts.

use serde_json::{Value, json};

use super::{Running, expect, main_container};
use crate::expected::{Expected, Health, Limits};
use crate::{Kind, json};

impl Running {
    pub(super) fn pods_are_as_asked(
        &self,
        service: &str,
        (kind, workload): &(Kind, &Value),
        expected: &Expected,
        found: &mut Vec<String>,
    ) {
        let container = main_container(service, workload);
        let probe = expected.health.get(service).map_or(Value::Null, |h| numbers(*h));
        expect(&format!("readiness of {service}"), &probe, &probe_numbers(&container["readinessProbe"]), found);
        for other in ["livenessProbe", "startupProbe"] {
            if !container[other].is_null() {
                found.push(format!("{service} has a {other}: a health check restarts nothing"));
            }
        }
        resources(service, container, expected.limits.get(service), found);
        let gpus: i64 = json::text(container, "/resources/limits/nvidia.com~1gpu").parse().unwrap_or_default();
        expect(&format!("GPUs of {service}"), &expected.gpus.get(service).copied().unwrap_or(0), &gpus, found);

        let autoscale = expected.autoscale.get(service);
        let seen = self.object(Kind::HorizontalPodAutoscaler, &self.named(service)).map(|hpa| {
            let cpu = json::items(hpa, "/spec/metrics").find(|m| json::text(m, "/resource/name") == "cpu");
            let target = cpu.map_or(0, |m| json::number(m, "/resource/target/averageUtilization"));
            (json::number(hpa, "/spec/minReplicas"), json::number(hpa, "/spec/maxReplicas"), target)
        });
        let wanted = autoscale.map(|a| (a.min, a.max, a.cpu_percent));
        expect(&format!("autoscaler of {service}"), &wanted, &seen, found);
        let replicas = autoscale.map_or(expected.replicas.get(service).copied().unwrap_or(1), |a| a.min);
        if matches!(kind, Kind::Deployment | Kind::StatefulSet) {
            let seen = json::number(workload, "/spec/replicas");
            expect(&format!("replicas of {service}"), &replicas, &seen, found);
            let budget = self.object(Kind::PodDisruptionBudget, &self.named(service)).is_some();
            let may_have = replicas > 1 && !self.shares_a_node(workload);
            expect(&format!("disruption budget of {service}"), &may_have, &budget, found);
        }
    }

    /// Whether a claim keeps all pods of a workload on one node. A budget over these would keep a drain from ending: none of them can come back elsewhere.
    fn shares_a_node(&self, workload: &Value) -> bool {
        let claims = json::items(workload, "/spec/template/spec/volumes");
        let claims = claims.map(|volume| json::text(volume, "/persistentVolumeClaim/claimName"));
        claims
            .filter_map(|name| self.object(Kind::PersistentVolumeClaim, name))
            .any(|claim| json::text(claim, "/spec/accessModes/0") == "ReadWriteOnce")
    }
}

/// The probe that keeps to these numbers: quick to become ready while it may still be starting, as slow to become unready.
fn numbers(health: Health) -> Value {
    const START_INTERVAL: i64 = 5;
    let Health { interval, timeout, retries, start_period } = health;
    let period = if start_period > 0 { START_INTERVAL.min(interval) } else { interval };
    let failures = (retries * interval + period - 1) / period;
    json!({"period": period, "timeout": timeout, "failures": failures, "successes": 1, "delay": 0})
}

fn probe_numbers(probe: &Value) -> Value {
    if probe.is_null() {
        return Value::Null;
    }
    let number = |field: &str| json::number(probe, &format!("/{field}"));
    json!({
        "period": number("periodSeconds"), "timeout": number("timeoutSeconds"), "failures": number("failureThreshold"),
        "successes": number("successThreshold"), "delay": number("initialDelaySeconds"),
    })
}

fn resources(service: &str, container: &Value, expected: Option<&Limits>, found: &mut Vec<String>) {
    let none = Limits { cpus: (0.0, 0.0), memory: (json!(0), json!(0)) };
    let Limits { cpus, memory } = expected.unwrap_or(&none);
    let wanted = [("cpu", cpus.0, cpus.1), ("memory", quantity(&memory.0), quantity(&memory.1))];
    for (name, reserved, limit) in wanted {
        let at = |list: &str| quantity(&container["resources"][list][name]);
        if !same(at("limits"), limit) {
            found.push(format!("{service}: {name} limit: expected {limit}, saw {}", container["resources"]));
        }
        // Nothing reserved: a pod may reserve its limit, as Kubernetes does by itself.
        let nothing = reserved == 0.0 && same(at("requests"), limit);
        if !nothing && !same(at("requests"), reserved) {
            found.push(format!("{service}: {name} reserved: expected {reserved}, saw {}", container["resources"]));
        }
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// A quantity as a number; nothing is zero.
pub(super) fn quantity(value: &Value) -> f64 {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => return 0.0,
        number => number.to_string(),
    };
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let scale = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        other => panic!("a quantity in '{other}'"),
    };
    digits.parse::<f64>().unwrap_or_else(|e| panic!("{text} is no quantity: {e}")) * scale
}
