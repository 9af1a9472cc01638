//! Pictures of a stack in text. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::look::{Look, age, columns, one_line};
use crate::api::{AppStack, AppStackStatus, ServiceState, ServiceStatus};
use crate::report::not_enforced;
use crate::stack::requests::is_answered;

/// A line per service, in kubectl's style, under a line on the whole stack; the reason comes last.
pub fn table(stack: &AppStack, look: Look, now: Timestamp) -> String {
    let status = stack.status.clone().unwrap_or_default();
    let mut rows = vec![["SERVICE", "STATE", "READY", "SINCE", "WAITING-ON", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(status.services.iter().map(|(name, service)| {
        let why = if service.waiting_on.is_some() { String::new() } else { why(service) };
        let since = service.since.as_ref().map_or_else(String::new, |since| age(since.0, now));
        let waiting_on = one_line(service.waiting_on.as_deref().unwrap_or_default());
        vec![name.clone(), service.state.as_str().to_owned(), counts(service), since, waiting_on, why]
    }));
    let mut text = format!("{}\n", head(stack));
    if let Some(open) = not_enforced(&status.conditions) {
        text.push_str(&format!("warning: {open}\n"));
    }
    let of_lines = std::iter::once(None).chain(status.services.values().map(|service| Some(service.state)));
    for (line, state) in columns(&rows).iter().zip(of_lines) {
        let line = look.cut(line);
        text.push_str(&state.map_or_else(|| line.clone(), |state| look.paint(&line, state.as_str(), state)));
        text.push('\n');
    }
    text
}

/// Where the stack as a whole stands.
pub fn head(stack: &AppStack) -> String {
    let status = stack.status.clone().unwrap_or_default();
    let name = stack.metadata.name.as_deref().unwrap_or_default();
    let newest = is_answered(stack);
    match status.conditions.iter().find(|c| c.type_ == "Ready") {
        Some(ready) => {
            let late = if newest { "" } else { "; the operator has not looked at the newest spec or request yet" };
            format!("{name}: {} services ready, {}{late}", status.summary.as_deref().unwrap_or("0/0"), ready.reason)
        }
        None => format!("{name}: the operator has not looked at it yet"),
    }
}

/// `1/2`; nothing of what has run to its end.
pub fn counts(service: &ServiceStatus) -> String {
    if service.state == ServiceState::Completed {
        return "-".into();
    }
    format!("{}/{}", service.ready.unwrap_or(0), service.desired.unwrap_or(0))
}

/// For programs: the stack, whether its status is about the newest spec and requests, and the status as the resource has it.
pub fn json(stack: &AppStack) -> Value {
    let status = stack.status.clone().unwrap_or_default();
    let newest = is_answered(stack);
    let ready = newest && status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    json!({
        "name": stack.metadata.name, "namespace": stack.metadata.namespace, "generation": stack.metadata.generation,
        "current": newest, "ready": ready, "status": status,
    })
}

/// Reason and message in one line.
pub fn why(service: &ServiceStatus) -> String {
    one_line(
        &[service.reason.as_deref(), service.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": "),
    )
}

/// What differs between two statuses, a line each.
pub fn changes(before: &AppStackStatus, now: &AppStackStatus) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, service) in &now.services {
        let was = before.services.get(name);
        if was.map(|s| (s.state, s.ready, &s.waiting_on, &s.reason))
            == Some((service.state, service.ready, &service.waiting_on, &service.reason))
        {
            continue;
        }
        let more = match &service.waiting_on {
            Some(waiting) => format!(" on {waiting}"),
            None => match why(service) {
                why if why.is_empty() => String::new(),
                why => format!(": {why}"),
            },
        };
        lines.push(format!("{name}: {} {}{more}", service.state.as_str(), counts(service)));
    }
    let ready = |status: &AppStackStatus| {
        status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| (c.status.clone(), c.reason.clone()))
    };
    if ready(before) != ready(now)
        && let Some((is, reason)) = ready(now)
    {
        let word = if is == "True" { "Ready" } else { "not ready" };
        lines.push(format!("stack is {word}: {reason} ({})", now.summary.as_deref().unwrap_or_default()));
    }
    lines
}

/// When each service was first seen ready, in that order.
#[derive(Debug, Default)]
pub struct Ready(Vec<(String, Duration)>);

