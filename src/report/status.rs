//! The status of a stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::conditions::{Verdict, conditions};
use super::events::{self, Event};
use super::isolation::{self, Proof, isolation};
use super::services;
use crate::api::{AppStackStatus, ServiceState, ServiceStatus};
use crate::child::{Child, ChildId};
use crate::render::Children;
use crate::rollout::{Parts, Plan, Step};
use crate::stack::{Problems, Stack};

/// Longest text in a status: an event takes no more.
const LONGEST: usize = 1000;

/// What is reported on.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The checked model.
    pub stack: &'a Stack,
    /// What it wants.
    pub wanted: &'a Children,
    /// What is there.
    pub children: &'a BTreeMap<ChildId, Arc<Child>>,
    /// Both, by service.
    pub parts: &'a Parts<'a>,
    /// What happens now.
    pub plan: &'a Plan,
    /// Whether the cluster enforces walls, if somebody has tried it.
    pub walls: Option<&'a Proof>,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The whole status.
    pub status: AppStackStatus,
    /// What has happened since the status before.
    pub events: Vec<Event>,
}

/// On a stack that is being looked after.
pub fn report(of: &Subject<'_>, generation: i64, before: &AppStackStatus, now: Timestamp) -> Report {
    let services: BTreeMap<String, ServiceStatus> = of
        .stack
        .services
        .iter()
        .map(|(name, service)| (name.clone(), services::service(of, service, before.services.get(name), now)))
        .collect();
    let (verdict, reason, message) = verdict(of, &services);
    let done = services
        .values()
        .filter(|s| matches!(s.state, ServiceState::Ready | ServiceState::Completed | ServiceState::Stopped))
        .count();
    let mut conditions = conditions(verdict, reason, &message, generation, &before.conditions, now);
    conditions.push(isolation(of.stack, of.walls, generation, &before.conditions, now));
    let status = AppStackStatus {
        observed_generation: Some(generation),
        observed_requests: None, // known to who has the stack as it is written
        conditions,
        summary: Some(format!("{done}/{}", services.len())),
        waiting_on: waiting_on(of, &services).map(|text| bounded(&text)),
        services,
    };
    let mut events = events::between(before, &status);
    events.extend(events::taken_up(of, before));
    Report { status, events }
}

/// On a stack that cannot be run as it is written: every problem, nothing of it applied.
pub fn invalid(problems: &Problems, generation: i64, before: &AppStackStatus, now: Timestamp) -> Report {
    let reason = if problems.cycle.is_some() && problems.all.len() == 1 { "DependencyCycle" } else { "SpecInvalid" };
    let message = problems.all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    resting(Verdict::Stalled, reason, &message, generation, before, now)
}

/// On a stack that this version of the operator cannot read.
pub fn undecodable(error: &str, generation: i64, before: &AppStackStatus, now: Timestamp) -> Report {
    let error = without_texts(error);
    let message = format!(
        "this operator cannot read the stack: {error}. Is its version older than the CustomResourceDefinition?"
    );
    resting(Verdict::Stalled, "Undecodable", &message, generation, before, now)
}

/// What a decoder says, without the text that it could not read: that may be a value of the environment.
fn without_texts(error: &str) -> String {
    let mut parts = error.split("string \"");
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Quotes inside are escaped.
        let end = part.char_indices().scan(false, |escaped, (at, c)| {
            let ends = c == '"' && !*escaped;
            *escaped = c == '\\' && !*escaped;
            Some((at, ends))
        });
        let rest = end.filter(|(_, ends)| *ends).map(|(at, _)| at + 1).next().and_then(|at| part.get(at..));
        said.push_str(&format!("a string{}", rest.unwrap_or_default()));
    }
    said
}

/// On a stack that is to be left alone.
pub fn suspended(generation: i64, before: &AppStackStatus, now: Timestamp) -> Report {
    resting(Verdict::Resting, "Suspended", "spec.suspend is true: the stack is left as it is", generation, before, now)
}

