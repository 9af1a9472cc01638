//! The stack: services, and what they share.

use std::collections::{BTreeMap, BTreeSet};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AppStackStatus, Gateway, PodSecurity, Quantity, SecretKey, Service, StackDependency, numbers, schema, stacks,
};

/// A Compose project that Kubernetes keeps true: services, networks and volumes, rolled out in health order.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "appstack.dev",
    version = "v1alpha1",
    kind = "AppStack",
    namespaced,
    shortname = "astk",
    category = "all",
    category = "appstack",
    status = "AppStackStatus",
    derive = "PartialEq",
    doc = "AppStack is a Compose project that Kubernetes keeps true: its services, networks and volumes become Deployments, Services, NetworkPolicies and PersistentVolumeClaims, rolled out in health order.",
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be lower case letters, digits and hyphens, start with a letter, end with a letter or digit, and have at most 40 characters").field_path(".metadata.name"),
    validation = Rule::new("!has(self.spec.dependsOn) || !(self.metadata.name in self.spec.dependsOn)").message("a stack cannot wait for itself").field_path(".spec.dependsOn"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether all services are up as the spec wants them"),
    printcolumn(name = "Services", type_ = "string", json_path = ".status.summary", description = "Services that are ready, of all"),
    printcolumn(name = "Waiting-On", type_ = "string", json_path = ".status.waitingOn", description = "Who waits for what, and why"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1, description = "Reason of the Ready condition"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".metadata.generation", priority = 1, description = "Generation of the spec"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since it was created")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].dependsOn) || self.services[s].dependsOn.all(d, d != s && d in self.services))")
    .message("dependsOn may name other services of this stack only").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].networks) || self.services[s].networks.all(n, n == 'default' || (has(self.networks) && n in self.networks)))")
    .message("a service may join 'default' and the networks declared in spec.networks").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].volume) || (has(self.volumes) && self.services[s].mounts[p].volume in self.volumes)))")
    .message("mounts may name volumes declared in spec.volumes only").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].config) || (has(self.configs) && self.services[s].mounts[p].config in self.configs)))")
    .message("mounts may name configs declared in spec.configs only").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].secret) || (has(self.secrets) && self.services[s].mounts[p].secret in self.secrets)))")
    .message("mounts may name secrets declared in spec.secrets only").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].secretEnv) || self.services[s].secretEnv.all(e, has(self.secrets) && self.services[s].secretEnv[e].secret in self.secrets))")
    .message("secretEnv may name secrets declared in spec.secrets only").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || !((has(self.services[s].replicas) && self.services[s].replicas > 1) || (has(self.services[s].autoscale) && self.services[s].autoscale.max > 1)) || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].volume) || !has(self.volumes) || !(self.services[s].mounts[p].volume in self.volumes) || !has(self.volumes[self.services[s].mounts[p].volume].accessMode) || self.volumes[self.services[s].mounts[p].volume].accessMode != 'ReadWriteOncePod'))")
    .message("one pod of the cluster mounts a ReadWriteOncePod volume, to write or to read: a service with such mounts has replicas and autoscale.max of at most 1").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || !has(self.services[s].mode) || self.services[s].mode == 'Replicated' || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].volume) || !has(self.volumes) || !(self.services[s].mounts[p].volume in self.volumes) || !has(self.volumes[self.services[s].mounts[p].volume].perReplica) || !self.volumes[self.services[s].mounts[p].volume].perReplica))")
    .message("a volume with perReplica goes with mode Replicated: mounts of Global services and Jobs may not name it").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || !has(self.services[s].mode) || self.services[s].mode != 'Global' || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].volume) || !has(self.volumes) || !(self.services[s].mounts[p].volume in self.volumes) || (has(self.volumes[self.services[s].mounts[p].volume].perReplica) && self.volumes[self.services[s].mounts[p].volume].perReplica) || (has(self.volumes[self.services[s].mounts[p].volume].accessMode) && self.volumes[self.services[s].mounts[p].volume].accessMode in ['ReadWriteMany', 'ReadOnlyMany'])))")
    .message("one node at a time mounts a ReadWriteOnce volume, and mode Global runs on every node: such mounts need accessMode ReadWriteMany, ReadOnlyMany, hostPath or ephemeral").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || !has(self.services[s].spread) || !has(self.services[s].spread.host) || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].volume) || !has(self.volumes) || !(self.services[s].mounts[p].volume in self.volumes) || (has(self.volumes[self.services[s].mounts[p].volume].perReplica) && self.volumes[self.services[s].mounts[p].volume].perReplica) || (has(self.volumes[self.services[s].mounts[p].volume].accessMode) && self.volumes[self.services[s].mounts[p].volume].accessMode != 'ReadWriteOnce')))")
    .message("all pods that mount a ReadWriteOnce volume share a node: a service with such mounts may not have spread.host").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].networkMode) || self.services[s].networkMode != 'Host' || (has(self.services[s].podSecurity) ? self.services[s].podSecurity : (has(self.podSecurity) ? self.podSecurity : 'Baseline')) == 'Privileged')")
    .message("networkMode Host needs podSecurity: Privileged").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].mounts) || (has(self.services[s].podSecurity) ? self.services[s].podSecurity : (has(self.podSecurity) ? self.podSecurity : 'Baseline')) == 'Privileged' || self.services[s].mounts.all(p, !has(self.services[s].mounts[p].hostPath)))")
    .message("mounts of a hostPath need podSecurity: Privileged").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].securityContext) || (has(self.services[s].podSecurity) ? self.services[s].podSecurity : (has(self.podSecurity) ? self.podSecurity : 'Baseline')) == 'Privileged' || !((has(self.services[s].securityContext.privileged) && self.services[s].securityContext.privileged) || (has(self.services[s].securityContext.seccompProfile) && self.services[s].securityContext.seccompProfile.type == 'Unconfined')))")
    .message("securityContext.privileged and seccompProfile.type Unconfined need podSecurity: Privileged").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].securityContext) || !has(self.services[s].securityContext.capabilities) || !has(self.services[s].securityContext.capabilities.add) || (has(self.services[s].podSecurity) ? self.services[s].podSecurity : (has(self.podSecurity) ? self.podSecurity : 'Baseline')) == 'Privileged' || self.services[s].securityContext.capabilities.add.all(c, c in ['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']))")
    .message("capabilities.add outside the runtime's default set needs podSecurity: Privileged").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].networks) || self.services[s].networks.all(n, !has(self.services[s].networks[n].aliases) || self.services[s].networks[n].aliases.all(a, a == s || !(a in self.services))))")
    .message("aliases may not be names of other services of this stack: a name cannot mean both").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].preStart) || self.services[s].preStart.all(p, p.name != s))")
    .message("a step of preStart may not have the name of its service, which is that of the service's own container").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].dependsOn) || self.services[s].dependsOn.all(d, !(d in self.services) || !has(self.services[s].dependsOn[d].condition) || self.services[s].dependsOn[d].condition != 'Healthy' || !has(self.services[d].mode) || self.services[d].mode != 'Job'))")
    .message("condition Healthy is for services that are kept running: a Job is Started or Completed").field_path(".services"))]
