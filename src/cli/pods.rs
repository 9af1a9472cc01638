//! The pods of a stack, as commands that reach into them need them.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::server::Asked;
use super::steering::no_such_service;
use crate::api::AppStack;
use crate::child::labels;

/// The pods of the namespace.
pub(super) fn api(asked: &Asked) -> Api<Pod> {
    Api::namespaced(asked.client.clone(), &asked.namespace)
}

/// What carries the label of the stack.
pub(super) fn of_stack(asked: &Asked) -> String {
    format!("{}={}", labels::STACK, asked.name)
}

/// Pods of its services, sorted by service and name; those that fill volumes are not among them.
pub(super) async fn list(asked: &Asked) -> kube::Result<Vec<Pod>> {
    let mut pods = api(asked).list(&ListParams::default().labels(&of_stack(asked))).await?.items;
    pods.retain(|pod| service(pod).is_some());
    pods.sort_by_key(|pod| (service(pod).map(str::to_owned), pod.name_any()));
    Ok(pods)
}

/// The service whose pod it is.
pub(super) fn service(pod: &Pod) -> Option<&str> {
    let label = |key: &str| pod.labels().get(key).map(String::as_str).filter(|value| !value.is_empty());
    label(labels::SERVICE).or_else(|| label(labels::JOB))
}

/// The stack whose pod it is.
pub(super) fn stack(pod: &Pod) -> Option<&str> {
    pod.labels().get(labels::STACK).map(String::as_str)
}

/// The container of the service itself, beside those that others have put into the pod.
pub(super) fn container(pod: &Pod) -> String {
    let names = || pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str());
    let own = names().find(|name| Some(*name) == service(pod)).or_else(|| names().next());
    own.unwrap_or_default().to_owned()
}

/// What tells pods of one service apart: the end of the name, as their controller has made it up.
pub(super) fn suffix(pod: &Pod) -> String {
    let name = pod.name_any();
    name.rsplit('-').next().unwrap_or_default().to_owned()
}

/// Statuses of all its containers, those that run first among them.
pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|s| s.init_container_statuses.iter().flatten().chain(s.container_statuses.iter().flatten()))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn runs(pod: &Pod) -> bool {
    let own = container(pod);
    statuses(pod).any(|status| status.name == own && status.state.as_ref().is_some_and(|s| s.running.is_some()))
}

/// The pod to go into: one that is ready and stays, the youngest of those; else one whose container runs.
pub(super) fn best<'a>(pods: &'a [Pod], of: &str) -> Option<&'a Pod> {
    let candidates = pods.iter().filter(|pod| service(pod) == Some(of) && runs(pod));
    candidates.max_by_key(|pod| {
        let stays = pod.metadata.deletion_timestamp.is_none();
        (stays && is_ready(pod), stays, pod.creation_timestamp().map(|time| time.0), Reverse(pod.name_any()))
    })
}

/// A pod of the service that can be gone into, or why there is none.
pub(super) async fn pick(asked: &Asked, of: &str) -> kube::Result<Result<Pod, String>> {
    let pods = list(asked).await?;
    if let Some(pod) = best(&pods, of) {
        if !is_ready(pod) {
            eprintln!("note: no pod of {of} is ready; taking {}", pod.name_any());
        }
        return Ok(Ok(pod.clone()));
    }
    let stack = asked.api.get_opt(&asked.name).await?;
    Ok(Err(stack.map_or_else(
        || format!("no AppStack '{}' in namespace '{}'; -n names another", asked.name, asked.namespace),
        |stack| none_runs(&stack, of),
    )))
}

/// Why no pod of a service runs.
pub(super) fn none_runs(stack: &AppStack, of: &str) -> String {
    if !stack.spec.services.contains_key(of) {
        return no_such_service(stack, of);
    }
    let known = stack.status.as_ref().and_then(|status| status.services.get(of));
    let why = known.map_or_else(
        || "the operator has not looked at it yet".to_owned(),
        |service| {
            let state = service.state.as_str();
            match (&service.waiting_on, super::table::why(service)) {
                (Some(on), _) => format!("{state}, waits for {}", super::look::one_line(on)),
                (None, why) if why.is_empty() => state.to_owned(),
                (None, why) => format!("{state}, {why}"),
            }
        },
    );
    format!("no pod of {of} runs: {why}")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod of `web`, so old, with one container in this state.
    pub(in crate::cli) fn pod(name: &str, at: &str, ready: bool, state: &Value) -> Pod {
        let status =
            json!({"name": "web", "image": "web:1", "imageID": "", "ready": ready, "restartCount": 0, "state": state});
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": at, "labels": {labels::SERVICE: "web", labels::STACK: "shop"}},
            "spec": {"containers": [{"name": "mesh", "image": "mesh:1"}, {"name": "web", "image": "web:1", "ports": [{"containerPort": 8000, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "containerStatuses": [status],
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}}))
        .unwrap()
    }

    fn running() -> Value {
        json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    }

    #[test]
    fn the_youngest_ready_pod_is_gone_into_and_one_on_its_way_out_only_for_want_of_another() {
        let mut going = pod("shop-web-0", "2026-01-09T00:00:00Z", true, &running());
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        let pods = [
            going.clone(),
            pod("shop-web-1", "2026-01-01T00:00:00Z", true, &running()),
            pod("shop-web-2", "2026-01-02T00:00:00Z", true, &running()),
            pod("shop-web-3", "2026-01-03T00:00:00Z", false, &running()),
            pod("shop-web-4", "2026-01-04T00:00:00Z", false, &json!({"waiting": {"reason": "ImagePullBackOff"}})),
        ];
        let chosen = |pods: &[Pod]| best(pods, "web").map(ResourceExt::name_any);
        assert_eq!(chosen(&pods).unwrap(), "shop-web-2");
        assert_eq!(chosen(&[pods[0].clone(), pods[3].clone(), pods[4].clone()]).unwrap(), "shop-web-3");
        assert_eq!(chosen(&[going, pods[4].clone()]).unwrap(), "shop-web-0");
        assert_eq!(chosen(&[pods[4].clone()]), None);
        assert_eq!(best(&pods, "db"), None);
        assert_eq!(container(&pods[0]), "web", "its own, not the first");
    }

    #[test]
    fn who_has_no_pod_says_why() {
        let stack: AppStack = serde_json::from_value(json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
            "spec": {"services": {"web": {"image": "web:1"}, "db": {"image": "db:1"}, "new": {"image": "new:1"}}},
            "status": {"services": {"web": {"state": "Waiting", "waitingOn": "db (Healthy): 0/1"},
                "db": {"state": "Failed", "reason": "ImagePullBackOff", "message": "no such image"}}}}))
        .unwrap();
        for (of, says) in [
            ("web", "no pod of web runs: Waiting, waits for db (Healthy): 0/1"),
            ("db", "no pod of db runs: Failed, ImagePullBackOff: no such image"),
            ("new", "no pod of new runs: the operator has not looked at it yet"),
            ("none", "spec.services[none]: no such service; there are: db, new, web"),
        ] {
            assert_eq!(none_runs(&stack, of), says);
        }
    }
}
