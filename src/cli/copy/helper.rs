//! The pod through which a volume is reached: made like one of the service that mounts it, so that it may run where that may, and writes as that does.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::child::labels;
use crate::cli::pods;
use crate::cli::pods::stack as stack_of;
use crate::render::{Part, Settings, render};
use crate::stack::{Claim, Stack, names};

/// Where the volume is mounted in the helper.
pub(in crate::cli) const MOUNT: &str = "/volume";
/// The helper's container.
pub(super) const CONTAINER: &str = "copy";

/// What the helper is made from.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Helper {
    pub(in crate::cli) claim: String,
    pub(in crate::cli) service: String,
    pub(in crate::cli) image: String,
    pod: Value,
}

impl Helper {
    /// For a volume of a stack, or the one of this pod's number where each pod has its own. Lives for at most `seconds`, whatever becomes of us.
    pub(in crate::cli) fn of(
        stack: &Stack,
        volume: &str,
        replica: Option<u32>,
        image: Option<&str>,
        seconds: u64,
    ) -> Result<Helper, String> {
        let Some(known) = stack.volumes.get(volume) else {
            let all: Vec<&str> = stack.volumes.keys().map(String::as_str).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            return Err(format!("spec.volumes[{volume}]: no such volume that a service mounts; there are: {all}"));
        };
        let (service, template) = user(stack, volume).ok_or_else(|| {
            format!("spec.volumes[{volume}]: no service mounts it, so nothing says how it is to be written")
        })?;
        let workload = names::joined(&[&stack.name, &service]);
        let claim = match (&known.claim, replica) {
            (Claim::Own(_), None) => names::joined(&[&stack.name, volume]),
            (Claim::Existing(name), None) => name.clone(),
            (Claim::PerReplica(_), Some(number)) => format!("{}{number}", own_claims(volume, &workload)),
            (Claim::PerReplica(_), None) => {
                return Err(format!(
                    "spec.volumes[{volume}]: each pod of {service} has its own; --replica NUMBER says which"
                ));
            }
            (_, Some(_)) => return Err(format!("spec.volumes[{volume}]: is one for all pods; leave --replica away")),
        };
        let containers = template["spec"]["containers"].as_array();
        let own = containers.and_then(|all| all.iter().find(|c| c["name"] == service.as_str()).or_else(|| all.first()));
        let own = own.cloned().unwrap_or_default();
        let of_service = own["image"].as_str().unwrap_or_default();
        let image = image.unwrap_or(of_service).to_owned();
        let mut container = json!({
            "name": CONTAINER, "image": image, "command": ["sleep", seconds.to_string()],
            "volumeMounts": [{"name": "volume", "mountPath": MOUNT}],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        });
        container["securityContext"] = own["securityContext"].clone();
        if image == of_service {
            container["imagePullPolicy"] = own["imagePullPolicy"].clone();
        }
        let mut spec = json!({
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "activeDeadlineSeconds": seconds,
            "automountServiceAccountToken": false, "enableServiceLinks": false, "containers": [container],
            "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}],
        });
        for field in [
            "securityContext",
            "affinity",
            "nodeSelector",
            "tolerations",
            "imagePullSecrets",
            "runtimeClassName",
            "priorityClassName",
        ] {
            if !template["spec"][field].is_null() {
                spec[field] = template["spec"][field].clone();
            }
        }
        let metadata = json!({"generateName": format!("{}-cp-", stack.name), "namespace": stack.namespace, "labels": ties(stack, &template)});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        Ok(Helper { claim, service, image, pod })
    }

    /// The same, by a name of its own purpose: `shop-backup-...` instead of `shop-cp-...`.
    pub(in crate::cli) fn named(mut self, stack: &str, purpose: &str) -> Helper {
        self.pod["metadata"]["generateName"] = json!(format!("{stack}-{purpose}-"));
        self
    }

    /// The same, unable to change anything.
    pub(in crate::cli) fn reading(mut self) -> Helper {
        self.pod["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = json!(true);
        self
    }

    /// As it is sent.
    pub(super) fn pod(&self) -> serde_json::Result<Pod> {
        serde_json::from_value(self.pod.clone())
    }
}

/// The claims of a volume of which each pod has its own begin with this; the pod's number follows. None for another volume, or one that nobody mounts.
pub(in crate::cli) fn claims_of_replicas(stack: &Stack, volume: &str) -> Option<String> {
    let of_each = stack.volumes.get(volume).is_some_and(crate::stack::Volume::is_per_replica);
    let (service, _) = user(stack, volume).filter(|_| of_each)?;
    Some(own_claims(volume, &names::joined(&[&stack.name, &service])))
}

fn own_claims(volume: &str, workload: &str) -> String {
    format!("volume-{volume}-{workload}-")
}

/// Labels that bring it to the node of others who use the volume, and them to its own. None by which anybody would dial it, or take it for a pod of the service.
fn ties(stack: &Stack, template: &Value) -> Map<String, Value> {
    let prefixes = [labels::uses_volume(""), labels::uses_claim("")];
    let all = template["metadata"]["labels"].as_object().into_iter().flatten();
    let ties = all.filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)));
    let own =
        [(labels::STACK.to_owned(), json!(stack.name)), ("app.kubernetes.io/managed-by".to_owned(), json!("appstack"))];
    ties.map(|(key, value)| (key.clone(), value.clone())).chain(own).collect()
}

