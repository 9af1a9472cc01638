//! Compose's networks as NetworkPolicies.
//!
//! Additive by construction: one policy denies, the others open. Subjects and peers are labels of the pod template, so each pod keeps the
//! walls of its own revision. A pod whose networks are all internal is walled in by what nothing opens; any other is free to go out.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, Rendering, Settings, metadata};
use crate::api::{Isolation, NetworkMode, OpenTo, Protocol};
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
        out.add(Kind::NetworkPolicy, part, super::json(NetworkPolicy { metadata: meta, spec: Some(spec) }));
    };
    add(Part::Stack, "ingress", &[&stack.name], ingress(stack));
    add(Part::Stack, "dns", &[&stack.name, "dns"], dns(stack, settings));
    for (name, network) in &stack.networks {
        add(Part::Network(name.clone()), "network", &[&stack.name, "net", name], members(stack, name, network));
    }
    for (name, service) in &stack.services {
        if let Some(open) = opened(stack, service) {
            add(Part::Service(name.clone()), "published", &[&stack.name, "pub", name], open);
        }
    }
    if stack.services.values().any(|service| service.network_mode == NetworkMode::None) {
        add(Part::Stack, "none", &[&stack.name, "none"], none(stack));
    }
    if stack.volumes.values().any(|volume| volume.populate.is_some()) {
        add(Part::Stack, "populate", &[&stack.name, "populate"], populate(stack));
    }
}

/// Denies all pods of the stack what no other policy allows; under `Namespace` isolation, lets their namespace in to those that have a network, and
/// leaves the others to policies of their own.
fn ingress(stack: &Stack) -> NetworkPolicySpec {
    let open = stack.isolation == Isolation::Namespace;
    let from_namespace = NetworkPolicyIngressRule { from: Some(vec![peer(LabelSelector::default())]), ports: None };
    NetworkPolicySpec {
        pod_selector: Some(if open {
            without(stack, &[labels::NO_NETWORK, labels::POPULATE])
        } else {
            metadata::pods(stack, &[])
        }),
        policy_types: Some(types(&[INGRESS])),
        ingress: open.then(|| vec![from_namespace]),
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
        pod_selector: Some(without(stack, &[labels::NO_NETWORK])),
        policy_types: Some(types(&[EGRESS])),
        ingress: None,
        egress: Some(vec![NetworkPolicyEgressRule {
            ports: Some(ports().collect()),
            to: Some([resolvers].into_iter().chain(addresses).collect()),
        }]),
    }
}

/// Members in from members, and out: to members only where the network is internal, else to everywhere. Members of a shared network may be pods of
/// other stacks of the namespace; pods of ours that are older than its shared name are known by its own.
fn members(stack: &Stack, name: &str, network: &Network) -> NetworkPolicySpec {
    let members = metadata::pods(stack, &[labels::in_network(name)]);
    let shared = network.shared.as_deref().map(|shared| exists(labels::in_shared_network(shared)));
    let peers: Vec<NetworkPolicyPeer> = [members.clone()].into_iter().chain(shared).map(peer).collect();
    NetworkPolicySpec {
        pod_selector: Some(members),
        policy_types: Some(types(&[INGRESS, EGRESS])),
        ingress: Some(vec![NetworkPolicyIngressRule { from: Some(peers.clone()), ports: None }]),
        egress: Some(vec![NetworkPolicyEgressRule { to: network.internal.then_some(peers), ports: None }]),
    }
}

