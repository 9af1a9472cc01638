//! The order law, judged by replaying the recorded history.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::observer::Seen;
use crate::space::HAND;
use crate::workload::{differences, is_complete, wanted};
use crate::world::{Id, World};
use crate::{Kind, json};

/// How old a view the operator may have acted on: the way of an event to it, and of its answer to the server. An event
/// and the write that it should have prevented may cross in this time; no operator can help that.
pub const CROSSING: Duration = Duration::from_millis(300);

/// A write that nothing explains.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The service whose pods were started or changed.
    pub service: Id,
    /// The server's version of the write.
    pub version: u64,
    /// When it reached the observer, since the beginning of the history.
    pub after: Duration,
    /// What was written.
    pub write: String,
    /// Why it was too early, as the namespace stood right before it.
    pub why: Vec<String>,
    /// Who has written the object, by `managedFields`.
    pub writers: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { service, version, after, write, why, writers } = self;
        write!(f, "{}/{}: {write} at {after:.3?} (version {version}, by {writers})", service.stack, service.service)?;
        why.iter().try_for_each(|reason| write!(f, "\n    {reason}"))
    }
}

/// The same where the nodes are real, and share a busy machine with the server, the operator and the observer.
pub const CROSSING_ON_REAL_NODES: Duration = Duration::from_secs(1);

/// Checks every write of the operator that starts pods: the creation of a workload, a changed pod template, a count that
/// goes from zero to some, a suspended Job that goes on.
///
/// Such a write is lawful if the namespace, **as it was between `crossing` (see [`CROSSING`]) before the write and the write**, explains it:
/// the new template is the definition of the stack at that moment (image, variables, program, arguments), and at that moment
/// every dependency of that spec held its condition at its own wanted definition, with nothing behind it still rolling
/// ([`World::objections`]). The server's versions give the order of what happened, the
/// observer's clock the age of each moment. The stack and its children reach an operator by separate watches, so it may see
/// the one as it was a moment before the other; the two moments are each within `crossing`. The children are all of one.
///
/// A rollback is lawful as well: a workload that says so, or whose stack asks for it, with the pod template that it once was complete with.
///
/// Writes by the test's own hand ([`HAND`]) are not judged; what the operator makes of them is.
pub fn violations(history: &[Seen], crossing: Duration) -> Vec<Violation> {
    let mut past: VecDeque<(Option<Instant>, World)> = VecDeque::from([(None, World::default())]);
    let mut found = Vec::new();
    for seen in history {
        let now = &past.back().expect("the world before").1;
        if let Some((id, write)) = starts_pods(seen, now) {
            let recent = past.iter().filter(|(ended, _)| ended.is_none_or(|end| end + crossing >= seen.at));
            let explained = |world: &World| objections(world, &id, seen).is_empty();
            let stacks = || World::distinct_stacks(recent.clone().map(|(_, world)| world), &id.stack);
            // A stopped stack is written without regard to order, as nothing of it runs. Else:
            // most often the namespace as it was at one moment explains it; else stack and children seen a moment apart.
            let none = wanted(seen.kind, &seen.object) == 0;
            let lawful = is_back(seen, history)
                || none && recent.clone().any(|(_, world)| world.is_stopped(&id.stack))
                || recent.clone().any(|(_, world)| explained(world))
                || stacks().iter().any(|s| recent.clone().any(|(_, world)| explained(&world.with_stack(&id.stack, s))));
            if !lawful {
                found.push(Violation {
                    version: seen.version,
                    after: seen.at.saturating_duration_since(history[0].at),
                    write,
                    why: objections(now, &id, seen),
                    writers: writers(&seen.object).into_iter().collect::<Vec<_>>().join(", "),
                    service: id,
                });
            }
        }
        let mut next = now.clone();
        next.take(seen);
        past.back_mut().expect("the world before").0 = Some(seen.at);
        past.push_back((None, next));
        while past.front().is_some_and(|(ended, _)| ended.is_some_and(|end| end + crossing * 2 < seen.at)) {
            past.pop_front();
        }
    }
    found
}

