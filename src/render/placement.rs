//! On which nodes pods run.

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinity, PodAffinityTerm, PodAntiAffinity, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{metadata, pod};
use crate::api::{self, SpreadMode, TaintEffect, TolerationOperator};
use crate::child::digest::Digest;
use crate::child::labels;
use crate::stack::{Mount, Placement, Service, Stack, Tie, Workload};

/// A label that all carry who share a node, and who they are.
pub(super) struct SharedNode {
    pub(super) label: String,
    users: LabelSelector,
}

/// What keeps pods with these mounts on the node of others, if anything does.
pub(super) fn shared_node(stack: &Stack, mounts: &[Mount]) -> Option<SharedNode> {
    let tie = mounts.iter().filter_map(|mount| stack.ties.get(mount.source.volume()?)).min()?;
    Some(match tie {
        Tie::Volume(name) => {
            let label = labels::uses_volume(name);
            SharedNode { users: metadata::pods(stack, std::slice::from_ref(&label)), label }
        }
        Tie::Claim(claim) => {
            let label = labels::uses_claim(&Digest::of(&claim.as_str().into()).hex8());
            let exists = LabelSelectorRequirement { key: label.clone(), operator: "Exists".into(), values: None };
            SharedNode { users: LabelSelector { match_expressions: Some(vec![exists]), match_labels: None }, label }
        }
    })
}

/// A label of nodes that no node has.
const NOWHERE: &str = "appstack.dev/nowhere";

/// Users of a claim that one node mounts share that node; the first one's own label satisfies its own term (T16).
///
/// When a node is drained, who comes next fits nowhere while a last user ends on it. That a pod has gone is news to the scheduler for those
/// alone who want to be apart from it (`isSchedulableAfterPodChange` of its plugin `InterPodAffinity`); others it tries again after five
/// minutes. So they ask to be apart where no node is, too: it forbids nothing, and wakes them up.
pub(super) fn affinity(stack: &Stack, mounts: &[Mount]) -> Option<Affinity> {
    let users = shared_node(stack, mounts)?.users;
    let term = |topology_key: &str| {
        let selector = Some(users.clone());
        let topology_key = topology_key.into();
        Some(vec![PodAffinityTerm { label_selector: selector, topology_key, ..PodAffinityTerm::default() }])
    };
    Some(Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: term("kubernetes.io/hostname"),
            ..PodAffinity::default()
        }),
        pod_anti_affinity: Some(PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: term(NOWHERE),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    })
}

/// Pods of one service apart from each other. Those of a Deployment count by revision: old ones that are on their way out do not.
pub(super) fn spread(stack: &Stack, service: &Service) -> Vec<TopologySpreadConstraint> {
    let wanted = &service.placement.spread;
    let over = [("topology.kubernetes.io/zone", wanted.zone), ("kubernetes.io/hostname", wanted.host)];
    over.into_iter()
        .filter_map(|(key, mode)| Some((key, mode?)))
        .map(|(key, mode)| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.into(),
            when_unsatisfiable: match mode {
                SpreadMode::Preferred => "ScheduleAnyway",
                SpreadMode::Required => "DoNotSchedule",
            }
            .into(),
            label_selector: Some(LabelSelector {
                match_labels: Some(pod::identity(stack, service)),
                match_expressions: None,
            }),
            match_label_keys: (service.workload == Workload::Deployment).then(|| vec!["pod-template-hash".into()]),
            ..TopologySpreadConstraint::default()
        })
        .collect()
}

pub(super) fn tolerations(placement: &Placement) -> Vec<Toleration> {
    placement.tolerations.iter().map(toleration).collect()
}

fn toleration(wanted: &api::Toleration) -> Toleration {
    Toleration {
        key: wanted.key.clone(),
        operator: wanted.operator.map(|operator| {
            match operator {
                TolerationOperator::Equal => "Equal",
                TolerationOperator::Exists => "Exists",
            }
            .into()
        }),
        value: wanted.value.clone(),
        effect: wanted.effect.map(|effect| {
            match effect {
                TaintEffect::NoSchedule => "NoSchedule",
                TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                TaintEffect::NoExecute => "NoExecute",
            }
            .into()
        }),
        toleration_seconds: wanted.toleration_seconds,
    }
}
