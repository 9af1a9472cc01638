//! Says how stacks stand: their status when it differs, then the events that go with the difference.
//!
//! No pass waits for it: a dependant must not start later because a status was being written. News is written a moment later, with what the
//! controllers have to say of our own writes by then; what comes in the next half second is folded into one write, of which the latest status counts. A
//! mere count waits for news to go along with, the longer the less it says. To the API server a status of twenty services is five times as dear as a
//! Deployment, and during a rollout it changes with every pod: so it costs about one write per service.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::runtime::events::{Event, EventType, Recorder};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::backoff::{delay, jitter};
use super::error::Failure;
use super::store::{StackKey, Store};
use super::writer::Writer;
use crate::api::AppStackStatus;
use crate::child::Kind;
use crate::report::{self, Report, Weight};
use crate::stack::names;

/// Between two statuses of a stack.
const PACE: Duration = Duration::from_millis(500);
/// From news to its write: the controller of a workload that we have just written has counted its pods by then.
const SETTLE: Duration = Duration::from_millis(100);
/// From a mere count to its write, unless news takes it along: less than a person waits for a number to move.
const COUNTS: Duration = Duration::from_secs(3);
/// From what is only told in passing to its write, unless anything takes it along.
const ASIDE: Duration = Duration::from_secs(30);

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
    /// When it is to be written; none once it is taken up.
    due: Option<Instant>,
    /// Not before.
    paced: Instant,
    /// It has become due earlier.
    sooner: Arc<Notify>,
}

impl Letter {
    fn is_of(&self, uid: Option<&str>) -> bool {
        self.reference.uid.as_deref() == uid
    }
}

impl Publisher {
    /// Writes through this writer, and what the server answers into this store.
    pub fn new(store: Arc<Store>, writer: Writer, recorder: Recorder) -> Self {
        Publisher { store, writer, recorder, letters: Arc::default() }
    }

    /// The status that is on its way for the stack of this uid; the next report is about what has changed since.
    pub(super) fn on_its_way(&self, key: &StackKey, uid: Option<&str>) -> Option<AppStackStatus> {
        let letters = self.letters();
        letters.get(key).filter(|letter| letter.is_of(uid)).map(|letter| letter.report.status.clone())
    }

    /// Has a report written: soon if there is news in it, with the next news else.
    pub(super) fn post(&self, key: &StackKey, reference: ObjectReference, report: Report) {
        let seen = self.store.stack(key);
        let written = seen.as_ref().and_then(|seen| seen.0.as_ref().ok()?.status.as_ref());
        let mut letters = self.letters();
        let before = letters.get(key).map(|letter| &letter.report.status).or(written);
        let weight = before.map_or(Weight::News, |before| report::weight(before, &report.status));
        let now = Instant::now();
        let due = now
            + match weight {
                _ if !report.events.is_empty() => SETTLE,
                Weight::News => SETTLE,
                Weight::Count => COUNTS,
                Weight::Aside => ASIDE,
            };
        if let Some(letter) = letters.get_mut(key) {
            let earlier = std::mem::take(&mut letter.report.events);
            // Nothing is left to say of an earlier stack of that name.
            let earlier = if letter.is_of(reference.uid.as_deref()) { earlier } else { Vec::new() };
            let events = report::folded(earlier, report.events);
            letter.reference = reference;
            letter.report = Report { status: report.status, events };
            letter.due = Some(letter.due.map_or(due, |before| before.min(due)).max(letter.paced));
            letter.sooner.notify_one();
            return;
        }
        letters.insert(key.clone(), Letter { reference, report, due: Some(due), paced: now, sooner: Arc::default() });
        let (publisher, key) = (self.clone(), key.clone());
        tokio::spawn(async move { publisher.deliver(&key).await });
    }

    /// Has everything written as soon as its pace allows: we are about to end.
    pub(super) fn hasten(&self) {
        for letter in self.letters().values_mut() {
            letter.due = letter.due.map(|_| letter.paced);
            letter.sooner.notify_one();
        }
    }

    /// Returns once nothing is on its way.
    pub(super) async fn settled(&self) {
        while !self.letters().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn deliver(&self, key: &StackKey) {
        let mut failures = 0;
        while let Some((reference, report)) = self.take(key).await {
            match self.write(key, &reference, &report.status).await {
                Ok(()) => {
                    failures = 0;
                    for event in report.events {
                        self.record(key, &reference, event).await;
                    }
                }
                // The stack is gone, or its namespace is going, or another operator speaks now.
                Err(Failure::Gone | Failure::NamespaceGoing | Failure::Deposed) => {}
                Err(failure) => {
                    failures += 1;
                    tracing::warn!(stack = %key, %failure, "status not written");
                    let again = Instant::now() + delay(failures, jitter());
                    self.put_back(key, &reference, report.events, again);
                    sleep_until(again).await;
                }
            }
        }
    }

    /// Writes a status to the stack that it is about, as last seen, and to no other of its name.
    async fn write(&self, key: &StackKey, to: &ObjectReference, status: &AppStackStatus) -> Result<(), Failure> {
        let stack = self.store.stack(key).filter(|stack| stack.uid() == to.uid).ok_or(Failure::Gone)?;
        let stored = stack.0.as_ref().ok().and_then(|stack| stack.status.as_ref());
        let status = stored.map_or_else(|| status.clone(), |stored| report::over(stored, status.clone()));
        // It has come to what it was, before anybody heard of it.
        if stored != Some(&status) {
            self.store.wrote_stack(self.writer.status(&stack, &status).await?);
        }
        Ok(())
    }

    /// What could not be said is due again, unless another stack has taken the place.
    fn put_back(&self, key: &StackKey, reference: &ObjectReference, events: Vec<report::Event>, again: Instant) {
        if let Some(letter) = self.letters().get_mut(key).filter(|letter| letter.is_of(reference.uid.as_deref())) {
            let later = std::mem::take(&mut letter.report.events);
            letter.report.events = report::folded(events, later);
            letter.due = Some(again);
        }
    }

    /// Waits for what is due; the letter goes when nothing is, a pace after the last write. Events stay behind until their status is written.
    async fn take(&self, key: &StackKey) -> Option<(ObjectReference, Report)> {
        loop {
            let (until, sooner) = {
                let mut letters = self.letters();
                let letter = letters.get_mut(key)?;
                let now = Instant::now();
                match letter.due {
                    Some(due) if due <= now => {
                        letter.due = None;
                        letter.paced = now + PACE;
                        let events = std::mem::take(&mut letter.report.events);
                        return Some((
                            letter.reference.clone(),
                            Report { status: letter.report.status.clone(), events },
                        ));
                    }
                    None if letter.paced <= now => {
                        letters.remove(key);
                        return None;
                    }
                    due => (due.unwrap_or(letter.paced), letter.sooner.clone()),
                }
            };
            let _ = timeout_at(until, sooner.notified()).await; // either way, look again
        }
    }

    async fn record(&self, key: &StackKey, reference: &ObjectReference, event: report::Event) {
        let service = event.service.as_deref();
        if event.warning {
            tracing::warn!(stack = %key, service, reason = event.reason, note = event.note, "told");
        } else {
            tracing::info!(stack = %key, service, reason = event.reason, note = event.note, "told");
        }
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
        if let Err(failure) = self.writer.bounded(false, self.recorder.publish(&event, reference)).await {
            tracing::debug!(stack = %key, %failure, reason = event.reason, "event not recorded"); // a stack is well without it
        }
    }

    fn letters(&self) -> MutexGuard<'_, HashMap<StackKey, Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
