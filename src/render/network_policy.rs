//! Compose's networks as NetworkPolicies.
//!
//! Additive by construction: one policy denies, the others open. Subjects and peers are labels of the pod template, so each pod keeps the
//! walls of its own revision. A pod whose networks are all internal is walled in by what nothing opens; any other is free to go out.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, Rendering, Settings, metadata};
use crate::api::Isolation;
use crate::child::{Kind, labels};
use crate::stack::{Network, Service, Stack, names};

const INGRESS: &str = "Ingress";
const EGRESS: &str = "Egress";

pub(super) fn render(stack: &Stack, settings: &Settings, out: &mut Rendering) {
    if stack.isolation == Isolation::None {
        return;
    }
    let mut add = |part: Part, which: &str, name: &[&str], spec: NetworkPolicySpec| {
        let mut meta = metadata::owned(stack, names::joined(name), &part);
        meta.labels.get_or_insert_default().insert(labels::POLICY.into(), which.into());
        out.add(Kind::NetworkPolicy, part, NetworkPolicy { metadata: meta, spec: Some(spec) });
    };
    add(Part::Stack, "ingress", &[&stack.name], ingress(stack));
    add(Part::Stack, "dns", &[&stack.name, "dns"], dns(stack, settings));
    for (name, network) in &stack.networks {
        add(Part::Network(name.clone()), "network", &[&stack.name, "net", name], members(stack, name, network));
    }
    for (name, service) in stack.services.iter().filter(|(_, service)| !service.published.is_empty()) {
        add(Part::Service(name.clone()), "published", &[&stack.name, "pub", name], published(stack, service));
    }
}

/// Denies all pods of the stack what no other policy allows; under `Namespace` isolation, lets their namespace in.
fn ingress(stack: &Stack) -> NetworkPolicySpec {
    let from_namespace = NetworkPolicyIngressRule { from: Some(vec![peer(LabelSelector::default())]), ports: None };
    NetworkPolicySpec {
        pod_selector: Some(metadata::pods(stack, &[])),
        policy_types: Some(types(&[INGRESS])),
        ingress: (stack.isolation == Isolation::Namespace).then(|| vec![from_namespace]),
        egress: None,
    }
}

/// Lets every pod of the stack resolve names. Policies see a port after translation, so the resolver pods' own ports count.
fn dns(stack: &Stack, settings: &Settings) -> NetworkPolicySpec {
    let ports = || {
        settings
            .dns_ports
            .iter()
            .flat_map(|number| ["UDP", "TCP"].map(|protocol| port(IntOrString::Int((*number).into()), protocol)))
    };
    let resolvers = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([("kubernetes.io/metadata.name".into(), "kube-system".into())])),
            match_expressions: None,
        }),
        pod_selector: Some(LabelSelector {
            match_labels: super::filled(settings.dns_selector.iter().cloned().collect()),
            match_expressions: None,
        }),
        ip_block: None,
    };
    let addresses = settings.dns_cidrs.iter().map(|cidr| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.clone(), except: None }),
        ..NetworkPolicyPeer::default()
    });
    NetworkPolicySpec {
        pod_selector: Some(metadata::pods(stack, &[])),
        policy_types: Some(types(&[EGRESS])),
        ingress: None,
        egress: Some(vec![NetworkPolicyEgressRule {
            ports: Some(ports().collect()),
            to: Some([resolvers].into_iter().chain(addresses).collect()),
        }]),
    }
}

/// Members in from members, and out: to members only where the network is internal, else to everywhere.
fn members(stack: &Stack, name: &str, network: &Network) -> NetworkPolicySpec {
    let members = metadata::pods(stack, &[labels::in_network(name)]);
    let out = if network.internal { Some(vec![peer(members.clone())]) } else { None };
    NetworkPolicySpec {
        pod_selector: Some(members.clone()),
        policy_types: Some(types(&[INGRESS, EGRESS])),
        ingress: Some(vec![NetworkPolicyIngressRule { from: Some(vec![peer(members)]), ports: None }]),
        egress: Some(vec![NetworkPolicyEgressRule { to: out, ports: None }]),
    }
}

/// Opens published ports to everyone: source addresses are rewritten on the way, so outside callers cannot be told apart. By name, so that
/// each pod opens the port of its own revision.
fn published(stack: &Stack, service: &Service) -> NetworkPolicySpec {
    let mut targets: Vec<(&str, &str)> =
        service.published.iter().map(|p| (p.target.as_str(), p.protocol.as_str())).collect();
    targets.sort_unstable();
    targets.dedup();
    let ports = targets.into_iter().map(|(name, protocol)| port(IntOrString::String(name.into()), protocol));
    NetworkPolicySpec {
        pod_selector: Some(LabelSelector {
            match_labels: Some(metadata::identity(stack, &Part::Service(service.name.clone()))),
            match_expressions: None,
        }),
        policy_types: Some(types(&[INGRESS])),
        ingress: Some(vec![NetworkPolicyIngressRule { from: None, ports: Some(ports.collect()) }]),
        egress: None,
    }
}

fn types(types: &[&str]) -> Vec<String> {
    types.iter().map(|t| (*t).to_owned()).collect()
}

fn peer(pods: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(pods), ..NetworkPolicyPeer::default() }
}

fn port(port: IntOrString, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(port), protocol: Some(protocol.into()), end_port: None }
}