/// What was known of the services stays: they are not touched.
fn resting(
    verdict: Verdict,
    reason: &str,
    message: &str,
    generation: i64,
    before: &AppStackStatus,
    now: Timestamp,
) -> Report {
    let mut conditions = conditions(verdict, reason, message, generation, &before.conditions, now);
    conditions.extend(isolation::kept(&before.conditions));
    let status =
        AppStackStatus { observed_generation: Some(generation), conditions, waiting_on: None, ..before.clone() };
    let events = events::between(before, &status);
    Report { status, events }
}

fn verdict(of: &Subject<'_>, services: &BTreeMap<String, ServiceStatus>) -> (Verdict, &'static str, String) {
    let in_state = |states: &[ServiceState]| -> Vec<&str> {
        services.iter().filter(|(_, s)| states.contains(&s.state)).map(|(name, _)| name.as_str()).collect()
    };
    let failed = in_state(&[ServiceState::Failed, ServiceState::RolledBack]);
    let moving = in_state(&[ServiceState::Progressing, ServiceState::Pending]);
    let waiting = in_state(&[ServiceState::Waiting]);
    let degraded = in_state(&[ServiceState::Degraded]);
    let own = |name: &&str| !matches!(of.plan.steps.get(*name), Some(Step::Failed(cause)) if !cause.path.is_empty());
    let explain = |name: &str| {
        let status = services.get(name);
        let (reason, message) = status.map_or((None, None), |s| (s.reason.clone(), s.message.clone()));
        [Some(name.to_owned()), reason, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    if !failed.is_empty() {
        let message = failed
            .iter()
            .copied()
            .filter(|n| own(n))
            .chain(failed.iter().copied().filter(|n| !own(n)))
            .map(explain)
            .collect::<Vec<_>>()
            .join("; ");
        // Only when nothing moves any more: whoever waits for the stack gives up on Stalled.
        let verdict = if moving.is_empty() { Verdict::Stalled } else { Verdict::Reconciling };
        return (verdict, "ServicesFailed", message);
    }
    if let [first, rest @ ..] = moving.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        return (Verdict::Reconciling, "Progressing", format!("rolling out {}{more}", explain(first)));
    }
    if let [first, ..] = waiting.as_slice() {
        return (Verdict::Reconciling, "WaitingForDependencies", explain(first));
    }
    if let [first, ..] = degraded.as_slice() {
        let why = explain(first);
        // A route that is not taken is no matter of pods.
        let of_pods = services.get(*first).is_some_and(|s| s.ready < s.desired);
        let more = if of_pods { ": not all pods are ready" } else { "" };
        return (Verdict::Reconciling, "Degraded", format!("{why}{more}"));
    }
    (Verdict::Ready, "AllServicesReady", format!("{} services are as the spec wants them", services.len()))
}

/// Who waits for what, and why: the first in the order of the rollout that waits for something that does not wait itself.
fn waiting_on(of: &Subject<'_>, services: &BTreeMap<String, ServiceStatus>) -> Option<String> {
    let held: Vec<(&String, &Vec<_>)> = of
        .stack
        .order
        .iter()
        .filter_map(|name| match of.plan.steps.get(name) {
            Some(Step::Hold(waits)) if !waits.is_empty() => Some((name, waits)),
            _ => None,
        })
        .collect();
    if let Some((name, waits)) = held.first() {
        let more = if held.len() > 1 { format!(" (+{} more)", held.len() - 1) } else { String::new() };
        return waits
            .first()
            .map(|wait| format!("{name} waits for {}{more}", services::describe(wait, &of.plan.steps)));
    }
    let ill = |states: &[ServiceState]| {
        of.stack.order.iter().find(|name| services.get(*name).is_some_and(|s| states.contains(&s.state)))
    };
    let name = ill(&[ServiceState::Failed, ServiceState::RolledBack])
        .or_else(|| ill(&[ServiceState::Progressing, ServiceState::Degraded, ServiceState::Pending]))?;
    let status = services.get(name)?;
    let counts = format!("{}/{} ready", status.ready.unwrap_or(0), status.desired.unwrap_or(0));
    Some(match (&status.reason, &status.message) {
        (Some(reason), Some(message)) => format!("{name}: {reason}: {message}"),
        (Some(reason), None) => format!("{name}: {counts}: {reason}"),
        _ => format!("{name}: {counts}"),
    })
}

/// At most 1 kB, cut at a character.
pub(super) fn bounded(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", text.get(..end).unwrap_or_default())
}
