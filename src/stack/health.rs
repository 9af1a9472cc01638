//! Health checks with Docker's numbers filled in.

use super::check::{Place, unknown};
use super::model::{Health, Port, PortRef, Probe};
use super::ports;
use crate::api::{self, Healthcheck, HttpScheme, OnUnhealthy};

/// Docker's defaults: interval 30s, timeout 30s, 3 retries, no start period, 5s between checks in it.
pub(super) fn health(check: &Healthcheck, service: &api::Service, ports: &[Port], here: &mut Place<'_>) -> Health {
    let interval = here.duration(".healthcheck.interval", check.interval.as_ref(), 30);
    let timeout = here.duration(".healthcheck.timeout", check.timeout.as_ref(), 30);
    if timeout > interval && check.timeout.is_some() {
        here.warn(".healthcheck.timeout", "is longer than the interval: the next check waits for it");
    }
    let start_period = here.duration(".healthcheck.startPeriod", check.start_period.as_ref(), 0);
    let start_interval = here.duration(".healthcheck.startInterval", check.start_interval.as_ref(), 5);
    if check.start_interval.is_some() && start_period.is_zero() {
        here.warn(".healthcheck.startInterval", "has no effect without startPeriod");
    }
    for (field, duration) in
        [("interval", interval), ("timeout", timeout), ("startPeriod", start_period), ("startInterval", start_interval)]
    {
        if duration.subsec_nanos() != 0 {
            here.warn(&format!(".healthcheck.{field}"), "is rounded up: Kubernetes counts whole seconds");
        }
    }
    Health {
        probe: probe(check, service, ports, here),
        interval,
        timeout,
        retries: check.retries.unwrap_or(3),
        start_period,
        start_interval,
        restart: check.on_unhealthy == Some(OnUnhealthy::Restart),
    }
}

/// A line as a command.
pub(super) fn shell(line: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-c".into(), line.into()]
}

fn probe(check: &Healthcheck, service: &api::Service, ports: &[Port], here: &mut Place<'_>) -> Probe {
    let mut port = |path: &str, port: &api::Port| {
        ports::reference(port, &service.ports, ports).unwrap_or_else(|| {
            let name = if let api::Port::Name(name) = port { name.as_str() } else { "" };
            here.problem(path, unknown("port", name, "ports of this service", service.ports.keys()));
            PortRef::Number(0)
        })
    };
    match (&check.exec, &check.shell, &check.http, &check.tcp, &check.grpc) {
        (Some(command), None, None, None, None) => Probe::Exec(command.clone()),
        (None, Some(line), None, None, None) => Probe::Exec(shell(line)),
        (None, None, Some(http), None, None) => Probe::Http {
            port: port(".healthcheck.http.port", &http.port),
            path: http.path.clone().unwrap_or_else(|| "/".into()),
            scheme: http.scheme.unwrap_or(HttpScheme::Http),
            headers: http.headers.clone(),
        },
        (None, None, None, Some(tcp), None) => Probe::Tcp { port: port(".healthcheck.tcp.port", &tcp.port) },
        (None, None, None, None, Some(grpc)) => {
            port(".healthcheck.grpc.port", &grpc.port);
            let number = ports::number(&grpc.port, &service.ports).unwrap_or_default();
            Probe::Grpc { port: number, service: grpc.service.clone() }
        }
        _ => {
            here.problem(".healthcheck", "must have exactly one of exec, shell, http, tcp, grpc");
            Probe::Exec(Vec::new())
        }
    }
}

/// Whether a check dials the service's own name: then the name has to answer before the check can pass.
pub(super) fn dials(probe: &Probe, name: &str) -> bool {
    let Probe::Exec(words) = probe else { return false };
    let text = words.join(" ");
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + name.len()..).unwrap_or_default());
        let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        let port = after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let host = ["://", "@", "-h ", "-h", "--host ", "--host="].iter().any(|mark| before.ends_with(mark));
        whole && (port || host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_dials_its_own_name_is_found() {
        let dials = |line: &str| super::dials(&Probe::Exec(vec!["/bin/sh".into(), "-c".into(), line.into()]), "db");
        for line in [
            "curl -f http://db:8000/",
            "pg_isready -h db -U app",
            "redis-cli -u redis://u@db",
            "nc -z db:5432",
            "mysql --host=db",
        ] {
            assert!(dials(line), "{line}");
        }
        for line in [
            "pg_isready -d db",
            "curl http://localhost/db",
            "curl http://db-2/",
            "test -f /db",
            "curl http://other.db:80",
        ] {
            assert!(!dials(line), "{line}");
        }
    }
}
