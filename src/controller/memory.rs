//! What is remembered of a stack while the process lives. Losing it costs requests, never correctness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::backoff::{delay, jitter};
use super::error::Failure;
use super::run::Options;
use super::store::Written;
use crate::api::AppStack;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind};
use crate::render::{Children, Wanted, render};
use crate::rollout::{Body, Guard, Plan, Refusal, RefusalKind, Settled, Step, Until, Write};
use crate::stack::{Problems, Stack, check, problem_of_account, requests};

/// Failures in a row after which one is worth a word in the status: a hiccup is over before anybody has read of it.
const SAID_AFTER: u32 = 3;

/// What is remembered of a stack.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The model and what it renders to, for one uid and generation, and what is asked besides.
    rendered: Option<Arc<Rendered>>,
    /// Refused writes, and when they are due again.
    refusals: BTreeMap<ChildId, (Refusal, Instant)>,
    /// Writes and deletes that failed and may go well another time: each child waits by itself.
    retries: BTreeMap<ChildId, Retry>,
    /// Writes that the server took and reads back otherwise.
    pub(super) settled: BTreeMap<ChildId, Settled>,
    /// Services that are held back, since when, and what they waited for last.
    held: BTreeMap<String, (Instant, Until)>,
    /// Children that are not as they are wanted, since it was last looked at in full; none until then. They are few: of the rest it is known that they were.
    amiss: Option<BTreeSet<ChildId>>,
    /// Workloads that were there, but for those that we have deleted ourselves.
    workloads: BTreeSet<ChildId>,
    /// Of a stack that goes: workloads of its pods that the watches do not tell of, as they were when they were looked at, or none where they are gone.
    pub(super) looked_at: BTreeMap<ChildId, Option<Arc<Child>>>,
    /// When holding the stack, or letting it go, is to be tried again.
    pub(super) hold_again: Option<Instant>,
    /// Its namespace is being deleted, which cannot be taken back: no order is kept there.
    pub(super) is_namespace_going: bool,
    /// Uid and generation that were reported as unreadable.
    unread: Option<(Option<String>, i64)>,
}

/// The model of a stack and what it renders to, or what is wrong with it.
#[derive(Debug)]
pub(super) struct Rendered {
    of: (Option<String>, Option<i64>, Option<String>),
    pub(super) model: Result<(Stack, Children), Problems>,
}

fn is_as_wanted(child: Option<&Child>, wanted: Digest) -> bool {
    child.and_then(|child| child.digest) == Some(wanted)
}

/// What the server says of an object that was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadBack {
    /// Of our fields.
    pub(super) digest: Option<Digest>,
    /// Of pods.
    pub(super) count: Option<i32>,
}

#[derive(Clone, Debug)]
struct Retry {
    failures: u32,
    due: Instant,
    /// What to say of it; nothing where the object has only moved on.
    message: Option<String>,
    /// What was not done: `written`, or `deleted`.
    deed: &'static str,
}

impl Memory {
    /// Checked and rendered once per generation and request: a pass per status step of every child must stay cheap.
    pub(super) fn render(&mut self, written: &AppStack, options: &Options) -> Arc<Rendered> {
        let of = (written.uid(), written.meta().generation, requests::heard(written));
        if let Some(rendered) = self.rendered.as_ref().filter(|rendered| rendered.of == of) {
            return rendered.clone();
        }
        if self.rendered.as_ref().is_some_and(|rendered| rendered.of.0 != of.0) {
            *self = Memory::default(); // another stack of the same name
        }
        self.retries.clear(); // what failed before may go well now
        self.amiss = None;
        let checked = match problem_of_account(written, options.apply_as, options.own_user.as_deref()) {
            Some(problems) => Err(problems),
            None => check(written, options.max_pod_security),
        };
        let model = checked.map(|stack| {
            let children = render(&stack, &options.rendering);
            (stack, children)
        });
        let account = |model: &Result<(Stack, Children), Problems>| {
            model.as_ref().ok().and_then(|(stack, _)| stack.apply_as.clone())
        };
        if self.rendered.as_ref().is_some_and(|before| account(&before.model) != account(&model)) {
            self.refusals.clear(); // another one may do it
        }
        if let Ok((_, wanted)) = &model {
            self.settled.retain(|id, _| wanted.contains_key(id));
            self.workloads.retain(|id| wanted.contains_key(id));
            // A claim that a StatefulSet made is nobody's wanted child.
            self.refusals.retain(|id, _| wanted.contains_key(id) || id.kind == Kind::Claim);
        }
        self.rendered.insert(Arc::new(Rendered { of, model })).clone()
    }

