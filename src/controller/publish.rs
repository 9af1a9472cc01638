//! Says how a stack stands: its status, when it differs, and the events that go with the difference.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::error::Failure;
use super::reconcile::Context;
use super::store::StackKey;
use crate::api::{AppStack, AppStackStatus};
use crate::child::Kind;
use crate::report::Report;
use crate::stack::names;

/// Writes the status if it differs from the one that is there, then the events. The last thing of a pass.
pub(super) async fn publish(
    context: &Context,
    key: &StackKey,
    reference: ObjectReference,
    before: &AppStackStatus,
    report: Report,
) -> Result<(), Failure> {
    if report.status == *before {
        return Ok(());
    }
    let Some(stack) = context.writer.status(key, &report.status).await? else { return Ok(()) };
    context.store.wrote_stack(stack);
    for event in report.events {
        let type_ = if event.warning { EventType::Warning } else { EventType::Normal };
        // Repeats are counted per related object: each service must have its own, or all but the first note are lost.
        let secondary = event.service.map(|service| ObjectReference {
            api_version: Some(Kind::Deployment.api_version()),
            kind: Some(Kind::Deployment.to_string()),
            name: Some(names::joined(&[&key.name, &service])),
            namespace: Some(key.namespace.clone()),
            ..ObjectReference::default()
        });
        let event =
            Event { type_, reason: event.reason, note: Some(event.note), action: "Reconcile".into(), secondary };
        let (recorder, reference, key) = (context.recorder.clone(), reference.clone(), key.clone());
        // Nothing waits for an event, and a stack is well without it.
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::debug!(stack = %key, %error, reason = event.reason, "event not recorded");
            }
        });
    }
    Ok(())
}

/// What events are about.
pub(super) fn reference(stack: &AppStack) -> ObjectReference {
    stack.object_ref(&())
}
