//! What has to be gone before a workload is made or made anew.
//!
//! A service that changes its mode gets the new workload first and loses the old one when the new one is complete, since both may live side by side; but
//! where a volume has room for one writer only, where ports of the node are held, and for Jobs, the old one goes first. So does a service that is gone from
//! the stack, where another one is to write its volume.

use std::collections::BTreeSet;

use super::parts::OfService;
use super::plan::Delete;
use super::planner::Seen;
use super::populate::has_ended;
use super::prune;
use crate::api::AccessMode;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Wanted;
use crate::stack::{Claim, Service, Stack, names};

/// What goes first.
#[derive(Default)]
pub(super) struct First {
    pub(super) deletes: Vec<Delete>,
    /// Something is still there, or was a moment ago.
    pub(super) wait: bool,
}

/// Looks at a workload that would be written now, for the first time or again.
pub(super) fn of(
    stack: &Stack,
    service: &Service,
    id: &ChildId,
    wanted: &Wanted,
    live: Option<&Child>,
    seen: &Seen<'_>,
    parts: &OfService<'_>,
) -> First {
    let mut first = live.map(|live| made_anew(id, wanted, live, seen)).unwrap_or_default();
    // One that is there lives beside its predecessor, until it is to write or hold what the other has.
    if live.is_some() && (id.kind == Kind::Job || !service.is_alone_on_its_node()) {
        return first;
    }
    for (other, child) in seen.children {
        let is_predecessor = other.kind.starts_pods()
            && other != id
            && child.label(labels::SERVICE) == service.name
            && prune::is_ours(stack, other, child);
        if !is_predecessor {
            continue;
        }
        let in_the_way = match (id.kind, other.kind) {
            (_, Kind::Job) => !has_ended(child),
            (Kind::Job, _) => true,
            _ => service.is_alone_on_its_node(),
        };
        if in_the_way {
            first.wait = true;
            if !child.is_going() {
                first.deletes.push(Delete { id: other.clone(), child: child.clone(), orphan: false });
            }
        }
    }
    first.wait |= parts.pods.iter().any(|pod| is_left_over(id.kind, service, pod));
    if service.writes_exclusive_claim {
        gone_users(stack, &exclusive_claims(stack, service), seen, &mut first);
    }
    first
}

/// Claims of a service that have room for it alone: it writes what one node mounts, or mounts what is for one pod.
fn exclusive_claims(stack: &Stack, service: &Service) -> BTreeSet<String> {
    let claims = service.mounts.iter().filter_map(|mount| {
        let name = mount.source.volume()?;
        let volume = stack.volumes.get(name)?;
        let alone = match volume.access_mode {
            AccessMode::ReadWriteOnce => !mount.read_only,
            AccessMode::ReadWriteOncePod => true,
            AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany => false,
        };
        match &volume.claim {
            Claim::Own(_) if alone => Some(names::joined(&[&stack.name, name])),
            Claim::Existing(claim) if alone => Some(claim.clone()),
            Claim::Own(_) | Claim::Existing(_) | Claim::PerReplica(_) => None,
        }
    });
    claims.collect()
}

/// Services that are gone from the stack stay until the others are at rest, but not those that mount such a claim: a service that was renamed is the
/// next to write it. Services that share it by what is written in the stack are left to each other.
fn gone_users(stack: &Stack, claims: &BTreeSet<String>, seen: &Seen<'_>, first: &mut First) {
    for (id, child) in seen.children {
        let names = [child.label(labels::SERVICE), child.label(labels::JOB)];
        let is_gone = names != ["", ""] && names.iter().all(|name| !stack.services.contains_key(*name));
        if !is_gone || child.facts.claims.is_disjoint(claims) {
            continue;
        }
        if id.kind == Kind::Pod {
            first.wait |= !child.facts.pod.ended;
        } else if id.kind.starts_pods() && prune::is_ours(stack, id, child) && !has_ended(child) {
            first.wait = true;
            if !child.is_going() {
                first.deletes.push(Delete { id: id.clone(), child: child.clone(), orphan: false });
            }
        }
    }
}

/// Whether a pod of an earlier workload keeps the next one from starting.
fn is_left_over(kind: Kind, service: &Service, pod: &Child) -> bool {
    let owner = pod.owner().map_or("", |owner| owner.kind.as_str());
    let expected = match kind {
        Kind::Deployment => "ReplicaSet",
        Kind::StatefulSet => "StatefulSet",
        Kind::DaemonSet => "DaemonSet",
        _ => "Job",
    };
    if pod.facts.pod.ended {
        return false;
    }
    // Pods that a StatefulSet left behind are taken up by the next one.
    let is_adopted = owner == expected || (kind == Kind::StatefulSet && owner.is_empty());
    kind == Kind::Job || owner == "Job" || (service.is_alone_on_its_node() && (!is_adopted || pod.is_going()))
}

/// What cannot be changed is made anew:
/// - the claims that a StatefulSet makes: it goes without its pods, and its successor takes them up without a restart; with them where they lack a
///   claim that is new, which no pod can be given;
/// - the template of a Job that was suspended and is to go on, where another version of the operator renders it otherwise.
fn made_anew(id: &ChildId, wanted: &Wanted, live: &Child, seen: &Seen<'_>) -> First {
    let Some(child) = seen.children.get(id) else { return First::default() };
    let spec = &wanted.object["spec"];
    let anew = |orphan| First { deletes: vec![Delete { id: id.clone(), child: child.clone(), orphan }], wait: true };
    match id.kind {
        Kind::StatefulSet => {
            let claims = &spec["volumeClaimTemplates"];
            let Some((digest, names)) = &live.facts.claim_templates else { return First::default() };
            if *digest == Digest::of(claims) {
                return First::default();
            }
            let mut wanted =
                claims.as_array().into_iter().flatten().filter_map(|claim| claim["metadata"]["name"].as_str());
            anew(wanted.all(|name| names.contains(name)))
        }
        Kind::Job if live.facts.suspended && live.facts.template != Some(Digest::of(&spec["template"])) => anew(false),
        _ => First::default(),
    }
}
