//! How the pods of a service are replaced.

use std::time::Duration;

use crate::api::OnFailure;

/// How pods are replaced by those of a changed definition, all defaults decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// In which order, and how many at a time.
    pub strategy: Strategy,
    /// Ready for so long, a new pod counts as available; whole seconds.
    pub min_ready: Duration,
    /// Without progress for so long, a rollout has failed; whole seconds, more than `min_ready`.
    pub deadline: Duration,
    /// What follows then.
    pub on_failure: OnFailure,
    /// Definitions that are kept to go back to; 0 where nobody asked for any.
    pub history: usize,
}

/// In which order pods are replaced, and how many at a time. Where one of the two is none, the other is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All old pods are gone before the first new one starts.
    Recreate,
    /// So many new ones beside the wanted count.
    StartFirst(Pods),
    /// So many fewer than the wanted count.
    StopFirst(Pods),
}

/// A number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// So many, at least 1.
    Count(i32),
    /// As many as there are.
    All,
}