#[x_kube(validation = Rule::new("self.services.all(s, !has(self.services[s].dependsOn) || self.services[s].dependsOn.all(d, !(d in self.services) || !has(self.services[s].dependsOn[d].condition) || self.services[s].dependsOn[d].condition != 'Completed' || (has(self.services[d].mode) && self.services[d].mode == 'Job')))")
    .message("condition Completed is for services of mode Job: others are kept running and never end").field_path(".services"))]
#[x_kube(validation = Rule::new("!(has(self.gateway) && has(self.ingressClassName))").message("routes are under a gateway or of an ingressClassName, not both; a single route may say otherwise"))]
pub struct AppStackSpec {
    /// The services of the stack, by name. A service is reached by the others under its name.
    #[schemars(schema_with = "schema::services::<Service>")]
    pub services: BTreeMap<String, Service>,
    /// The networks that keep services apart, by name. `default` always exists.
    #[schemars(schema_with = "schema::networks::<Network>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Network>,
    /// Data that outlives pods, by name: one claim each.
    #[schemars(schema_with = "schema::volumes::<Volume>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Volume>,
    /// Files for containers that are no secret, by name.
    #[schemars(schema_with = "schema::configs::<Config>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, Config>,
    /// Existing Secrets of the namespace, by the name the services use. The operator never reads them.
    #[schemars(schema_with = "schema::secrets::<Secret>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// How services are kept apart. `Networks`: as in Compose, by shared networks. `Namespace`: open to the whole namespace. `None`: no policies. Unset: `Networks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The Pod Security level that services keep to; unset: `Baseline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// How published ports are exposed; unset: `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
    /// The Gateway that routes are under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// Routes become Ingresses of this class.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// Leave the stack as it is: nothing is changed until this is false again. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Bring every service to zero pods; data and addresses stay. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<bool>,
    /// The active profiles: services that name profiles run only if one of theirs is here.
    #[schemars(schema_with = "schema::profiles")]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub profiles: BTreeSet<String>,
    /// How the stack goes when it is deleted. `Immediate`: all at once, without the operator. `Ordered`: services in reverse order of their dependencies, each when
    /// the pods of all that depend on it are gone, network policies last; a finalizer holds the stack until then. Unset: `Immediate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<Teardown>,
    /// The service account of this namespace in whose name all that the stack is made of is written: the stack gets no more than that account may. Refused unless the
    /// operator runs with `--apply-as`. Unset: the operator's own account.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_as: Option<String>,
    /// Stacks of this namespace that must be Ready before pods of this one are started or changed. One that is not there is waited for.
    #[schemars(schema_with = "stacks::edges")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, StackDependency>,
}

