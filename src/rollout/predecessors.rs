//! What has to be gone before a workload is made or made anew.
//!
//! A service that changes its mode gets the new workload first and loses the old one when the new one is complete, since both may live side by side; but
//! where a volume has room for one writer only, and for Jobs, the old one goes first.

use super::jobs::has_ended;
use super::parts::OfService;
use super::plan::Delete;
use super::planner::Seen;
use super::prune;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Wanted;
use crate::stack::{Service, Stack};

/// What goes first.
#[derive(Default)]
pub(super) struct First {
    pub(super) deletes: Vec<Delete>,
    /// Something is still there, or was a moment ago.
    pub(super) wait: bool,
}

/// Looks at a workload that would be written now.
pub(super) fn of(
    stack: &Stack,
    service: &Service,
    id: &ChildId,
    wanted: &Wanted,
    live: Option<&Child>,
    seen: &Seen<'_>,
    parts: &OfService<'_>,
) -> First {
    if let Some(live) = live {
        return made_anew(id, wanted, live, seen);
    }
    let mut first = First::default();
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
            _ => service.writes_exclusive_claim,
        };
        if in_the_way {
            first.wait = true;
            if !child.is_going() {
                first.deletes.push(Delete { id: other.clone(), child: child.clone(), orphan: false });
            }
        }
    }
    first.wait |= parts.pods.iter().any(|pod| is_left_over(id.kind, service, pod));
    first
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
    kind == Kind::Job || owner == "Job" || (service.writes_exclusive_claim && (owner != expected || pod.is_going()))
}

/// The claims that a StatefulSet makes cannot be changed: it goes without its pods, and its successor takes them up, without a restart.
fn made_anew(id: &ChildId, wanted: &Wanted, live: &Child, seen: &Seen<'_>) -> First {
    let claims = &wanted.object["spec"]["volumeClaimTemplates"];
    let same = live.facts.claim_templates.is_none_or(|there| there == crate::child::digest::Digest::of(claims));
    match seen.children.get(id).filter(|_| id.kind == Kind::StatefulSet && !same) {
        Some(child) => {
            First { deletes: vec![Delete { id: id.clone(), child: child.clone(), orphan: true }], wait: true }
        }
        None => First::default(),
    }
}
