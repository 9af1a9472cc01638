//! Back to the last good template when a rollout stands still.
//!
//! What was complete once is kept as a ControllerRevision. A workload says by annotations which of them it goes back to, and which revision has failed: a new
//! leader reads on there, and what has failed is not tried again until the definition changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::health::{self, Progress};
use super::plan::{Body, Cause, Gone, Step};
use super::planner::{Planner, one_line};
use super::prune::is_ours;
use super::replicas::Replicas;
use crate::api::OnFailure;
use crate::child::{Child, ChildId, Kind, labels};
use crate::stack::Service;

/// Reason of a service that runs on what it was made from before, since what is wanted now has failed.
pub const ROLLED_BACK: &str = "RolledBack";

/// Characters that are kept of what ailed a revision.
const LONGEST: usize = 300;

impl Planner<'_> {
    /// The revision that a service goes back to, should the one that is written now stand still: the one it leaves, if its rollout was complete, else
    /// the one that that would have gone back to.
    pub(super) fn last_good(&self, service: &Service, id: &ChildId, live: Option<&Child>) -> Option<String> {
        let live = live.filter(|_| service.update.on_failure == OnFailure::Rollback)?;
        let leaves = live.annotation(labels::REVISION).filter(|now| *now != service.revision);
        let good = leaves
            .filter(|now| self.record(service, id.kind, now).is_some())
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
            return Some(rolled_back(wanted, live.annotation(labels::FAILED_BECAUSE), now));
        }
        let good = live.annotation(labels::LAST_GOOD).filter(|_| progress == Progress::Overdue)?;
        let because = self.ailment(service, live);
        let step = rolled_back(wanted, because.as_deref(), good);
        let body = Body::Restore {
            guard: super::planner::guard(Some(live), replicas),
            replicas: replicas.state,
            keep: replicas.keep.clone(),
            from: self.record(service, id.kind, good)?.clone(),
            good: good.to_owned(),
            failed: Some(Gone { revision: wanted.to_owned(), because }),
        };
        self.write(id, body, Vec::new());
        Some(step)
    }

    /// What ails the pods of the wanted revision, which are about to go.
    fn ailment(&self, service: &Service, live: &Child) -> Option<String> {
        let pods = || self.parts.service(&service.name).pods.into_iter();
        let is_its = |pod: &Child| !pod.is_going() && pod.annotation(labels::REVISION) == Some(&service.revision);
        let sick = || {
            let unready = pods().any(|pod| is_its(pod) && pod.facts.pod.has_run && !pod.facts.pod.ready);
            unready.then(|| ("Unhealthy".to_owned(), "its pods run, and the health check fails".to_owned()))
        };
        let why = health::trouble(pods(), &service.revision).or_else(|| health::refused_pods(live)).or_else(sick);
        why.map(|(reason, message)| one_line(&reason, &message).chars().take(LONGEST).collect())
    }

    /// What its pods are made from although something else is written, because a person asked for it: that revision, and what keeps its template. None
    /// where nothing is kept of it, and in a stack that is stopped.
    pub(super) fn put_back<'s>(&self, service: &'s Service, id: &ChildId, live: Option<&Child>) -> Option<PutBack<'s>> {
        let to = service.put_back.as_deref().filter(|_| !self.stack.stopped)?;
        let from = self.record(service, id.kind, to).cloned();
        let is_there = live.is_some_and(|live| live.annotation(labels::REVISION) == Some(to));
        (from.is_some() || is_there).then_some(PutBack { to, from, is_there })
    }

    /// What is kept of a service at this revision, for a workload of this kind.
    fn record(&self, service: &Service, kind: Kind, revision: &str) -> Option<&ChildId> {
        let of_kind = |child: &Child| child.annotation(labels::WORKLOAD).is_none_or(|of| of == kind.to_string());
        let is_it = |id: &ChildId, child: &Child| {
            id.kind == Kind::Record
                && child.label(labels::HISTORY_OF) == service.name
                && of_kind(child)
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

/// What a person has put back.
pub(super) struct PutBack<'a> {
    /// The revision.
    pub(super) to: &'a str,
    /// What keeps its template.
    pub(super) from: Option<ChildId>,
    /// The workload is of it already.
    pub(super) is_there: bool,
}

/// A service whose pods a person has put back.
pub(super) fn by_hand(stack: &str, service: &Service, to: &str) -> Step {
    let name = &service.name;
    Step::Failed(Cause {
        path: Vec::new(),
        reason: ROLLED_BACK.into(),
        message: format!(
            "revision {to} was put back by hand in place of {}; an edit of the service, or `appstack rollback {stack} {name} --undo`, takes up what is written; if that comes from Git, revert it there",
            service.revision
        ),
    })
}

fn rolled_back(failed: &str, because: Option<&str>, good: &str) -> Step {
    let because = because.map(|because| format!(" ({because})")).unwrap_or_default();
    Step::Failed(Cause {
        path: Vec::new(),
        reason: ROLLED_BACK.into(),
        message: format!(
            "revision {failed} made no progress until its deadline{because}, and revision {good} was put back; {failed} is not tried again: correct the definition, or go back to the one that runs"
        ),
    })
}

/// Whether more is kept of a service than it wants, and this is not among the newest definitions of it, nor what its workload is made from or would go back
/// to. Of a definition that was restarted, the last time counts.
pub(super) fn is_superfluous<'a>(
    service: &Service,
    record: &Child,
    children: impl Iterator<Item = (&'a ChildId, &'a Arc<Child>)>,
) -> bool {
    let age = |child: &Child| (child.facts.moved, child.meta.name.clone());
    let revision = record.annotation(labels::REVISION);
    if revision.is_some() && revision == service.put_back.as_deref() {
        return false;
    }
    let mut newer = BTreeSet::new();
    for (id, child) in children {
        if id.kind == Kind::Record && child.label(labels::HISTORY_OF) == service.name && age(child) > age(record) {
            newer.insert(definition(child));
        }
        let uses = |key: &str| revision.is_some() && child.annotation(key) == revision;
        if id.kind.starts_pods()
            && child.label(labels::SERVICE) == service.name
            && (uses(labels::REVISION) || uses(labels::LAST_GOOD))
        {
            return false;
        }
    }
    newer.len() >= service.update.history || newer.contains(&definition(record))
}

fn definition(record: &Child) -> Option<&str> {
    record.annotation(labels::DEFINITION).or_else(|| record.annotation(labels::REVISION))
}
