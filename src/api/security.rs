//! Users, privileges and the Pod Security level.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Levels of the Pod Security Standards, strictest first: what a service may ask for.
///
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[allow(missing_docs)] // the words are Kubernetes' own
pub enum PodSecurity {
    Restricted,
    #[default]
    Baseline,
    Privileged,
}

/// Which user the service runs as and what it may do. Fields not listed in a level are refused by `podSecurity`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    /// User number; unset: the image's.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Group number; unset: the image's.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<i64>,
    /// Refuse to start as user 0; unset: true under `podSecurity: Restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// Group that owns mounted volumes; unset: `runAsGroup`, else `runAsUser`, where a volume is mounted.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// When the files of a volume change group; unset: `OnRootMismatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group_change_policy: Option<FsGroupChangePolicy>,
    /// Further groups.
    #[schemars(length(min = 1, max = 32), inner(range(min = 0, max = 4_294_967_295_i64)), extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supplemental_groups: Vec<i64>,
    /// Mount the image read-only; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// Whether a process may gain privileges (setuid); unset: false under `podSecurity: Restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    /// All privileges of the node; needs `podSecurity: Privileged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// Kernel capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// System call filter; unset: `RuntimeDefault`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<SeccompProfile>,
    /// Kernel parameters of the pod, by name.
    #[schemars(schema_with = "schema::sysctls")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
}

/// Capabilities without the `CAP_` prefix.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Capabilities {
    /// Added to the runtime's default set.
    #[schemars(schema_with = "schema::capabilities")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Taken from it; `ALL` for all. Unset: `ALL` under `podSecurity: Restricted`.
    #[schemars(schema_with = "schema::capabilities")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// A system call filter.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.localhostProfile) == (self.type == 'Localhost')").message("localhostProfile must be given for type Localhost, and only then"))]
pub struct SeccompProfile {
    /// `RuntimeDefault`, `Localhost` or `Unconfined`.
    pub r#type: Profile,
    /// File of a `Localhost` profile, below the kubelet's seccomp folder.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Profile {
    RuntimeDefault,
    Localhost,
    Unconfined,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum FsGroupChangePolicy {
    OnRootMismatch,
    Always,
}
