//! Volumes that a Job fills before the first service that mounts them starts.

use super::differs::{Difference, difference};
use super::health::{self, Progress};
use super::plan::{Body, Cause, Delete, Guard, Step, Unfilled, Until, Wait};
use super::planner::{Planner, one_line, uid};
use super::prune;
use crate::api::Condition;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::{Children, Part, Wanted};
use crate::stack::{Service, Volume};

impl Planner<'_> {
    /// Starts the Job that fills a volume, once for each definition of it. One of an older definition that still runs is stopped first.
    pub(super) fn fill(&mut self, name: &str, volume: &Volume) {
        let Some(populate) = &volume.populate else { return };
        let part = Part::Volume(name.to_owned());
        let wanted: &Children = self.wanted;
        let job = wanted.iter().find(|(id, wanted)| id.kind == Kind::Job && wanted.part == part);
        let Some((id, wanted)) = job else { return };
        let refused = self.note_refusal(id, wanted);
        let nothing_there = self.ours(id, wanted).is_none();
        // Also when its Job is gone: with the stack that it belonged to, or by hand.
        let filled = self.live_claim(name).is_some_and(|claim| {
            claim.annotation(labels::FILLED) == Some(populate.revision.as_str()) && !claim.is_going()
        });
        if filled && nothing_there {
            return;
        }
        let needed = self.needed_to_fill(name);
        // What is not there and cannot be, its claim above all, holds the Job as it would hold a service.
        let missing = |id: &&ChildId| self.wanted.get(*id).is_some_and(|w| self.ours(id, w).is_none());
        let refusal = needed.iter().filter(missing).chain([id]).find_map(|id| self.out.refusals.get(id)).cloned();
        let unfilled = match refusal.filter(|_| nothing_there || refused) {
            Some(refusal) => Some(Unfilled::Failed(Cause {
                path: Vec::new(),
                reason: refusal.kind.reason().into(),
                message: refusal.message,
            })),
            None => self.unfilled(id, name, &populate.revision),
        };
        let held = matches!(&unfilled, Some(Unfilled::Failed(cause)) if cause.path.is_empty());
        self.out.unfilled.extend(unfilled.map(|unfilled| (name.to_owned(), unfilled)));
        if let Some(live) = self.ours(id, wanted).filter(|live| !live.is_going() && !refused) {
            match difference(id, wanted, live, Some(&populate.revision), self.seen) {
                _ if has_ended(live) => {}
                // To go on is to start.
                Difference::Real if live.facts.suspended && !self.seen.unready.is_empty() => {}
                // How often it is tried, and whether it is to run now.
                Difference::Real => {
                    let guard = Guard::Uid(uid(live));
                    self.write(
                        id,
                        Body::Object { guard, replicas: None, keep: None, good: None, filled: None },
                        Vec::new(),
                    );
                }
                // It runs where its reader does, and a template cannot be changed: one that has found no node is made anew, and so is one that is to stop or go
                // on. One that is at it is left alone.
                Difference::RenderingOnly
                    if self.stack.stopped || live.facts.suspended || !self.has_begun(name, &populate.revision) =>
                {
                    let child = self.seen.children.get(id).cloned();
                    self.out.deletes.extend(child.map(|child| Delete { id: id.clone(), child, orphan: false }));
                }
                Difference::RenderingOnly | Difference::None => {}
            }
        }
        if !nothing_there || held || self.stack.stopped {
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
        if let Some((stack, why)) = self.seen.unready.first_key_value() {
            let why = format!("it waits for stack {stack} (Ready): {why}");
            self.out.unfilled.insert(name.to_owned(), Unfilled::NotYet(why));
            return;
        }
        let runs = self.parts.filling(name).any(|pod| !pod.facts.pod.ended);
        if older.is_empty() && !runs {
            self.write(
                id,
                Body::Object { guard: Guard::Absent, replicas: None, keep: None, good: None, filled: None },
                needed,
            );
        }
        self.out.deletes.extend(older.into_iter().filter(|delete| !delete.child.is_going()));
    }

    /// The claim of a volume, if it is ours.
    fn live_claim(&self, volume: &str) -> Option<&Child> {
        let is_its = |wanted: &Wanted| matches!(&wanted.part, Part::Volume(name) if name == volume);
        let (id, wanted) = self.wanted.iter().find(|(id, wanted)| id.kind == Kind::Claim && is_its(wanted))?;
        self.ours(id, wanted).map(AsRef::as_ref)
    }

    /// What a claim says of how it was filled: it outlives the Job. What a Job of another definition may have begun to change says so at once.
    pub(super) fn mark(&self, wanted: &Wanted, live: Option<&Child>) -> Option<String> {
        let Part::Volume(name) = &wanted.part else { return None };
        let there = live?.annotation(labels::FILLED);
        let populate = self.stack.volumes.get(name).and_then(|volume| volume.populate.as_ref());
        let mark = match populate.map(|populate| populate.revision.as_str()) {
            Some(wanted) if !self.out.unfilled.contains_key(name) => Some(wanted),
            Some(wanted) => there.map(|there| if there == wanted { there } else { labels::NOT_FILLED }),
            None => there,
        };
        mark.map(str::to_owned)
    }

    /// Whether a pod that fills a volume by this definition has run.
    fn has_begun(&self, volume: &str, revision: &str) -> bool {
        health::has_started(self.parts.filling(volume), revision)
    }

    /// The claim, and the walls of the stack.
    fn needed_to_fill(&self, volume: &str) -> Vec<ChildId> {
        let needed = self.shared.iter().filter(|(id, part)| match part {
            Part::Stack => true,
            Part::Volume(name) => id.kind == Kind::Claim && name == volume,
            _ => false,
        });
        needed.map(|(id, _)| (*id).clone()).collect()
    }

    fn unfilled(&self, id: &ChildId, volume: &str, revision: &str) -> Option<Unfilled> {
        let failed = |reason: &str, message: String| {
            Some(Unfilled::Failed(Cause { path: vec![format!("volume {volume}")], reason: reason.into(), message }))
        };
        let live = self.wanted.get(id).and_then(|wanted| self.ours(id, wanted));
        let trouble = || health::trouble(self.parts.filling(volume), revision).or_else(|| health::refused_pods(live?));
        match health::progress(Kind::Job, live.map(AsRef::as_ref), revision, std::iter::empty()) {
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
                        until: Until::Holds(Condition::Completed),
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
