//! How far a workload has come, from its own status and nothing else.

use crate::child::{Child, labels};

/// How far the rollout of a service's workload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// There is none, it is of another revision, or its controller has not looked at it yet.
    NotYet,
    /// Pods are being made or replaced.
    Rolling,
    /// Without progress until its deadline.
    Overdue,
    /// Its rollout was complete once, and not all of its pods are available now.
    Finished,
    /// All pods are there, of this revision, and available.
    Complete,
}

/// Judges a workload that should be of `revision`.
///
/// `observedGeneration` is asked first: a status from before the last write says nothing. `Complete` wants every count to agree, so no
/// old pod is left. `Finished` rests on the Deployment controller's own memory, the reason of its `Progressing` condition, which stays when a
/// node goes away later; a roll back to an earlier ReplicaSet leaves that reason in place for a moment, which the counts tell apart.
pub fn progress(workload: Option<&Child>, revision: &str) -> Progress {
    let Some(child) =
        workload.filter(|child| child.annotation(labels::REVISION) == Some(revision) && !child.is_going())
    else {
        return Progress::NotYet;
    };
    let facts = &child.facts;
    if child.meta.generation.is_none_or(|generation| facts.observed_generation < generation) {
        return Progress::NotYet;
    }
    let wanted = facts.spec_replicas.unwrap_or(1);
    let no_surplus = facts.replicas == facts.updated_replicas;
    let progressing = facts.condition("Progressing");
    let reason = progressing.map_or("", |c| c.reason.as_str());
    if no_surplus && facts.updated_replicas == wanted && facts.available_replicas >= wanted {
        Progress::Complete
    } else if reason == "ProgressDeadlineExceeded" {
        Progress::Overdue
    } else if reason == "NewReplicaSetAvailable" && no_surplus && (facts.updated_replicas > 0 || wanted == 0) {
        Progress::Finished
    } else {
        Progress::Rolling
    }
}

/// Whether some pod of this revision has run its container, however it ended.
pub fn has_started<'a>(mut pods: impl Iterator<Item = &'a Child>, revision: &str) -> bool {
    pods.any(|pod| pod.annotation(labels::REVISION) == Some(revision) && pod.facts.pod.has_run)
}
