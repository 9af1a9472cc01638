//! Stacks that go in order: a finalizer holds them until their last pod is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::error::Failure;
use super::memory::Memory;
use super::prune::{Pruned, prune};
use super::queue::Outcome;
use super::reconcile::Context;
use super::store::{StackKey, Written};
use super::writer::TEARDOWN;
use crate::api::{AppStackStatus, Teardown};
use crate::child::{Child, ChildId};
use crate::report;
use crate::rollout::{teardown, unseen};
use crate::stack::Stack;

/// Rounds of deleting in one pass: an autoscaler, its workload, what is beside pods, walls, and one to see that nothing is left.
const ROUNDS: usize = 5;

/// Sees to it that a stack is held that is to go in order, and no other: none whose namespace goes, with the operator's lease perhaps, after which nobody could let it go. Where that fails, it is tried again after `retry`, and the rollout goes on.
pub(super) async fn hold(
    context: &Context,
    key: &StackKey,
    seen: &Written,
    stack: &Stack,
    memory: &mut Memory,
    retry: Duration,
) {
    let wanted = stack.teardown == Teardown::Ordered && !memory.is_namespace_going;
    if wanted == is_held(seen) || memory.hold_again.is_some_and(|due| due > Instant::now()) {
        memory.hold_again = memory.hold_again.filter(|_| wanted != is_held(seen));
        return;
    }
    memory.hold_again = match context.writer.hold(seen, wanted).await {
        Ok(stack) => {
            tracing::info!(stack = %key, held = wanted, "teardown");
            context.store.held_stack(stack);
            None
        }
        Err(failure) => {
            tracing::warn!(stack = %key, %failure, "cannot change the stack's finalizers: it would not go as spec.teardown says");
            Some(Instant::now() + retry)
        }
    };
}

/// Goes on with the deletion of a stack: in order if the stack asks for that and still can be read, and not against its namespace, which is deleted without
/// regard to any order.
pub(super) async fn go_on(context: &Context, key: &StackKey, seen: &Written, generation: i64) -> Outcome {
    if !is_held(seen) {
        return Outcome::Settled; // owner references take the children along
    }
    let mut memory = context.recall(key);
    // As of now: while we wait for answers, what is on its way is written, and what was seen grows old.
    let before = context.said(key, seen);
    let outcome = match in_order(context, seen, &mut memory) {
        Some(stack) if !context.writer.is_namespace_going(&key.namespace).await => {
            take_down(context, key, (seen, &before), &stack, generation, &mut memory).await
        }
        _ => release(context, key, seen).await,
    };
    context.remember(key, memory);
    outcome
}

/// The model of a stack that is to go in order; none where it is to be left alone, or is not understood, or where its children are to stay.
fn in_order(context: &Context, seen: &Written, memory: &mut Memory) -> Option<Stack> {
    let written = seen.0.as_ref().ok()?;
    let is_orphaning = written.finalizers().iter().any(|name| name == "orphan");
    if written.spec.suspend == Some(true) || written.spec.teardown != Some(Teardown::Ordered) || is_orphaning {
        return None;
    }
    memory.render(written, &context.options).model.as_ref().ok().map(|(stack, _)| stack.clone())
}

/// Deletes what may go now, until that waits for something; releases the stack when nothing is left.
async fn take_down(
    context: &Context,
    key: &StackKey,
    (seen, before): (&Written, &AppStackStatus),
    stack: &Stack,
    generation: i64,
    memory: &mut Memory,
) -> Outcome {
    let mut rounds = 0;
    loop {
        let now = Instant::now();
        let children = match children(context, (key, stack), memory).await {
            Ok(children) => children,
            Err(failure) => {
                tracing::warn!(stack = %key, %failure, "could not look at what has lost the stack's label");
                return Outcome::Failed;
            }
        };
        let down = teardown(stack, &children);
        let deletes: Vec<_> = down.deletes.iter().filter(|delete| !memory.is_waiting(&delete.id, now)).collect();
        if !deletes.is_empty() && rounds < ROUNDS {
            rounds += 1;
            let workloads = deletes.iter().map(|delete| delete.id.clone()).filter(|id| id.kind.starts_pods());
            let workloads: Vec<ChildId> = workloads.collect();
            let pruned = prune(context, (key, stack), deletes, memory).await;
            let gone: Vec<ChildId> =
                workloads.into_iter().filter(|id| !memory.is_waiting(id, Instant::now())).collect();
            memory.looked_at.extend(gone.into_iter().map(|id| (id, None)));
            if let (Pruned::Forbidden, Some(account)) = (pruned, &stack.apply_as) {
                // The account may be gone by now, and nobody would ever let the stack go. What is left is the garbage collector's.
                tracing::warn!(stack = %key, account, "spec.applyAs may not delete what the stack is made of: it goes without an order");
                return release(context, key, seen).await;
            }
            continue;
        }
        if down.is_over() {
            return release(context, key, seen).await;
        }
        let report = report::tearing_down(stack, &down, generation, before, Timestamp::now());
        if report.status != *before {
            context.publisher.post(key, seen.object_ref(&()), report);
        }
        return match memory.next_due(now) {
            _ if !deletes.is_empty() => Outcome::Failed,
            Some(due) => Outcome::At(due.into_std()),
            None => Outcome::Settled,
        };
    }
}

/// What the watches tell of, which go by the stack's label; and workloads of its pods that have lost it.
async fn children(
    context: &Context,
    (key, stack): (&StackKey, &Stack),
    memory: &mut Memory,
) -> Result<Arc<BTreeMap<ChildId, Arc<Child>>>, Failure> {
    let mut children = context.store.children(key);
    for id in unseen(&children) {
        let found = if let Some(found) = memory.looked_at.get(&id) {
            found.clone()
        } else {
            let found = context.writer.look(&key.namespace, &id).await?.map(Arc::new);
            let is_ours = |child: &Arc<Child>| child.owner().is_some_and(|owner| owner.uid == stack.uid);
            // One of ours goes now, or is looked at again; of others there is nothing more to learn.
            if !found.as_ref().is_some_and(is_ours) {
                memory.looked_at.insert(id.clone(), found.clone());
            }
            found
        };
        if let Some(child) = found {
            Arc::make_mut(&mut children).insert(id, child);
        }
    }
    Ok(children)
}

async fn release(context: &Context, key: &StackKey, seen: &Written) -> Outcome {
    match context.writer.hold(seen, false).await {
        Ok(stack) => {
            tracing::info!(stack = %key, "released");
            context.store.held_stack(stack);
            Outcome::Settled
        }
        Err(Failure::Gone) => Outcome::Settled,
        Err(failure) => {
            tracing::warn!(stack = %key, %failure, "not released");
            Outcome::Failed
        }
    }
}

fn is_held(stack: &Written) -> bool {
    stack.finalizers().iter().any(|name| name == TEARDOWN)
}