impl Ready {
    /// Takes in a status, so long after the beginning.
    pub fn look(&mut self, status: &AppStackStatus, after: Duration) {
        for (name, service) in &status.services {
            let is_ready = matches!(service.state, ServiceState::Ready | ServiceState::Completed);
            if is_ready && !self.0.iter().any(|(known, _)| known == name) {
                self.0.push((name.clone(), after));
            }
        }
    }
}

/// In which order the services became ready, and when.
pub fn summary(ready: &Ready) -> String {
    let mut text = String::from("\nOrder in which the services became ready:\n");
    for (at, (name, after)) in ready.0.iter().enumerate() {
        text.push_str(&format!("  {}. {name}   after {:.1} s\n", at + 1, after.as_secs_f64()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> AppStack {
        serde_json::from_value(json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "shop", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"services": {"db": {"image": "postgres:15"}, "web": {"image": "web:1"}}},
            "status": {
                "observedGeneration": 1, "summary": "1/2", "waitingOn": "web waits for db (Healthy): 0/1 pods available",
                "conditions": [{"type": "Ready", "status": "False", "reason": "Progressing", "message": "", "lastTransitionTime": "2026-01-01T00:00:01Z"}],
                "services": {
                    "db": {"state": "Progressing", "ready": 0, "desired": 1, "reason": "ImagePullBackOff", "message": "no such image", "since": "2026-01-01T00:00:01Z"},
                    "web": {"state": "Waiting", "ready": 0, "desired": 1, "waitingOn": "db (Healthy): ImagePullBackOff", "since": "2026-01-01T00:00:03Z"}}}}))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:03:04Z".parse().unwrap()
    }

    #[test]
    fn a_table_says_who_waits_for_what_since_when_and_why() {
        let expected = "\
shop: 1/2 services ready, Progressing
SERVICE   STATE         READY   SINCE   WAITING-ON                       WHY
db        Progressing   0/1     3m3s                                     ImagePullBackOff: no such image
web       Waiting       0/1     3m1s    db (Healthy): ImagePullBackOff
";
        assert_eq!(table(&stack(), Look::default(), now()), expected);
        let terminal = |columns| table(&stack(), Look { columns: Some(columns), colour: true }, now());
        assert!(terminal(120).contains("\x1b[33mProgressing\x1b[0m"));
        assert!(terminal(40).contains("web       Waiting       0/1     3m1s   \u{2026}\n"), "a line stays a line");
        let mut changed = stack();
        changed.metadata.generation = Some(2);
        assert!(table(&changed, Look::default(), now()).contains("has not looked at the newest spec"));
    }

    #[test]
    fn programs_get_the_status_and_whether_it_is_about_the_newest_spec() {
        let mut stack = stack();
        let said = json(&stack);
        assert_eq!((&said["name"], &said["current"], &said["ready"]), (&json!("shop"), &json!(true), &json!(false)));
        assert_eq!(said["status"]["services"]["db"]["reason"], "ImagePullBackOff");
        stack.status.as_mut().unwrap().conditions[0].status = "True".into();
        assert_eq!(json(&stack)["ready"], true);
        stack.metadata.generation = Some(2);
        assert_eq!((&json(&stack)["current"], &json(&stack)["ready"]), (&json!(false), &json!(false)));
    }

    #[test]
    fn changes_are_said_once() {
        let now = stack().status.unwrap();
        let lines = changes(&AppStackStatus::default(), &now);
        assert_eq!(
            lines,
            [
                "db: Progressing 0/1: ImagePullBackOff: no such image",
                "web: Waiting 0/1 on db (Healthy): ImagePullBackOff",
                "stack is not ready: Progressing (1/2)",
            ]
        );
        assert!(changes(&now, &now).is_empty());
    }

    #[test]
    fn the_summary_tells_the_order() {
        let (mut ready, mut status) = (Ready::default(), stack().status.unwrap());
        ready.look(&status, Duration::from_secs(1));
        for (name, after) in [("web", 2000), ("db", 3500)] {
            status.services.get_mut(name).unwrap().state = ServiceState::Ready;
            ready.look(&status, Duration::from_millis(after));
        }
        assert!(summary(&ready).ends_with("  1. web   after 2.0 s\n  2. db   after 3.5 s\n"));
    }
}