/// How a stack goes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Teardown {
    #[default]
    Immediate,
    Ordered,
}

/// How services are kept apart.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Isolation {
    #[default]
    Networks,
    Namespace,
    None,
}

/// A network: services that share one may talk to each other.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// No way out, and no way in but from its members; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<bool>,
    /// It is the network of this name that stacks of the namespace share: members in each stack that names it may talk to each other.
    #[schemars(schema_with = "schema::network_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_name: Option<String>,
}

/// Data that outlives pods: one PersistentVolumeClaim, whoever mounts it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
    .message("storageClassName cannot be changed, added or dropped once the volume exists; declare a new volume"))]
#[x_kube(validation = Rule::new("has(self.accessMode) == has(oldSelf.accessMode) && (!has(self.accessMode) || self.accessMode == oldSelf.accessMode)")
    .message("accessMode cannot be changed, added or dropped once the volume exists; declare a new volume"))]
#[x_kube(validation = Rule::new("(has(self.perReplica) && self.perReplica) == (has(oldSelf.perReplica) && oldSelf.perReplica)")
    .message("perReplica cannot be changed once the volume exists; declare a new volume"))]
#[x_kube(validation = Rule::new("!has(self.size) || !has(oldSelf.size) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0")
    .message("size may only grow; a smaller one needs a new volume"))]
#[x_kube(validation = Rule::new("has(self.size) != has(self.claimName)").message("a volume must have either size, for a claim of its own, or claimName, for one that exists"))]
#[x_kube(validation = Rule::new("!has(self.claimName) || !(has(self.storageClassName) || has(self.retention) || has(self.perReplica) || has(self.annotations))")
    .message("storageClassName, retention, perReplica and annotations go with size: an existing claim is mounted as it is"))]
