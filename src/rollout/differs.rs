//! Whether a live child is as it should be.

use super::planner::Seen;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Wanted;

/// How a live child compares with the wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Nothing to send.
    None,
    /// We render it in another way than when it was last sent, and nobody has touched it: waits for the next change of the definition, so
    /// that a new version of the operator replaces no pods.
    RenderingOnly,
    /// What is wanted has changed, or somebody has changed what is there.
    Real,
}

/// Compares digests. A pair of (sent, read back) that one write has already failed to bring together is left alone: a foreign hand is inside an
/// empty map of ours, or a webhook changes what we send.
pub(super) fn difference(
    id: &ChildId,
    wanted: &Wanted,
    live: &Child,
    revision: Option<&str>,
    seen: &Seen<'_>,
) -> Difference {
    // Of an earlier stack of this name: the garbage collector is after it.
    let owner = wanted.object["metadata"]["ownerReferences"][0]["uid"].as_str();
    if live.owner().map(|owner| owner.uid.as_str()) != owner {
        return Difference::Real;
    }
    if live.digest == Some(wanted.digest) {
        return Difference::None;
    }
    let settled = seen.settled.get(id).map(|settled| settled.digests);
    if live.digest.is_some_and(|got| settled == Some((wanted.digest, got))) {
        return Difference::None;
    }
    if revision.is_none() || live.annotation(labels::REVISION) != revision {
        return Difference::Real;
    }
    let spec = &wanted.object["spec"];
    let same_template = live.facts.template == Some(Digest::of(&spec["template"]));
    let same_claims = live
        .facts
        .claim_templates
        .as_ref()
        .is_none_or(|(claims, _)| *claims == Digest::of(&spec["volumeClaimTemplates"]));
    let untouched = live.digest.map(|d| d.to_string()).as_deref() == live.annotation(labels::SENT);
    match id.kind {
        // What differs replaces no pod.
        _ if same_template || !same_claims => Difference::Real,
        // Its template cannot be changed: what is there was rendered by another version, and does the same.
        Kind::Job => Difference::RenderingOnly,
        kind if kind.starts_pods() && untouched => Difference::RenderingOnly,
        _ => Difference::Real,
    }
}
