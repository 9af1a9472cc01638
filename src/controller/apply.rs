//! Carries out the writes of a plan: kind by kind, those of one kind at once in a bounded window.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};

use super::error::Failure;
use super::in_the_way;
use super::memory::{Memory, ReadBack};
use super::reconcile::Context;
use super::store::StackKey;
use super::writer::Writer;
use crate::api::AppStack;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, ReplicasOwner, labels};
use crate::render::{Children, Part, Wanted};
use crate::rollout::{Body, Gone, Guard, Refusal, RefusalKind, Write, refusal_of_size};
use crate::stack::Stack;

/// Writes of one stack under way at once: more gain nothing on a server of two cores, and one stack's burst must not delay others'.
const WINDOW: usize = 8;

/// What became of a round of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// Each was taken or refused, or has failed and is tried again when it is due.
    Done,
    /// Somebody else leads now.
    Deposed,
    /// The stack says something else by now, or goes: nothing more may be done in the name of what it said.
    Superseded,
    /// There is nothing to do here any more.
    NamespaceGoing,
}

/// Sends every write whose prerequisites are in place. Answers go into the store at once, so that the next plan reads our own writes; what went
/// wrong goes into `memory`, so that it is not tried again at once.
pub(super) async fn apply(
    context: &Context,
    key: &StackKey,
    (written, stack): (&AppStack, &Stack),
    wanted: &Children,
    writes: &[&Write],
    memory: &mut Memory,
) -> Applied {
    let mut applied = Applied::Done;
    let mut failed: BTreeSet<&ChildId> = BTreeSet::new();
    let mut changed: BTreeSet<Kind> = BTreeSet::new();
    let before = context.store.children(key);
    let hand = &context.writer.acting_for(stack);
    // A stack and its children reach us by watches of their own: of one that was deleted we may hear last. Then it is the garbage collector that has taken its
    // workloads, and what we made again would run until it takes that as well.
    let lost: Vec<&ChildId> = writes.iter().filter(|write| memory.is_lost(write)).map(|write| &write.id).collect();
    if !lost.is_empty()
        && let Err(failure) = context.writer.lives(&key.namespace, &key.name, &stack.uid).await
    {
        tracing::warn!(stack = %key, %failure, "its workloads are gone, and are not made again unless it lives");
        for id in lost {
            memory.failed(id, &failure);
            failed.insert(id);
        }
    }
    let mut waves: BTreeMap<_, Vec<&Write>> = BTreeMap::new();
    for write in writes {
        // What waits for others of its kind comes in a wave of its own, after theirs.
        let after_its_kind = write.after.iter().any(|id| id.kind == write.id.kind);
        waves.entry((write.id.kind, after_its_kind)).or_default().push(write);
    }
    for (at, wave) in waves.into_values().enumerate() {
        if at > 0 && !context.still_says(key, written) {
            applied = Applied::Superseded;
            break;
        }
        let (due, held): (Vec<_>, Vec<_>) =
            wave.into_iter().partition(|write| !write.after.iter().chain([&write.id]).any(|id| failed.contains(id)));
        failed.extend(held.iter().map(|write| &write.id));
        let mut calls = Vec::new();
        for write in due {
            if let Body::Grow { uid, size } = &write.body {
                grow(context, (key, hand), &write.id, uid, size, memory).await;
            }
            let Some(wanted) = wanted.get(&write.id) else { continue };
            calls.push(async move { (write, wanted, send(context, (key, hand), stack, write, wanted).await) }.boxed());
        }
        let mut answers = futures::stream::iter(calls).buffer_unordered(WINDOW);
        while let Some((write, wanted, answer)) = answers.next().await {
            let service = match &wanted.part {
                Part::Service(name) => Some(name.as_str()),
                _ => None,
            };
            match answer {
                Ok(got) => {
                    let (sent, stated) = match &write.body {
                        Body::Object { replicas, .. } => (wanted.digest, *replicas),
                        Body::Restore { .. } => (got.digest.unwrap_or_default(), None), // not what is wanted, and meant so
                        Body::Scale { .. } | Body::Grow { .. } => (wanted.digest, None),
                    };
                    memory.took(&write.id, sent, stated, &got);
                    if memory.is_repair(&write.id, wanted.digest, before.get(&write.id).map(AsRef::as_ref)) {
                        context.ops.metrics.repaired(write.id.kind);
                    }
                    changed.insert(write.id.kind);
                    tracing::info!(stack = %key, service, child = %write.id, action = action(&write.body), "applied");
                }
                Err(failure) => {
                    failed.insert(&write.id);
                    if write.instead_of.is_some() {
                        changed.insert(write.id.kind); // what was there may be gone
                    }
                    tracing::warn!(stack = %key, service, child = %write.id, %failure, "not applied");
                    match failure {
                        Failure::NameTaken => {
                            memory.refused(&write.id, conflict(&write.id, wanted), context.options.conflict_retry);
                        }
                        Failure::Refused(message) | Failure::Forbidden(message) => {
                            let refusal = Refusal { kind: RefusalKind::Refused, message, wanted: wanted.digest };
                            memory.refused(&write.id, refusal, context.options.refusal_retry);
                        }
                        Failure::NamespaceGoing => applied = Applied::NamespaceGoing,
                        Failure::Deposed => applied = Applied::Deposed,
                        again @ (Failure::Gone | Failure::Stale | Failure::Transient(_)) => {
                            memory.failed(&write.id, &again);
                        }
                    }
                }
            }
        }
    }
    // Of two Services that change at once, one may give up the node port that the other wants. Whoever is refused when nothing changes, waits.
    if changed.contains(&Kind::Service) {
        memory.has_room(Kind::Service);
    }
    applied
}

