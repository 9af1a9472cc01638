//! What is no longer wanted, and may go. Per object: nothing waits for "everything succeeded".

use std::collections::BTreeSet;

use super::plan::{Delete, Step};
use super::planner::Seen;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Children;
use crate::stack::{Scale, Stack};

/// Children of ours that the stack does not want, and whose time has come:
/// - what opens a published port, as soon as its own service is past its gate: the user has closed that port;
/// - an autoscaler, before a count is stated, unless its service is held and its last count could not be noted down;
/// - a config that no template mounts, and everything else, once no remaining service is held or rolling: until then pods of the old
///   revision may still need it.
///
/// Claims never go: retained ones are a person's to delete, others go with the stack.
pub(super) fn prune(
    stack: &Stack,
    wanted: &Children,
    seen: &Seen<'_>,
    step: impl Fn(&str) -> Option<Step>,
    quiet: bool,
) -> Vec<Delete> {
    let mounted: BTreeSet<&String> = seen.children.values().flat_map(|child| &child.facts.config_maps).collect();
    seen.children
        .iter()
        .filter(|(id, child)| {
            !wanted.contains_key(id) && id.kind.is_written() && !child.is_going() && is_ours(stack, id, child)
        })
        .filter(|(id, child)| {
            let service = child.label(labels::SERVICE);
            let past_gate = step(service).map(|step| !matches!(step, Step::Hold(_) | Step::Failed(_)));
            match id.kind {
                Kind::Claim | Kind::Pod => false,
                Kind::Autoscaler => match (past_gate, stack.services.get(service).map(|s| &s.scale)) {
                    (Some(past_gate), Some(scale)) => past_gate || *scale != Scale::Fixed(None),
                    _ => quiet,
                },
                Kind::ConfigMap => quiet && !mounted.contains(&id.name),
                Kind::Service | Kind::NetworkPolicy => match past_gate {
                    // The service is there and its in-stack Service is always wanted: this one opens ports.
                    Some(past_gate) => past_gate,
                    None => quiet,
                },
                Kind::Deployment => quiet,
            }
        })
        .map(|(id, child)| Delete { id: id.clone(), child: (*child).clone() })
        .collect()
}

fn is_ours(stack: &Stack, id: &ChildId, child: &Child) -> bool {
    let key = match id.kind {
        Kind::Claim => labels::VOLUME,
        Kind::ConfigMap => labels::CONFIG,
        Kind::NetworkPolicy => labels::POLICY,
        Kind::Service | Kind::Deployment | Kind::Autoscaler | Kind::Pod => labels::SERVICE,
    };
    child.is_of(&stack.name, &stack.uid, &[(labels::STACK, &stack.name), (key, child.label(key))])
        && !child.label(key).is_empty()
}
