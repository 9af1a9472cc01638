//! Selectors, address blocks and ports of a policy.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{ContainerPort, Labels};

/// Whether a selector selects these labels; where there is none, or it is empty, it selects all.
pub(super) fn selects(selector: Option<&LabelSelector>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return true };
    let is_required = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    is_required
        && selector.match_expressions.iter().flatten().all(|e| {
            let value = labels.get(&e.key);
            let listed = || value.is_some_and(|v| e.values.iter().flatten().any(|wanted| wanted == v));
            match e.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(), // a label that is not there has none of the values
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("a selector with the operator '{other}'"),
            }
        })
}

/// Whether an address is in a block and in none of its exceptions.
pub(super) fn is_in_block(ip: IpAddr, block: &IPBlock) -> bool {
    is_in(ip, &block.cidr) && !block.except.iter().flatten().any(|except| is_in(ip, except))
}

fn is_in(ip: IpAddr, cidr: &str) -> bool {
    let parsed = cidr.split_once('/').and_then(|(net, bits)| Some((net.parse::<IpAddr>().ok()?, bits.parse().ok()?)));
    let (net, bits): (IpAddr, u32) = parsed.unwrap_or_else(|| panic!("'{cidr}' is no address block"));
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => same_prefix(ip.to_bits().into(), net.to_bits().into(), 32, bits),
        (IpAddr::V6(ip), IpAddr::V6(net)) => same_prefix(ip.to_bits(), net.to_bits(), 128, bits),
        _ => false,
    }
}

fn same_prefix(one: u128, other: u128, length: u32, bits: u32) -> bool {
    assert!(bits <= length, "a prefix of {bits} bits in an address of {length}");
    (one ^ other).checked_shr(length - bits).unwrap_or(0) == 0
}

/// Whether a rule's port is this one. A port that is named is the one that these containers give that name under that protocol.
pub(super) fn is_port(rule: &NetworkPolicyPort, number: u16, protocol: &str, named: &[ContainerPort]) -> bool {
    if rule.protocol.as_deref().unwrap_or("TCP") != protocol {
        return false;
    }
    let asked = i32::from(number);
    match (&rule.port, rule.end_port) {
        (None, None) => true,
        (Some(IntOrString::Int(port)), None) => *port == asked,
        (Some(IntOrString::Int(port)), Some(end)) => (*port..=end).contains(&asked),
        (Some(IntOrString::String(name)), None) => {
            named.iter().any(|port| port.name == *name && port.protocol == protocol && port.number == number)
        }
        (None | Some(IntOrString::String(_)), Some(_)) => panic!("endPort without a number before it: {rule:?}"),
    }
}