fn action(body: &Body) -> &'static str {
    match body {
        Body::Object { guard: Guard::Absent, .. } => "create",
        Body::Object { .. } => "update",
        Body::Restore { .. } => "roll back",
        Body::Scale { .. } => "scale",
        Body::Grow { .. } => "grow",
    }
}

/// Grows a claim that a StatefulSet made: it is nobody's wanted child, and of its fields only the size becomes ours.
async fn grow(
    context: &Context,
    (key, writer): (&StackKey, &Writer),
    id: &ChildId,
    uid: &str,
    size: &str,
    memory: &mut Memory,
) {
    let body = json!({
        "apiVersion": id.kind.api_version(), "kind": id.kind.names().kind,
        "metadata": {"name": id.name, "namespace": key.namespace, "uid": uid},
        "spec": {"resources": {"requests": {"storage": size}}},
    });
    match writer.apply(&key.namespace, id, &body, false).await {
        Ok(child) => {
            tracing::info!(stack = %key, child = %id, size, "grown");
            context.store.wrote(id.kind, child);
        }
        Err(Failure::Refused(message) | Failure::Forbidden(message)) => {
            tracing::warn!(stack = %key, child = %id, message, "not grown");
            memory.refused(id, refusal_of_size(size, message), context.options.refusal_retry);
        }
        Err(failure) => memory.failed(id, &failure),
    }
}

fn conflict(id: &ChildId, wanted: &Wanted) -> Refusal {
    let message = format!(
        "{id} exists and does not belong to this stack; it is left alone. Rename the service or the stack, or delete that object"
    );
    Refusal { kind: RefusalKind::NameConflict, message, wanted: wanted.digest }
}

/// One write. Returns what the server read back.
async fn send(
    context: &Context,
    (key, writer): (&StackKey, &Writer),
    stack: &Stack,
    write: &Write,
    wanted: &Wanted,
) -> Result<ReadBack, Failure> {
    let id = &write.id;
    if let Some(old) = &write.instead_of {
        // One that is held back for a while (a cloud takes its load balancer down first) tells when it is gone.
        if !writer.delete(&key.namespace, id, old, false).await? {
            return Err(Failure::Stale);
        }
    }
    match &write.body {
        Body::Grow { .. } => Ok(ReadBack::default()), // no wanted child is grown that way
        Body::Scale { count } => {
            writer.scale(&key.namespace, id, *count).await?;
            context.store.amend(id.kind, &key.namespace, &id.name, |child| child.facts.spec_replicas = Some(*count));
            Ok(ReadBack { digest: Some(wanted.digest), count: None })
        }
        Body::Restore { guard, replicas, keep, from, good, failed } => {
            let record = writer.look_whole(&key.namespace, from).await?.ok_or(Failure::Stale)?;
            let body = body(wanted, id, guard, *replicas, [keep.as_deref(), Some(good), None]);
            let body = restored(body, &record, good, failed.as_ref());
            let child = match writer.apply(&key.namespace, id, &body, *guard == Guard::Absent).await {
                Err(Failure::NameTaken) => take_back(writer, key, stack, id, wanted, body).await?,
                other => other?,
            };
            let read = ReadBack { digest: child.digest, count: child.facts.spec_replicas };
            context.store.wrote(id.kind, child);
            Ok(read)
        }
        Body::Object { guard, replicas, keep, good, filled } => {
            let body = body(wanted, id, guard, *replicas, [keep.as_deref(), good.as_deref(), filled.as_deref()]);
            let child = match writer.apply(&key.namespace, id, &body, *guard == Guard::Absent).await {
                Err(Failure::NameTaken) => take_back(writer, key, stack, id, wanted, body).await?,
                Err(Failure::Refused(message)) if *guard != Guard::Absent => {
                    let past = in_the_way::apply_past(writer, key, id, &body).await?;
                    past.ok_or(Failure::Refused(message))?
                }
                other => other?,
            };
            let read = ReadBack { digest: child.digest, count: child.facts.spec_replicas };
            context.store.wrote(id.kind, child);
            Ok(read)
        }
    }
}

