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
/// late.
fn readiness(health: &Health) -> Probe {
    if health.start_period.is_zero() {
        return probe(health, seconds(health.interval), health.retries);
    }
    let period = seconds(health.interval.min(health.start_interval));
    probe(health, period, checks(until_unhealthy(health), period))
}

/// A failing startup probe kills, so it lasts for the start period and the failures that count after it.
fn startup(health: &Health) -> Probe {
    let period = seconds(health.start_interval);
    let lasts = health.start_period + until_unhealthy(health);
    probe(health, period, checks(lasts, period).max(health.retries))
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
mod tests {
    use super::*;

    /// Interval, timeout, retries, start period in ms; then period, timeout, threshold.
    #[test]
    fn dockers_numbers_as_kubernetes_numbers() {
        for (interval, timeout, retries, start_period, expected) in [
            (30_000, 30_000, 3, 0, (30, 30, 3)),
            (10_000, 5_000, 5, 0, (10, 5, 5)),
            (30_000, 10_000, 3, 40_000, (5, 10, 18)),
            (2_000, 1_000, 3, 40_000, (2, 1, 3)),
            (500, 100, 1, 0, (1, 1, 1)),
            (1_500, 1_001, 2, 0, (2, 2, 2)),
            (7_000, 1_000, 2, 1_000, (5, 1, 3)),
        ] {
            let millis = Duration::from_millis;
            let health = Health {
                probe: stack::Probe::Exec(vec!["true".into()]),
                interval: millis(interval),
                timeout: millis(timeout),
                retries,
                start_period: millis(start_period),
                start_interval: Duration::from_secs(5),
                restart: false,
            };
            let probe = readiness(&health);
            let got = (probe.period_seconds.unwrap(), probe.timeout_seconds.unwrap(), probe.failure_threshold.unwrap());
            assert_eq!(
                got, expected,
                "interval {interval} timeout {timeout} retries {retries} start period {start_period}"
            );
        }
    }
}
