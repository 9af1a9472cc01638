//! What is kept of an object. It is read from the wire straight into this shape; the rest is dropped on arrival, so memory follows the
//! number of children and not their size.

use std::borrow::Cow;
use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::core::{DynamicResourceScope, Resource};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::digest::Digest;
use super::route::RouteFacts;
use super::{Kind, full, moved};
use crate::api::{AppStack, GROUP};

/// Field manager of everything but the status and the count of a held service.
pub const MANAGER: &str = "appstack";

/// Reason of pods that fail since a volume, or their node's disk, is full.
pub const DISK_FULL: &str = "DiskFull";

/// Which child: unique within a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ChildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)
    }
}

/// An object as the store keeps it: identity, the digest of our fields, and what the gate and the status ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Child {
    /// Name, namespace, uid, versions, deletion time, controller owner, our own labels and annotations, and what holds an object that is on its way out;
    /// nothing else.
    pub meta: ObjectMeta,
    /// Of the fields that we applied; none where we applied nothing.
    pub digest: Option<Digest>,
    /// What is judged by.
    pub facts: Facts,
}

/// The union of what the kinds are judged by; absent where a kind does not have it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Facts {
    /// Generation that the kind's own controller has seen.
    pub observed_generation: i64,
    /// Pods there are.
    pub replicas: i32,
    /// Pods of the current template.
    pub updated_replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Pods that have been ready long enough.
    pub available_replicas: i32,
    /// `Bound`, `Running`, ...
    pub phase: String,
    /// As the kind's controller writes them.
    pub conditions: Vec<Condition>,
    /// Pods of a Job that ended well.
    pub succeeded: i32,
    /// Count in the spec; of a DaemonSet, the nodes it is for.
    #[serde(skip)]
    pub spec_replicas: Option<i32>,
    /// A Job that is not to run for now.
    #[serde(skip)]
    pub suspended: bool,
    /// Digest of what of its pod template we applied.
    #[serde(skip)]
    pub template: Option<Digest>,
    /// Digest of the claims that a StatefulSet makes for its pods, and their names.
    #[serde(skip)]
    pub claim_templates: Option<(Digest, BTreeSet<String>)>,
    /// Revision of a StatefulSet's last complete rollout, by its controller's own count.
    pub current_revision: String,
    /// And of the one it is on.
    pub update_revision: String,
    /// Who set that count.
    #[serde(skip)]
    pub replicas_owner: ReplicasOwner,
    /// ConfigMaps that the template, or the pod, reads.
    #[serde(skip)]
    pub config_maps: BTreeSet<String>,
    /// Claims that the template, or the pod, mounts.
    #[serde(skip)]
    pub claims: BTreeSet<String>,
    /// Bytes a claim asks for, as written.
    #[serde(skip)]
    pub storage: String,
    /// Whether a Service is headless.
    #[serde(skip)]
    pub headless: bool,
    /// Of a Service that asks for a load balancer.
    #[serde(skip)]
    pub balancer: Option<BalancerFacts>,
    /// Numbers that a Service has on every node, of which there is one each in the cluster.
    #[serde(skip)]
    pub node_ports: BTreeSet<NodePort>,
    /// Where a load balancer answers.
    #[serde(skip)]
    pub addresses: Vec<String>,
    /// When it last moved: of a StatefulSet, a DaemonSet, and their pods. When it was made: of what is kept of earlier definitions.
    #[serde(skip)]
    pub moved: Option<Timestamp>,
    /// Of a pod.
    #[serde(skip)]
    pub pod: PodFacts,
    /// What became of an HTTPRoute.
    #[serde(skip)]
    pub route: RouteFacts,
    /// What a `FailedCreate` or `FailedMount` event, or a health check that says [`DISK_FULL`], last said about it: reason and message. Only the state of the object tells whether that still
    /// holds.
    #[serde(skip)]
    pub reported: Option<(String, String)>,
}

