//! What a rollout may cost ("A rollout of k services makes at most k+2 status writes"), and how long a repair may take.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::json;
use crate::observer::Seen;

/// For so many services. Real pods also lose their probes for a moment, wait for volumes, and come one by one: what a reader would want to know of that has a status of
/// its own. Simulated ones do only what they are told.
pub fn statuses(services: usize, history: &[Seen]) -> usize {
    let planned = services + 2;
    if !Cluster::get().real {
        return planned;
    }
    planned + history.windows(2).filter(|pair| is_unplanned(&pair[0].object, &pair[1].object)).count()
}

/// How long a child may differ: "edited or deleted children are put right within a second". Where kubelets, their pods and other tests
/// share the processor with the operator, a request alone may take that long.
pub fn repair() -> Duration {
    Duration::from_secs(if Cluster::get().real { 5 } else { 1 })
}

/// Whether a status tells of something that no smooth rollout has in it.
fn is_unplanned(before: &Value, now: &Value) -> bool {
    json::entries(now, "/status/services").any(|(name, now)| {
        let before = &before["status"]["services"][name];
        let was = |state: &str| before["state"] == state;
        let is_lost = (was("Ready") && now["state"] != "Ready") || (was("Degraded") && now["state"] != "Degraded");
        let is_trouble = |service: &Value| !service["reason"].is_null() && service["reason"] != "DependencyNotReady";
        let is_troubled = before["reason"] != now["reason"] && (is_trouble(before) || is_trouble(now));
        let is_one_of_several = before["state"] == now["state"] && before["ready"] != now["ready"];
        is_lost || is_troubled || is_one_of_several
    })
}

/// What each version of a status said, a line each.
pub fn told(history: &[Seen]) -> String {
    let line = |seen: &Seen| {
        let of = |(name, service): (&str, &Value)| {
            let [state, reason] = ["/state", "/reason"].map(|field| json::text(service, field));
            format!("{name}={state} {reason} {}/{}/{}", service["ready"], service["updated"], service["desired"])
        };
        let status = &seen.object["status"];
        let services: Vec<String> = json::entries(status, "/services").map(of).collect();
        format!("  {} {} {}\n", seen.version, services.join(" "), status["waitingOn"])
    };
    history.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_smooth_rollout_has_in_it_is_known() {
        let stack = |state: &str, reason: Value, ready: i32| json!({"status": {"services": {"db": {"state": state, "reason": reason, "ready": ready}}}});
        let nothing = Value::Null;
        let smooth = [
            stack("Waiting", json!("DependencyNotReady"), 0),
            stack("Progressing", nothing.clone(), 0),
            stack("Ready", nothing.clone(), 1),
        ];
        assert!(smooth.windows(2).all(|pair| !is_unplanned(&pair[0], &pair[1])));
        assert!(!is_unplanned(&json!({}), &smooth[0]), "the first");
        for (before, now) in [
            (stack("Ready", nothing.clone(), 1), stack("Degraded", nothing.clone(), 0)),
            (stack("Degraded", nothing.clone(), 0), stack("Ready", nothing.clone(), 1)),
            (stack("Progressing", nothing.clone(), 0), stack("Progressing", json!("FailedMount"), 0)),
            (stack("Progressing", json!("FailedMount"), 0), stack("Progressing", nothing.clone(), 0)),
            (stack("Progressing", nothing.clone(), 1), stack("Progressing", nothing.clone(), 2)),
        ] {
            assert!(is_unplanned(&before, &now), "{before} {now}");
        }
    }
}
