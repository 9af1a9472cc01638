//! Children beside pods: names, walls, claims, configs, autoscalers, budgets.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::differs::{Difference, difference};
use super::plan::{Body, Guard, Refusal, RefusalKind, Write};
use super::planner::{Planner, uid};
use crate::api::Quantity;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, labels, node_ports};
use crate::render::{Part, Wanted};
use crate::stack::{self, Claim, Service, Source};

impl Planner<'_> {
    /// What only adds goes first. What changes something that is there goes with its service, after its gate: the running pods of a held
    /// service keep their addresses and walls.
    pub(super) fn beside_pods(&mut self, id: &ChildId, wanted: &Wanted) {
        if self.out.refusals.contains_key(id) {
            return;
        }
        let live = self.ours(id, wanted).cloned();
        // It is kept as it was when it proved good.
        if id.kind == Kind::Record
            && (live.is_some() || !matches!(&wanted.part, Part::Service(name) if self.is_good(name)))
        {
            return;
        }
        let mut instead_of = None;
        let after = self.after(id, wanted);
        let mut filled = self.mark(wanted, live.as_deref());
        let (guard, after) = match live {
            None => (Guard::Absent, after),
            Some(live) if live.is_going() => return,
            Some(live) => {
                let marked = filled.as_deref() == live.annotation(labels::FILLED);
                let same = difference(id, wanted, &live, None, self.seen) == Difference::None;
                if (same && marked) || self.waits_for_pods(id, wanted) {
                    return;
                }
                if cannot_become(id.kind, &live, wanted) || self.swaps_numbers(id, wanted, &live) {
                    instead_of = Some(live);
                    filled = None;
                    (Guard::Absent, Vec::new())
                } else {
                    (Guard::Uid(uid(&live)), if id.kind == Kind::Autoscaler { after } else { Vec::new() })
                }
            }
        };
        // One that is there already goes on with the workload of another kind that its service still has.
        if let Part::Service(name) = &wanted.part
            && id.kind == Kind::Autoscaler
            && !self.has_workload(name)
        {
            return;
        }
        let body = Body::Object { guard, replicas: None, keep: None, good: None, filled };
        self.out.writes.push(Write { id: id.clone(), body, after, instead_of });
    }

    /// Whether a change has to wait, since pods that keep an older template need what is there: those of held services, and of services that are gone from
    /// the stack and stay until the others are at rest. Scaling between counts above zero is not gated, and a network that is not internal only
    /// opens, unless other stacks share it no more.
    fn waits_for_pods(&self, id: &ChildId, wanted: &Wanted) -> bool {
        let is_held = |service: &Service| self.is_held(&service.name) && self.has_workload(&service.name);
        let services = || self.stack.services.values();
        match &wanted.part {
            Part::Service(name) => !matches!(id.kind, Kind::Autoscaler | Kind::Budget) && self.is_held(name),
            Part::Network(network) => {
                let internal = self.stack.networks.get(network).is_some_and(|n| n.internal);
                internal
                    && (services().any(|s| s.networks.contains(network) && is_held(s))
                        || self.older_pods().any(|pod| pod.has_label(&labels::in_network(network))))
                    || self.leaves_a_shared_network(network)
            }
            Part::Alias(alias) => {
                services().any(|s| s.aliases.contains(alias) && is_held(s))
                    || self.older_pods().any(|pod| pod.has_label(&labels::answers_to(alias)))
                    || self.is_name_of_one_gone(id)
            }
            Part::Stack | Part::Volume(_) | Part::Config(_) => false,
        }
    }

    /// Whether pods that stay for now are members of this network as other stacks share it, under a name that it has no more.
    fn leaves_a_shared_network(&self, network: &str) -> bool {
        let member = labels::in_network(network);
        let shared: BTreeSet<String> =
            self.stack.networks.values().filter_map(|n| n.shared.as_deref()).map(labels::in_shared_network).collect();
        let any = labels::in_shared_network("");
        self.older_pods().any(|pod| {
            let mut all = pod.meta.labels.iter().flatten().map(|(label, _)| label);
            pod.has_label(&member) && all.any(|label| label.starts_with(&any) && !shared.contains(label))
        })
    }

    /// Running pods of a template that stays for now, whatever their service says of itself by now.
    fn older_pods(&self) -> impl Iterator<Item = &Child> {
        let pods = self.seen.children.iter().filter(|(id, _)| id.kind == Kind::Pod).map(|(_, pod)| pod.as_ref());
        pods.filter(|pod| {
            let service =
                Some(pod.label(labels::SERVICE)).filter(|name| !name.is_empty()).unwrap_or(pod.label(labels::JOB));
            let stays = self.is_held(service) || !self.stack.services.contains_key(service);
            stays && !pod.is_going() && !pod.facts.pod.ended
        })
    }

    /// Whether a name is that of a service which is gone from the stack, while its pods serve: whoever takes the name over is not up yet.
    fn is_name_of_one_gone(&self, id: &ChildId) -> bool {
        let service = self.seen.children.get(id).map_or("", |live| live.label(labels::SERVICE));
        let serves = |pod: &&Child| !pod.is_going() && !pod.facts.pod.ended;
        !service.is_empty()
            && !self.stack.services.contains_key(service)
            && self.parts.service(service).pods.iter().any(serves)
    }

    /// Whether a Service and one after it are each to have a node port of the other: in place, each would be refused for the other's sake. The first is
    /// made anew, which lets go of its own.
    fn swaps_numbers(&self, id: &ChildId, wanted: &Wanted, live: &Child) -> bool {
        if id.kind != Kind::Service || live.facts.node_ports.is_empty() {
            return false;
        }
        let wants = node_ports(&wanted.object);
        self.wanted.iter().filter(|(other, _)| other.kind == Kind::Service && *other > id).any(|(other, theirs)| {
            self.ours(other, theirs).is_some_and(|there| !there.facts.node_ports.is_disjoint(&wants))
                && !node_ports(&theirs.object).is_disjoint(&live.facts.node_ports)
                && !self.waits_for_pods(other, theirs)
        })
    }

    /// An autoscaler follows its workload: made first, it would find nothing to scale. The policy that denies follows those that open: should one of them
    /// fail, nothing that runs is cut off.
    fn after(&self, id: &ChildId, wanted: &Wanted) -> Vec<ChildId> {
        match &wanted.part {
            Part::Service(name) if id.kind == Kind::Autoscaler => {
                self.parts.service(name).workload.map(|(id, _)| id.clone()).into_iter().collect()
            }
            Part::Stack if wanted.labels().any(|label| label == (labels::POLICY, "ingress")) => {
                let policies = self.wanted.keys().filter(|other| other.kind == Kind::NetworkPolicy && *other != id);
                policies.cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Children without which the pods of a service must not start: its walls, its claims, its configs, and the names it answers to. Not the published
    /// one: who cannot be published serves the others all the same, and what is in its way may be a service that leaves when they have rolled.
    pub(super) fn needed_by(&self, service: &Service, beside: &[&ChildId]) -> Vec<ChildId> {
        let shared = self.shared.iter().filter(|(id, part)| match part {
            Part::Stack => true,
            Part::Network(name) => service.networks.contains(name),
            Part::Volume(name) | Part::Config(name) => uses(service, name, id.kind),
            Part::Alias(name) => service.aliases.contains(name),
            Part::Service(_) => false,
        });
        let own = beside.iter().filter(|id| id.kind != Kind::Service || id.name == service.name);
        shared.map(|(id, _)| (*id).clone()).chain(own.map(|id| (*id).clone())).collect()
    }

    /// Claims that a StatefulSet made for the pods of a service are not wanted by name; they grow one by one.
    pub(super) fn grow_claims_of_pods(&mut self, service: &Service) {
        let volumes = service.mounts.iter().filter_map(|mount| {
            let name = mount.source.volume()?;
            match &self.stack.volumes.get(name)?.claim {
                Claim::PerReplica(storage) => Some((name, storage)),
                Claim::Own(_) | Claim::Existing(_) => None,
            }
        });
        for (volume, storage) in volumes {
            let size = stack::bytes(storage.size);
            let digest = Digest::of(&json!(size));
            let claims: Vec<(ChildId, Arc<Child>)> = self
                .seen
                .children
                .iter()
                .filter(|(id, claim)| {
                    id.kind == Kind::Claim
                        && claim.label(labels::SERVICE) == service.name
                        && claim.label(labels::VOLUME) == volume
                        && claim.facts.phase == "Bound"
                        && !claim.is_going()
                        && bytes(&claim.facts.storage).is_some_and(|there| there < storage.size)
                })
                .map(|(id, claim)| (id.clone(), claim.clone()))
                .collect();
            for (id, claim) in claims {
                match self.seen.refused.get(&id).filter(|refusal| refusal.wanted == digest) {
                    Some(refusal) => drop(self.out.refusals.insert(id.clone(), stays(&id, &claim, refusal))),
                    None => self.write(&id, Body::Grow { uid: uid(&claim), size: size.clone() }, Vec::new()),
                }
            }
        }
    }
}

/// Whether a service needs the claim or ConfigMap of this name.
fn uses(service: &Service, name: &str, kind: Kind) -> bool {
    let mounts = service.mounts.iter().any(|mount| match &mount.source {
        Source::Volume { name: volume } => kind == Kind::Claim && volume == name,
        Source::Config { name: config, .. } => kind == Kind::ConfigMap && config == name,
        _ => false,
    });
    let env = || service.env_from.iter().filter_map(|from| from.source.config());
    mounts || (kind == Kind::ConfigMap && env().any(|config| config == name))
}

/// What the server would refuse, or take without acting on it: a Service to or from headless (T10), or to another load balancer; a claim that is not
/// bound yet, which holds no data and cannot grow (T9, T30).
fn cannot_become(kind: Kind, live: &Child, wanted: &Wanted) -> bool {
    match kind {
        Kind::Service => {
            live.facts.headless != (wanted.object["spec"]["clusterIP"] == "None") || changes_balancer(live, wanted)
        }
        Kind::Claim => {
            live.facts.phase == "Pending"
                && wanted.object["spec"]["resources"]["requests"]["storage"] != live.facts.storage.as_str()
        }
        Kind::NetworkPolicy
        | Kind::ConfigMap
        | Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::Job
        | Kind::Autoscaler
        | Kind::Budget
        | Kind::HttpRoute
        | Kind::Ingress
        | Kind::Record
        | Kind::Pod => false,
    }
}

/// Whether another load balancer is to serve: the class of one that serves is fixed. One that a webhook wrote where we say none is not ours to change.
fn changes_balancer(live: &Child, wanted: &Wanted) -> bool {
    let Some(there) = live.facts.balancer.as_ref().filter(|_| wanted.object["spec"]["type"] == "LoadBalancer") else {
        return false;
    };
    let class = wanted.object["spec"]["loadBalancerClass"].as_str();
    there.class.as_deref() != class && (class.is_some() || there.is_ours)
}

/// Why a bound claim cannot have the wanted size: it is larger. A retained claim may be, and a size that was raised and lowered again.
pub(super) fn too_small(id: &ChildId, wanted: &Wanted, live: &Child) -> Option<String> {
    if id.kind != Kind::Claim || live.facts.phase != "Bound" {
        return None;
    }
    let written = wanted.object["spec"]["resources"]["requests"]["storage"].as_str()?;
    let there = &live.facts.storage;
    (bytes(there)? > bytes(written)?).then(|| {
        format!(
            "{id} has {there}, and a claim never shrinks: {written} is refused. Say {there}, or declare a new volume"
        )
    })
}

/// What the server says of a claim that was to grow is said of its size, with the size that it keeps; a refusal of anything else stays what it is.
pub(super) fn refused_growth(id: &ChildId, wanted: &Wanted, live: &Child, refusal: Refusal) -> Refusal {
    let written = wanted.object["spec"]["resources"]["requests"]["storage"].as_str();
    let grows = id.kind == Kind::Claim && written.and_then(bytes) > bytes(&live.facts.storage);
    if grows && refusal.kind == RefusalKind::Refused { stays(id, live, &refusal) } else { refusal }
}

fn stays(id: &ChildId, live: &Child, refusal: &Refusal) -> Refusal {
    let message = format!("{id} stays at {}: {}", live.facts.storage, refusal.message);
    Refusal { kind: RefusalKind::VolumeResizeRefused, message, ..refusal.clone() }
}

fn bytes(size: &str) -> Option<i128> {
    Quantity::Text(size.to_owned()).millis().map(|millis| millis / 1000)
}

/// What a size that was refused is remembered by.
pub(crate) fn refusal_of_size(size: &str, message: String) -> Refusal {
    Refusal { kind: RefusalKind::VolumeResizeRefused, message, wanted: Digest::of(&json!(size)) }
}