/// Every service a test started or changed pods of, with the version of the write, in order: what [`violations`] judged.
pub fn judged(history: &[Seen]) -> Vec<(u64, Id, String)> {
    let mut world = World::default();
    let mut found = Vec::new();
    for seen in history {
        found.extend(starts_pods(seen, &world).map(|(id, write)| (seen.version, id, write)));
        world.take(seen);
    }
    found
}

fn starts_pods(seen: &Seen, before: &World) -> Option<(Id, String)> {
    let kind = seen.kind;
    if !kind.is_workload() || seen.deleted {
        return None;
    }
    let id = Id::of(&seen.object)?;
    let template = |object: &Value| object["spec"]["template"].clone();
    let write = match before.named(&id, kind, json::name(&seen.object)) {
        // Made again over the pods it had: a StatefulSet, whose claim templates cannot be changed otherwise.
        None if kind == Kind::StatefulSet && before.has_pod(&id, &template(&seen.object)["spec"]) => return None,
        None => "created",
        Some(old) if by_hand(&old.object, &seen.object) => return None,
        Some(old) if template(&old.object) != template(&seen.object) => "pods changed",
        // How many a DaemonSet wants is for the nodes to say.
        Some(_) if kind == Kind::DaemonSet => return None,
        Some(old) if old.wanted() == 0 && wanted(kind, &seen.object) > 0 => "scaled up from zero",
        Some(_) => return None,
    };
    let image = json::text(&seen.object, "/spec/template/spec/containers/0/image");
    Some((id, format!("{kind} {write} ({image})")))
}

fn objections(world: &World, id: &Id, seen: &Seen) -> Vec<String> {
    let runs = seen.kind != Kind::Job && world.workloads(id).iter().any(|w| w.available() > 0);
    let mut objections = world.objections(id, runs);
    if let Some(spec) = world.spec(id)
        && let Err(other) = differences(spec, &id.service, &seen.object["spec"]["template"]["spec"])
    {
        let generation = world.generation(&id.stack);
        objections.push(format!("what was written is not what generation {generation} of the stack says: {other}"));
    }
    objections
}

/// Whether the test's hand wrote this change: its entry in `managedFields` is new or another one. Where that cannot be
/// told (the same fields within the same second) the operator is held responsible.
/// Whether this write puts a template back that the workload was complete with before, and says that another has failed, or a person had asked for it.
fn is_back(seen: &Seen, history: &[Seen]) -> bool {
    let annotations = |object: &Value| object["metadata"]["annotations"].clone();
    let id = Id::of(&seen.object);
    let asked = |earlier: &Seen| {
        let Some(id) = id.as_ref().filter(|id| json::name(&earlier.object) == id.stack) else { return false };
        let notes = annotations(&earlier.object);
        let to =
            notes[format!("appstack.dev/rollback.{}", id.service)].as_str().and_then(|asked| asked.split(':').nth(1));
        earlier.kind == Kind::AppStack
            && earlier.version < seen.version
            && to.is_some_and(|to| annotations(&seen.object)["appstack.dev/revision"] == to)
    };
    let says = annotations(&seen.object)["appstack.dev/failed-revision"].is_string() || history.iter().any(asked);
    let was = |earlier: &Seen| {
        earlier.kind == seen.kind
            && earlier.version < seen.version
            && json::name(&earlier.object) == json::name(&seen.object)
            && earlier.object["spec"]["template"] == seen.object["spec"]["template"]
            && is_complete(earlier.kind, &earlier.object)
    };
    says && history.iter().any(was)
}

fn by_hand(old: &Arc<Value>, new: &Arc<Value>) -> bool {
    let entry = |object: &Value| json::items(object, "/metadata/managedFields").find(|e| e["manager"] == HAND).cloned();
    let (before, after) = (entry(old), entry(new));
    after.is_some() && before != after
}

fn writers(object: &Value) -> BTreeSet<String> {
    json::items(object, "/metadata/managedFields").map(|e| json::text(e, "/manager").to_owned()).collect()
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
