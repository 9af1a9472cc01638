//! From what is wanted and what is seen to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::differs::{Difference, difference};
use super::gate::{self, Behind, Standing, Verdict};
use super::health::{self, Progress};
use super::parts::{OfService, Parts};
use super::plan::{Body, Cause, Guard, Plan, Refusal, RefusalKind, Step, Write};
use super::predecessors;
use super::prune;
use super::replicas::{self, Replicas};
use super::rollback::{PutBack, ROLLED_BACK, by_hand};
use crate::api::OnFailure;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::{Children, Part, Wanted};
use crate::stack::{Service, Stack};

/// What the controller knows of a stack's objects.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Live objects that carry the stack's label, pods among them.
    pub children: &'a BTreeMap<ChildId, Arc<Child>>,
    /// Writes that were refused and are not due again.
    pub refused: &'a BTreeMap<ChildId, Refusal>,
    /// What one write has failed to bring together.
    pub settled: &'a BTreeMap<ChildId, Settled>,
    /// Kinds that the cluster does not know.
    pub missing: &'a BTreeSet<Kind>,
    /// Stacks that this one waits for, and why each is not Ready.
    pub unready: &'a BTreeMap<String, String>,
    /// Services that a person lets pass their gate.
    pub ungated: &'a BTreeSet<String>,
    /// The time. It is compared with what others wrote down, and decides nothing but whether a deadline has passed.
    pub now: Timestamp,
}

/// A write that the server took and reads back otherwise: a foreign hand is inside an empty map of ours, or a webhook changes what we send. Sending it
/// again would change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Digests of what was sent, and of what was read back.
    pub digests: (Digest, Digest),
    /// Counts, likewise, where one was stated.
    pub counts: Option<(i32, i32)>,
}

/// The next writes and deletes of a stack, and where each of its services stands.
pub fn plan(stack: &Stack, wanted: &Children, seen: &Seen<'_>) -> Plan {
    let parts = Parts::of(wanted, seen.children);
    let shared =
        wanted.iter().filter(|(_, w)| !matches!(w.part, Part::Service(_))).map(|(id, w)| (id, &w.part)).collect();
    let mut planner =
        Planner { stack, wanted, seen, parts: &parts, shared, out: Plan::default(), standings: BTreeMap::new() };
    for (id, child) in wanted.iter().filter(|(id, _)| !id.kind.starts_pods()) {
        planner.note_refusal(id, child);
    }
    for (name, volume) in &stack.volumes {
        planner.fill(name, volume);
    }
    for name in &stack.order {
        if let Some(service) = stack.services.get(name) {
            planner.service(service);
        }
    }
    for (id, child) in wanted.iter().filter(|(id, _)| !id.kind.starts_pods()) {
        planner.beside_pods(id, child);
    }
    planner.finish()
}

pub(super) struct Planner<'a> {
    pub(super) stack: &'a Stack,
    pub(super) wanted: &'a Children,
    pub(super) seen: &'a Seen<'a>,
    pub(super) parts: &'a Parts<'a>,
    /// Children that are not for one service alone.
    pub(super) shared: Vec<(&'a ChildId, &'a Part)>,
    pub(super) out: Plan,
    standings: BTreeMap<String, Standing>,
}

