//! One pass over one stack.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::Recorder;
use kube::{Resource, ResourceExt};

use super::apply::apply;
use super::error::Failure;
use super::prune::prune;
use super::publish::{publish, reference};
use super::queue::Outcome;
use super::run::Options;
use super::store::{StackKey, Store};
use super::writer::Writer;
use crate::api::AppStack;
use crate::child::ChildId;
use crate::child::digest::Digest;
use crate::render::{Children, render};
use crate::report::{self, Subject};
use crate::rollout::{Plan, Refusal, Seen, plan};
use crate::stack::{Problems, Stack, check};

/// Services that may pass their gate although what they wait for does not hold, by name, separated by commas.
const UNGATE: &str = "appstack.dev/ungate";

/// Rounds of planning and writing in one pass. What one round writes may let another service go on at once; more rounds than this mean that
/// two rules disagree, and the next event takes it from there.
const ROUNDS: usize = 6;

/// What every pass works with.
pub struct Context {
    /// What has been seen.
    pub store: Store,
    /// The only way to write.
    pub writer: Writer,
    /// For events.
    pub recorder: Recorder,
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
    /// Generation that was reported as unreadable.
    unread: Option<i64>,
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
    let before = seen.0.as_ref().ok().and_then(|stack| stack.status.clone()).unwrap_or_default();
    let generation = seen.meta().generation.unwrap_or_default();
    let now = Timestamp::now();
    let stack = match &seen.0 {
        Ok(stack) => stack,
        Err(invalid) => {
            // Its status cannot be read either, so what was said is remembered here.
            let mut memory = context.recall(key);
            if memory.unread.replace(generation) == Some(generation) {
                return Outcome::Settled;
            }
            context.remember(key, memory);
            let nobody = kube::core::ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                uid: seen.uid(),
                ..Default::default()
            };
            let unread = AppStack { metadata: nobody, spec: Default::default(), status: None };
            return outcome(
                publish(
                    context,
                    key,
                    reference(&unread),
                    &before,
                    report::undecodable(&invalid.error, generation, &before, now),
                )
                .await,
                None,
            );
        }
    };
    // Owner references take the children along.
    if stack.meta().deletion_timestamp.is_some() {
        return Outcome::Settled;
    }
    let mut memory = context.recall(key);
    let (report, next) = if stack.spec.suspend == Some(true) {
        (report::suspended(generation, &before, now), Ok(None))
    } else {
        let rendered = memory.render(stack, &context.options);
        match &rendered.model {
            Err(problems) => (report::invalid(problems, generation, &before, now), Ok(None)),
            Ok((model, wanted)) => {
                let (plan, next) = roll_out(context, key, stack, model, wanted, &mut memory).await;
                let children = context.store.children(key);
                let subject = Subject { stack: model, wanted, children: &children, plan: &plan };
                (report::report(&subject, generation, &before, Timestamp::now()), next)
            }
        }
    };
    context.remember(key, memory);
    let published = publish(context, key, reference(stack), &before, report).await;
    match next {
        Ok(next) => outcome(published, next),
        Err(failure) => outcome(Err(failure), None),
    }
}

/// Plans and writes until there is nothing left to write, then prunes. Returns the last plan, and when a refused write is due again or what
/// is worth another try.
async fn roll_out(
    context: &Context,
    key: &StackKey,
    written: &AppStack,
    stack: &Stack,
    wanted: &Children,
    memory: &mut Memory,
) -> (Plan, Result<Option<Instant>, Failure>) {
    let ungated: BTreeSet<String> = written
        .annotations()
        .get(UNGATE)
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    let mut rounds = 0;
    loop {
        let (refused, next) = memory.standing_refusals();
        let children = context.store.children(key);
        let plan = plan(
            stack,
            wanted,
            &Seen { children: &children, refused: &refused, settled: &memory.settled, ungated: &ungated },
        );
        if plan.writes.is_empty() || rounds == ROUNDS {
            let again = prune(context, key, &plan.deletes).await;
            return (plan, again.map_or(Ok(next), Err));
        }
        rounds += 1;
        let applied = apply(context, key, stack, wanted, &plan, memory).await;
        if let Some(failure) = applied.transient {
            return (plan, Err(failure));
        }
    }
}

fn outcome(published: Result<(), Failure>, next: Option<Instant>) -> Outcome {
    match (published, next) {
        (Err(Failure::NamespaceGoing), _) => Outcome::Settled,
        (Err(_), _) => Outcome::Failed,
        (Ok(()), Some(at)) => Outcome::At(at),
        (Ok(()), None) => Outcome::Settled,
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
        self.rendered.insert(Arc::new(Rendered { of, model })).clone()
    }
}

impl Context {
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
