//! Whether a service may start or change its pods.

use std::collections::BTreeMap;

use super::health::Progress;
use super::plan::{Cause, Step, Until, Wait};
use crate::api::Condition;
use crate::stack::{Need, Service};

/// Where a service stands, as those who depend on it ask.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) step: Step,
    pub(super) progress: Progress,
    /// Some pod of the wanted revision has run.
    pub(super) started: bool,
    /// Pods that are available, of pods wanted.
    pub(super) available: (i32, i32),
    /// What ails its pods, or its Job, in one line.
    pub(super) trouble: Option<String>,
    /// Where what it depends on stands, however far behind it.
    pub(super) behind: Behind,
}

/// Where everything that a service depends on stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Behind {
    /// None of it is held or rolling.
    Settled,
    /// Some of it is.
    Moving,
    /// Some of it has failed, and is required on the way.
    Failed(Cause),
}

/// What the gate says.
pub(super) enum Verdict {
    Open,
    Shut(Vec<Wait>),
    Hopeless(Cause),
}

/// Asks every dependency of a service. `running`: it has pods already, and is about to be updated; then a dependency that once completed its wanted
/// revision and has an available pod is enough, so that one lost node does not block a hot fix.
pub(super) fn ask(service: &Service, running: bool, others: &BTreeMap<String, Standing>, ungated: bool) -> Verdict {
    let mut waits = Vec::new();
    for (name, need) in service.needs.iter().filter(|_| !ungated) {
        let Some(on) = others.get(name) else { continue };
        if let Some(cause) = failure(name, on) {
            if need.required {
                return Verdict::Hopeless(cause);
            }
            continue;
        }
        match &on.behind {
            // It runs on unchanged before what has failed behind it; who is new or changed would start before that is put right.
            Behind::Failed(cause) if need.required => return Verdict::Hopeless(through(name, cause)),
            Behind::Failed(_) => continue,
            Behind::Settled | Behind::Moving => {}
        }
        if !(holds(*need, running, on) && on.behind == Behind::Settled) {
            waits.push(Wait { on: name.clone(), until: Until::Holds(need.condition), why: why(*need, on) });
        }
    }
    if waits.is_empty() { Verdict::Open } else { Verdict::Shut(waits) }
}

/// What a service waits for that waits for no other of its own stack.
pub(super) fn stacks(awaited: &BTreeMap<String, String>) -> Vec<Wait> {
    let wait =
        |(name, why): (&String, &String)| Wait { on: format!("stack {name}"), until: Until::Ready, why: why.clone() };
    awaited.iter().map(wait).collect()
}

/// Where what is behind a service stands. A failure outweighs what still moves: waiting alone will not help.
pub(super) fn behind(service: &Service, others: &BTreeMap<String, Standing>) -> Behind {
    let mut found = Behind::Settled;
    for (name, need) in &service.needs {
        let Some(on) = others.get(name) else { continue };
        let in_place = match need.condition {
            Condition::Started => on.step.is_in_place() && (on.started || on.available.1 == 0),
            Condition::Healthy | Condition::Completed => on.step.is_in_place() && on.progress >= Progress::Finished,
        };
        match (failure(name, on), &on.behind) {
            (Some(cause), _) if need.required => return Behind::Failed(cause),
            (None, Behind::Failed(cause)) if need.required => return Behind::Failed(through(name, cause)),
            (Some(_), _) | (None, Behind::Failed(_)) => {}
            (None, Behind::Settled) if in_place => {}
            (None, Behind::Settled | Behind::Moving) => found = Behind::Moving,
        }
    }
    found
}

/// The cause as one who depends on this service sees it.
fn through(name: &str, cause: &Cause) -> Cause {
    let path = std::iter::once(name.to_owned()).chain(cause.path.iter().cloned()).collect();
    Cause { path, ..cause.clone() }
}

/// A dependency has failed when its own step has, when its Job has, or when it made no progress until its deadline; an unhealthy check alone never
/// fails it.
fn failure(name: &str, on: &Standing) -> Option<Cause> {
    match &on.step {
        Step::Failed(cause) => Some(through(name, cause)),
        _ if on.progress == Progress::Overdue => Some(Cause {
            path: vec![name.to_owned()],
            reason: "ProgressDeadlineExceeded".into(),
            message: on.trouble.clone().unwrap_or_else(|| "its rollout made no progress until its deadline".into()),
        }),
        _ if on.progress == Progress::Failed => Some(Cause {
            path: vec![name.to_owned()],
            reason: "JobFailed".into(),
            message: on.trouble.clone().unwrap_or_else(|| "its Job has failed".into()),
        }),
        _ => None,
    }
}

fn holds(need: Need, running: bool, on: &Standing) -> bool {
    if !on.step.is_in_place() {
        return false;
    }
    match need.condition {
        Condition::Started => on.started || on.available.1 == 0,
        Condition::Healthy | Condition::Completed => {
            on.progress == Progress::Complete || (running && on.progress == Progress::Finished && on.available.0 > 0)
        }
    }
}

fn why(need: Need, on: &Standing) -> String {
    let (available, wanted) = on.available;
    match (&on.step, &on.trouble) {
        (Step::Hold(_), _) => "it waits itself".into(),
        (_, Some(trouble)) => trouble.clone(),
        _ if need.condition == Condition::Started => "no container has run yet".into(),
        _ if need.condition == Condition::Completed => "it has not ended yet".into(),
        _ if available >= wanted && on.behind == Behind::Moving => "what it depends on is being changed".into(),
        _ => format!("{available}/{wanted} pods available"),
    }
}
