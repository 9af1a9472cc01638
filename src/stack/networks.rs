//! The networks a service joins, and the names it answers to in them.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Place, unknown};
use super::health;
use super::model::{Health, Problem, Scale, Service, Workload};
use crate::api::{self, AppStackSpec, EndpointMode, Isolation, NetworkMode, PodSecurity};

/// The networks that a service joins: `default` where it names none, none where its mode is not `Stack`.
pub(super) fn joined(
    written: &api::Service,
    spec: &AppStackSpec,
    level: PodSecurity,
    here: &mut Place<'_>,
) -> BTreeSet<String> {
    for name in written.networks.keys().filter(|name| *name != "default" && !spec.networks.contains_key(*name)) {
        here.problem(&format!(".networks[{name}]"), unknown("network", name, "spec.networks", spec.networks.keys()));
    }
    match written.network_mode.unwrap_or_default() {
        NetworkMode::Stack => return names(written),
        NetworkMode::Host if level < PodSecurity::Privileged => {
            here.problem(".networkMode", "'Host' needs podSecurity: Privileged");
        }
        NetworkMode::Host if spec.isolation.unwrap_or_default() != Isolation::None => {
            here.warn(
                ".networkMode",
                "'Host' is outside of the stack's walls: whoever reaches the node reaches this service",
            );
        }
        NetworkMode::None if spec.isolation == Some(Isolation::None) => here.warn(
            ".networkMode",
            "'None' is kept by network policies, and isolation None writes none: the service is as open as the others",
        ),
        NetworkMode::Host | NetworkMode::None => {}
    }
    if !written.networks.is_empty() {
        here.problem(".networks", "networks go with networkMode Stack");
    }
    BTreeSet::new()
}

/// The names of the networks that a service joins.
pub(super) fn names(written: &api::Service) -> BTreeSet<String> {
    match written.network_mode.unwrap_or_default() {
        NetworkMode::Stack if written.networks.is_empty() => BTreeSet::from(["default".to_owned()]),
        NetworkMode::Stack => written.networks.keys().cloned().collect(),
        NetworkMode::None | NetworkMode::Host => BTreeSet::new(),
    }
}

/// Further names of a service, in whichever network. Its own name is dropped; that of another service is a problem.
pub(super) fn aliases(
    name: &str,
    written: &api::Service,
    spec: &AppStackSpec,
    here: &mut Place<'_>,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (network, membership) in &written.networks {
        for alias in membership.aliases.iter().filter(|alias| *alias != name) {
            if spec.services.contains_key(alias) {
                here.problem(
                    &format!(".networks[{network}].aliases"),
                    format!("'{alias}' is another service of the stack: a name cannot mean both"),
                );
            }
            all.insert(alias.clone());
        }
    }
    all
}

/// Whether a service's name is the address of every pod, and whether it answers for pods that are not ready.
pub(super) fn endpoints(
    name: &str,
    written: &api::Service,
    workload: &Workload,
    scale: &Scale,
    health: Option<&Health>,
    here: &mut Place<'_>,
) -> (bool, bool) {
    let per_replica = *workload == Workload::StatefulSet;
    if per_replica && written.endpoint_mode == Some(EndpointMode::Vip) {
        here.problem(
            ".endpointMode",
            "'VIP' does not go with a perReplica volume: such pods are found by a name that is the address of each; leave endpointMode out",
        );
    }
    let headless = match written.endpoint_mode {
        Some(mode) => mode == EndpointMode::Dnsrr,
        None => per_replica || *workload == Workload::DaemonSet || written.ports.is_empty(),
    };
    let several = match scale {
        Scale::Fixed(count) => count.unwrap_or(1) > 1,
        Scale::Auto(auto) => auto.max > 1,
    };
    let publish_not_ready = written.publish_not_ready.unwrap_or_else(|| {
        per_replica || (headless && several) || health.is_some_and(|health| health::dials(&health.probe, name))
    });
    (headless, publish_not_ready)
}

/// Internal networks whose walls `isolation` leaves out.
pub(super) fn without_walls(services: &BTreeMap<String, Service>, spec: &AppStackSpec) -> Vec<Problem> {
    let isolation = spec.isolation.unwrap_or_default();
    let mut found = Vec::new();
    for (name, network) in &spec.networks {
        let joined = services.values().any(|service| service.networks.contains(name));
        if !joined || network.internal != Some(true) {
            continue;
        }
        let message = match isolation {
            Isolation::Networks => continue,
            Isolation::Namespace => {
                "lets no member out, but isolation: Namespace lets every pod of the namespace in; say isolation: Networks"
            }
            Isolation::None => "is not enforced: isolation: None writes no policies; say isolation: Networks",
        };
        found.push(Problem::new(format!("spec.networks[{name}].internal"), message));
    }
    found
}
