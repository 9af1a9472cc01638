//! Ports: what the container listens on, and what is published of it.

use std::collections::BTreeMap;

use super::model::{Port, PortRef, Published};
use crate::api::{self, ServicePort};

/// Each (number, protocol) once, under the first of its names: one container port may be published several times.
pub(super) fn ports(written: &BTreeMap<String, ServicePort>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for (name, port) in written {
        if target(&ports, port).is_none() {
            ports.push(Port {
                name: name.clone(),
                number: port.port,
                protocol: port.protocol,
                app_protocol: port.app_protocol.clone(),
                open_to: port.open_to.unwrap_or_default(),
            });
        }
    }
    ports
}

/// What is published, by the user's name.
pub(super) fn published(written: &BTreeMap<String, ServicePort>, ports: &[Port]) -> Vec<Published> {
    written
        .iter()
        .filter_map(|(name, port)| {
            let target = target(ports, port)?.name.clone();
            let app_protocol = port.app_protocol.clone();
            Some(Published {
                name: name.clone(),
                number: port.published?,
                protocol: port.protocol,
                target,
                app_protocol,
            })
        })
        .collect()
}

/// The container port that a probe names; none if there is no such name.
pub(super) fn reference(port: &api::Port, written: &BTreeMap<String, ServicePort>, ports: &[Port]) -> Option<PortRef> {
    match port {
        api::Port::Number(number) => Some(PortRef::Number(*number)),
        api::Port::Name(name) => Some(PortRef::Name(target(ports, written.get(name)?)?.name.clone())),
    }
}

/// The number of the container port that a probe names.
pub(super) fn number(port: &api::Port, written: &BTreeMap<String, ServicePort>) -> Option<i32> {
    match port {
        api::Port::Number(number) => Some(*number),
        api::Port::Name(name) => written.get(name).map(|port| port.port),
    }
}

fn target<'a>(ports: &'a [Port], port: &ServicePort) -> Option<&'a Port> {
    ports.iter().find(|p| p.number == port.port && p.protocol == port.protocol)
}
