//! What is said of a stack that is taken down in order.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::conditions::{Verdict, conditions};
use super::events::Event;
use super::isolation;
use super::status::{Report, bounded};
use crate::api::{AppStackStatus, ServiceState, ServiceStatus};
use crate::rollout::{Held, Leaving, Stage, Teardown};
use crate::stack::Stack;

/// Reason while it lasts.
const TEARING_DOWN: &str = "TearingDown";
/// Reason where somebody else keeps an object from going.
const HELD: &str = "HeldByFinalizer";

/// On a stack that is on its way out. Its services are `Waiting` for those that go before them, `Progressing` while they go, and `Stopped` when gone.
pub fn tearing_down(
    stack: &Stack,
    down: &Teardown,
    generation: i64,
    before: &AppStackStatus,
    now: Timestamp,
) -> Report {
    let services = down
        .services
        .iter()
        .map(|(name, leaving)| {
            let was = before.services.get(name).cloned().unwrap_or_default();
            (name.clone(), service(leaving, was, now))
        })
        .collect();
    let left = down.services.values().filter(|leaving| leaving.stage != Stage::Gone).count();
    let waiting_on = waiting_on(stack, down).map(|text| bounded(&text));
    let count = format!("{left} of {} services are left", down.services.len());
    let message = waiting_on.iter().fold(count, |text, waits| format!("{text}; {waits}"));
    let mut conditions = conditions(Verdict::Reconciling, TEARING_DOWN, &message, generation, &before.conditions, now);
    conditions.extend(isolation::kept(&before.conditions));
    let status = AppStackStatus {
        observed_generation: Some(generation),
        observed_requests: before.observed_requests.clone(),
        conditions,
        summary: Some(format!("{left}/{}", down.services.len())),
        waiting_on,
        services,
    };
    let events = events(down, before, &status);
    Report { status, events }
}

fn service(leaving: &Leaving, was: ServiceStatus, now: Timestamp) -> ServiceStatus {
    let state = match leaving.stage {
        Stage::Waits(_) => ServiceState::Waiting,
        Stage::Going => ServiceState::Progressing,
        Stage::Gone => ServiceState::Stopped,
    };
    let waiting_on = match &leaving.stage {
        Stage::Waits(first) => Some(bounded(&pods_of(first))),
        Stage::Going | Stage::Gone => None,
    };
    let (reason, message) = match (&leaving.held, &leaving.stage) {
        (Some(held), _) => (Some(HELD), Some(describe(held))),
        (None, Stage::Waits(first)) => (Some(TEARING_DOWN), Some(format!("waits for {} to go", pods_of(first)))),
        (None, Stage::Going) => (Some(TEARING_DOWN), Some(going(leaving))),
        (None, Stage::Gone) => (None, None),
    };
    ServiceStatus {
        since: was.since.clone().filter(|_| was.state == state).or(Some(Time(now))),
        state,
        desired: Some(0),
        ready: Some(leaving.ready),
        updated: None,
        waiting_on,
        reason: reason.map(str::to_owned),
        message: message.map(|text| bounded(&text)),
        address: None,
        ..was
    }
}

/// `api's and web's pods`
fn pods_of(services: &[String]) -> String {
    let owners: Vec<String> = services.iter().map(|name| format!("{name}'s")).collect();
    format!("{} pods", owners.join(" and "))
}

fn going(leaving: &Leaving) -> String {
    match leaving.pods.as_slice() {
        [] => "its workload is being deleted".into(),
        [only] => format!("its last pod is going: {only}"),
        [first, rest @ ..] => format!("its pods are going: {first} and {} more", rest.len()),
    }
}

fn describe(held: &Held) -> String {
    let (word, names) = match held.by.as_slice() {
        [only] => ("finalizer", only.clone()),
        all => ("finalizers", all.join(", ")),
    };
    format!("{} is held by {word} {names}: whoever set it has to take it off, the operator does not", held.id)
}

/// What is held comes first: nothing else of it needs a person. Then who waits for one that is going, and then what is going.
fn waiting_on(stack: &Stack, down: &Teardown) -> Option<String> {
    if let Some((name, held)) = down.services.iter().find_map(|(name, s)| Some((name, s.held.as_ref()?))) {
        return Some(format!("{name}: {}", describe(held)));
    }
    if let Some(held) = &down.held {
        return Some(describe(held));
    }
    let waiting: Vec<(&String, &Vec<String>)> = stack
        .order
        .iter()
        .filter_map(|name| match &down.services.get(name)?.stage {
            Stage::Waits(first) => Some((name, first)),
            Stage::Going | Stage::Gone => None,
        })
        .collect();
    if let Some((name, first)) = waiting.last() {
        let more = if waiting.len() > 1 { format!(" (+{} more)", waiting.len() - 1) } else { String::new() };
        return Some(format!("{name} waits for {} to go{more}", pods_of(first)));
    }
    if let Some((name, leaving)) = down.services.iter().find(|(_, leaving)| leaving.stage == Stage::Going) {
        return Some(format!("{name}: {}", going(leaving)));
    }
    if let Some(volume) = down.filling.first() {
        return Some(format!("the pods that fill volume {volume} are going"));
    }
    down.beside.first().map(|first| match down.beside.len() {
        1 => format!("{first} is going"),
        many => format!("{first} and {} more are going", many - 1),
    })
}

fn events(down: &Teardown, before: &AppStackStatus, now: &AppStackStatus) -> Vec<Event> {
    let was_at_it = before.conditions.iter().any(|c| c.type_ == "Ready" && c.reason == TEARING_DOWN);
    let mut events = Vec::new();
    if !was_at_it {
        let note = "services go in reverse order, each when the pods of all that depend on it are gone";
        events.push(Event::new(TEARING_DOWN, false, note));
    }
    for (name, service) in &now.services {
        let was = before.services.get(name);
        let is_held = service.reason.as_deref() == Some(HELD);
        if is_held && was.is_none_or(|was| was.message != service.message) {
            events.push(Event::of(name, HELD, true, service.message.as_deref().unwrap_or_default()));
        }
        if service.state == ServiceState::Stopped && was.is_some_and(|was| was.state != ServiceState::Stopped) {
            events.push(Event::of(name, "TornDown", false, "gone with its pods"));
        }
    }
    if let Some(held) = &down.held
        && before.waiting_on != now.waiting_on
    {
        events.push(Event::new(HELD, true, &describe(held)));
    }
    events
}
