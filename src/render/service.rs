//! Names for others to dial, and published ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service as Object, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, filled, metadata};
use crate::api::{NetworkMode, Protocol, PublishType};
use crate::child::labels;
use crate::stack::{Service, Stack, Workload};

/// Node ports that every cluster has unless told otherwise.
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30_000..=32_767;

/// `<service>`, exactly: what others dial, on container ports. Targets are named, so that each pod answers on the port of its own revision
/// (T3). Without known ports it is headless: every port of every pod is then reachable by name, as in Compose. A Job without ports has none:
/// nothing waits at the other end; nor has a service without a network, which has no name in Compose.
pub(super) fn in_stack(stack: &Stack, service: &Service) -> Option<Object> {
    let waits_for_nobody = matches!(service.workload, Workload::Job(_)) && service.ports.is_empty();
    if waits_for_nobody || service.network_mode == NetworkMode::None {
        return None;
    }
    let part = Part::Service(service.name.clone());
    let ports: Vec<ServicePort> = service
        .ports
        .iter()
        .map(|port| ServicePort {
            name: Some(port.name.clone()),
            port: port.number,
            protocol: Some(port.protocol.as_str().into()),
            target_port: Some(IntOrString::String(port.name.clone())),
            app_protocol: port.app_protocol.clone(),
            ..ServicePort::default()
        })
        .collect();
    Some(Object {
        metadata: metadata::owned(stack, service.name.clone(), &part),
        spec: Some(ServiceSpec {
            cluster_ip: (service.headless || ports.is_empty()).then(|| "None".to_owned()),
            ports: filled(ports),
            publish_not_ready_addresses: service.publish_not_ready.then_some(true),
            selector: Some(metadata::identity(stack, &part)),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

/// `<alias>`: a further name, for all services that have it. One address in front of them if they all have ports and one of their own, else the address of
/// each pod. Where they call one port by different names, or different ports by one, the number is the target.
pub(super) fn alias(stack: &Stack, alias: &str, services: &[&Service]) -> Object {
    let all = || services.iter().flat_map(|service| &service.ports);
    let ports: BTreeMap<(i32, Protocol), ServicePort> = all()
        .rev()
        .map(|port| {
            let key = (port.number, port.protocol);
            let means_others = all().any(|other| other.name == port.name && (other.number, other.protocol) != key);
            let has_others = all().any(|other| other.name != port.name && (other.number, other.protocol) == key);
            let protocol = port.protocol.as_str();
            let object = ServicePort {
                name: Some(if means_others {
                    format!("port-{}-{}", port.number, protocol.to_lowercase())
                } else {
                    port.name.clone()
                }),
                port: port.number,
                protocol: Some(protocol.into()),
                target_port: Some(if means_others || has_others {
                    IntOrString::Int(port.number)
                } else {
                    IntOrString::String(port.name.clone())
                }),
                app_protocol: port.app_protocol.clone(),
                ..ServicePort::default()
            };
            (key, object)
        })
        .collect();
    let headless = services.iter().any(|service| service.headless || service.ports.is_empty());
    let part = Part::Alias(alias.to_owned());
    let mut selector = metadata::identity(stack, &Part::Stack);
    selector.insert(labels::answers_to(alias), String::new());
    Object {
        metadata: metadata::owned(stack, alias.to_owned(), &part),
        spec: Some(ServiceSpec {
            cluster_ip: headless.then(|| "None".to_owned()),
            ports: filled(ports.into_values().collect()),
            publish_not_ready_addresses: services.iter().any(|s| s.publish_not_ready).then_some(true),
            selector: Some(selector),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// `<service>-published`: only what is published, under the published numbers.
pub(super) fn published(stack: &Stack, service: &Service) -> Option<Object> {
    if service.published.is_empty() {
        return None;
    }
    let part = Part::Service(service.name.clone());
    let kind = service.publish.r#type.unwrap_or_default();
    let ports = service.published.iter().map(|port| ServicePort {
        name: Some(port.name.clone()),
        port: port.number,
        protocol: Some(port.protocol.as_str().into()),
        target_port: Some(IntOrString::String(port.target.clone())),
        app_protocol: port.app_protocol.clone(),
        node_port: (kind == PublishType::NodePort && NODE_PORTS.contains(&port.number)).then_some(port.number),
    });
    let mut meta = metadata::owned(stack, name(service), &part);
    meta.annotations = filled(service.publish.annotations.clone());
    Some(Object {
        metadata: meta,
        spec: Some(ServiceSpec {
            load_balancer_class: service.publish.load_balancer_class.clone(),
            ports: Some(ports.collect()),
            selector: Some(metadata::identity(stack, &part)),
            type_: Some(
                match kind {
                    PublishType::ClusterIP => "ClusterIP",
                    PublishType::NodePort => "NodePort",
                    PublishType::LoadBalancer => "LoadBalancer",
                }
                .into(),
            ),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

fn name(service: &Service) -> String {
    format!("{}-published", service.name)
}