    /// True the first time that this generation of a stack turns out to be unreadable.
    pub(super) fn cannot_read(&mut self, seen: &Written) -> bool {
        let this = Some((seen.uid(), seen.meta().generation.unwrap_or_default()));
        let first = self.unread != this;
        self.unread = this;
        first
    }

    /// The server took a write of `wanted`, which stated a count or not, and reads it back as `got`.
    pub(super) fn took(&mut self, id: &ChildId, wanted: Digest, stated: Option<i32>, got: &ReadBack) {
        self.refusals.remove(id);
        self.retries.remove(id);
        let counts = stated.zip(got.count).filter(|(stated, got)| stated != got);
        match got.digest {
            Some(digest) if digest != wanted || counts.is_some() => {
                self.settled.insert(id.clone(), Settled { digests: (wanted, digest), counts })
            }
            _ => self.settled.remove(id),
        };
    }

    /// A write is not to be tried again before `after`, unless something else is wanted.
    pub(super) fn refused(&mut self, id: &ChildId, refusal: Refusal, after: Duration) {
        self.retries.remove(id);
        self.refusals.insert(id.clone(), (refusal, Instant::now() + after));
    }

    /// Something has changed that may have made room, such as a port that is one in the cluster: what was refused of this kind is due.
    pub(super) fn has_room(&mut self, kind: Kind) {
        self.refusals.retain(|id, (refusal, _)| id.kind != kind || refusal.kind != RefusalKind::Refused);
    }

    /// A write or a delete is worth another try, later each time that it fails.
    pub(super) fn failed(&mut self, id: &ChildId, failure: &Failure) {
        let failures = self.retries.get(id).map_or(0, |retry| retry.failures) + 1;
        let due = Instant::now() + delay(failures, jitter());
        let message = match failure {
            Failure::Gone | Failure::Stale => None,
            other => Some(other.to_string()),
        };
        self.retries.insert(id.clone(), Retry { failures, due, message, deed: "written" });
    }

    /// A delete is not to be tried again before `after`, and that is said at once: it takes somebody to grant the right.
    pub(super) fn may_not_delete(&mut self, id: &ChildId, message: String, after: Duration) {
        let due = Instant::now() + after;
        let retry = Retry { failures: SAID_AFTER, due, message: Some(message), deed: "deleted" };
        self.retries.insert(id.clone(), retry);
    }

    /// Refusals that are not due again by `now`, which is one instant for a whole round: what is not due at its beginning is due at its end at the
    /// earliest, and not forgotten in between.
    pub(super) fn standing_refusals(&mut self, now: Instant) -> BTreeMap<ChildId, Refusal> {
        self.refusals.retain(|_, (_, due)| *due > now);
        self.refusals.iter().map(|(id, (refusal, _))| (id.clone(), refusal.clone())).collect()
    }

    /// Takes in which workloads there are.
    pub(super) fn sees(&mut self, children: &BTreeMap<ChildId, Arc<Child>>) {
        let there = children.iter().filter(|(id, child)| id.kind.starts_pods() && !child.is_going());
        for (id, _) in there {
            if !self.workloads.contains(id) {
                self.workloads.insert(id.clone());
            }
        }
    }

