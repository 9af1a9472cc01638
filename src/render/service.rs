//! Names for others to dial, and published ports.

use k8s_openapi::api::core::v1::{Service as Object, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, filled, metadata};
use crate::api::PublishType;
use crate::stack::{Service, Stack};

/// Node ports that every cluster has unless told otherwise.
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30_000..=32_767;

/// `<service>`, exactly: what others dial, on container ports. Targets are named, so that each pod answers on the port of its own revision
/// (T3). Without known ports it is headless: every port of every pod is then reachable by name, as in Compose.
pub(super) fn in_stack(stack: &Stack, service: &Service) -> Object {
    let part = Part::Service(service.name.clone());
    let ports: Vec<ServicePort> = service
        .ports
        .iter()
        .map(|port| ServicePort {
            name: Some(port.name.clone()),
            port: port.number,
            protocol: Some(port.protocol.as_str().into()),
            target_port: Some(IntOrString::String(port.name.clone())),
            ..ServicePort::default()
        })
        .collect();
    Object {
        metadata: metadata::owned(stack, service.name.clone(), &part),
        spec: Some(ServiceSpec {
            cluster_ip: ports.is_empty().then(|| "None".to_owned()),
            ports: filled(ports),
            selector: Some(metadata::identity(stack, &part)),
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
        node_port: (kind == PublishType::NodePort && NODE_PORTS.contains(&port.number)).then_some(port.number),
        ..ServicePort::default()
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