/// The service that mounts a volume, one that writes to it if there is one, and the template of its pods.
fn user(stack: &Stack, volume: &str) -> Option<(String, Value)> {
    let mounts = |name: &&String, writes: bool| {
        let service = stack.services.get(*name);
        let mut mounts = service
            .iter()
            .flat_map(|service| &service.mounts)
            .filter(|m| m.source.volume().is_some_and(|v| v == volume));
        mounts.any(|mount| !writes || !mount.read_only)
    };
    let rendered = render(stack, &Settings::default());
    let template = |name: &String| {
        let is_its = |part: &Part| matches!(part, Part::Service(of) if of == name);
        let workload = rendered.iter().find(|(id, wanted)| id.kind.starts_pods() && is_its(&wanted.part));
        workload.map(|(_, wanted)| (name.clone(), wanted.object["spec"]["template"].clone()))
    };
    let by = |writes: bool| stack.order.iter().filter(move |name| mounts(name, writes)).find_map(template);
    by(true).or_else(|| by(false))
}

/// Pods that may write to a claim now.
pub(in crate::cli) fn writers(claim: &str, pods: &[Pod]) -> Vec<String> {
    let writes = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let Some(spec) = pod.spec.as_ref().filter(|_| !matches!(phase, Some("Succeeded" | "Failed"))) else {
            return false;
        };
        let volumes = spec.volumes.iter().flatten().filter(|volume| {
            let source = volume.persistent_volume_claim.as_ref();
            source.is_some_and(|source| source.claim_name == claim && source.read_only != Some(true))
        });
        let names: Vec<&str> = volumes.map(|volume| volume.name.as_str()).collect();
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let mut mounts = containers.flat_map(|container| container.volume_mounts.iter().flatten());
        mounts.any(|mount| names.contains(&mount.name.as_str()) && mount.read_only != Some(true))
    };
    let said = |pod: &Pod| match (pods::service(pod), stack_of(pod)) {
        (Some(service), Some(stack)) => format!("pod {} of {service} in stack {stack}", pod.name_any()),
        _ => format!("pod {}", pod.name_any()),
    };
    pods.iter().filter(writes).map(said).collect()
}

/// How far the helper is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Runs,
    Waits(String),
    Lost(String),
}

