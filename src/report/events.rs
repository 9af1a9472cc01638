//! Events: the difference between two statuses, in words.

use super::routes::SHADOWED;
use super::status::{Subject, bounded};
use crate::api::{AppStackStatus, ServiceState};
use crate::child::Kind;
use crate::render::Part;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// CamelCase, from a fixed set.
    pub reason: String,
    /// Whether somebody should look.
    pub warning: bool,
    /// A sentence, at most 1 kB.
    pub note: String,
    /// The service it is about.
    pub service: Option<String>,
}

impl Event {
    pub(super) fn new(reason: &str, warning: bool, note: &str) -> Self {
        Event { reason: reason.to_owned(), warning, note: bounded(note), service: None }
    }

    pub(super) fn of(service: &str, reason: &str, warning: bool, note: &str) -> Self {
        Event { service: Some(service.to_owned()), ..Self::new(reason, warning, &format!("{service}: {note}")) }
    }
}

/// Events that are still to be told, with later ones: of a rollout that is over, only its end.
pub fn folded(mut earlier: Vec<Event>, later: Vec<Event>) -> Vec<Event> {
    let over = |event: &Event| later.iter().any(|l| l.reason == "RolloutComplete" && l.service == event.service);
    earlier.retain(|event| !(event.reason == "RolloutStarted" && over(event)));
    earlier.extend(later);
    earlier
}

/// What has happened between two statuses of a stack.
pub(super) fn between(before: &AppStackStatus, now: &AppStackStatus) -> Vec<Event> {
    let mut events = Vec::new();
    for (name, service) in &now.services {
        let was = before.services.get(name);
        if was.map(|s| (s.state, &s.reason)) == Some((service.state, &service.reason)) {
            continue;
        }
        let entered = was.map(|s| s.state) != Some(service.state);
        let message = service.message.as_deref().unwrap_or_default();
        let image = service.image.as_deref().unwrap_or_default();
        match service.state {
            ServiceState::Ready if entered => {
                events.push(Event::of(name, "RolloutComplete", false, &format!("{image} is ready")));
            }
            ServiceState::Progressing if entered => {
                events.push(Event::of(name, "RolloutStarted", false, &format!("rolling out {image}")));
            }
            ServiceState::Failed | ServiceState::RolledBack => {
                let reason = match service.reason.as_deref() {
                    Some("ProgressDeadlineExceeded") | None => "RolloutFailed",
                    Some(own) => own,
                };
                events.push(Event::of(name, reason, true, message));
            }
            ServiceState::Degraded if entered => {
                events.push(Event::of(name, "Degraded", true, &format!("not all pods are ready {message}")));
            }
            _ => {}
        }
        // What ails it on its way; what it has failed of, or is degraded by from the start, is said already.
        if let Some(reason) = &service.reason
            && was.map(|s| &s.reason) != Some(&service.reason)
            && (matches!(service.state, ServiceState::Progressing | ServiceState::Pending)
                || reason == SHADOWED
                || (service.state == ServiceState::Degraded && !entered))
        {
            events.push(Event::of(name, reason, true, message));
        }
    }
    let ready = |status: &AppStackStatus| {
        status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| (c.reason.clone(), c.message.clone()))
    };
    let (was, is) = (ready(before), ready(now));
    if was != is
        && let Some((reason, message)) = is
    {
        match reason.as_str() {
            "SpecInvalid" | "DependencyCycle" | "Undecodable" => events.push(Event::new(&reason, true, &message)),
            "Suspended" => events.push(Event::new("Suspended", false, &message)),
            _ if was.is_some_and(|(reason, _)| reason == "Suspended") => {
                events.push(Event::new("Resumed", false, "the stack is looked after again"));
            }
            _ => {}
        }
    }
    events
}

/// Claims that were there before the stack: its data is back.
pub(super) fn taken_up(of: &Subject<'_>, before: &AppStackStatus) -> Vec<Event> {
    if before.observed_generation.is_some_and(|seen| seen > 0) {
        return Vec::new();
    }
    let written = |name: &str| of.plan.writes.iter().any(|w| w.id.kind == Kind::Claim && w.id.name == name);
    of.wanted
        .iter()
        .filter(|(id, _)| {
            id.kind == Kind::Claim
                && of.children.get(id).is_some_and(|claim| claim.facts.phase == "Bound")
                && !written(&id.name)
        })
        .filter_map(|(id, wanted)| match &wanted.part {
            Part::Volume(volume) => Some(Event::new(
                "VolumeTakenUp",
                false,
                &format!(
                    "volume '{volume}' is the claim '{}' of an earlier stack of this name, with its data",
                    id.name
                ),
            )),
            _ => None,
        })
        .collect()
}
