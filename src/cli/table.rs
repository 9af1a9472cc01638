//! Pictures of a stack in text. Pure.

use std::time::Duration;

use crate::api::{AppStack, AppStackStatus, ServiceState, ServiceStatus};
use crate::report::not_enforced;

/// A line per service, in kubectl's style, under a line on the whole stack; the reason comes last. On a `terminal` of so many columns it is coloured,
/// and cut so that no line wraps.
pub fn table(stack: &AppStack, terminal: Option<usize>) -> String {
    let status = stack.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let name = stack.metadata.name.as_deref().unwrap_or_default();
    let head = match ready {
        Some(ready) => {
            format!("{name}: {} services ready, {}\n", status.summary.as_deref().unwrap_or("0/0"), ready.reason)
        }
        None => format!("{name}: the operator has not looked at it yet\n"),
    };
    let mut rows = vec![["SERVICE", "STATE", "READY", "WAITING-ON", "WHY"].map(str::to_owned)];
    rows.extend(status.services.iter().map(|(name, service)| {
        let counts = format!("{}/{}", service.ready.unwrap_or(0), service.desired.unwrap_or(0));
        let why = match service.waiting_on {
            Some(_) => String::new(),
            None => why(service),
        };
        [name.clone(), service.state.as_str().to_owned(), counts, service.waiting_on.clone().unwrap_or_default(), why]
    }));
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = head;
    if let Some(open) = not_enforced(&status.conditions) {
        text.push_str(&format!("warning: {open}\n"));
    }
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let line = cells.join("   ");
        let state = at.checked_sub(1).and_then(|at| status.services.values().nth(at)).map(|s| s.state);
        text.push_str(&paint(
            &cut(line.trim_end(), terminal),
            row.get(1).map_or("", String::as_str),
            state.filter(|_| terminal.is_some()),
        ));
        text.push('\n');
    }
    text
}

fn cut(line: &str, columns: Option<usize>) -> String {
    match columns {
        Some(columns) if line.chars().count() > columns => {
            line.chars().take(columns.saturating_sub(1)).chain(['\u{2026}']).collect()
        }
        _ => line.to_owned(),
    }
}

fn why(service: &ServiceStatus) -> String {
    [service.reason.as_deref(), service.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

fn paint(line: &str, word: &str, state: Option<ServiceState>) -> String {
    let colour = match state {
        Some(ServiceState::Ready | ServiceState::Completed) => "32",
        Some(ServiceState::Failed | ServiceState::Degraded | ServiceState::RolledBack) => "31",
        Some(ServiceState::Progressing | ServiceState::Pending) => "33",
        Some(ServiceState::Waiting | ServiceState::Stopped) | None => return line.to_owned(),
    };
    line.replacen(word, &format!("\x1b[{colour}m{word}\x1b[0m"), 1)
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
        lines.push(format!(
            "{name}: {} {}/{}{more}",
            service.state.as_str(),
            service.ready.unwrap_or(0),
            service.desired.unwrap_or(0)
        ));
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
    use serde_json::json;

    use super::*;

    fn stack() -> AppStack {
        serde_json::from_value(json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"services": {"db": {"image": "postgres:15"}, "web": {"image": "web:1"}}},
            "status": {
                "observedGeneration": 1, "summary": "1/2", "waitingOn": "web waits for db (Healthy): 0/1 pods available",
                "conditions": [{"type": "Ready", "status": "False", "reason": "Progressing", "message": "", "lastTransitionTime": "2026-01-01T00:00:01Z"}],
                "services": {
                    "db": {"state": "Progressing", "ready": 0, "desired": 1, "reason": "ImagePullBackOff", "message": "no such image", "since": "2026-01-01T00:00:01Z"},
                    "web": {"state": "Waiting", "ready": 0, "desired": 1, "waitingOn": "db (Healthy): ImagePullBackOff", "since": "2026-01-01T00:00:03Z"}}}}))
        .unwrap()
    }

    #[test]
    fn a_table_says_who_waits_for_what_and_why() {
        let expected = "\
shop: 1/2 services ready, Progressing
SERVICE   STATE         READY   WAITING-ON                       WHY
db        Progressing   0/1                                      ImagePullBackOff: no such image
web       Waiting       0/1     db (Healthy): ImagePullBackOff
";
        assert_eq!(table(&stack(), None), expected);
        assert!(table(&stack(), Some(120)).contains("\x1b[33mProgressing\x1b[0m"));
        assert!(
            table(&stack(), Some(40)).contains("web       Waiting       0/1     db (Hea\u{2026}\n"),
            "a line stays a line"
        );
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