/// By what the kubelet says of it.
pub(super) fn way(pod: &Pod) -> Way {
    let status = pod.status.as_ref();
    let condition =
        status.and_then(|s| s.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False"));
    let container = status.and_then(|s| s.container_statuses.iter().flatten().next());
    let state = container.and_then(|container| container.state.as_ref());
    if state.is_some_and(|state| state.running.is_some()) {
        return Way::Runs;
    }
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        let said = ended.message.clone().unwrap_or_default();
        return Way::Lost(format!("{}: {said}", ended.reason.clone().unwrap_or_default()));
    }
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let (reason, said) = (waiting.reason.clone().unwrap_or_default(), waiting.message.clone().unwrap_or_default());
        let text = format!("{reason}: {said}").trim_end_matches([':', ' ']).to_owned();
        // Others come right by themselves.
        let lost = [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
            "CreateContainerError",
            "RunContainerError",
        ];
        return if lost.contains(&reason.as_str()) { Way::Lost(text) } else { Way::Waits(text) };
    }
    Way::Waits(condition.and_then(|c| c.message.clone()).unwrap_or_else(|| "it is not started yet".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AppStack, PodSecurity};
    use crate::stack::check;

    fn stack(services: &Value, volumes: &Value) -> Stack {
        let written: AppStack = serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "shop", "namespace": "team", "uid": "u"}, "spec": {"services": services, "volumes": volumes}}))
        .unwrap();
        check(&written, PodSecurity::Privileged).unwrap()
    }

    #[test]
    fn the_helper_is_like_a_pod_of_the_service_that_writes_and_is_dialled_by_nobody() {
        let db = json!({"image": "postgres:15", "securityContext": {"runAsUser": 999, "runAsGroup": 998, "fsGroup": 998}, "ports": {"pg": {"port": 5432}},
            "mounts": {"/var/lib/postgresql/data": {"volume": "data"}}});
        let reader = json!({"image": "reader:1", "mounts": {"/data": {"volume": "data", "readOnly": true}}});
        let stack = stack(&json!({"a-reader": reader, "db": db}), &json!({"data": {"size": "1Gi"}}));
        let helper = Helper::of(&stack, "data", None, None, 600).unwrap();
        assert_eq!((&*helper.claim, &*helper.service, &*helper.image), ("shop-data", "db", "postgres:15"));
        let pod = &helper.pod;
        let template = &render(&stack, &Settings::default())
            .into_iter()
            .find(|(id, _)| id.name == "shop-db" && id.kind.starts_pods())
            .unwrap()
            .1
            .object["spec"]["template"];
        assert_eq!(pod["spec"]["securityContext"], template["spec"]["securityContext"]);
        assert_eq!(pod["spec"]["affinity"], template["spec"]["affinity"], "to the node where the volume is");
        assert!(!pod["spec"]["affinity"].is_null());
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["securityContext"], template["spec"]["containers"][0]["securityContext"]);
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 999);
        assert_eq!(
            (&pod["spec"]["restartPolicy"], &pod["spec"]["activeDeadlineSeconds"]),
            (&json!("Never"), &json!(600))
        );
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        assert!(labels.keys().any(|key| *key == labels::uses_volume("data")), "{labels:?}");
        assert!(
            !labels.contains_key(labels::SERVICE) && labels.keys().all(|key| !key.contains("network")),
            "{labels:?}"
        );
        let other = Helper::of(&stack, "data", None, Some("busybox:1.37"), 600).unwrap();
        assert_eq!(other.pod["spec"]["containers"][0]["image"], "busybox:1.37");
        assert!(helper.pod().is_ok());
    }

    #[test]
    fn which_claim_is_meant_is_said_or_asked_for() {
        let db = json!({"image": "db:1", "replicas": 2, "mounts": {"/data": {"volume": "each"}, "/old": {"volume": "theirs"}}});
        let stack = stack(
            &json!({"db": db}),
            &json!({"each": {"size": "1Gi", "perReplica": true}, "theirs": {"claimName": "legacy"}}),
        );
        let claim = |volume: &str, replica| Helper::of(&stack, volume, replica, None, 60).map(|helper| helper.claim);
        assert_eq!(claim("each", Some(1)), Ok("volume-each-shop-db-1".into()));
        assert_eq!(claim("theirs", None), Ok("legacy".into()));
        for (volume, replica, says) in [
            ("each", None, "each pod of db has its own; --replica NUMBER says which"),
            ("theirs", Some(0), "is one for all pods"),
            ("none", None, "there are: each, theirs"),
        ] {
            assert!(claim(volume, replica).unwrap_err().contains(says), "{volume}");
        }
    }

    #[test]
    fn whoever_may_write_stands_in_the_way_and_readers_and_ended_pods_do_not() {
        let pod = |name: &str, claim: &str, read_only: bool, phase: &str| -> Pod {
            let mounts = json!([{"name": "v", "mountPath": "/v", "readOnly": read_only}]);
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {labels::SERVICE: "db", labels::STACK: "shop"}},
                "spec": {"containers": [{"name": "db", "volumeMounts": mounts}], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]},
                "status": {"phase": phase}}))
            .unwrap()
        };
        let pods = [
            pod("writer", "data", false, "Running"),
            pod("reader", "data", true, "Running"),
            pod("ended", "data", false, "Succeeded"),
            pod("other", "more", false, "Running"),
        ];
        assert_eq!(writers("data", &pods), ["pod writer of db in stack shop"]);
    }

    #[test]
    fn a_helper_that_cannot_start_says_why() {
        let of = |status: Value| {
            way(&serde_json::from_value(
                json!({"metadata": {"name": "x"}, "spec": {"containers": []}, "status": status}),
            )
            .unwrap())
        };
        let state = |state: Value| {
            of(
                json!({"containerStatuses": [{"name": "copy", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}),
            )
        };
        assert_eq!(state(json!({"running": {}})), Way::Runs);
        assert_eq!(state(json!({"waiting": {"reason": "ContainerCreating"}})), Way::Waits("ContainerCreating".into()));
        assert_eq!(
            state(json!({"waiting": {"reason": "ErrImagePull", "message": "none"}})),
            Way::Lost("ErrImagePull: none".into())
        );
        let ended = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "sleep: not found"}});
        assert_eq!(state(ended), Way::Lost("StartError: sleep: not found".into()));
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]});
        assert_eq!(of(unscheduled), Way::Waits("0/2 nodes".into()));
    }
}
