//! Whether a live child is as it should be.

use super::planner::Seen;
use crate::child::{Child, ChildId, labels};
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
    if live.digest.is_some_and(|got| seen.settled.get(id) == Some(&(wanted.digest, got))) {
        return Difference::None;
    }
    let same_definition = revision.is_some() && live.annotation(labels::REVISION) == revision;
    let untouched = live.digest.map(|d| d.to_string()).as_deref() == live.annotation(labels::SENT);
    if id.kind.starts_pods() && same_definition && untouched { Difference::RenderingOnly } else { Difference::Real }
}