/// Opens published and routed ports to everyone: source addresses are rewritten on the way, so outside callers cannot be told apart; and others to whom they are
/// open besides. By name, so that each pod opens the port of its own revision.
fn opened(stack: &Stack, service: &Service) -> Option<NetworkPolicySpec> {
    let mut published: Vec<(&str, &str)> =
        service.published.iter().map(|p| (p.target.as_str(), p.protocol.as_str())).collect();
    published.extend(service.routes.iter().map(|route| (route.port.as_str(), Protocol::Tcp.as_str())));
    published.sort_unstable();
    published.dedup();
    let open_to = |whom: OpenTo| -> Vec<(&str, &str)> {
        let open = service.ports.iter().filter(|port| port.open_to == whom);
        open.map(|port| (port.name.as_str(), port.protocol.as_str())).collect()
    };
    let cluster =
        NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let rules: Vec<NetworkPolicyIngressRule> = [
        (published, None),
        (open_to(OpenTo::Namespace), Some(vec![peer(LabelSelector::default())])),
        (open_to(OpenTo::Cluster), Some(vec![cluster])),
    ]
    .into_iter()
    .filter(|(ports, _)| !ports.is_empty())
    .map(|(ports, from)| {
        let ports = ports.into_iter().map(|(name, protocol)| port(IntOrString::String(name.into()), protocol));
        NetworkPolicyIngressRule { from, ports: Some(ports.collect()) }
    })
    .collect();
    (!rules.is_empty()).then(|| NetworkPolicySpec {
        pod_selector: Some(LabelSelector {
            match_labels: Some(metadata::identity(stack, &Part::Service(service.name.clone()))),
            match_expressions: None,
        }),
        policy_types: Some(types(&[INGRESS])),
        ingress: Some(rules),
        egress: None,
    })
}

/// Pods without any network: nothing in, nothing out. No other policy opens anything to them.
fn none(stack: &Stack) -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(metadata::pods(stack, &[labels::NO_NETWORK.to_owned()])),
        policy_types: Some(types(&[INGRESS, EGRESS])),
        ingress: None,
        egress: None,
    }
}

/// Pods that fill volumes fetch from wherever they like; nothing dials them.
fn populate(stack: &Stack) -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(metadata::pods(stack, &[labels::POPULATE.to_owned()])),
        policy_types: Some(types(&[INGRESS, EGRESS])),
        ingress: None,
        egress: Some(vec![NetworkPolicyEgressRule { to: None, ports: None }]),
    }
}

/// Pods of the stack without these labels.
fn without(stack: &Stack, absent: &[&str]) -> LabelSelector {
    let requirements = absent.iter().map(|label| requirement((*label).to_owned(), "DoesNotExist"));
    LabelSelector { match_expressions: Some(requirements.collect()), ..metadata::pods(stack, &[]) }
}

/// Pods of any stack of the namespace with this label.
fn exists(label: String) -> LabelSelector {
    LabelSelector { match_expressions: Some(vec![requirement(label, "Exists")]), match_labels: None }
}

fn requirement(key: String, operator: &str) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key, operator: operator.into(), values: None }
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use crate::api::{AppStack, PodSecurity};
    use crate::render::{Settings, policies};
    use crate::stack::check;

    /// How many policies a stack has, and how long they are in all.
    fn weighed(services: usize, networks: usize, published: usize) -> (usize, usize) {
        let all: Map<String, Value> = (0..networks).map(|n| (format!("n{n:03}"), json!({}))).collect();
        let services: Map<String, Value> = (0..services)
            .map(|n| {
                let joins = json!({format!("n{:03}", n % networks): {}, format!("n{:03}", (n / 3) % networks): {}});
                let mut port = json!({"port": 80});
                if n < published {
                    port["published"] = json!(80);
                }
                (format!("s{n:03}"), json!({"image": "a:1", "networks": joins, "ports": {"http": port}}))
            })
            .collect();
        let spec = serde_json::from_value(json!({"networks": all, "services": services})).unwrap();
        let stack = check(&AppStack::new("big", spec), PodSecurity::Baseline).unwrap();
        let rendered = policies(&stack, &Settings::default());
        (rendered.len(), rendered.values().map(|policy| policy.object.to_string().len()).sum())
    }

    #[test]
    fn policies_grow_with_networks_and_published_services_not_with_pairs() {
        let (count, size) = weighed(500, 50, 100);
        assert_eq!(count, 2 + 50 + 100, "the stack, its DNS, each network, each published service");
        assert_eq!(weighed(100, 50, 100), (count, size), "who else is a member does not matter");
        assert_eq!(weighed(500, 50, 0).0, 2 + 50);
        assert_eq!(weighed(500, 1, 0).0, 2 + 1);
    }
}