/// The name is taken by an object that no watch shows us: ours, if somebody stripped its labels. One look decides.
async fn take_back(
    writer: &Writer,
    key: &StackKey,
    stack: &Stack,
    id: &ChildId,
    wanted: &Wanted,
    mut body: Value,
) -> Result<Child, Failure> {
    let live = writer.look(&key.namespace, id).await?.ok_or(Failure::Stale)?;
    let labels: Vec<(&str, &str)> = wanted.labels().collect();
    if !live.is_of(&stack.name, &stack.uid, &labels) {
        return Err(Failure::NameTaken);
    }
    if live.is_going() {
        return Err(Failure::Stale);
    }
    if let Some(meta) = body["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
        meta.insert("uid".into(), json!(live.meta.uid));
    }
    keep_notes(&mut body, &live);
    if id.kind.starts_pods() {
        keep_count(&mut body, &live);
    }
    writer.apply(&key.namespace, id, &body, false).await
}

/// What is noted down on a live object stays on it.
pub(super) fn keep_notes(body: &mut Value, live: &Child) {
    for key in NOTES {
        if let Some(kept) = live.annotation(key) {
            body["metadata"]["annotations"][key] = json!(kept);
        }
    }
}

/// A body that was to create a workload states its first count. One that runs already keeps the count it has: where that is ours to state, it must not
/// have moved meanwhile; the next plan puts it right if need be.
pub(super) fn keep_count(body: &mut Value, live: &Child) {
    if let Some(spec) = body["spec"].as_object_mut()
        && spec.remove("replicas").is_some()
        && live.facts.replicas_owner == ReplicasOwner::Ours
        && let Some(count) = live.facts.spec_replicas
    {
        spec.insert("replicas".into(), json!(count));
        body["metadata"]["resourceVersion"] = json!(live.meta.resource_version);
    }
}

/// What is noted down on workloads and claims for later. One that is found without our labels keeps its own.
const NOTES: [&str; 3] = [labels::KEPT_REPLICAS, labels::LAST_GOOD, labels::FILLED];

/// The body with the template that was good, and with what became of the one that is written.
pub(super) fn restored(mut body: Value, record: &Value, good: &str, failed: Option<&Gone>) -> Value {
    body["spec"]["template"] = record["data"]["template"].clone();
    body["metadata"]["annotations"][labels::REVISION] = json!(good);
    if let Some(failed) = failed {
        body["metadata"]["annotations"][labels::FAILED_REVISION] = json!(failed.revision);
        if let Some(because) = &failed.because {
            body["metadata"]["annotations"][labels::FAILED_BECAUSE] = json!(because);
        }
    }
    body["metadata"]["annotations"][labels::SENT] = json!(Digest::wanted(&body).to_string());
    body
}

/// The object with its guard and notes, and on a workload the count and the digest of what is sent.
pub(super) fn body(
    wanted: &Wanted,
    id: &ChildId,
    guard: &Guard,
    replicas: Option<i32>,
    notes: [Option<&str>; 3],
) -> Value {
    let mut body = wanted.object.clone();
    match guard {
        // A create, or 409: version 1 is nobody's, and "0" would mean any (T2).
        Guard::Absent => body["metadata"]["resourceVersion"] = json!("1"),
        Guard::Uid(uid) => body["metadata"]["uid"] = json!(uid),
        Guard::Version(uid, version) => {
            body["metadata"]["uid"] = json!(uid);
            body["metadata"]["resourceVersion"] = json!(version);
        }
    }
    for (key, note) in NOTES.into_iter().zip(notes) {
        if let Some(note) = note {
            body["metadata"]["annotations"][key] = json!(note);
        }
    }
    if id.kind.starts_pods() {
        body["metadata"]["annotations"][labels::SENT] = json!(wanted.digest.to_string());
        if let Some(replicas) = replicas {
            body["spec"]["replicas"] = json!(replicas);
        }
    }
    body
}
