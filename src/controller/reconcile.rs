//! One pass over one stack.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::apply::{Applied, apply};
use super::memory::Memory;
use super::prune::prune;
use super::publish::Publisher;
use super::queue::Outcome;
use super::run::Options;
use super::store::{StackKey, Store, Written};
use super::teardown;
use super::writer::Writer;
use crate::api::{AppStack, AppStackStatus};
use crate::child::labels;
use crate::ops::Ops;
use crate::render::{Children, Part};
use crate::report::{self, Subject};
use crate::rollout::{Delete, Parts, Plan, Seen, Write, plan};
use crate::stack::{Stack, neighbours, requests};

/// Services that may pass their gate although what they wait for does not hold, by name, separated by commas.
const UNGATE: &str = "appstack.dev/ungate";

/// Rounds of planning and writing in one pass. What one round writes may let another service go on at once; more rounds than this mean that
/// two rules disagree.
const ROUNDS: usize = 6;

/// What every pass works with.
pub struct Context {
    /// What has been seen.
    pub store: Arc<Store>,
    /// The only way to write.
    pub writer: Writer,
    /// The only way to speak.
    pub publisher: Publisher,
    /// What is kept for those who run the operator.
    pub ops: Ops,
    /// The operator's flags.
    pub options: Options,
    /// What is known of each stack besides what the API server keeps. Losing it costs requests, never correctness.
    pub memories: Mutex<HashMap<StackKey, Memory>>,
}

/// Looks at a stack once: checks it, plans, writes, prunes, and says how it stands. Never waits: what is not ready yet will wake us.
pub async fn reconcile(context: &Context, key: &StackKey) -> Outcome {
    let Some(seen) = context.store.stack(key) else {
        context.forget(key);
        return Outcome::Settled;
    };
    let generation = seen.meta().generation.unwrap_or_default();
    if seen.meta().deletion_timestamp.is_some() {
        return teardown::go_on(context, key, &seen, generation).await;
    }
    let stack = match &seen.0 {
        Ok(stack) => stack,
        Err(invalid) => {
            context.report_unread(key, &seen, generation, &invalid.error);
            return Outcome::Settled;
        }
    };
    let before = context.said(key, &seen);
    let mut memory = context.recall(key);
    let (mut report, next) = if stack.spec.suspend == Some(true) {
        (report::suspended(generation, &before, Timestamp::now()), Outcome::Settled)
    } else {
        let rendered = memory.render(stack, &context.options);
        let circle = neighbours::circle(&key.name, &context.store.neighbours(&key.namespace));
        match (&rendered.model, &circle) {
            // In a circle of stacks none can be the first, as in one of services.
            (Err(problems), _) | (Ok(_), Some(problems)) => {
                (report::invalid(problems, generation, &before, Timestamp::now()), Outcome::Settled)
            }
            (Ok((model, wanted)), None) => {
                let retry = context.options.refusal_retry;
                teardown::hold(context, key, &seen, model, &mut memory, retry).await;
                let Some((plan, next)) = roll_out(context, key, stack, model, wanted, &mut memory).await else {
                    context.remember(key, memory);
                    return Outcome::Settled; // what has changed has woken us again
                };
                if memory.is_namespace_going
                    && let Some(now) = context.store.stack(key)
                {
                    teardown::hold(context, key, &now, model, &mut memory, retry).await;
                }
                let children = context.store.children(key);
                let parts = Parts::of(wanted, &children);
                let walls = stack.annotations().get(report::PROOF).and_then(|proof| proof.parse().ok());
                let walls = walls.as_ref();
                let subject = Subject { stack: model, wanted, children: &children, parts: &parts, plan: &plan, walls };
                (report::report(&subject, generation, &before, Timestamp::now()), next)
            }
        }
    };
    context.remember(key, memory);
    report.status.observed_requests = requests::heard(stack);
    if report.status != before {
        context.publisher.post(key, stack.object_ref(&()), report);
    }
    next
}

