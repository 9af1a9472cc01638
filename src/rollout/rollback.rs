//! Back to the last good template when a rollout stands still.
//!
//! What was complete once is kept as a ControllerRevision. A workload says by annotations which of them it goes back to, and which revision has failed: a new
//! leader reads on there, and what has failed is not tried again until the definition changes.

use std::sync::Arc;

use super::health::Progress;
use super::plan::{Body, Cause, Step};
use super::planner::Planner;
use super::prune::is_ours;
use super::replicas::Replicas;
use crate::api::OnFailure;
use crate::child::{Child, ChildId, Kind, labels};
use crate::stack::Service;

/// Reason of a service that runs on what it was made from before, since what is wanted now has failed.
pub const ROLLED_BACK: &str = "RolledBack";

impl Planner<'_> {
    /// The revision that a service goes back to, should the one that is written now stand still: the one it leaves, if its rollout was complete, else
    /// the one that that would have gone back to.
    pub(super) fn last_good(&self, service: &Service, live: Option<&Child>) -> Option<String> {
        let live = live.filter(|_| service.update.on_failure == OnFailure::Rollback)?;
        let leaves = live.annotation(labels::REVISION).filter(|now| *now != service.revision);
        let good = leaves
            .filter(|now| self.record(&service.name, now).is_some())
            .or_else(|| live.annotation(labels::LAST_GOOD))
            .filter(|good| *good != service.revision);
        good.map(str::to_owned)
    }

    /// Goes back when the rollout has stood still until its deadline, and stays there. None where nothing has failed, or there is nothing to go back
    /// to: a first rollout stays as it is.
    pub(super) fn roll_back(
        &mut self,
        service: &Service,
        id: &ChildId,
        live: &Arc<Child>,
        progress: Progress,
        replicas: &Replicas,
    ) -> Option<Step> {
        if service.update.on_failure != OnFailure::Rollback || self.stack.stopped || live.is_going() {
            return None;
        }
        let (wanted, now) = (service.revision.as_str(), live.annotation(labels::REVISION)?);
        if live.annotation(labels::FAILED_REVISION) == Some(wanted) && now != wanted {
            return Some(rolled_back(wanted, now));
        }
        let good = live.annotation(labels::LAST_GOOD).filter(|_| progress == Progress::Overdue)?;
        let body = Body::Restore {
            guard: super::planner::guard(Some(live), replicas),
            replicas: replicas.state,
            keep: replicas.keep.clone(),
            from: self.record(&service.name, good)?.clone(),
            good: good.to_owned(),
            failed: wanted.to_owned(),
        };
        self.write(id, body, Vec::new());
        Some(rolled_back(wanted, good))
    }

    /// What is kept of a service at this revision.
    fn record(&self, service: &str, revision: &str) -> Option<&ChildId> {
        let is_it = |id: &ChildId, child: &Child| {
            id.kind == Kind::Record
                && child.label(labels::HISTORY_OF) == service
                && child.annotation(labels::REVISION) == Some(revision)
                && !child.is_going()
                && is_ours(self.stack, id, child)
        };
        self.seen.children.iter().find(|(id, child)| is_it(id, child)).map(|(id, _)| id)
    }

    /// Whether what a service's pods are made from is proven: its rollout is complete, with pods.
    pub(super) fn is_good(&self, service: &str) -> bool {
        let has_pods = || {
            let (id, wanted) = self.parts.service(service).workload?;
            self.ours(id, wanted)?.facts.spec_replicas.filter(|count| *count > 0)
        };
        self.out.steps.get(service) == Some(&Step::Done)
            && self.out.progress.get(service) == Some(&Progress::Complete)
            && has_pods().is_some()
    }
}

fn rolled_back(failed: &str, good: &str) -> Step {
    Step::Failed(Cause {
        path: Vec::new(),
        reason: ROLLED_BACK.into(),
        message: format!(
            "revision {failed} made no progress until its deadline, and revision {good} was put back; {failed} is not tried again until the definition changes"
        ),
    })
}

/// Whether more is kept of a service than it wants, and this is not among the newest of it, nor what its workload is made from or would go back to.
pub(super) fn is_superfluous<'a>(
    service: &Service,
    record: &Child,
    children: impl Iterator<Item = (&'a ChildId, &'a Arc<Child>)>,
) -> bool {
    let age = |child: &Child| (child.facts.moved, child.meta.name.clone());
    let revision = record.annotation(labels::REVISION);
    let mut newer = 0;
    for (id, child) in children {
        if id.kind == Kind::Record && child.label(labels::HISTORY_OF) == service.name && age(child) > age(record) {
            newer += 1;
        }
        let uses = |key: &str| revision.is_some() && child.annotation(key) == revision;
        if id.kind.starts_pods()
            && child.label(labels::SERVICE) == service.name
            && (uses(labels::REVISION) || uses(labels::LAST_GOOD))
        {
            return false;
        }
    }
    newer >= service.update.history
}
