//! Carries out the deletes of a plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::error::Failure;
use super::memory::Memory;
use super::reconcile::Context;
use super::store::StackKey;
use crate::child::Kind;
use crate::rollout::Delete;

/// Deletes each object as it was seen, or not at all. What has changed meanwhile is tried again like what failed: where only its version has moved, the
/// event of that wakes nobody.
pub(super) async fn prune(context: &Context, key: &StackKey, deletes: Vec<&Delete>, memory: &mut Memory) {
    for Delete { id, child, orphan } in deletes {
        match context.writer.delete(&key.namespace, id, child, *orphan).await {
            Ok(_) => {
                tracing::info!(stack = %key, child = %id, "pruned");
                memory.deleted(id);
                if id.kind == Kind::Service {
                    memory.has_room(id.kind);
                }
                // Its last event is on the way; until then it must not be deleted twice.
                context.store.amend(id.kind, &key.namespace, &id.name, |child| {
                    child.meta.deletion_timestamp.get_or_insert(Time(Timestamp::now()));
                });
            }
            Err(Failure::NamespaceGoing | Failure::Deposed) => return,
            Err(failure) => {
                tracing::warn!(stack = %key, child = %id, %failure, "not pruned");
                memory.failed(id, &failure);
            }
        }
    }
}