    /// Nothing is to be written now. Takes in, once for each rendering, which children are as they are wanted.
    pub(super) fn rests(&mut self, wanted: &Children, children: &BTreeMap<ChildId, Arc<Child>>) {
        let is_in_place = |id, wanted: &Wanted| is_as_wanted(children.get(id).map(AsRef::as_ref), wanted.digest);
        self.amiss.get_or_insert_with(|| {
            wanted.iter().filter(|(id, wanted)| !is_in_place(id, wanted)).map(|(id, _)| id.clone()).collect()
        });
    }

    /// Takes in who is held back; returns the services that no longer are, each by what it waited for last and how long it waited in all.
    pub(super) fn let_through(&mut self, plan: &Plan, now: Instant) -> Vec<(&'static str, Duration)> {
        let mut through = Vec::new();
        for (name, step) in &plan.steps {
            match (step, self.held.get_mut(name)) {
                (Step::Hold(waits), Some((_, last))) => *last = waits.last().map_or(*last, |wait| wait.until),
                (Step::Hold(waits), None) => {
                    if let Some(wait) = waits.last() {
                        self.held.insert(name.clone(), (now, wait.until));
                    }
                }
                (Step::Apply | Step::Done, Some((since, last))) => {
                    through.push((last.name(), now - *since));
                    self.held.remove(name);
                }
                _ => {}
            }
        }
        self.held.retain(|name, _| plan.steps.contains_key(name));
        through
    }

    /// Whether a child that was written had been as it is wanted, and was so no more: then somebody else had changed or deleted it.
    pub(super) fn is_repair(&mut self, id: &ChildId, wanted: Digest, before: Option<&Child>) -> bool {
        let was_in_place = self.amiss.as_mut().is_some_and(|amiss| !amiss.remove(id));
        was_in_place && !is_as_wanted(before, wanted)
    }

    /// A child was deleted by us.
    pub(super) fn deleted(&mut self, id: &ChildId) {
        self.workloads.remove(id);
        if let Some(amiss) = &mut self.amiss {
            amiss.insert(id.clone());
        }
    }

    /// Whether this write makes a workload again that somebody else has deleted.
    pub(super) fn is_lost(&self, write: &Write) -> bool {
        matches!(write.body, Body::Object { guard: Guard::Absent, .. }) && self.workloads.contains(&write.id)
    }

    /// Whether a child has failed and is not due again.
    pub(super) fn is_waiting(&self, id: &ChildId, now: Instant) -> bool {
        self.retries.get(id).is_some_and(|retry| retry.due > now)
    }

    /// What of a plan may be written now: not what is to be tried later, nor what comes after it. What is not planned any more is forgotten.
    pub(super) fn due<'a>(&mut self, plan: &'a Plan, now: Instant) -> Vec<&'a Write> {
        let ids = || plan.writes.iter().map(|w| &w.id).chain(plan.deletes.iter().map(|d| &d.id));
        self.retries.retain(|id, _| ids().any(|planned| planned == id));
        let (mut due, mut held): (Vec<&Write>, Vec<&ChildId>) = (Vec::new(), Vec::new());
        for write in &plan.writes {
            if self.is_waiting(&write.id, now) || write.after.iter().any(|id| held.contains(&id)) {
                held.push(&write.id);
            } else {
                due.push(write);
            }
        }
        due
    }

    /// What keeps failing, to be said of the services that it concerns.
    pub(super) fn notes(&self) -> impl Iterator<Item = (ChildId, Refusal)> {
        self.retries.iter().filter(|(_, retry)| retry.failures >= SAID_AFTER).filter_map(|(id, retry)| {
            let message = format!("{id} could not be {}, and is tried again: {}", retry.deed, retry.message.as_ref()?);
            Some((id.clone(), Refusal { kind: RefusalKind::Transient, message, wanted: Digest::default() }))
        })
    }

    /// When something is due again that is not due by `now`.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let refused = self.refusals.values().map(|(_, due)| *due);
        let again = self.retries.values().map(|retry| retry.due).chain(self.hold_again);
        refused.chain(again).filter(|due| *due > now).min()
    }
}
