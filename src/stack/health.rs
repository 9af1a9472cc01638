//! Health checks with Docker's numbers filled in.

use super::check::{Place, unknown};
use super::model::{Health, Port, PortRef, Probe};
use super::ports;
use crate::api::{self, Healthcheck, HttpScheme};

/// Docker's defaults: interval 30s, timeout 30s, 3 retries, no start period.
pub(super) fn health(check: &Healthcheck, service: &api::Service, ports: &[Port], here: &mut Place<'_>) -> Health {
    let interval = here.duration(".healthcheck.interval", check.interval.as_ref(), 30);
    let timeout = here.duration(".healthcheck.timeout", check.timeout.as_ref(), 30);
    if timeout > interval && check.timeout.is_some() {
        here.warn(".healthcheck.timeout", "is longer than the interval: the next check waits for it");
    }
    Health {
        probe: probe(check, service, ports, here),
        interval,
        timeout,
        retries: check.retries.unwrap_or(3),
        start_period: here.duration(".healthcheck.startPeriod", check.start_period.as_ref(), 0),
    }
}

fn probe(check: &Healthcheck, service: &api::Service, ports: &[Port], here: &mut Place<'_>) -> Probe {
    let mut port = |path: &str, port: &api::Port| {
        ports::reference(port, &service.ports, ports).unwrap_or_else(|| {
            let name = if let api::Port::Name(name) = port { name.as_str() } else { "" };
            here.problem(path, unknown("port", name, "ports of this service", service.ports.keys()));
            PortRef::Number(0)
        })
    };
    match (&check.exec, &check.shell, &check.http, &check.tcp) {
        (Some(command), None, None, None) => Probe::Exec(command.clone()),
        (None, Some(line), None, None) => Probe::Exec(vec!["/bin/sh".into(), "-c".into(), line.clone()]),
        (None, None, Some(http), None) => Probe::Http {
            port: port(".healthcheck.http.port", &http.port),
            path: http.path.clone().unwrap_or_else(|| "/".into()),
            scheme: http.scheme.unwrap_or(HttpScheme::Http),
            headers: http.headers.clone(),
        },
        (None, None, None, Some(tcp)) => Probe::Tcp { port: port(".healthcheck.tcp.port", &tcp.port) },
        _ => {
            here.problem(".healthcheck", "must have exactly one of exec, shell, http, tcp");
            Probe::Exec(Vec::new())
        }
    }
}
