//! Docker's health check as Kubernetes' probes.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ExecAction, GRPCAction, HTTPGetAction, HTTPHeader, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::HttpScheme;
use crate::stack::{self, Health, PortRef};

/// The probes of a container.
#[derive(Default)]
pub(super) struct Probes {
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
    pub(super) startup: Option<Probe>,
}

/// Readiness, for a Compose health check restarts no container; with `onUnhealthy: Restart` the kubelet kills by the same numbers, and not before the
/// start period is over. Every number is written out, for Kubernetes' own defaults differ (its timeout is 1 s).
pub(super) fn probes(health: &Health) -> Probes {
    if !health.restart {
        return Probes { readiness: Some(readiness(health)), ..Probes::default() };
    }
    let steady = probe(health, seconds(health.interval), health.retries);
    Probes { readiness: Some(steady.clone()), liveness: Some(steady), startup: Some(startup(health)) }
}

/// With a start period the probe runs as often as Docker's does then, so that readiness comes as soon, and the threshold grows so that it is lost as
/// late; never after fewer failures than `retries`, which the rounding of an interval below a second would allow.
fn readiness(health: &Health) -> Probe {
    if health.start_period.is_zero() {
        return probe(health, seconds(health.interval), health.retries);
    }
    let period = starting(health);
    probe(health, period, checks(until_unhealthy(health), period).max(health.retries))
}

/// A failing startup probe kills, so it lasts for the start period and the failures that count after it. The first check may come right after the
/// start, and n checks span n - 1 periods: hence one more.
fn startup(health: &Health) -> Probe {
    let period = starting(health);
    let lasts = health.start_period + until_unhealthy(health);
    probe(health, period, checks(lasts, period).saturating_add(1).max(health.retries))
}

/// Time between checks until the first success: never more than afterwards.
fn starting(health: &Health) -> i32 {
    seconds(health.interval.min(health.start_interval))
}

fn until_unhealthy(health: &Health) -> Duration {
    health.interval * health.retries.unsigned_abs()
}

/// How many checks with so many seconds between them last for at least so long.
fn checks(lasting: Duration, period: i32) -> i32 {
    let checks = lasting.as_millis().div_ceil(u128::from(period.unsigned_abs()) * 1000);
    i32::try_from(checks).unwrap_or(i32::MAX)
}

fn probe(health: &Health, period: i32, threshold: i32) -> Probe {
    Probe {
        period_seconds: Some(period),
        timeout_seconds: Some(seconds(health.timeout)),
        failure_threshold: Some(threshold.max(1)),
        success_threshold: Some(1),
        ..handler(&health.probe)
    }
}

fn handler(probe: &stack::Probe) -> Probe {
    match probe {
        stack::Probe::Exec(command) => {
            Probe { exec: Some(ExecAction { command: Some(command.clone()) }), ..Probe::default() }
        }
        stack::Probe::Http { port: at, path, scheme, headers } => Probe {
            http_get: Some(HTTPGetAction {
                port: port(at),
                path: Some(path.clone()),
                scheme: Some(
                    match scheme {
                        HttpScheme::Http => "HTTP",
                        HttpScheme::Https => "HTTPS",
                    }
                    .into(),
                ),
                http_headers: super::filled(
                    headers
                        .iter()
                        .map(|(name, value)| HTTPHeader { name: name.clone(), value: value.clone() })
                        .collect(),
                ),
                host: None,
            }),
            ..Probe::default()
        },
        stack::Probe::Tcp { port: at } => {
            Probe { tcp_socket: Some(TCPSocketAction { port: port(at), host: None }), ..Probe::default() }
        }
        stack::Probe::Grpc { port, service } => {
            Probe { grpc: Some(GRPCAction { port: *port, service: service.clone() }), ..Probe::default() }
        }
    }
}

fn port(port: &PortRef) -> IntOrString {
    match port {
        PortRef::Number(number) => IntOrString::Int(*number),
        PortRef::Name(name) => IntOrString::String(name.clone()),
    }
}

/// Kubernetes counts whole seconds: rounded up, at least one.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