#[x_kube(validation = Rule::new("!has(self.populate) || !has(self.perReplica) || !self.perReplica").message("populate fills one claim: not with perReplica; use preStart or seed"))]
#[x_kube(validation = Rule::new("!has(self.populate) || !has(self.accessMode) || self.accessMode != 'ReadOnlyMany'").message("populate writes to the volume: not with accessMode ReadOnlyMany"))]
pub struct Volume {
    /// How much it holds. It may grow later, never shrink. Goes without only beside `claimName`.
    #[schemars(schema_with = "numbers::storage")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// The class that makes it; unset: the cluster's default.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Who may mount it; unset: `ReadWriteOnce`, one node at a time, which keeps all its users on one node. `ReadWriteOncePod`: one pod of the whole
    /// cluster, to write or to read, and so one service with one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
    /// Whether the data stays when the stack is deleted; unset: `Retain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// An existing claim of the namespace: it is mounted, never changed and never deleted.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// Give each pod of the service that mounts it a claim of its own, which the pod keeps by its number. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_replica: Option<bool>,
    /// Fill it once, by a Job, before the first service that mounts it starts: this is how models are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub populate: Option<Populate>,
    /// Annotations of the claim.
    #[schemars(schema_with = "schema::annotations")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How a volume is filled: a Job that runs once for each definition of it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.env) || !has(self.secretEnv) || self.env.all(k, !(k in self.secretEnv))").message("a variable may be in one of env and secretEnv only"))]
pub struct Populate {
    /// The container image.
    #[schemars(schema_with = "schema::image")]
    pub image: String,
    /// The program and its arguments, taken literally; unset: the image's own.
    #[schemars(schema_with = "schema::words")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Environment variables, taken literally.
    #[schemars(schema_with = "schema::env_values")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables from keys of `spec.secrets`.
    #[schemars(schema_with = "schema::env::<SecretKey>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, SecretKey>,
    /// Where the volume is mounted; unset: `/volume`.
    #[schemars(schema_with = "schema::mount_path")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Further tries after a failed one; unset: 0.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
}

/// Who may mount a volume.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // the words are Kubernetes' own
pub enum AccessMode {
    #[default]
    ReadWriteOnce,
    ReadWriteMany,
    ReadOnlyMany,
    ReadWriteOncePod,
}

impl AccessMode {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            AccessMode::ReadWriteOnce => "ReadWriteOnce",
            AccessMode::ReadWriteMany => "ReadWriteMany",
            AccessMode::ReadOnlyMany => "ReadOnlyMany",
            AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

/// Whether data outlives the stack.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Retention {
    #[default]
    Retain,
    Delete,
}

/// Files for containers: `content`, `configMapName`, or `data` and `binaryData`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.content), has(self.data) || has(self.binaryData), has(self.configMapName)].filter(x, x).size() == 1")
    .message("a config must have exactly one of content, data (and binaryData), configMapName"))]
#[x_kube(validation = Rule::new("!has(self.data) || !has(self.binaryData) || self.data.all(k, !(k in self.binaryData))").message("a file may be in one of data and binaryData only"))]
#[x_kube(validation = Rule::new("!has(self.key) || !has(self.content)").message("key chooses one of several files: content is one file"))]
#[x_kube(validation = Rule::new("!has(self.key) || !(has(self.data) || has(self.binaryData)) || (has(self.data) && self.key in self.data) || (has(self.binaryData) && self.key in self.binaryData)").message("key must be one of the files in data and binaryData").field_path(".key"))]
pub struct Config {
    /// The text of one file.
    #[schemars(length(max = 262_144))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Texts of several files, by file name.
    #[schemars(schema_with = "schema::files")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Further files that are no text, in base64, by file name.
    #[schemars(schema_with = "schema::binary_files")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<String, String>,
    /// A ConfigMap of the namespace that somebody else keeps.
    #[schemars(schema_with = "schema::object_name")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// The one entry that is meant; it then mounts as a file.
    #[schemars(schema_with = "schema::data_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// An existing Secret of the namespace, or one entry of it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its name in the namespace.
    #[schemars(schema_with = "schema::object_name")]
    pub secret_name: String,
    /// The one entry that is meant; it then mounts as a file.
    #[schemars(schema_with = "schema::data_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How published ports are exposed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.loadBalancerClass) || (has(self.type) && self.type == 'LoadBalancer')").message("loadBalancerClass goes with type LoadBalancer"))]
pub struct Publish {
    /// `ClusterIP`, `NodePort` or `LoadBalancer`; unset: `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<PublishType>,
    /// Annotations of the published Service, which clouds read.
    #[schemars(schema_with = "schema::annotations")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which load balancer, where the cluster has several.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum PublishType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}