/// Plans and writes until there is nothing left to write, then prunes. Returns the last plan, and when to look again; none if the stack says something else
/// meanwhile, or goes, so that nothing more may be done in its name.
async fn roll_out(
    context: &Context,
    key: &StackKey,
    written: &AppStack,
    stack: &Stack,
    wanted: &Children,
    memory: &mut Memory,
) -> Option<(Plan, Outcome)> {
    let ungated = ungated(written);
    let mut rounds = 0;
    loop {
        let (now, time) = (Instant::now(), Timestamp::now());
        let refused = memory.standing_refusals(now);
        let children = context.store.children(key);
        memory.sees(&children);
        let missing = context.store.missing();
        let unready = neighbours::awaited(&stack.depends_on, &context.store.neighbours(&key.namespace));
        let mut plan = plan(
            stack,
            wanted,
            &Seen {
                children: &children,
                refused: &refused,
                settled: &memory.settled,
                missing: &missing,
                unready: &unready,
                ungated: &ungated,
                now: time,
            },
        );
        for (until, waited) in memory.let_through(&plan, now) {
            context.ops.metrics.gate(until, waited);
        }
        let due = memory.due(&plan, now);
        if due.is_empty() || rounds == ROUNDS {
            let left_over = !due.is_empty();
            if !left_over {
                memory.rests(wanted, &children);
            }
            let deletes = ripe(&plan, stack, wanted).filter(|delete| !memory.is_waiting(&delete.id, now)).collect();
            prune(context, (key, stack), deletes, memory).await;
            plan.refusals.extend(memory.notes());
            // Writes that are left over are tried again after a while, since nothing else may wake us.
            let deadline = plan.again.and_then(|at| Some(now + Duration::try_from(at.duration_since(time)).ok()?));
            let next = match memory.next_due(now).into_iter().chain(deadline).min() {
                _ if left_over => Outcome::Failed,
                Some(due) => Outcome::At(due.into_std()),
                None => Outcome::Settled,
            };
            return Some((plan, next));
        }
        if rounds > 0 && !context.still_says(key, written) {
            return None;
        }
        rounds += 1;
        match apply(context, key, (written, stack), wanted, &due, memory).await {
            Applied::Done => {}
            Applied::Superseded => return None,
            Applied::Deposed => return Some((plan, Outcome::Failed)),
            Applied::NamespaceGoing => {
                memory.is_namespace_going = true;
                return Some((plan, Outcome::Settled));
            }
        }
    }
}

/// Services that a person lets pass their gate.
pub(super) fn ungated(written: &AppStack) -> BTreeSet<String> {
    let names = written.annotations().get(UNGATE).into_iter().flat_map(|names| names.split(','));
    names.map(|name| name.trim().to_owned()).collect()
}

/// Deletes whose time has come although some writes are still to come: those of a service of which nothing is to be written; and when nothing is to be
/// written at all, the rest.
pub(crate) fn ripe<'a>(plan: &'a Plan, stack: &'a Stack, wanted: &'a Children) -> impl Iterator<Item = &'a Delete> {
    let unwritten = |service: &str| {
        let of_it = |write: &Write| wanted.get(&write.id).is_some_and(|w| w.part == Part::Service(service.to_owned()));
        plan.writes.iter().any(of_it)
    };
    let is_ripe = move |delete: &&Delete| {
        let service = delete.child.label(labels::SERVICE);
        if stack.services.contains_key(service) { !unwritten(service) } else { plan.writes.is_empty() }
    };
    plan.deletes.iter().filter(is_ripe)
}

impl Context {
    /// Its status cannot be read either, so what was said is remembered here.
    fn report_unread(&self, key: &StackKey, seen: &Written, generation: i64, error: &str) {
        let mut memory = self.recall(key);
        if !memory.cannot_read(seen) {
            return;
        }
        self.remember(key, memory);
        let report = report::undecodable(error, generation, &AppStackStatus::default(), Timestamp::now());
        self.publisher.post(key, seen.object_ref(&()), report);
    }

    /// Whether a stack is as it was when a pass over it began.
    pub(super) fn still_says(&self, key: &StackKey, written: &AppStack) -> bool {
        let now = self.store.stack(key);
        now.is_some_and(|now| {
            let (now, then) = (now.meta(), written.meta());
            (&now.uid, now.generation, &now.deletion_timestamp)
                == (&then.uid, then.generation, &then.deletion_timestamp)
        })
    }

    /// What was last said of a stack, be it still on its way.
    pub(super) fn said(&self, key: &StackKey, seen: &Written) -> AppStackStatus {
        let on_its_way = self.publisher.on_its_way(key, seen.meta().uid.as_deref());
        on_its_way.or_else(|| seen.0.as_ref().ok()?.status.clone()).unwrap_or_default()
    }

    pub(super) fn recall(&self, key: &StackKey) -> Memory {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }

    pub(super) fn remember(&self, key: &StackKey, memory: Memory) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memory);
    }

    fn forget(&self, key: &StackKey) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
