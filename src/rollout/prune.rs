//! What is no longer wanted, and may go. Per object: nothing waits for "everything succeeded".

use std::collections::BTreeSet;

use super::health::Progress;
use super::plan::{Delete, Plan, Step};
use super::planner::Seen;
use super::populate::has_ended;
use super::rollback::is_superfluous;
use crate::api::Isolation;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Children;
use crate::stack::{Scale, Stack, Workload};

/// Children of ours that the stack does not want, and whose time has come:
/// - what opens a published port, as soon as its own service is past its gate: the user has closed that port;
/// - an autoscaler, before a count is stated, unless its service is held and its last count could not be noted down;
/// - an earlier workload of a service that has another one now, when that is complete, or at once in a stack that is stopped; the result of an earlier
///   Job, when the new one has succeeded;
/// - the walls of a network that is no more, when no pod is behind them, one that is going included;
/// - pods that a StatefulSet left behind, when no other one is to take them up;
/// - of what is kept of earlier definitions, more than the service wants, unless its workload is made from it or may go back to it;
/// - a config that no template mounts, kept ones included, and everything else, once no remaining service is held or rolling: until then pods of the old
///   revision may still need it.
///
/// Claims never go: retained ones are a person's to delete, others go with the stack.
pub(super) fn prune(stack: &Stack, wanted: &Children, seen: &Seen<'_>, plan: &Plan, quiet: bool) -> Vec<Delete> {
    let read: BTreeSet<&String> = seen.children.values().flat_map(|child| &child.facts.config_maps).collect();
    seen.children
        .iter()
        .filter(|(id, child)| {
            !wanted.contains_key(id)
                && !child.is_going()
                && if id.kind == Kind::Pod {
                    is_left_behind(child)
                } else {
                    is_ours(stack, id, child) && was_applied(stack, child)
                }
        })
        .filter(|(id, child)| {
            let service = child.label(labels::SERVICE);
            let past_gate = plan.steps.get(service).map(|step| !matches!(step, Step::Hold(_) | Step::Failed(_)));
            match id.kind {
                Kind::Claim => false,
                Kind::Pod => match stack.services.get(service) {
                    Some(now) if now.workload == Workload::StatefulSet => false,
                    // These start only once it is gone.
                    Some(now) if now.is_alone_on_its_node() || matches!(now.workload, Workload::Job(_)) => true,
                    Some(_) => is_complete(plan, service),
                    None => quiet,
                },
                Kind::Autoscaler => match (past_gate, stack.services.get(service).map(|s| &s.scale)) {
                    (Some(past_gate), Some(scale)) => past_gate || *scale != Scale::Fixed(None),
                    _ => quiet,
                },
                Kind::Record => match stack.services.get(child.label(labels::HISTORY_OF)) {
                    Some(now) if now.update.history > 0 => is_superfluous(now, child, seen.children.iter()),
                    _ => quiet,
                },
                Kind::ConfigMap => quiet && !read.contains(&id.name),
                // Without walls, what opens them goes with what denies.
                Kind::NetworkPolicy if stack.isolation == Isolation::None => quiet,
                Kind::NetworkPolicy if walls_pods(child, seen) => false,
                // Of a service that is there: published ports and routes, which the user has closed; the name of one that became a Job and is dialled by
                // nobody; a budget for what is one pod now. Of a service that is gone, or of none in particular: pods of others may still need it.
                Kind::Service | Kind::NetworkPolicy | Kind::Budget | Kind::HttpRoute | Kind::Ingress => {
                    past_gate.unwrap_or(quiet)
                }
                // Nothing takes its place while the stack is stopped, and it is not to run.
                kind if stack.stopped && kind.starts_pods() && !(kind == Kind::Job && has_ended(child)) => true,
                Kind::Job if !child.label(labels::POPULATE).is_empty() => {
                    let volume = child.label(labels::POPULATE);
                    let filled = !plan.unfilled.contains_key(volume);
                    if stack.volumes.contains_key(volume) { filled && has_ended(child) } else { quiet }
                }
                Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                    if stack.services.contains_key(service) { is_complete(plan, service) } else { quiet }
                }
            }
        })
        .map(|(id, child)| Delete { id: id.clone(), child: (*child).clone(), orphan: false })
        .collect()
}

/// Whether a pod lives behind these walls. A rollout is complete before its old pods have gone: what they still have to do before they end, they do in
/// their own networks.
fn walls_pods(policy: &Child, seen: &Seen<'_>) -> bool {
    let mark = match policy.label(labels::POLICY) {
        "network" => labels::in_network(policy.label(labels::NETWORK)),
        "none" => labels::NO_NETWORK.to_owned(),
        "populate" => labels::POPULATE.to_owned(),
        _ => return false, // of one service, or of the whole stack
    };
    let is_behind = |pod: &Child| pod.meta.labels.as_ref().is_some_and(|all| all.contains_key(&mark));
    seen.children.iter().any(|(id, pod)| id.kind == Kind::Pod && !pod.facts.pod.ended && is_behind(pod))
}

fn is_complete(plan: &Plan, service: &str) -> bool {
    plan.steps.get(service) == Some(&Step::Done) && plan.progress.get(service) == Some(&Progress::Complete)
}

/// Whether a pod was made by a StatefulSet of ours and has lost its owner: that goes without its pods when its claims grow, and its successor takes them up, unless
/// the service is another one by then. Copies for debugging, and pods that a person took out of their ReplicaSet, are left alone.
fn is_left_behind(pod: &Child) -> bool {
    pod.owner().is_none()
        && pod.facts.pod.numbered
        && !pod.facts.pod.ended
        && !pod.label(labels::SERVICE).is_empty()
        && pod.annotation(labels::REVISION).is_some()
}

/// Whether a child is one of this stack's, by its owner or by the labels that tell what it is for.
pub(super) fn is_ours(stack: &Stack, id: &ChildId, child: &Child) -> bool {
    let keys: &[&str] = match id.kind {
        Kind::Claim => &[labels::VOLUME],
        Kind::ConfigMap => &[labels::CONFIG],
        Kind::NetworkPolicy => &[labels::POLICY],
        Kind::Service => &[labels::SERVICE, labels::ALIAS],
        Kind::Job => &[labels::SERVICE, labels::POPULATE],
        Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::Autoscaler
        | Kind::Budget
        | Kind::HttpRoute
        | Kind::Ingress
        | Kind::Pod => &[labels::SERVICE],
        Kind::Record => &[labels::HISTORY_OF],
    };
    let Some(key) = keys.iter().find(|key| !child.label(key).is_empty()) else { return false };
    child.is_of(&stack.name, &stack.uid, &[(labels::STACK, &stack.name), (key, child.label(key))])
}

/// Labels may have been copied to an object of somebody else's: one that is not owned by this stack goes only if we wrote it once.
pub(super) fn was_applied(stack: &Stack, child: &Child) -> bool {
    child.owner().is_some_and(|owner| owner.uid == stack.uid) || child.digest.is_some()
}
