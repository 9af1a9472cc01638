//! Ports: what the container listens on, and what is published of it.

use std::collections::BTreeMap;

use super::model::{Port, PortRef, Problem, Published, Service};
use crate::api::{self, PublishType, ServicePort};

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

/// Numbers that are node ports where the type is `NodePort`; they are the cluster's, so that two services cannot share one.
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30_000..=32_767;

/// Every node port that a service of the stack takes from an earlier one.
pub(super) fn node_port_clashes(services: &BTreeMap<String, Service>) -> Vec<Problem> {
    let mut taken = BTreeMap::new();
    let mut clashes = Vec::new();
    let on_nodes = services.values().filter(|service| service.publish.r#type == Some(PublishType::NodePort));
    for (service, port) in on_nodes.flat_map(|service| service.published.iter().map(move |port| (&service.name, port)))
    {
        if !NODE_PORTS.contains(&port.number) {
            continue;
        }
        let first = *taken.entry((port.number, port.protocol)).or_insert(service);
        if first != service {
            clashes.push(Problem::new(
                format!("spec.services[{service}].ports[{}].published", port.name),
                format!(
                    "{}/{} is a node port, of which there is one in the cluster, and '{first}' has it; choose another number",
                    port.number,
                    port.protocol.as_str()
                ),
            ));
        }
    }
    clashes
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
