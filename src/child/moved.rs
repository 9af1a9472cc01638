//! When something last moved, by what the API server and the kinds' own controllers wrote down: for kinds that keep no deadline of their own.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// The newest change of the spec or status of a StatefulSet or DaemonSet, or of one of their pods: its creation, and whatever its conditions turned to. None
/// of anything else: a Deployment and a Job keep deadlines themselves, and what nobody asks for only wakes people.
pub(super) fn last(object: &Value) -> Option<Timestamp> {
    let (meta, spec) = (&object["metadata"], &object["spec"]);
    let list = |node: &'_ Value| node.as_array().cloned().unwrap_or_default();
    let times: Vec<Value> = if spec["containers"].is_array() {
        let is_theirs = |owner: &Value| matches!(owner["kind"].as_str(), Some("StatefulSet" | "DaemonSet"));
        if !list(&meta["ownerReferences"]).iter().any(is_theirs) {
            return None;
        }
        list(&object["status"]["conditions"]).iter().map(|c| c["lastTransitionTime"].clone()).collect()
    } else if spec["updateStrategy"].is_object() {
        let entries = list(&meta["managedFields"]);
        let counts = |entry: &&Value| ["f:spec", "f:status"].iter().any(|key| entry["fieldsV1"].get(key).is_some());
        entries.iter().filter(counts).map(|entry| entry["time"].clone()).collect()
    } else if object["data"]["template"].is_object() {
        Vec::new() // a ControllerRevision of ours: the order in which they were made
    } else {
        return None;
    };
    times.iter().chain([&meta["creationTimestamp"]]).filter_map(time).max()
}

/// Whether a pod with these conditions has been ready, now or before: one that never was keeps the `Ready=False` of its first status, which is not newer
/// than the end of its first steps.
pub(super) fn was_ready(conditions: &Value) -> bool {
    let condition = |kind: &str| conditions.as_array().into_iter().flatten().find(|c| c["type"] == kind);
    let Some(ready) = condition("Ready") else { return false };
    let begun = condition("Initialized").filter(|c| c["status"] == "True").and_then(|c| time(&c["lastTransitionTime"]));
    ready["status"] == "True" || begun.is_some_and(|begun| time(&ready["lastTransitionTime"]) > Some(begun))
}

/// What ails a pod that was ready, whose containers all run: `Unhealthy` if one of them is not ready by its own checks, `NodeLost` if they were when the
/// kubelet last spoke of them, and the node controller, which touches nothing else, has since taken the `Ready` of the pod back.
pub(super) fn out_of_order(status: &Value) -> Option<&'static str> {
    let list = |key: &str| status[key].as_array().into_iter().flatten();
    let ready = list("conditions").find(|c| c["type"] == "Ready")?;
    let runs = list("containerStatuses").all(|c| !c["state"]["running"].is_null());
    if status["phase"] != "Running" || !runs || ready["status"] == "True" || !was_ready(&status["conditions"]) {
        return None;
    }
    if list("containerStatuses").any(|c| c["ready"] == false) {
        return Some("Unhealthy");
    }
    (ready["reason"] != "ReadinessGatesNotReady").then_some("NodeLost")
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seconds(object: &Value) -> Option<i64> {
        last(object).map(Timestamp::as_second)
    }

    #[test]
    fn the_newest_of_spec_and_status_counts_and_a_foreign_annotation_does_not() {
        let entry = |field: &str, time: &str| json!({"manager": "m", "time": time, "fieldsV1": {field: {}}});
        let workload = |strategy: &str| {
            json!({"spec": {strategy: {}}, "metadata": {"creationTimestamp": "1970-01-01T00:00:01Z", "managedFields": [
                entry("f:spec", "1970-01-01T00:00:05Z"), entry("f:status", "1970-01-01T00:00:07Z"), entry("f:metadata", "1970-01-01T00:00:09Z")]}})
        };
        assert_eq!(seconds(&workload("updateStrategy")), Some(7));
        assert_eq!(seconds(&workload("strategy")), None, "a Deployment says itself that it stands still");
    }

    #[test]
    fn a_pod_moves_when_it_is_made_and_when_a_condition_turns() {
        let pod = |owner: &str, conditions: Value| {
            json!({"metadata": {"creationTimestamp": "1970-01-01T00:00:02Z", "ownerReferences": [{"kind": owner}]},
                "spec": {"containers": []}, "status": {"conditions": conditions}})
        };
        assert_eq!(seconds(&pod("StatefulSet", json!([]))), Some(2));
        let turned = json!([{"type": "Ready", "lastTransitionTime": "1970-01-01T00:00:04Z"}, {"type": "X"}]);
        assert_eq!(seconds(&pod("DaemonSet", turned.clone())), Some(4));
        assert_eq!(seconds(&pod("ReplicaSet", turned)), None);
    }

    #[test]
    fn a_pod_that_lost_its_readiness_is_told_from_one_that_never_had_it() {
        let at = |second: u32| format!("1970-01-01T00:00:{second:02}Z");
        let pod = |ready: (&str, u32), begun: (&str, u32)| {
            was_ready(&json!([
                {"type": "Ready", "status": ready.0, "lastTransitionTime": at(ready.1)},
                {"type": "Initialized", "status": begun.0, "lastTransitionTime": at(begun.1)}]))
        };
        assert!(pod(("True", 5), ("True", 2)));
        assert!(pod(("False", 9), ("True", 2)), "it was lost");
        assert!(!pod(("False", 2), ("True", 2)), "it never was");
        assert!(!pod(("False", 2), ("True", 6)), "its first steps took long");
        assert!(!pod(("False", 2), ("False", 2)));
        assert!(!was_ready(&json!([])));
    }

    #[test]
    fn a_failing_check_and_a_silent_node_are_told_apart_and_a_start_is_neither() {
        let pod = |ready_since: &str, container: bool| {
            json!({"phase": "Running", "containerStatuses": [{"ready": container, "state": {"running": {}}}], "conditions": [
                {"type": "Initialized", "status": "True", "lastTransitionTime": "1970-01-01T00:00:02Z"},
                {"type": "Ready", "status": "False", "lastTransitionTime": ready_since}]})
        };
        assert_eq!(out_of_order(&pod("1970-01-01T00:00:09Z", false)), Some("Unhealthy"));
        assert_eq!(out_of_order(&pod("1970-01-01T00:00:09Z", true)), Some("NodeLost"));
        assert_eq!(out_of_order(&pod("1970-01-01T00:00:01Z", false)), None, "it starts");
        let mut gated = pod("1970-01-01T00:00:09Z", true);
        gated["conditions"][1]["reason"] = json!("ReadinessGatesNotReady");
        assert_eq!(out_of_order(&gated), None);
        let mut ended = pod("1970-01-01T00:00:09Z", false);
        ended["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        assert_eq!(out_of_order(&ended), None, "it says itself what ails it");
    }
}