/// A condition of a child.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // as in Kubernetes
pub struct Condition {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// Whose `spec.replicas` is, by `managedFields`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplicasOwner {
    /// The main apply's.
    Ours,
    /// The autoscaler's, by the scale subresource.
    Autoscaler,
    /// Anybody else's, or nobody's.
    #[default]
    Other,
}

/// A number on every node, and its protocol.
pub type NodePort = (i64, String);

/// The node ports that a Service has, or asks for.
pub fn node_ports(service: &Value) -> BTreeSet<NodePort> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.filter_map(|p| Some((p["nodePort"].as_i64()?, p["protocol"].as_str()?.to_owned()))).collect()
}

/// What is kept of a Service that asks for a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancerFacts {
    /// Which load balancer, where it says; the server lets nobody change that.
    pub class: Option<String>,
    /// Whether we said it: clouds have webhooks that do.
    pub is_ours: bool,
}

/// What is kept of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is asked by itself
pub struct PodFacts {
    /// Some container of it has run: it is running, has ended, or has been restarted.
    pub has_run: bool,
    /// It is ready.
    pub ready: bool,
    /// It is, or was once.
    pub was_ready: bool,
    /// It has ended, well or not.
    pub ended: bool,
    /// A StatefulSet has made it, under this name: a copy has another one.
    pub numbered: bool,
    /// Why a container does not run, or why no node takes the pod: reason and message.
    pub trouble: Option<(String, String)>,
    /// Why it is not ready any more though it runs: `Unhealthy` or `NodeLost`.
    pub out_of_order: Option<&'static str>,
}

impl Facts {
    /// The condition of this type.
    pub fn condition(&self, r#type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.r#type == r#type)
    }
}

