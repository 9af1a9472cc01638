//! One pass over one stack.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::apply::{Applied, apply};
use super::prune::prune;
use super::publish::Publisher;
use super::queue::Outcome;
use super::run::Options;
use super::store::{StackKey, Store, Written};
use super::writer::Writer;
use crate::api::{AppStack, AppStackStatus};
use crate::child::ChildId;
use crate::child::digest::Digest;
use crate::render::{Children, render};
use crate::report::{self, Subject};
use crate::rollout::{Parts, Plan, Refusal, Seen, plan};
use crate::stack::{Problems, Stack, check};

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
    /// The operator's flags.
    pub options: Options,
    /// What is known of each stack besides what the API server keeps. Losing it costs requests, never correctness.
    pub memories: Mutex<HashMap<StackKey, Memory>>,
}

/// What is remembered of a stack while the process lives.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The model and what it renders to, for one uid and generation.
    rendered: Option<Arc<Rendered>>,
    /// Refused writes, and when they are due again.
    refusals: BTreeMap<ChildId, (Refusal, Instant)>,
    /// Uid and generation that were reported as unreadable.
    unread: Option<(Option<String>, i64)>,
    /// Digests (sent, read back) that differ although the server took the write.
    settled: BTreeMap<ChildId, (Digest, Digest)>,
}

#[derive(Debug)]
struct Rendered {
    of: (Option<String>, Option<i64>),
    model: Result<(Stack, Children), Problems>,
}

impl Memory {
    /// The server took a write of `wanted` and reads it back as `got`.
    pub(super) fn took(&mut self, id: &ChildId, wanted: Digest, got: Option<Digest>) {
        self.refusals.remove(id);
        match got {
            Some(got) if got != wanted => self.settled.insert(id.clone(), (wanted, got)),
            _ => self.settled.remove(id),
        };
    }

    /// A write is not to be tried again before `after`, unless something else is wanted.
    pub(super) fn refused(&mut self, id: &ChildId, refusal: Refusal, after: Duration) {
        self.refusals.insert(id.clone(), (refusal, Instant::now() + after));
    }

    /// Refusals that are not due again, and when the first of them is.
    fn standing_refusals(&mut self) -> (BTreeMap<ChildId, Refusal>, Option<Instant>) {
        let now = Instant::now();
        self.refusals.retain(|_, (_, due)| *due > now);
        let next = self.refusals.values().map(|(_, due)| *due).min();
        (self.refusals.iter().map(|(id, (refusal, _))| (id.clone(), refusal.clone())).collect(), next)
    }
}

/// Looks at a stack once: checks it, plans, writes, prunes, and says how it stands. Never waits: what is not ready yet will wake us.
pub async fn reconcile(context: &Context, key: &StackKey) -> Outcome {
    let Some(seen) = context.store.stack(key) else {
        context.forget(key);
        return Outcome::Settled;
    };
    let generation = seen.meta().generation.unwrap_or_default();
    let stack = match &seen.0 {
        Ok(stack) => stack,
        Err(invalid) => {
            context.report_unread(key, &seen, generation, &invalid.error);
            return Outcome::Settled;
        }
    };
    // Owner references take the children along.
    if stack.meta().deletion_timestamp.is_some() {
        return Outcome::Settled;
    }
    let before = context
        .publisher
        .on_its_way(key, stack.metadata.uid.as_deref())
        .or_else(|| stack.status.clone())
        .unwrap_or_default();
    let mut memory = context.recall(key);
    let (report, next) = if stack.spec.suspend == Some(true) {
        (report::suspended(generation, &before, Timestamp::now()), Outcome::Settled)
    } else {
        let rendered = memory.render(stack, &context.options);
        match &rendered.model {
            Err(problems) => (report::invalid(problems, generation, &before, Timestamp::now()), Outcome::Settled),
            Ok((model, wanted)) => {
                let (plan, next) = roll_out(context, key, stack, model, wanted, &mut memory).await;
                let children = context.store.children(key);
                let parts = Parts::of(wanted, &children);
                let subject = Subject { stack: model, wanted, children: &children, parts: &parts, plan: &plan };
                (report::report(&subject, generation, &before, Timestamp::now()), next)
            }
        }
    };
    context.remember(key, memory);
    if report.status != before {
        context.publisher.post(key, stack.object_ref(&()), report);
    }
    next
}

/// Plans and writes until there is nothing left to write, then prunes. Returns the last plan, and when to look again.
async fn roll_out(
    context: &Context,
    key: &StackKey,
    written: &AppStack,
    stack: &Stack,
    wanted: &Children,
    memory: &mut Memory,
) -> (Plan, Outcome) {
    let ungated: BTreeSet<String> = written
        .annotations()
        .get(UNGATE)
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    let mut rounds = 0;
    loop {
        let (refused, due) = memory.standing_refusals();
        let children = context.store.children(key);
        let plan = plan(
            stack,
            wanted,
            &Seen { children: &children, refused: &refused, settled: &memory.settled, ungated: &ungated },
        );
        if plan.writes.is_empty() || rounds == ROUNDS {
            let failure = prune(context, key, &plan.deletes).await;
            // Writes that are left over are tried again after a while, since nothing else may wake us.
            let next = if failure.is_some() || !plan.writes.is_empty() {
                Outcome::Failed
            } else {
                due.map_or(Outcome::Settled, Outcome::At)
            };
            return (plan, next);
        }
        rounds += 1;
        match apply(context, key, stack, wanted, &plan, memory).await {
            Applied::Done => {}
            Applied::Again => return (plan, Outcome::Failed),
            Applied::NamespaceGoing => return (plan, Outcome::Settled),
        }
    }
}

impl Memory {
    /// Checked and rendered once per generation: a pass per status step of every child must stay cheap.
    fn render(&mut self, written: &AppStack, options: &Options) -> Arc<Rendered> {
        let of = (written.uid(), written.meta().generation);
        if let Some(rendered) = self.rendered.as_ref().filter(|rendered| rendered.of == of) {
            return rendered.clone();
        }
        if self.rendered.as_ref().is_some_and(|rendered| rendered.of.0 != of.0) {
            *self = Memory::default(); // another stack of the same name
        }
        let model = check(written, options.max_pod_security).map(|stack| {
            let children = render(&stack, &options.rendering);
            (stack, children)
        });
        if let Ok((_, wanted)) = &model {
            self.settled.retain(|id, _| wanted.contains_key(id));
            self.refusals.retain(|id, _| wanted.contains_key(id));
        }
        self.rendered.insert(Arc::new(Rendered { of, model })).clone()
    }
}

impl Context {
    /// Its status cannot be read either, so what was said is remembered here.
    fn report_unread(&self, key: &StackKey, seen: &Written, generation: i64, error: &str) {
        let mut memory = self.recall(key);
        let unread = Some((seen.uid(), generation));
        if memory.unread == unread {
            return;
        }
        memory.unread = unread;
        self.remember(key, memory);
        let report = report::undecodable(error, generation, &AppStackStatus::default(), Timestamp::now());
        self.publisher.post(key, seen.object_ref(&()), report);
    }
    fn recall(&self, key: &StackKey) -> Memory {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }
    fn remember(&self, key: &StackKey, memory: Memory) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memory);
    }
    fn forget(&self, key: &StackKey) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
