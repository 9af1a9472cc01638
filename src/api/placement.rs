//! On which nodes pods run, and how they resolve names.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A taint of a node that the pods put up with, in Kubernetes' words.
///
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.key) || (has(self.operator) && self.operator == 'Exists')").message("a toleration without key must have operator Exists"))]
#[x_kube(validation = Rule::new("!has(self.value) || !has(self.operator) || self.operator == 'Equal'").message("value goes with operator Equal"))]
#[x_kube(validation = Rule::new("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')").message("tolerationSeconds goes with effect NoExecute"))]
pub struct Toleration {
    /// Key of the taint; unset, with `Exists`: every taint.
    #[schemars(schema_with = "schema::taint_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Equal` or `Exists`; unset: `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint.
    #[schemars(schema_with = "schema::taint_value")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; unset: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How long a `NoExecute` taint is put up with; unset: for ever.
    #[schemars(range(min = 0, max = 31_536_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum TolerationOperator {
    Equal,
    Exists,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// Whether the pods of a service keep apart.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("has(self.zone) || has(self.host)").message("spread must have zone, host or both"))]
pub struct Spread {
    /// Over zones: `Preferred` or `Required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<SpreadMode>,
    /// Over nodes: `Preferred` or `Required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<SpreadMode>,
}

/// `Preferred`: as evenly as there is room. `Required`: counts differ by one at most, else a pod waits.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described above
pub enum SpreadMode {
    Preferred,
    Required,
}

/// Added to the cluster's own name resolution, in Kubernetes' words.
///
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-dns-config>
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("has(self.nameservers) || has(self.searches) || has(self.options)").message("dnsConfig must have nameservers, searches or options"))]
pub struct DnsConfig {
    /// Addresses of further name servers.
    #[schemars(schema_with = "schema::addresses")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Domains that are tried after a bare name.
    #[schemars(schema_with = "schema::domains")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
    /// Options of the resolver.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<DnsOption>,
}

/// An option of the resolver, such as `ndots`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct DnsOption {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its value, where it has one.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}
