//! Carries out the deletes of a plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::error::Failure;
use super::memory::Memory;
use super::reconcile::Context;
use super::store::StackKey;
use crate::child::{Kind, labels};
use crate::rollout::Delete;
use crate::stack::Stack;

/// Whether the right to do it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pruned {
    /// As far as it was tried.
    Allowed,
    /// Not for every object.
    Forbidden,
}

/// Deletes each object as it was seen, or not at all. What has changed meanwhile is tried again like what failed: where only its version has moved, the
/// event of that wakes nobody.
pub(super) async fn prune(
    context: &Context,
    (key, stack): (&StackKey, &Stack),
    deletes: Vec<&Delete>,
    memory: &mut Memory,
) -> Pruned {
    let writer = context.writer.acting_for(stack);
    let mut pruned = Pruned::Allowed;
    for Delete { id, child, orphan } in deletes {
        let service = Some(child.label(labels::SERVICE)).filter(|name| !name.is_empty());
        match writer.delete(&key.namespace, id, child, *orphan).await {
            Ok(_) => {
                tracing::info!(stack = %key, service, child = %id, "pruned");
                memory.deleted(id);
                if id.kind == Kind::Service {
                    memory.has_room(id.kind);
                }
                // Its last event is on the way; until then it must not be deleted twice.
                context.store.amend(id.kind, &key.namespace, &id.name, |child| {
                    child.meta.deletion_timestamp.get_or_insert(Time(Timestamp::now()));
                });
            }
            Err(Failure::NamespaceGoing | Failure::Deposed) => break,
            Err(Failure::Forbidden(message)) => {
                tracing::warn!(stack = %key, service, child = %id, message, "not pruned");
                memory.may_not_delete(id, message, context.options.refusal_retry);
                pruned = Pruned::Forbidden;
            }
            Err(failure) => {
                tracing::warn!(stack = %key, service, child = %id, %failure, "not pruned");
                memory.failed(id, &failure);
            }
        }
    }
    pruned
}
