//! What runs the pods of a service: a Deployment, StatefulSet, DaemonSet or Job.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec, DeploymentStrategy,
    RollingUpdateDaemonSet, RollingUpdateDeployment, StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::{Part, Settings, claim, job, metadata, patch, pod};
use crate::api::Retention;
use crate::child::{Kind, labels};
use crate::stack::{Claim, Pods, Scale, Service, Stack, Strategy, Workload, names};

/// The workload of a service, without a count: whoever writes it states that (`rollout::replicas`). None while nothing is to run that has no count.
pub(super) fn workload(stack: &Stack, service: &Service, settings: &Settings) -> Option<(Kind, Value)> {
    let kind = kind(service);
    let template = pod::template(stack, service, settings);
    let object = match &service.workload {
        Workload::Deployment => super::json(deployment(stack, service, template)),
        Workload::StatefulSet => super::json(stateful_set(stack, service, template)),
        Workload::DaemonSet if stack.stopped => return None,
        Workload::DaemonSet => super::json(daemon_set(stack, service, template)),
        Workload::Job(wanted) => super::json(job::job(stack, service, wanted, template)),
    };
    Some((kind, patch::patched(object, service)))
}

/// What kind of object runs a service's pods.
pub(super) fn kind(service: &Service) -> Kind {
    match service.workload {
        Workload::Deployment => Kind::Deployment,
        Workload::StatefulSet => Kind::StatefulSet,
        Workload::DaemonSet => Kind::DaemonSet,
        Workload::Job(_) => Kind::Job,
    }
}

/// `<stack>-<service>`: the name of a service's workload, and of what sets its count.
pub(super) fn name(stack: &Stack, service: &Service) -> String {
    names::joined(&[&stack.name, &service.name])
}

/// Metadata of a workload: it says from which revision it was made.
pub(super) fn meta(stack: &Stack, service: &Service, name: String) -> ObjectMeta {
    let mut meta = metadata::owned(stack, name, &Part::Service(service.name.clone()));
    meta.annotations = Some(BTreeMap::from([(labels::REVISION.into(), service.revision.clone())]));
    meta
}

fn selector(stack: &Stack, service: &Service) -> LabelSelector {
    let part = Part::Service(service.name.clone());
    LabelSelector { match_labels: Some(metadata::identity(stack, &part)), match_expressions: None }
}

fn deployment(stack: &Stack, service: &Service, template: PodTemplateSpec) -> Deployment {
    Deployment {
        metadata: meta(stack, service, name(stack, service)),
        spec: Some(DeploymentSpec {
            min_ready_seconds: min_ready(service),
            progress_deadline_seconds: i32::try_from(service.update.deadline.as_secs()).ok(),
            selector: selector(stack, service),
            strategy: Some(strategy(service)),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Always in full: a strategy that was defaulted cannot be changed by apply (T11).
///
/// `RollingUpdate` counts a pod that is stopping as gone and starts the next one beside it; only `Recreate` waits for its end. So that is what `StopFirst` is where it
/// stops all pods at a time anyway.
fn strategy(service: &Service) -> DeploymentStrategy {
    let stops_all = matches!(service.update.strategy, Strategy::StopFirst(pods) if covers(pods, &service.scale));
    let Some((surge, unavailable)) = surge_and_unavailable(service).filter(|_| !stops_all) else {
        return DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None };
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment { max_surge: Some(surge), max_unavailable: Some(unavailable) }),
    }
}

/// Whether so many at a time are all pods that there may be.
fn covers(pods: Pods, scale: &Scale) -> bool {
    let most = match scale {
        Scale::Fixed(count) => count.unwrap_or(1),
        Scale::Auto(auto) => auto.max,
    };
    match pods {
        Pods::All => true,
        Pods::Count(count) => count >= most,
    }
}

/// Pods above and below the wanted count while they are replaced; none: all old ones go first.
fn surge_and_unavailable(service: &Service) -> Option<(IntOrString, IntOrString)> {
    let none = IntOrString::Int(0);
    match service.update.strategy {
        Strategy::Recreate => None,
        Strategy::StartFirst(pods) => Some((at_a_time(pods), none)),
        Strategy::StopFirst(pods) => Some((none, at_a_time(pods))),
    }
}

/// All of them are a percentage: their count has an owner of its own.
fn at_a_time(pods: Pods) -> IntOrString {
    match pods {
        Pods::Count(count) => IntOrString::Int(count),
        Pods::All => IntOrString::String("100%".into()),
    }
}

/// None where it is 0, which the server does not keep.
fn min_ready(service: &Service) -> Option<i32> {
    i32::try_from(service.update.min_ready.as_secs()).ok().filter(|seconds| *seconds > 0)
}

/// Its pods start at once, as Compose's replicas do, and find each other by the in-stack Service. Their claims go only if all its volumes say so.
fn stateful_set(stack: &Stack, service: &Service, template: PodTemplateSpec) -> StatefulSet {
    let claims = claim_templates(stack, service);
    let retention =
        if claims.iter().all(|(retention, _)| *retention == Retention::Delete) { "Delete" } else { "Retain" };
    StatefulSet {
        metadata: meta(stack, service, name(stack, service)),
        spec: Some(StatefulSetSpec {
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(retention.into()),
                when_scaled: Some("Retain".into()),
            }),
            min_ready_seconds: min_ready(service),
            pod_management_policy: Some("Parallel".into()),
            selector: selector(stack, service),
            service_name: Some(service.name.clone()),
            template,
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: None,
            }),
            volume_claim_templates: Some(claims.into_iter().map(|(_, claim)| claim).collect()),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn claim_templates(stack: &Stack, service: &Service) -> Vec<(Retention, PersistentVolumeClaim)> {
    let mut names: Vec<&String> = service.mounts.iter().filter_map(|mount| mount.source.volume()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let volume = stack.volumes.get(name)?;
            let Claim::PerReplica(storage) = &volume.claim else { return None };
            Some((storage.retention, claim::template(stack, name, storage, volume.access_mode)))
        })
        .collect()
}

fn daemon_set(stack: &Stack, service: &Service, template: PodTemplateSpec) -> DaemonSet {
    let rolling_update = surge_and_unavailable(service).map(|(surge, unavailable)| RollingUpdateDaemonSet {
        max_surge: Some(surge),
        max_unavailable: Some(unavailable),
    });
    DaemonSet {
        metadata: meta(stack, service, name(stack, service)),
        spec: Some(DaemonSetSpec {
            min_ready_seconds: min_ready(service),
            selector: selector(stack, service),
            template,
            update_strategy: Some(DaemonSetUpdateStrategy { type_: Some("RollingUpdate".into()), rolling_update }),
            ..DaemonSetSpec::default()
        }),
        status: None,
    }
}
