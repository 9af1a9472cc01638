//! Says how stacks stand: their status when it differs, then the events that go with the difference.
//!
//! No pass waits for it: a dependant must not start later because a status was being written. The first news is written at once; what comes
//! in the next half second is folded into one write, of which the latest status counts. To the API server a status of twenty services is five times
//! as dear as a Deployment, and during a rollout it changes with every pod.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tokio::time::Instant;

use super::error::Failure;
use super::store::{StackKey, Store};
use super::writer::Writer;
use crate::api::AppStackStatus;
use crate::child::Kind;
use crate::report::{self, Report};
use crate::stack::names;

/// Between two statuses of a stack.
const PACE: Duration = Duration::from_millis(500);
/// Until a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Writes statuses and events.
#[derive(Clone)]
pub struct Publisher {
    store: Arc<Store>,
    writer: Writer,
    recorder: Recorder,
    letters: Arc<Mutex<HashMap<StackKey, Letter>>>,
}

/// What is still to be said of a stack.
struct Letter {
    reference: ObjectReference,
    report: Report,
    /// Not taken up yet.
    due: bool,
}

impl Publisher {
    /// Writes through this writer, and what the server answers into this store.
    pub fn new(store: Arc<Store>, writer: Writer, recorder: Recorder) -> Self {
        Publisher { store, writer, recorder, letters: Arc::default() }
    }

    /// The status that is on its way for a stack; the next report is about what has changed since.
    pub(super) fn on_its_way(&self, key: &StackKey) -> Option<AppStackStatus> {
        self.letters().get(key).map(|letter| letter.report.status.clone())
    }

    /// Has a report written, soon.
    pub(super) fn post(&self, key: &StackKey, reference: ObjectReference, report: Report) {
        let mut letters = self.letters();
        if let Some(letter) = letters.get_mut(key) {
            letter.report.status = report.status;
            letter.report.events = report::folded(std::mem::take(&mut letter.report.events), report.events);
            (letter.reference, letter.due) = (reference, true);
            return;
        }
        letters.insert(key.clone(), Letter { reference, report, due: true });
        let (publisher, key) = (self.clone(), key.clone());
        tokio::spawn(async move { publisher.deliver(&key).await });
    }

    /// Returns once nothing is on its way.
    pub(super) async fn settled(&self) {
        while !self.letters().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn deliver(&self, key: &StackKey) {
        while let Some((reference, report)) = self.take(key) {
            let next = Instant::now() + PACE;
            match self.writer.status(key, &report.status).await {
                Ok(Some(stack)) => self.store.wrote_stack(stack),
                // The stack is gone, or its namespace is going, or another operator speaks now.
                Ok(None) | Err(Failure::NamespaceGoing | Failure::Deposed) => {}
                Err(failure) => {
                    tracing::warn!(stack = %key, %failure, "status not written");
                    tokio::time::sleep(RETRY).await;
                    if let Some(letter) = self.letters().get_mut(key) {
                        letter.due = true;
                    }
                    continue;
                }
            }
            for event in report.events {
                self.record(key, &reference, event).await;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// What is due; the letter goes when nothing is. Events stay behind until their status is written.
    fn take(&self, key: &StackKey) -> Option<(ObjectReference, Report)> {
        let mut letters = self.letters();
        let letter = letters.get_mut(key)?;
        if !letter.due {
            letters.remove(key);
            return None;
        }
        letter.due = false;
        let report = Report { status: letter.report.status.clone(), events: std::mem::take(&mut letter.report.events) };
        Some((letter.reference.clone(), report))
    }

    async fn record(&self, key: &StackKey, reference: &ObjectReference, event: report::Event) {
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
        if let Err(error) = self.recorder.publish(&event, reference).await {
            tracing::debug!(stack = %key, %error, reason = event.reason, "event not recorded"); // a stack is well without it
        }
    }

    fn letters(&self) -> MutexGuard<'_, HashMap<StackKey, Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