impl Planner<'_> {
    /// The live child under this name, if it is ours.
    pub(super) fn ours(&self, id: &ChildId, wanted: &Wanted) -> Option<&Arc<Child>> {
        self.seen
            .children
            .get(id)
            .filter(|child| child.is_of(&self.stack.name, &self.stack.uid, &wanted.labels().collect::<Vec<_>>()))
    }

    /// Notes down a kind that the cluster lacks, a foreign object in our place, a size that a claim cannot have, or a refusal that is not due again. True if there is one.
    pub(super) fn note_refusal(&mut self, id: &ChildId, wanted: &Wanted) -> bool {
        let ours = self.ours(id, wanted);
        let refusal = |kind, message| Some(Refusal { kind, message, wanted: wanted.digest });
        let refusal = if self.seen.missing.contains(&id.kind) {
            let message = format!(
                "{id} cannot be made: this cluster does not serve {} of {}, or not to this operator. Install the Gateway API, or say ingressClassName; it is made as soon as it can be",
                id.kind.names().plural,
                id.kind.api_version()
            );
            refusal(RefusalKind::KindMissing, message)
        } else if self.seen.children.contains_key(id) && ours.is_none() {
            let message = format!(
                "{id} exists and does not belong to this stack; it is left alone. Rename the service, or delete that object"
            );
            refusal(RefusalKind::NameConflict, message)
        } else if let Some(message) = ours.and_then(|live| super::beside_pods::too_small(id, wanted, live)) {
            refusal(RefusalKind::VolumeResizeRefused, message)
        } else {
            let refusal = self.seen.refused.get(id).filter(|refusal| refusal.wanted == wanted.digest).cloned();
            match ours {
                Some(live) => refusal.map(|refusal| super::beside_pods::refused_growth(id, wanted, live, refusal)),
                None => refusal,
            }
        };
        let refused = refusal.is_some();
        self.out.refusals.extend(refusal.map(|refusal| (id.clone(), refusal)));
        refused
    }

    fn service(&mut self, service: &Service) {
        let parts = self.parts.service(&service.name);
        let Some((id, wanted)) = parts.workload else { return self.nothing_to_run(service) };
        let refused = self.note_refusal(id, wanted);
        let live = self.ours(id, wanted).cloned();
        let progress = self.progress(service, id, live.as_deref(), &parts);
        let replicas = self.replicas(service, id, live.as_deref(), &parts);
        let needed = self.needed_by(service, &parts.beside);
        let put_back = self.put_back(service, id, live.as_deref());

        // What is there already serves, though a change to it is refused; what is not there holds the service.
        let missing = |id: &&ChildId| self.wanted.get(*id).is_some_and(|w| self.ours(id, w).is_none());
        let refusal = needed.iter().filter(missing).chain([id]).find_map(|id| self.out.refusals.get(id));
        let mut step = if let Some(refusal) = refusal {
            Step::Failed(Cause {
                path: Vec::new(),
                reason: refusal.kind.reason().into(),
                message: refusal.message.clone(),
            })
        } else if let Some(back) = live
            .as_ref()
            .filter(|_| put_back.is_none())
            .and_then(|live| self.roll_back(service, id, live, progress, &replicas))
        {
            back
        } else {
            self.step(id, wanted, service, live.as_deref(), &replicas, put_back.as_ref())
        };
        if step == Step::Apply {
            let first = predecessors::of(self.stack, service, id, wanted, live.as_deref(), self.seen, &parts);
            if first.wait {
                step = Step::Hold(Vec::new());
            }
            self.out.deletes.extend(first.deletes);
        }
        match (&step, &live) {
            (Step::Apply, _) => {
                self.write_workload(service, id, live.as_deref(), &replicas, needed, put_back.as_ref());
                if let Some(back) = &put_back {
                    step = by_hand(&self.stack.name, service, back.to);
                }
            }
            // The template is not at hand: it is held, or rendered otherwise than the one that is there.
            (Step::Hold(_) | Step::Failed(_) | Step::Done, Some(live))
                if id.kind.has_replicas()
                    && replicas.change
                    && (!replicas.from_zero || is_back(&step))
                    && !refused
                    && !live.is_going()
                    && self.out.writes.iter().all(|write| write.id != *id) =>
            {
                if let Some(count) = replicas.state {
                    self.write(id, Body::Scale { count }, Vec::new());
                }
            }
            _ => {}
        }
        self.grow_claims_of_pods(service);

        let standing = self.standing(service, &step, progress, live.as_deref(), &parts);
        self.out.steps.insert(service.name.clone(), step);
        self.out.progress.insert(service.name.clone(), progress);
        self.standings.insert(service.name.clone(), standing);
    }

    /// How far its workload has come; past a deadline that the operator keeps itself, it is overdue, and until then that instant is noted down.
    fn progress(&mut self, service: &Service, id: &ChildId, live: Option<&Child>, parts: &OfService<'_>) -> Progress {
        let (revision, pods) = (service.revision.as_str(), || parts.pods.iter().copied());
        let progress = health::progress(id.kind, live, revision, pods());
        if service.update.on_failure == OnFailure::Continue {
            return if progress == Progress::Overdue { Progress::Rolling } else { progress };
        }
        let rolling = live.filter(|_| progress == Progress::Rolling);
        let due = rolling
            .and_then(|live| health::stands_still_from(id.kind, live, revision, pods(), service.update.deadline));
        match due {
            Some(due) if due <= self.seen.now => Progress::Overdue,
            Some(due) => {
                self.out.again = Some(self.out.again.map_or(due, |again| again.min(due)));
                progress
            }
            None => progress,
        }
    }

    /// A service that has no object while the stack is stopped: no pods are what it wants.
    fn nothing_to_run(&mut self, service: &Service) {
        let standing = Standing {
            step: Step::Done,
            progress: Progress::Complete,
            started: true,
            available: (0, 0),
            trouble: None,
            behind: Behind::Settled,
        };
        self.out.steps.insert(service.name.clone(), Step::Done);
        self.out.progress.insert(service.name.clone(), Progress::Complete);
        self.standings.insert(service.name.clone(), standing);
    }

    fn standing(
        &self,
        service: &Service,
        step: &Step,
        progress: Progress,
        live: Option<&Child>,
        parts: &OfService<'_>,
    ) -> Standing {
        let pods = || parts.pods.iter().copied();
        let facts = live.map(|child| &child.facts);
        let ended = progress == Progress::Failed || facts.is_some_and(|f| f.succeeded > 0);
        let failed = || {
            let condition = facts?.condition("Failed").filter(|c| c.status == "True")?;
            Some((condition.reason.clone(), condition.message.clone()))
        };
        let trouble =
            failed().or_else(|| health::trouble(pods(), &service.revision)).or_else(|| health::refused_pods(live?));
        Standing {
            progress,
            started: ended || health::has_started(pods(), &service.revision),
            available: (facts.map_or(0, |f| f.available_replicas), facts.and_then(|f| f.spec_replicas).unwrap_or(1)),
            trouble: trouble.map(|(reason, message)| one_line(&reason, &message)),
            behind: gate::behind(service, &self.standings),
            step: step.clone(),
        }
    }

    fn replicas(&self, service: &Service, id: &ChildId, live: Option<&Child>, parts: &OfService<'_>) -> Replicas {
        if !id.kind.has_replicas() {
            let resumed = live.is_some_and(|job| job.facts.suspended && !self.stack.stopped);
            return Replicas { from_zero: live.is_none() || resumed, ..Replicas::default() };
        }
        let autoscaler = ChildId { kind: Kind::Autoscaler, name: id.name.clone() };
        let has_autoscaler =
            self.seen.children.get(&autoscaler).is_some_and(|child| child.label(labels::SERVICE) == service.name);
        if self.stack.stopped {
            return replicas::none(&service.scale, live);
        }
        let running = parts.pods.iter().filter(|pod| !pod.is_going() && !pod.facts.pod.ended).count();
        let mut decided =
            replicas::decide(&service.scale, live, has_autoscaler, i32::try_from(running).unwrap_or(i32::MAX));
        let counts = decided.state.zip(live.and_then(|live| live.facts.spec_replicas));
        decided.change &= counts.is_none() || self.seen.settled.get(id).is_none_or(|settled| settled.counts != counts);
        decided
    }

    fn step(
        &self,
        id: &ChildId,
        wanted: &Wanted,
        service: &Service,
        live: Option<&Child>,
        replicas: &Replicas,
        put_back: Option<&PutBack<'_>>,
    ) -> Step {
        if live.is_some_and(Child::is_going) {
            return Step::Hold(Vec::new());
        }
        // Pods that serve go back at once, as after a failure.
        match put_back.filter(|_| !replicas.from_zero) {
            Some(back) if back.is_there => return by_hand(&self.stack.name, service, back.to),
            Some(_) => return Step::Apply,
            None => {}
        }
        let same = live.is_some_and(|child| child.annotation(labels::REVISION) == Some(service.revision.as_str()));
        let difference =
            live.map_or(Difference::Real, |live| difference(id, wanted, live, Some(&service.revision), self.seen));
        if same && !replicas.from_zero {
            return match difference {
                Difference::Real => Step::Apply,
                Difference::None if replicas.change => Step::Apply,
                // The definition came back to what runs: what had failed may be tried again after it.
                Difference::None if live.is_some_and(|live| live.annotation(labels::FAILED_REVISION).is_some()) => {
                    Step::Apply
                }
                Difference::None | Difference::RenderingOnly if replicas.keep_differs => Step::Apply,
                Difference::None | Difference::RenderingOnly => Step::Done,
            };
        }
        if self.stack.stopped {
            // Nothing starts: a Job is not made, and what has a count is made without pods.
            return if id.kind == Kind::Job { Step::Done } else { Step::Apply };
        }
        let pods = self.parts.service(&service.name).pods;
        let running = live.is_some_and(|child| child.facts.available_replicas > 0)
            || pods.iter().any(|pod| pod.facts.pod.ready && !pod.is_going());
        let ungated = self.seen.ungated.contains(&service.name);
        match gate::ask(service, running, &self.standings, ungated) {
            Verdict::Open if !ungated && !self.seen.unready.is_empty() => Step::Hold(gate::stacks(self.seen.unready)),
            Verdict::Open => self.filled(service),
            Verdict::Shut(waits) => Step::Hold(waits),
            Verdict::Hopeless(cause) => Step::Failed(cause),
        }
    }

    fn write_workload(
        &mut self,
        service: &Service,
        id: &ChildId,
        live: Option<&Child>,
        replicas: &Replicas,
        after: Vec<ChildId>,
        put_back: Option<&PutBack<'_>>,
    ) {
        let (guard, count, keep) = (guard(live, replicas), replicas.state, replicas.keep.clone());
        let body = match put_back {
            Some(PutBack { to, from: Some(from), .. }) => {
                Body::Restore { guard, replicas: count, keep, from: from.clone(), good: (*to).to_owned(), failed: None }
            }
            // It is there, with no pods, and what it was made from is kept no more.
            Some(_) => Body::Scale { count: count.unwrap_or(0) },
            None => {
                Body::Object { guard, replicas: count, keep, good: self.last_good(service, id, live), filled: None }
            }
        };
        self.write(id, body, after);
    }

    pub(super) fn write(&mut self, id: &ChildId, body: Body, after: Vec<ChildId>) {
        self.out.writes.push(Write { id: id.clone(), body, after, instead_of: None });
    }

    pub(super) fn has_workload(&self, service: &str) -> bool {
        let Some((id, wanted)) = self.parts.service(service).workload else { return false };
        self.out.writes.iter().any(|w| w.id == *id) || self.ours(id, wanted).is_some()
    }

    /// Whether the workload of a service keeps an older template for now.
    pub(super) fn is_held(&self, service: &str) -> bool {
        matches!(self.out.steps.get(service), Some(Step::Hold(_) | Step::Failed(_)))
    }

    fn finish(mut self) -> Plan {
        let quiet = self.standings.iter().all(|(name, standing)| self.is_at_rest(name, standing));
        let deletes = prune::prune(self.stack, self.wanted, self.seen, &self.out, quiet);
        for delete in deletes {
            if !self.out.deletes.iter().any(|there| there.id == delete.id) {
                self.out.deletes.push(delete);
            }
        }
        self.out.writes.sort_by(|a, b| a.id.cmp(&b.id));
        self.out
    }

    /// Whether no pod of the service still needs what the stack no longer wants. A rollout past its deadline is not at rest while pods of the revision
    /// before it serve; a service that cannot come into being is, or it would keep what stands in its way.
    fn is_at_rest(&self, name: &str, standing: &Standing) -> bool {
        let parts = self.parts.service(name);
        let revision = self.stack.services.get(name).map(|service| service.revision.as_str());
        let older =
            || parts.pods.iter().any(|pod| !pod.facts.pod.ended && pod.annotation(labels::REVISION) != revision);
        let absent = || parts.workload.is_none_or(|(id, wanted)| self.ours(id, wanted).is_none());
        match (&standing.step, standing.progress) {
            (Step::Done, _) if self.stack.stopped => true,
            (Step::Done, Progress::Overdue) => !older(),
            (Step::Done, progress) => progress > Progress::Overdue,
            (Step::Failed(_), _) => absent(),
            _ => false,
        }
    }
}

/// What must be true of a workload for a write: a count that is stated as it is must not have moved.
pub(super) fn guard(live: Option<&Child>, replicas: &Replicas) -> Guard {
    match live {
        Some(live) if replicas.pin => Guard::Version(uid(live), live.meta.resource_version.clone().unwrap_or_default()),
        Some(live) => Guard::Uid(uid(live)),
        None => Guard::Absent,
    }
}

pub(super) fn uid(child: &Child) -> String {
    child.meta.uid.clone().unwrap_or_default()
}

/// Whether a service runs on what it was made from before.
fn is_back(step: &Step) -> bool {
    matches!(step, Step::Failed(cause) if cause.reason == ROLLED_BACK && cause.path.is_empty())
}

pub(super) fn one_line(reason: &str, message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}
