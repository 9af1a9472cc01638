//! What a service finds at a path of its file system.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, schema};

/// Exactly one of `volume`, `config`, `secret` and `tmpfs`, and how it is mounted.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.volume), has(self.config), has(self.secret), has(self.tmpfs)].filter(x, x).size() == 1")
    .message("a mount must have exactly one of volume, config, secret, tmpfs"))]
#[x_kube(validation = Rule::new("!has(self.subPath) || has(self.volume)").message("subPath goes with volume; a file of a config or secret is chosen by key"))]
#[x_kube(validation = Rule::new("!(has(self.key) || has(self.mode)) || has(self.config) || has(self.secret)").message("key and mode go with config or secret"))]
#[x_kube(validation = Rule::new("!has(self.readOnly) || self.readOnly || has(self.volume) || has(self.tmpfs)").message("configs and secrets are always read-only"))]
pub struct Mount {
    /// A volume of `spec.volumes`.
    #[schemars(length(min = 1, max = 40))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// A config of `spec.configs`: a file where it has `content` (or `key` is given), else a folder. Always read-only.
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
    /// A folder inside the volume to mount instead of its root; created when absent.
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
    #[schemars(schema_with = "schema::file_mode")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// A file system in memory.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Tmpfs {
    /// The most it may hold; unset: half the node's memory, or the memory limit.
    #[schemars(schema_with = "schema::storage")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
}
