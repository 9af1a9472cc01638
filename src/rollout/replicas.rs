//! Who says how many pods there are. One owner at a time: the main apply, or the autoscaler (T6, T29).

use crate::child::{Child, ReplicasOwner, labels};
use crate::stack::Scale;

/// What a write of the workload says about its count, and whether the count alone calls for a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is asked by itself
pub(super) struct Replicas {
    /// `spec.replicas` of the body; none leaves it to its owner.
    pub(super) state: Option<i32>,
    /// The stated count is the live one: the write must fail if that has moved.
    pub(super) pin: bool,
    /// The count has to change.
    pub(super) change: bool,
    /// Pods start where there were none.
    pub(super) from_zero: bool,
    /// Remembered on the workload: the count that an autoscaler leaves behind, where the stack names none.
    pub(super) keep: Option<String>,
    /// `keep` is not on the workload yet, or no longer right.
    pub(super) keep_differs: bool,
}

/// The count that a workload is created with.
pub fn first_count(scale: &Scale) -> i32 {
    match scale {
        Scale::Fixed(count) => count.unwrap_or(1),
        Scale::Auto(auto) => auto.min.max(1),
    }
}

/// No pods at all: the stack is stopped. What an autoscaler follows is left in place, inert (T8).
/// The count that an autoscaler left behind stays noted down.
pub(super) fn none(scale: &Scale, live: Option<&Child>) -> Replicas {
    let facts = live.map(|live| &live.facts);
    let change = facts.is_some_and(|facts| facts.spec_replicas != Some(0));
    let left = facts.filter(|facts| facts.replicas_owner == ReplicasOwner::Autoscaler).and_then(|f| f.spec_replicas);
    let noted = live.and_then(|live| live.annotation(labels::KEPT_REPLICAS)).map(str::to_owned);
    let keep = noted.or(left.filter(|count| *count > 0).map(|count| count.to_string()));
    Replicas { state: Some(0), change, keep: keep.filter(|_| *scale == Scale::Fixed(None)), ..Replicas::default() }
}

/// Decides for a workload that is live (or absent), with an autoscaler of ours that is live (or not).
///
/// - Created: the count, or the autoscaler's minimum, so that nothing starts at one and jumps; or as many as there are `running` pods of its own that an
///   earlier object left behind.
/// - Under an autoscaler: as long as our own apply owns the field it must go on stating it, at its live value, or the count would fall
///   to one; once the autoscaler has moved it, never again. A count of 0 would switch the autoscaler off for good, and is put right.
/// - While the autoscaler is on its way out: as before; and where the stack names no count, and managedFields will not tell later that this one was
///   the autoscaler's, it is noted down.
/// - Without one: the stack's count, else the one noted down, else one; what the autoscaler still owns is left as it is.
pub(super) fn decide(scale: &Scale, live: Option<&Child>, autoscaler_is_live: bool, running: i32) -> Replicas {
    let first = first_count(scale);
    let Some(live) = live else {
        let left = match scale {
            Scale::Auto(auto) => running.min(auto.max),
            Scale::Fixed(None) => running,
            Scale::Fixed(Some(_)) => 0,
        };
        return Replicas { state: Some(first.max(left)), from_zero: first > 0, ..Replicas::default() };
    };
    let now = live.facts.spec_replicas.unwrap_or(1);
    let owner = live.facts.replicas_owner;
    let noted = live.annotation(labels::KEPT_REPLICAS);
    let stated = |count: i32| Replicas {
        state: Some(count),
        change: count != now,
        from_zero: now == 0 && count > 0,
        ..Replicas::default()
    };
    let as_it_is = || Replicas {
        state: (owner == ReplicasOwner::Ours).then_some(now),
        pin: owner == ReplicasOwner::Ours,
        ..Replicas::default()
    };
    match scale {
        Scale::Auto(_) if now == 0 => stated(first),
        Scale::Auto(_) => as_it_is(),
        Scale::Fixed(count) if autoscaler_is_live => {
            // None at all is no count that an autoscaler left behind: the stack was stopped.
            let left = if now > 0 { Some(now.to_string()) } else { noted.map(str::to_owned) };
            let keep = left.filter(|_| count.is_none() && owner != ReplicasOwner::Autoscaler);
            Replicas { keep_differs: keep.is_some() && keep.as_deref() != noted, keep, ..as_it_is() }
        }
        // A count noted down earlier goes with the next apply.
        Scale::Fixed(Some(count)) => stated(*count),
        Scale::Fixed(None) => {
            let keep = noted.map(str::to_owned);
            if owner == ReplicasOwner::Autoscaler {
                return Replicas { keep, ..Replicas::default() };
            }
            Replicas { keep: keep.clone(), ..stated(keep.and_then(|n| n.parse().ok()).unwrap_or(1)) }
        }
    }
}
