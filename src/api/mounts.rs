//! What a service finds at a path of its file system.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PullPolicy, Quantity, numbers, schema};

/// Exactly one of `volume`, `config`, `secret`, `tmpfs`, `ephemeral`, `hostPath` and `image`, and how it is mounted.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.volume), has(self.config), has(self.secret), has(self.tmpfs), has(self.ephemeral), has(self.hostPath), has(self.image)].filter(x, x).size() == 1")
    .message("a mount must have exactly one of volume, config, secret, tmpfs, ephemeral, hostPath, image"))]
#[x_kube(validation = Rule::new("!has(self.subPath) || has(self.volume) || has(self.ephemeral) || has(self.hostPath) || has(self.image)").message("subPath goes with volume, ephemeral, hostPath or image; a file of a config or secret is chosen by key"))]
#[x_kube(validation = Rule::new("!(has(self.key) || has(self.mode)) || has(self.config) || has(self.secret)").message("key and mode go with config or secret"))]
#[x_kube(validation = Rule::new("!has(self.readOnly) || self.readOnly || !(has(self.config) || has(self.secret) || has(self.image))").message("configs, secrets and images are always read-only"))]
#[x_kube(validation = Rule::new("!has(self.seed) || ((has(self.volume) || has(self.ephemeral)) && !(has(self.readOnly) && self.readOnly))").message("seed goes with a volume or ephemeral that is mounted writable"))]
#[x_kube(validation = Rule::new("!has(self.propagation) || has(self.hostPath)").message("propagation goes with hostPath"))]
pub struct Mount {
    /// A volume of `spec.volumes`.
    #[schemars(length(min = 1, max = 40))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// A config of `spec.configs`: a file where it has `content` or `key` (or `key` is given here), else a folder. Always read-only.
    #[schemars(length(min = 1, max = 40))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// A secret of `spec.secrets`: a file where `key` is given here or there, else a folder. Always read-only.
    #[schemars(length(min = 1, max = 40))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Memory, empty at every start of the pod; counts against the memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Tmpfs>,
    /// A volume of each pod's own that goes with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Ephemeral>,
    /// A path of the node; needs `podSecurity: Privileged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPath>,
    /// The files of a container image, read-only. Needs Kubernetes 1.35 or a cluster with the feature ImageVolume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// A folder inside the source to mount instead of its root; created when absent.
    #[schemars(length(min = 1, max = 160))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')").message("must be a relative path without '..'"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// Whether writing is refused; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// The one entry of the config or secret to mount, as a file.
    #[schemars(schema_with = "schema::data_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Octal permissions of the files, in quotes; unset: `"0444"`.
    #[schemars(schema_with = "numbers::file_mode")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `FromImage`: while the volume is empty, the image's own content of this path is copied into it before the service starts, as Docker does
    /// for named volumes. The image needs `sh` and `cp`. Unset: the volume hides what the image has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    /// Whether mounts made on the node or in the container are seen on the other side; unset: `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
}

/// A file system in memory.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Tmpfs {
    /// The most it may hold; unset: half the node's memory, or the memory limit.
    #[schemars(schema_with = "numbers::storage_of_mount")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
}

/// A volume of each pod's own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ephemeral {
    /// How much it holds.
    #[schemars(schema_with = "numbers::storage_of_mount")]
    pub size: Quantity,
    /// The class that makes it; unset: the cluster's default.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}

/// A path of the node.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct HostPath {
    /// The path on the node: absolute, without `..`.
    #[schemars(schema_with = "schema::host_path")]
    pub path: String,
    /// What has to be there; unset: not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<HostPathType>,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum HostPathType {
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

/// A container image whose files are mounted.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSource {
    /// Which image.
    #[schemars(schema_with = "schema::image_pattern")]
    pub reference: String,
    /// When to pull it; unset: `Always` for `latest` or no tag, else `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

/// What a new volume is filled with.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Seed {
    FromImage,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Propagation {
    None,
    HostToContainer,
    Bidirectional,
}
