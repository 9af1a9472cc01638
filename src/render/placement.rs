//! On which nodes pods run.

use k8s_openapi::api::core::v1::{Affinity, PodAffinity, PodAffinityTerm, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{metadata, pod};
use crate::api::{self, SpreadMode, TaintEffect, TolerationOperator};
use crate::child::digest::Digest;
use crate::child::labels;
use crate::stack::{Claim, Mount, Placement, Service, Stack, Workload};

/// A label that all users of one claim carry, and who they are.
pub(super) struct Tie {
    pub(super) label: String,
    users: LabelSelector,
}

/// The claims among the mounts that one node mounts at a time. An existing claim may have users in other stacks of the namespace.
pub(super) fn ties(stack: &Stack, mounts: &[Mount]) -> Vec<Tie> {
    let mut names: Vec<&String> = mounts.iter().filter_map(|mount| mount.source.volume()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| Some((name, stack.volumes.get(name).filter(|v| v.ties_to_node())?)))
        .map(|(name, volume)| match &volume.claim {
            Claim::Own(_) | Claim::PerReplica(_) => {
                let label = labels::uses_volume(name);
                Tie { users: metadata::pods(stack, std::slice::from_ref(&label)), label }
            }
            Claim::Existing(claim) => {
                let label = labels::uses_claim(&Digest::of(&claim.as_str().into()).hex8());
                let exists = LabelSelectorRequirement { key: label.clone(), operator: "Exists".into(), values: None };
                Tie { users: LabelSelector { match_expressions: Some(vec![exists]), match_labels: None }, label }
            }
        })
        .collect()
}

/// Users of a claim that one node mounts share that node; the first one's own label satisfies its own term (T16).
pub(super) fn affinity(stack: &Stack, mounts: &[Mount]) -> Option<Affinity> {
    let terms: Vec<PodAffinityTerm> = ties(stack, mounts)
        .into_iter()
        .map(|tie| PodAffinityTerm {
            label_selector: Some(tie.users),
            topology_key: "kubernetes.io/hostname".into(),
            ..PodAffinityTerm::default()
        })
        .collect();
    (!terms.is_empty()).then(|| Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(terms),
            ..PodAffinity::default()
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
