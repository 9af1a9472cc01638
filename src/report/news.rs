//! What of a status somebody waits for, and what only counts along.

use crate::api::{AppStackStatus, ServiceState, ServiceStatus};

/// A status as it is to be written over `stored`: what came and went in between, and was never written, moves no time.
pub fn over(stored: &AppStackStatus, mut status: AppStackStatus) -> AppStackStatus {
    for condition in &mut status.conditions {
        let was = stored.conditions.iter().find(|was| was.type_ == condition.type_ && was.status == condition.status);
        if let Some(was) = was {
            condition.last_transition_time = was.last_transition_time.clone();
        }
    }
    for (name, service) in &mut status.services {
        if let Some(was) = stored.services.get(name).filter(|was| was.state == service.state && was.since.is_some()) {
            service.since.clone_from(&was.since);
        }
    }
    status
}

/// How much somebody waits to hear of a difference between two statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only how many pods have been made of the newest revision of a service that goes on to become ready: where pods take long for that, it would be a write
    /// more for each, and what comes next takes it along.
    Aside,
    /// How many pods are ready, and the sentences that say so.
    Count,
    /// States, reasons, conditions, images, how many are wanted.
    News,
}

/// What the difference between two statuses weighs.
pub fn weight(before: &AppStackStatus, now: &AppStackStatus) -> Weight {
    if essence(before) != essence(now) {
        Weight::News
    } else if without_made(before) != without_made(now) {
        Weight::Count
    } else {
        Weight::Aside
    }
}

fn without_made(status: &AppStackStatus) -> AppStackStatus {
    let mut rest = status.clone();
    let on_the_way = rest.services.values_mut().filter(|service| service.state == ServiceState::Progressing);
    on_the_way.for_each(|service| service.updated = None);
    rest
}

fn essence(status: &AppStackStatus) -> AppStackStatus {
    let mut essence = AppStackStatus { waiting_on: None, ..status.clone() };
    essence.conditions.iter_mut().for_each(|condition| condition.message.clear());
    for service in essence.services.values_mut() {
        *service = ServiceStatus { ready: None, updated: None, waiting_on: None, message: None, ..service.clone() };
    }
    essence
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(service: &Value, waiting_on: &str) -> AppStackStatus {
        let condition = json!({"type": "Ready", "status": "False", "reason": "Progressing", "message": waiting_on, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({"observedGeneration": 1, "waitingOn": waiting_on, "conditions": [condition], "services": {"db": service}})).unwrap()
    }

    #[test]
    fn what_was_never_written_moves_no_time() {
        let timed = |state: &str, since: &str| status(&json!({"state": state, "since": since}), "");
        let (early, late) = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z");
        let mut again = timed("Ready", late);
        again.conditions[0].last_transition_time = serde_json::from_value(json!(late)).unwrap();
        assert_eq!(over(&timed("Ready", early), again), timed("Ready", early), "ready, not ready, ready");
        let moved = timed("Progressing", late);
        assert_eq!(over(&timed("Ready", early), moved.clone()), moved);
        assert_eq!(over(&AppStackStatus::default(), moved.clone()), moved);
    }

    #[test]
    fn a_pod_more_is_no_news_and_a_reason_is() {
        let two = status(
            &json!({"state": "Progressing", "desired": 3, "ready": 2, "updated": 3, "message": "2/3"}),
            "db: 2/3 ready",
        );
        let one = status(
            &json!({"state": "Progressing", "desired": 3, "ready": 1, "updated": 2, "message": "1/3"}),
            "db: 1/3 ready",
        );
        assert_eq!(weight(&one, &two), Weight::Count);
        let made = status(
            &json!({"state": "Progressing", "desired": 3, "ready": 2, "updated": 2, "message": "2/3"}),
            "db: 2/3 ready",
        );
        assert_eq!(weight(&made, &two), Weight::Aside);
        let at_rest =
            |updated: i32| status(&json!({"state": "Ready", "desired": 3, "ready": 3, "updated": updated}), "");
        assert_eq!(weight(&at_rest(2), &at_rest(3)), Weight::Count, "nothing else is to come");
        for other in [
            json!({"state": "Ready", "desired": 3, "ready": 3}),
            json!({"state": "Progressing", "desired": 4, "ready": 2}),
            json!({"state": "Progressing", "desired": 3, "ready": 2, "reason": "ImagePullBackOff"}),
        ] {
            assert_eq!(weight(&two, &status(&other, "db: 2/3 ready")), Weight::News, "{other}");
        }
        assert_eq!(weight(&two, &AppStackStatus { observed_generation: Some(2), ..two.clone() }), Weight::News);
    }
}
