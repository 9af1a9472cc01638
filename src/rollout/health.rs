//! How far a workload has come, from its own status and nothing else.

use crate::child::{Child, Kind, labels};

/// How far the rollout of a service's workload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// There is none, it is of another revision, or its controller has not looked at it yet.
    NotYet,
    /// Pods are being made or replaced; a Job runs.
    Rolling,
    /// Without progress until its deadline.
    Overdue,
    /// A Job that has used up its tries.
    Failed,
    /// Its rollout was complete once, and not all of its pods are available now.
    Finished,
    /// All pods are there, of this revision, and available; a Job has succeeded.
    Complete,
}

/// Judges a workload that should be of `revision`.
///
/// `observedGeneration` is asked first: a status from before the last write says nothing. `Complete` wants every count to agree, so no
/// old pod is left.
pub fn progress(kind: Kind, workload: Option<&Child>, revision: &str) -> Progress {
    let Some(child) =
        workload.filter(|child| child.annotation(labels::REVISION) == Some(revision) && !child.is_going())
    else {
        return Progress::NotYet;
    };
    if kind == Kind::Job {
        return of_job(child);
    }
    let facts = &child.facts;
    if child.meta.generation.is_none_or(|generation| facts.observed_generation < generation) {
        return Progress::NotYet;
    }
    // A DaemonSet is for as many nodes as its controller says, none at first.
    let wanted = facts.spec_replicas.unwrap_or(i32::from(kind != Kind::DaemonSet));
    let no_surplus = facts.replicas == facts.updated_replicas;
    if no_surplus && facts.updated_replicas == wanted && facts.available_replicas >= wanted {
        return Progress::Complete;
    }
    match kind {
        Kind::Deployment => of_deployment(child, no_surplus, wanted),
        // They keep no memory of their first rollout: once every pod is of this revision and one is available, it counts as complete before.
        _ if no_surplus && facts.updated_replicas == wanted && facts.available_replicas > 0 => Progress::Finished,
        _ => Progress::Rolling,
    }
}

/// `Finished` rests on the Deployment controller's own memory, the reason of its `Progressing` condition, which stays when a node goes away later; a roll
/// back to an earlier ReplicaSet leaves that reason in place for a moment, which the counts tell apart.
fn of_deployment(child: &Child, no_surplus: bool, wanted: i32) -> Progress {
    let reason = child.facts.condition("Progressing").map_or("", |c| c.reason.as_str());
    if reason == "ProgressDeadlineExceeded" {
        Progress::Overdue
    } else if reason == "NewReplicaSetAvailable" && no_surplus && (child.facts.updated_replicas > 0 || wanted == 0) {
        Progress::Finished
    } else {
        Progress::Rolling
    }
}

fn of_job(job: &Child) -> Progress {
    let is = |r#type: &str| job.facts.condition(r#type).is_some_and(|c| c.status == "True");
    if is("Complete") {
        Progress::Complete
    } else if is("Failed") {
        Progress::Failed
    } else {
        Progress::Rolling
    }
}

/// Whether some pod of this revision has run its container, however it ended.
pub fn has_started<'a>(mut pods: impl Iterator<Item = &'a Child>, revision: &str) -> bool {
    pods.any(|pod| pod.annotation(labels::REVISION) == Some(revision) && pod.facts.pod.has_run)
}

/// What ails the pods of this revision, or keeps one from starting: reason and message.
pub fn trouble<'a>(pods: impl Iterator<Item = &'a Child>, revision: &str) -> Option<(String, String)> {
    let mut there = pods.filter(|pod| !pod.is_going() && pod.annotation(labels::REVISION) == Some(revision));
    there.find_map(|pod| {
        let facts = &pod.facts;
        // An event says what a pod waited for once; it may have gone on since.
        let reported = || facts.reported.clone().filter(|_| !facts.pod.has_run && !facts.pod.ended);
        facts.pod.trouble.clone().or_else(reported)
    })
}

/// Why a workload cannot make its pods: quota, Pod Security, a missing ServiceAccount. Deployments say so themselves, others by events alone (T17), which
/// count as long as pods are missing.
pub fn refused_pods(workload: &Child) -> Option<(String, String)> {
    let facts = &workload.facts;
    let condition = facts.condition("ReplicaFailure").filter(|c| c.status == "True");
    let missing = facts.replicas < facts.spec_replicas.unwrap_or(1) && facts.ready_replicas + facts.succeeded == 0;
    condition.map(|c| (c.reason.clone(), c.message.clone())).or_else(|| facts.reported.clone().filter(|_| missing))
}
