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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check;
    use crate::api::{AppStack, PodSecurity};

    fn of(web: &Value) -> (bool, bool) {
        let volumes = json!({"own": {"size": "1Gi", "perReplica": true}});
        let spec = json!({"services": {"web": web}, "volumes": volumes});
        let stack =
            check(&AppStack::new("shop", serde_json::from_value(spec).unwrap()), PodSecurity::Baseline).unwrap();
        (stack.services["web"].headless, stack.services["web"].publish_not_ready)
    }

    // reference/compose.md 2.7 and trap 7.
    #[test]
    fn what_a_name_answers_with_where_the_stack_does_not_say() {
        let ports = json!({"http": {"port": 80}});
        let own = json!({"/own": {"volume": "own"}});
        let auto = json!({"min": 1, "max": 3, "cpuPercent": 50});
        let dials = |host: &str| json!({"exec": ["curl", "-f", format!("http://{host}/")]});
        let asks = json!({"requests": {"cpu": 1}});
        for (written, (headless, publish_not_ready)) in [
            (json!({"ports": ports}), (false, false)),
            (json!({"ports": ports, "replicas": 3}), (false, false)),
            (json!({}), (true, false)),
            (json!({"replicas": 2}), (true, true)),
            (json!({"replicas": 2, "publishNotReady": false}), (true, false)),
            (json!({"ports": ports, "endpointMode": "DNSRR"}), (true, false)),
            (json!({"ports": ports, "endpointMode": "DNSRR", "replicas": 0}), (true, false)),
            (json!({"ports": ports, "endpointMode": "DNSRR", "replicas": 2}), (true, true)),
            (json!({"ports": ports, "endpointMode": "DNSRR", "autoscale": auto, "resources": asks}), (true, true)),
            (json!({"ports": ports, "endpointMode": "VIP", "replicas": 2}), (false, false)),
            (json!({"ports": ports, "mode": "Global"}), (true, false)),
            (json!({"ports": ports, "mode": "Global", "endpointMode": "VIP"}), (false, false)),
            (json!({"ports": ports, "mounts": own}), (true, true)),
            (json!({"ports": ports, "mounts": own, "publishNotReady": false}), (true, false)),
            (json!({"ports": ports, "healthcheck": dials("web")}), (false, true)),
            (json!({"ports": ports, "healthcheck": dials("localhost")}), (false, false)),
            (json!({"ports": ports, "healthcheck": dials("web"), "publishNotReady": false}), (false, false)),
            (json!({"ports": ports, "publishNotReady": true}), (false, true)),
            (json!({"ports": ports, "mode": "Job"}), (false, false)),
        ] {
            let mut web = written.clone();
            web["image"] = json!("web:1");
            assert_eq!(of(&web), (headless, publish_not_ready), "{written}");
        }
    }
}
