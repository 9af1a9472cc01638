//! How many pods there are, and what each may use.

use std::collections::BTreeMap;

use super::check::{Place, not_a_quantity};
use super::model::{Autoscale, Job, Resources, Scale, Workload};
use super::size;
use crate::api::{self, AppStackSpec, Mode};

/// What a plugin for graphics processors of the most common maker calls them.
pub(super) const GPU: &str = "nvidia.com/gpu";

/// What runs the pods of a service.
pub(super) fn workload(written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> Workload {
    let per_replica: Vec<&String> = written
        .mounts
        .iter()
        .filter(|(_, mount)| {
            mount.volume.as_ref().and_then(|name| spec.volumes.get(name)).is_some_and(|v| v.per_replica == Some(true))
        })
        .map(|(path, _)| path)
        .collect();
    let mode = written.mode.unwrap_or_default();
    if mode != Mode::Replicated {
        for path in &per_replica {
            here.problem(
                &format!(".mounts[{path}]"),
                format!("a perReplica volume goes with mode Replicated, not {mode:?}"),
            );
        }
        if written.replicas.is_some() || written.autoscale.is_some() {
            here.problem(".mode", "replicas and autoscale go with mode Replicated");
        }
    }
    match mode {
        Mode::Replicated if per_replica.is_empty() => Workload::Deployment,
        Mode::Replicated => Workload::StatefulSet,
        Mode::Global => Workload::DaemonSet,
        Mode::Job => {
            let job = written.job.clone().unwrap_or_default();
            Workload::Job(Job {
                retries: job.retries.unwrap_or(0),
                deadline: job.deadline.as_ref().map(|written| here.duration(".job.deadline", Some(written), 0)),
                completions: job.completions.unwrap_or(1),
            })
        }
    }
}

/// How many pods.
pub(super) fn scale(written: &api::Service, here: &mut Place<'_>) -> Scale {
    let Some(auto) = &written.autoscale else { return Scale::Fixed(written.replicas) };
    Scale::Auto(Autoscale {
        min: auto.min.unwrap_or(1),
        max: auto.max,
        cpu_percent: auto.cpu_percent,
        memory_percent: auto.memory_percent,
        scale_down_after: auto
            .scale_down_after
            .as_ref()
            .map(|after| here.duration(".autoscale.scaleDownAfter", Some(after), 300)),
    })
}

/// Requests and limits. A device is a limit: its request follows (Kubernetes allows no other).
///
/// <https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/>
pub(super) fn resources(written: &api::Service, here: &mut Place<'_>) -> Resources {
    let mut resources = written.resources.as_ref().map(|r| amounts(r, here)).unwrap_or_default();
    if let Some(gpu) = &written.gpu {
        let name = gpu.resource.clone().unwrap_or_else(|| GPU.to_owned());
        resources.limits.insert(name, gpu.count.to_string());
    }
    resources
}

fn amounts(written: &api::Resources, here: &mut Place<'_>) -> Resources {
    let mut amounts = |path: &str, amounts: Option<&api::Amounts>| {
        let Some(amounts) = amounts else { return BTreeMap::new() };
        let fields =
            [("cpu", &amounts.cpu), ("memory", &amounts.memory), ("ephemeral-storage", &amounts.ephemeral_storage)];
        let mut canonical = BTreeMap::new();
        for (name, quantity) in fields {
            let Some(quantity) = quantity else { continue };
            match quantity.millis() {
                Some(millis) if name == "cpu" => canonical.insert(name.to_owned(), size::cores(millis)),
                Some(millis) => canonical.insert(name.to_owned(), size::bytes(millis / 1000)),
                None => {
                    here.problem(&format!(".resources.{path}.{name}"), not_a_quantity(quantity));
                    None
                }
            };
        }
        canonical
    };
    Resources {
        requests: amounts("requests", written.requests.as_ref()),
        limits: amounts("limits", written.limits.as_ref()),
    }
}
