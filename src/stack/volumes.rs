//! Volumes, and the Jobs that fill them.

use std::collections::BTreeMap;

use serde_json::json;

use super::check::{Place, not_a_quantity};
use super::model::{Claim, Populate, Storage, Volume};
use super::{definition, env};
use crate::api::{self, AppStackSpec, PodSecurity};
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