impl Child {
    fn reduce(object: &Value) -> Self {
        let whole = &object["metadata"];
        let text = |key: &str| whole[key].as_str().map(str::to_owned);
        let ours = |key: &str| {
            let map = whole[key].as_object()?;
            let kept = map.iter().filter(|(k, _)| k.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/')));
            Some(kept.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
        };
        let owners = Vec::<OwnerReference>::deserialize(&whole["ownerReferences"]).unwrap_or_default();
        let mut facts = Facts::deserialize(&object["status"]).unwrap_or_default(); // an unknown shape must not end the watch
        facts.read_spec(object);
        Child {
            meta: ObjectMeta {
                name: text("name"),
                namespace: text("namespace"),
                uid: text("uid"),
                resource_version: text("resourceVersion"),
                generation: whole["generation"].as_i64(),
                deletion_timestamp: Option::deserialize(&whole["deletionTimestamp"]).unwrap_or_default(),
                finalizers: holders(whole),
                owner_references: owners.into_iter().find(|o| o.controller == Some(true)).map(|o| vec![o]),
                labels: ours("labels"),
                annotations: ours("annotations"),
                ..ObjectMeta::default()
            },
            digest: Digest::owned(object, MANAGER),
            facts,
        }
    }

    /// resourceVersion as a number: newer is larger (KEP-5504).
    pub fn version(&self) -> u64 {
        self.meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// One of our labels, or empty.
    pub fn label(&self, key: &str) -> &str {
        self.meta.labels.as_ref().and_then(|l| l.get(key)).map_or("", String::as_str)
    }

    /// Whether it has this label of ours, whatever its value.
    pub fn has_label(&self, key: &str) -> bool {
        self.meta.labels.as_ref().is_some_and(|labels| labels.contains_key(key))
    }

    /// One of our annotations.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.meta.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The controller owner, where there is one.
    pub fn owner(&self) -> Option<&OwnerReference> {
        self.meta.owner_references.as_ref()?.first()
    }

    /// Whether this object is a child of the stack `name` with `uid`: by its controller owner; or, where it has none or one of an earlier stack of
    /// that name, by the labels that the child wanted under its name would carry. Names never decide.
    pub fn is_of(&self, name: &str, uid: &str, wanted_labels: &[(&str, &str)]) -> bool {
        match self.owner() {
            Some(owner) if owner.uid == uid => true,
            Some(owner) if owner.kind != AppStack::kind(&()) || owner.name != name => false,
            Some(_) | None => {
                !wanted_labels.is_empty() && wanted_labels.iter().all(|(key, value)| self.label(key) == *value)
            }
        }
    }

    /// Whether it is on its way out; such an object is waited for.
    pub fn is_going(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }

    /// Equal in all that a plan or a report can see.
    pub fn same(&self, other: &Child) -> bool {
        let meta = |child: &Child| ObjectMeta { resource_version: None, ..child.meta.clone() };
        self.digest == other.digest && self.facts == other.facts && meta(self) == meta(other)
    }
}

/// Finalizers of an object that is on its way out, less those that Kubernetes itself sets and takes off.
fn holders(meta: &Value) -> Option<Vec<String>> {
    let of_kubernetes = |name: &&str| {
        let domain = name.split('/').next().unwrap_or_default();
        matches!(*name, "foregroundDeletion" | "orphan") || domain.ends_with("kubernetes.io")
    };
    let all = meta["finalizers"].as_array().filter(|_| !meta["deletionTimestamp"].is_null())?;
    let names = all.iter().filter_map(Value::as_str).filter(|name| !of_kubernetes(name));
    Some(names.map(str::to_owned).collect::<Vec<_>>()).filter(|names| !names.is_empty())
}

impl Facts {
    fn read_spec(&mut self, object: &Value) {
        let spec = &object["spec"];
        self.spec_replicas = spec["replicas"].as_i64().and_then(|n| i32::try_from(n).ok());
        if self.spec_replicas.is_some() {
            self.replicas_owner = replicas_owner(object);
        }
        let pod = match (&spec["containers"], &object["data"]["template"]) {
            (Value::Array(_), _) => spec,
            (_, kept @ Value::Object(_)) => &kept["spec"],
            _ => &spec["template"]["spec"],
        };
        self.config_maps = config_maps(pod);
        let claims = pod["volumes"].as_array().into_iter().flatten();
        self.claims = claims
            .filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned))
            .collect();
        self.suspended = spec["suspend"] == true;
        self.template = Digest::owned_part(object, MANAGER, &["spec", "template"]);
        self.claim_templates = spec["volumeClaimTemplates"].as_array().map(|claims| {
            let names = claims.iter().filter_map(|claim| claim["metadata"]["name"].as_str()).map(str::to_owned);
            (Digest::of(&spec["volumeClaimTemplates"]), names.collect())
        });
        self.read_counts(object);
        self.moved = moved::last(object);
        spec["resources"]["requests"]["storage"].as_str().unwrap_or_default().clone_into(&mut self.storage);
        self.headless = spec["clusterIP"] == "None";
        self.balancer = (spec["type"] == "LoadBalancer").then(|| BalancerFacts {
            class: spec["loadBalancerClass"].as_str().map(str::to_owned),
            is_ours: Digest::owned_part(object, MANAGER, &["spec", "loadBalancerClass"]).is_some(),
        });
        self.node_ports = node_ports(object);
        self.route = RouteFacts::read(object);
        let ingress = object["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
        self.addresses =
            ingress.filter_map(|i| i["ip"].as_str().or(i["hostname"].as_str())).map(str::to_owned).collect();
        if spec["containers"].is_array() {
            self.pod = PodFacts::read(&object["status"]);
            let named = &object["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"];
            self.pod.numbered = named.is_string() && *named == object["metadata"]["name"];
            self.conditions.clear(); // read above; the rest only wakes people
        }
    }
}

impl Facts {
    /// DaemonSets and Jobs count in words of their own.
    fn read_counts(&mut self, object: &Value) {
        let (spec, status) = (&object["spec"], &object["status"]);
        let number = |value: &Value| value.as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
        if status["desiredNumberScheduled"].is_number() {
            self.spec_replicas = Some(number(&status["desiredNumberScheduled"]));
            self.replicas = number(&status["currentNumberScheduled"]);
            self.updated_replicas = number(&status["updatedNumberScheduled"]);
            self.ready_replicas = number(&status["numberReady"]);
            self.available_replicas = number(&status["numberAvailable"]);
        } else if spec["completions"].is_number() {
            self.spec_replicas = Some(number(&spec["completions"]));
            self.ready_replicas = number(&status["ready"]);
        }
    }
}

/// ConfigMaps that a pod with this spec reads.
fn config_maps(pod: &Value) -> BTreeSet<String> {
    let list = |node: &Value, key: &str| node[key].as_array().cloned().unwrap_or_default();
    let volumes = list(pod, "volumes").into_iter().map(|volume| volume["configMap"]["name"].clone());
    let containers = ["initContainers", "containers"].into_iter().flat_map(|key| list(pod, key));
    let env =
        containers.flat_map(|container| list(&container, "envFrom")).map(|from| from["configMapRef"]["name"].clone());
    volumes.chain(env).filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn replicas_owner(object: &Value) -> ReplicasOwner {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owners: Vec<&Value> = entries.filter(|e| e["fieldsV1"]["f:spec"].get("f:replicas").is_some()).collect();
    if owners.iter().any(|e| e["manager"] == MANAGER && e["operation"] == "Apply" && e.get("subresource").is_none()) {
        ReplicasOwner::Ours
    } else if owners.iter().any(|e| e["manager"] == "kube-controller-manager" && e["subresource"] == "scale") {
        ReplicasOwner::Autoscaler
    } else {
        ReplicasOwner::Other
    }
}

impl PodFacts {
    fn read(status: &Value) -> Self {
        let containers = || {
            ["initContainerStatuses", "containerStatuses"]
                .into_iter()
                .flat_map(|key| status[key].as_array().into_iter().flatten())
        };
        let conditions = || status["conditions"].as_array().into_iter().flatten();
        let main = status["containerStatuses"].as_array().into_iter().flatten();
        let waiting = containers()
            .map(|c| &c["state"]["waiting"])
            .find(|w| !matches!(w["reason"].as_str(), None | Some("ContainerCreating" | "PodInitializing")));
        let unscheduled = conditions()
            .find(|c| c["type"] == "PodScheduled" && c["status"] == "False" && c["reason"] == "Unschedulable");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        PodFacts {
            has_run: main.clone().any(|c| {
                !c["state"]["running"].is_null()
                    || !c["state"]["terminated"].is_null()
                    || c["restartCount"].as_i64() > Some(0)
            }),
            numbered: false,
            ended: matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")),
            ready: conditions().any(|c| c["type"] == "Ready" && c["status"] == "True"),
            was_ready: moved::was_ready(&status["conditions"]),
            out_of_order: moved::out_of_order(status),
            trouble: waiting
                .or(unscheduled)
                .map(|why| (text(&why["reason"]), text(&why["message"])))
                .or_else(|| (status["phase"] == "Failed").then(|| (text(&status["reason"]), text(&status["message"]))))
                .map(|(reason, message)| match full::last_words(status) {
                    Some(full) => (DISK_FULL.to_owned(), format!("{full}; {reason}: {message}")),
                    None => (reason, message),
                }),
        }
    }
}

impl<'de> Deserialize<'de> for Child {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Child::reduce(&Value::deserialize(from)?))
    }
}

/// `Api<Child>` speaks to any kind: `Api::all_with(client, &Kind::Deployment)`.
impl Resource for Child {
    type DynamicType = Kind;
    type Scope = DynamicResourceScope;
    fn group(kind: &Kind) -> Cow<'_, str> {
        kind.names().group.into()
    }
    fn version(kind: &Kind) -> Cow<'_, str> {
        kind.names().version.into()
    }
    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.names().kind.into()
    }
    fn plural(kind: &Kind) -> Cow<'_, str> {
        kind.names().plural.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
