//! Which volumes of a stack are meant, and what else its services mount.

use std::collections::BTreeSet;

use super::bundle::Id;
use crate::api::AppStack;
use crate::cli::copy::helper::{Helper, claims_of_replicas};
use crate::stack::{Source, Stack};

/// A volume that is meant, and what reaches it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) id: Id,
    pub(super) helper: Helper,
}

/// How helpers are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making<'a> {
    pub(super) image: Option<&'a str>,
    pub(super) seconds: u64,
    pub(super) purpose: &'a str,
}

/// Those that are asked for, which must be there; all that are there, where none is.
pub(super) fn choose(
    stack: &Stack,
    claims: &BTreeSet<String>,
    asked: &[Id],
    making: Making<'_>,
) -> Result<Vec<Chosen>, Vec<String>> {
    let wanted: Vec<Id> = if asked.is_empty() {
        stack.volumes.keys().flat_map(|name| ids(stack, name, claims)).collect()
    } else {
        let each = |id: &Id| {
            let is_one = id.replica.is_some() || claims_of_replicas(stack, &id.volume).is_none();
            if is_one { vec![id.clone()] } else { ids(stack, &id.volume, claims) }
        };
        let all: BTreeSet<Id> = asked.iter().flat_map(each).collect();
        all.into_iter().collect()
    };
    let (mut chosen, mut problems) = (Vec::new(), Vec::new());
    for id in wanted {
        match Helper::of(stack, &id.volume, id.replica, making.image, making.seconds) {
            Err(why) => problems.push(why),
            Ok(helper) if claims.contains(&helper.claim) => {
                chosen.push(Chosen { id, helper: helper.named(&stack.name, making.purpose) });
            }
            Ok(_) if asked.is_empty() => {}
            Ok(helper) => problems.push(format!(
                "claim {} of volume {id} is not there; apply the stack first (`stopped: true` starts nothing of it)",
                helper.claim
            )),
        }
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}

/// A volume as it is, or one for each pod that has, or had, its own.
fn ids(stack: &Stack, volume: &str, claims: &BTreeSet<String>) -> Vec<Id> {
    let Some(prefix) = claims_of_replicas(stack, volume) else {
        return vec![Id { volume: volume.to_owned(), replica: None }];
    };
    let mut numbers: Vec<u32> = claims.iter().filter_map(|claim| claim.strip_prefix(&prefix)?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| Id { volume: volume.to_owned(), replica: Some(number) }).collect()
}

/// What a backup of these volumes leaves out, each with the reason.
pub(super) fn skipped(written: &AppStack, stack: &Stack, chosen: &[Chosen]) -> Vec<String> {
    let mut left = BTreeSet::new();
    for name in written.spec.volumes.keys().filter(|name| chosen.iter().all(|one| one.id.volume != **name)) {
        let why =
            if stack.volumes.contains_key(name) { "not asked for, or without a claim" } else { "no service mounts it" };
        left.insert(format!("volume {name} ({why})"));
    }
    for (service, mount) in stack.services.iter().flat_map(|(name, s)| s.mounts.iter().map(move |mount| (name, mount)))
    {
        let path = &mount.path;
        left.insert(match &mount.source {
            Source::Volume { .. } => continue,
            Source::Config { name, .. } => format!("config {name} (it is in the stack itself)"),
            Source::ConfigMap { config_map_name: name, .. } => format!("ConfigMap {name}"),
            Source::Secret { secret_name: name, .. } => format!("Secret {name}"),
            Source::Tmpfs { .. } => format!("tmpfs at {path} of {service}"),
            Source::Ephemeral { .. } => format!("ephemeral volume at {path} of {service} (it goes with the pod)"),
            Source::HostPath { path: of_node, .. } => format!("path {of_node} of the node, at {path} of {service}"),
            Source::Image { reference, .. } => format!("image {reference} at {path} of {service}"),
        });
    }
    left.into_iter().collect()
}
