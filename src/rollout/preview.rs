//! What a plan leaves for later: what would still be written or deleted once everything that a service waits for has come about.

use std::collections::BTreeSet;

use super::plan::{Guard, Plan, Step};
use super::planner::{Seen, uid};
use super::prune::{is_ours, was_applied};
use crate::child::{Child, ChildId, Kind};
use crate::render::{Children, Part, Wanted};
use crate::stack::Stack;

/// A child that is not written now although it is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// Which.
    pub id: ChildId,
    /// What is true of the live one.
    pub guard: Guard,
    /// What it waits for.
    pub why: String,
}

/// Children that differ from what is wanted and are not among the plan's writes: of held services, and what pods of an older revision still need.
pub fn later(stack: &Stack, wanted: &Children, seen: &Seen<'_>, plan: &Plan) -> Vec<Later> {
    let planned: BTreeSet<&ChildId> = plan.writes.iter().map(|write| &write.id).collect();
    let unplanned = wanted.iter().filter(|(id, _)| !planned.contains(id) && !plan.refusals.contains_key(id));
    let late = unplanned.filter_map(|(id, wanted)| {
        let live = seen.children.get(id).filter(|child| child.is_of(&stack.name, &stack.uid, &labels(wanted)));
        let held = held(plan, wanted);
        let (guard, why) = match live {
            // What is kept of a definition is made when its rollout is complete.
            _ if id.kind == Kind::Record => return None,
            None => (Guard::Absent, held?),
            Some(live) if live.digest == Some(wanted.digest) && !live.is_going() => return None,
            // At the right revision, and rendered in another way by another version of the operator.
            Some(_) if id.kind.starts_pods() && held.is_none() => return None,
            Some(live) if live.is_going() => (Guard::Absent, "what is there is on its way out".into()),
            Some(live) => {
                (Guard::Uid(uid(live)), held.unwrap_or_else(|| "pods that run still need it as it is".into()))
            }
        };
        Some(Later { id: id.clone(), guard, why })
    });
    late.collect()
}

/// Why a child of a held service is not written.
fn held(plan: &Plan, wanted: &Wanted) -> Option<String> {
    let Part::Service(name) = &wanted.part else { return None };
    match plan.steps.get(name)? {
        Step::Hold(waits) if waits.is_empty() => Some("held until what was there before is gone".into()),
        Step::Hold(waits) => {
            let words = waits.iter().map(|wait| format!("{} ({}): {}", wait.on, wait.until, wait.why));
            Some(format!("held, waits for {}", words.collect::<Vec<_>>().join("; ")))
        }
        Step::Failed(cause) => Some(format!("not written, {}: {}", cause.reason, cause.message)),
        Step::Apply | Step::Done => None,
    }
}

/// Children that are no longer wanted and wait for services that are held or rolling. None where everything is at rest: what is there then stays.
pub fn doomed(stack: &Stack, wanted: &Children, seen: &Seen<'_>, plan: &Plan) -> Vec<ChildId> {
    let moves = !plan.writes.is_empty() || plan.steps.values().any(|step| *step != Step::Done);
    let gone: BTreeSet<&ChildId> = plan.deletes.iter().map(|delete| &delete.id).collect();
    // A kept revision may be gone back to, with its files.
    let kept = |id: &ChildId| {
        let records = seen.children.iter().filter(|(id, _)| id.kind == Kind::Record);
        id.kind == Kind::ConfigMap && records.into_iter().any(|(_, child)| child.facts.config_maps.contains(&id.name))
    };
    let stays = |id: &ChildId| matches!(id.kind, Kind::Claim | Kind::Pod | Kind::Record) || kept(id);
    let ours = |id: &ChildId, child: &Child| is_ours(stack, id, child) && was_applied(stack, child);
    let all = seen.children.iter().filter(|(id, child)| {
        moves && !wanted.contains_key(id) && !gone.contains(id) && !stays(id) && !child.is_going() && ours(id, child)
    });
    all.map(|(id, _)| id.clone()).collect()
}

fn labels(wanted: &Wanted) -> Vec<(&str, &str)> {
    wanted.labels().collect()
}
