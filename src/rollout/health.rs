//! How far a workload has come, from its own status and nothing else.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::child::{Child, Kind, labels};

/// How far the rollout of a service's workload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// There is none, it is of another revision, or its controller has not looked at it yet.
    NotYet,
    /// Pods are being made or replaced; a Job runs.
    Rolling,
    /// Without progress until its deadline, as a Deployment says of itself; for a StatefulSet and a DaemonSet see [`stands_still_from`].
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
pub fn progress<'a>(
    kind: Kind,
    workload: Option<&Child>,
    revision: &str,
    pods: impl Iterator<Item = &'a Child>,
) -> Progress {
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
        Kind::Deployment => of_deployment(child, no_surplus, wanted, revision, pods),
        // They keep little memory of a complete rollout: all pods of this revision, and all but one available, is taken for that.
        _ if no_surplus
            && facts.updated_replicas == wanted
            && facts.available_replicas >= (wanted - 1).max(1)
            && facts.current_revision == facts.update_revision =>
        {
            Progress::Finished
        }
        _ => Progress::Rolling,
    }
}

/// `Finished` rests on the Deployment controller's own memory, the reason of its `Progressing` condition, which stays when a node goes away later. It stays
/// for a moment when another ReplicaSet is to follow, too: the counts, and the ReplicaSet that its message names, tell that apart. So does a deadline that an
/// earlier ReplicaSet has passed.
fn of_deployment<'a>(
    child: &Child,
    no_surplus: bool,
    wanted: i32,
    revision: &str,
    mut pods: impl Iterator<Item = &'a Child>,
) -> Progress {
    let progressing = child.facts.condition("Progressing");
    let reason = progressing.map_or("", |c| c.reason.as_str());
    // `ReplicaSet "shop-web-5d8f" has successfully progressed.`, or a Deployment that has none yet
    let is_of_replica_set = progressing.is_some_and(|c| c.message.starts_with("ReplicaSet "));
    let named = progressing.and_then(|c| c.message.split('"').nth(1));
    let mut is_of_another = || {
        named.is_some_and(|named| {
            let ours = |pod: &Child| pod.annotation(labels::REVISION) == Some(revision);
            !pods.any(|pod| ours(pod) && pod.owner().is_some_and(|owner| owner.name == named))
        })
    };
    let is_refused = child.facts.condition("ReplicaFailure").is_some_and(|c| c.status == "True");
    if reason == "ProgressDeadlineExceeded" {
        // Under `Recreate` there is no other ReplicaSet before the last old pod is gone, and until then what is said of the old one stays.
        let is_old = child.facts.updated_replicas == 0 && !is_refused && is_of_replica_set && is_of_another();
        if is_old { Progress::Rolling } else { Progress::Overdue }
    } else if reason == "NewReplicaSetAvailable"
        && no_surplus
        && (child.facts.updated_replicas > 0 || wanted == 0)
        && !is_of_another()
    {
        Progress::Finished
    } else {
        Progress::Rolling
    }
}

/// When the deadline of a rolling StatefulSet or DaemonSet passes: so long after it, its status, or a pod of it last moved. Its controller keeps no deadline,
/// so that is read from what stands in the cluster: a new leader judges alike. None for other kinds, and where each pod was ready once: that rollout came to its
/// end, and an unhealthy check alone fails nobody.
pub fn stands_still_from<'a>(
    kind: Kind,
    workload: &Child,
    revision: &str,
    pods: impl Iterator<Item = &'a Child>,
    deadline: Duration,
) -> Option<Timestamp> {
    if !matches!(kind, Kind::StatefulSet | Kind::DaemonSet) {
        return None;
    }
    let facts = &workload.facts;
    let (mut newest, mut were_ready) = (facts.moved, 0);
    for pod in pods {
        if let Some(going) = &pod.meta.deletion_timestamp {
            newest = newest.max(Some(going.0)); // it has until then to stop
        } else if pod.annotation(labels::REVISION) == Some(revision) {
            newest = newest.max(pod.facts.moved);
            were_ready += i32::from(pod.facts.pod.was_ready);
        }
    }
    let was_complete = facts.replicas == facts.updated_replicas && facts.spec_replicas == Some(were_ready);
    newest.filter(|_| !was_complete)?.checked_add(deadline).ok()
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

/// Whether some pod of this revision has run its container, however it ended. One that was told to go says nothing of the run that follows.
pub fn has_started<'a>(mut pods: impl Iterator<Item = &'a Child>, revision: &str) -> bool {
    pods.any(|pod| !pod.is_going() && pod.annotation(labels::REVISION) == Some(revision) && pod.facts.pod.has_run)
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
    let wanted = facts.spec_replicas.unwrap_or(1);
    let missing = facts.replicas < wanted && facts.ready_replicas + facts.succeeded < wanted;
    condition.map(|c| (c.reason.clone(), c.message.clone())).or_else(|| facts.reported.clone().filter(|_| missing))
}
