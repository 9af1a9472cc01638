//! Volumes that a Job fills before the first service that mounts them starts.

use super::health::{self, Progress};
use super::plan::{Body, Cause, Delete, Guard, Step, Unfilled, Wait};
use super::planner::{Planner, one_line};
use super::prune;
use crate::api::Condition;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Part;
use crate::stack::{Service, Volume};

impl Planner<'_> {
    /// Starts the Job that fills a volume, once for each definition of it. One of an older definition that still runs is stopped first.
    pub(super) fn fill(&mut self, name: &str, volume: &Volume) {
        let Some(populate) = &volume.populate else { return };
        let part = Part::Volume(name.to_owned());
        let job = self.wanted.iter().find(|(id, wanted)| id.kind == Kind::Job && wanted.part == part);
        let Some((id, wanted)) = job else { return };
        self.note_refusal(id, wanted);
        if let Some(unfilled) = self.unfilled(id, name, &populate.revision) {
            self.out.unfilled.insert(name.to_owned(), unfilled);
        }
        let nothing_there = self.ours(id, wanted).is_none();
        if !nothing_there || self.out.refusals.contains_key(id) || self.stack.stopped {
            return;
        }
        let older: Vec<Delete> = self
            .seen
            .children
            .iter()
            .filter(|(other, child)| {
                other.kind == Kind::Job
                    && *other != id
                    && child.label(labels::POPULATE) == name
                    && prune::is_ours(self.stack, other, child)
                    && !has_ended(child)
            })
            .map(|(id, child)| Delete { id: id.clone(), child: child.clone(), orphan: false })
            .collect();
        let runs = self.parts.filling(name).any(|pod| !pod.facts.pod.ended);
        if older.is_empty() && !runs {
            let claim = self.shared.iter().filter(|(other, part)| {
                matches!(part, Part::Stack) || (other.kind == Kind::Claim && **part == Part::Volume(name.to_owned()))
            });
            let after: Vec<ChildId> = claim.map(|(id, _)| (*id).clone()).collect();
            let (id, guard) = (id.clone(), Guard::Absent);
            self.write(&id, Body::Object { guard, replicas: None, keep: None }, after);
        }
        self.out.deletes.extend(older.into_iter().filter(|delete| !delete.child.is_going()));
    }

    fn unfilled(&self, id: &ChildId, volume: &str, revision: &str) -> Option<Unfilled> {
        let failed = |reason: &str, message: String| {
            Some(Unfilled::Failed(Cause { path: vec![format!("volume {volume}")], reason: reason.into(), message }))
        };
        if let Some(refusal) = self.out.refusals.get(id) {
            return failed(refusal.kind.reason(), refusal.message.clone());
        }
        let live = self.wanted.get(id).and_then(|wanted| self.ours(id, wanted));
        let trouble = || health::trouble(self.parts.filling(volume), revision).or_else(|| health::refused_pods(live?));
        match health::progress(Kind::Job, live.map(AsRef::as_ref), revision) {
            Progress::Complete => None,
            Progress::Failed => {
                let condition = live.and_then(|job| job.facts.condition("Failed"));
                let why = condition.map_or_else(String::new, |c| one_line(&c.reason, &c.message));
                failed("PopulateFailed", format!("{id} has failed: {why}; delete it to run it again"))
            }
            _ => Some(Unfilled::NotYet(
                trouble().map_or_else(|| "it is being filled".into(), |(reason, message)| one_line(&reason, &message)),
            )),
        }
    }

    /// What a service does whose dependencies hold: it starts, unless a volume of it has to be filled first.
    pub(super) fn filled(&self, service: &Service) -> Step {
        let mut waits = Vec::new();
        for name in service.mounts.iter().filter_map(|mount| mount.source.volume()) {
            match self.out.unfilled.get(name) {
                None => {}
                Some(Unfilled::Failed(cause)) => return Step::Failed(cause.clone()),
                Some(Unfilled::NotYet(why)) => {
                    waits.push(Wait {
                        on: format!("volume {name}"),
                        condition: Condition::Completed,
                        why: why.clone(),
                    });
                }
            }
        }
        waits.dedup();
        if waits.is_empty() { Step::Apply } else { Step::Hold(waits) }
    }
}

/// Whether a Job has come to its end, well or not.
pub(super) fn has_ended(job: &Child) -> bool {
    ["Complete", "Failed"].iter().any(|end| job.facts.condition(end).is_some_and(|c| c.status == "True"))
}
