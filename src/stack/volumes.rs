//! Volumes, the Jobs that fill them, and who may mount them together.

use std::collections::BTreeMap;

use serde_json::json;

use super::check::{Place, not_a_quantity};
use super::model::{Claim, Mount, Populate, Problem, Service, Storage, Volume};
use super::{definition, env};
use crate::api::{self, AccessMode, AppStackSpec, Mode, PodSecurity, SpreadMode};
use crate::child::digest::Digest;

/// A volume as the pods that mount it see it.
pub(super) fn volume(
    name: &str,
    written: &api::Volume,
    spec: &AppStackSpec,
    most: PodSecurity,
    problems: &mut Place<'_>,
) -> Volume {
    let here = problems;
    let storage = || Storage {
        size: written.size.as_ref().and_then(api::Quantity::millis).unwrap_or_default() / 1000,
        storage_class_name: written.storage_class_name.clone(),
        retention: written.retention.unwrap_or_default(),
        annotations: written.annotations.clone(),
    };
    if let Some(size) = written.size.as_ref().filter(|size| size.millis().is_none()) {
        here.problem(".size", not_a_quantity(size));
    }
    let claim = match (&written.claim_name, written.per_replica) {
        (Some(existing), _) => Claim::Existing(existing.clone()),
        (None, Some(true)) => Claim::PerReplica(storage()),
        (None, _) => Claim::Own(storage()),
    };
    if written.size.is_some() == written.claim_name.is_some() {
        here.problem("", "a volume must have either size, for a claim of its own, or claimName, for one that exists");
    }
    if written.populate.is_some() && written.access_mode == Some(AccessMode::ReadWriteOncePod) {
        here.warn(
            ".populate",
            "one pod of the cluster mounts a ReadWriteOncePod volume: a changed populate waits until the pod that has it is gone; use accessMode ReadWriteOnce",
        );
    }
    let level = spec.pod_security.unwrap_or_default().min(most);
    Volume {
        claim,
        access_mode: written.access_mode.unwrap_or_default(),
        populate: written.populate.as_ref().map(|populate| self::populate(name, populate, spec, level, here)),
    }
}

fn populate(
    volume: &str,
    written: &api::Populate,
    spec: &AppStackSpec,
    pod_security: PodSecurity,
    here: &mut Place<'_>,
) -> Populate {
    let named = |key: &api::SecretKey| spec.secrets.get(&key.secret).map(|secret| secret.secret_name.clone());
    let secrets: BTreeMap<_, _> = written.secret_env.values().map(|key| (&key.secret, named(key))).collect();
    let what = definition::populate(written, spec);
    Populate {
        revision: Digest::of(&json!([volume, what, secrets])).hex8(),
        image: written.image.clone(),
        command: written.command.clone().unwrap_or_default(),
        env: env::variables(&written.env, &written.secret_env, ".populate", spec, here),
        mount_path: written.mount_path.clone().unwrap_or_else(|| definition::POPULATE_PATH.into()),
        retries: written.retries.unwrap_or(0),
        pod_security,
    }
}

/// Looks at claims that one node, or one pod, mounts at a time. True if old and new pods of the service cannot mount one side by side.
pub(super) fn claims(written: &api::Service, mounts: &[Mount], spec: &AppStackSpec, here: &mut Place<'_>) -> bool {
    let job = written.job.as_ref().and_then(|job| job.completions);
    let copies = written.autoscale.as_ref().map(|a| a.max).or(written.replicas).or(job).unwrap_or(1);
    let counted = if job.is_some() { "job.completions" } else { "replicas and autoscale.max" };
    let spread = written.spread.clone().unwrap_or_default();
    let mut exclusive = false;
    for mount in mounts {
        let Some((name, volume)) = mount.source.volume().and_then(|name| Some((name, spec.volumes.get(name)?))) else {
            continue;
        };
        if volume.per_replica == Some(true) {
            continue;
        }
        let field = format!(".mounts[{}]", mount.path);
        let mode = volume.access_mode.unwrap_or_default();
        exclusive |= match mode {
            AccessMode::ReadWriteOnce => !mount.read_only,
            // Its readers exclude each other as well.
            AccessMode::ReadWriteOncePod => true,
            AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany => false,
        };
        match mode {
            AccessMode::ReadWriteOncePod if copies > 1 => here.problem(
                &field,
                format!("volume '{name}' is ReadWriteOncePod: one pod of the cluster mounts it, to write or to read; {counted} must be at most 1"),
            ),
            AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod if written.mode == Some(Mode::Global) => here.problem(
                &field,
                format!("volume '{name}' is {}: one node mounts it at a time, and mode Global runs on every node; use accessMode ReadWriteMany, hostPath or ephemeral", mode.as_str()),
            ),
            AccessMode::ReadWriteOnce if spread.host.is_some() => here.problem(
                &field,
                format!("volume '{name}' is ReadWriteOnce: all pods that mount it share a node, so they cannot be spread over hosts; use accessMode ReadWriteMany or drop spread.host"),
            ),
            AccessMode::ReadWriteOnce if spread.zone == Some(SpreadMode::Required) => here.problem(
                &field,
                format!("volume '{name}' is ReadWriteOnce: all pods that mount it share a node, so they cannot be spread over zones; use accessMode ReadWriteMany, or spread.zone: Preferred"),
            ),
            AccessMode::ReadWriteOnce if copies > 1 && !mount.read_only => here.warn(
                &field,
                format!("volume '{name}' is ReadWriteOnce: all {copies} pods share one node and the same files"),
            ),
            _ => {}
        }
    }
    exclusive
}

/// Every mount of a claim for one pod that another service has taken already.
pub(super) fn shared_by_pods(services: &BTreeMap<String, Service>, spec: &AppStackSpec) -> Vec<Problem> {
    let mut taken: BTreeMap<(bool, &String), &String> = BTreeMap::new();
    let mut found = Vec::new();
    for (service, mount) in services.iter().flat_map(|(name, service)| service.mounts.iter().map(move |m| (name, m))) {
        let Some((name, volume)) = mount.source.volume().and_then(|name| Some((name, spec.volumes.get(name)?))) else {
            continue;
        };
        if volume.access_mode != Some(AccessMode::ReadWriteOncePod) || volume.per_replica == Some(true) {
            continue;
        }
        let claim = volume.claim_name.as_ref().map_or((false, name), |claim| (true, claim));
        let first = *taken.entry(claim).or_insert(service);
        if first != service {
            let message = format!(
                "volume '{name}' is ReadWriteOncePod: one pod of the cluster mounts it, and '{first}' does, so '{service}' cannot; use accessMode ReadWriteOnce or ReadWriteMany"
            );
            found.push(Problem::new(format!("spec.services[{service}].mounts[{}]", mount.path), message));
        }
    }
    found
}
