//! What a container listens on, and under which names it answers.

use std::collections::BTreeSet;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A port the container listens on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The number inside the container, which is also what other services dial.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default)]
    pub protocol: Protocol,
    /// The number under which it is published; unset: it is not.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<i32>,
    /// What is spoken on it: `http`, `https`, `grpc`, `kubernetes.io/h2c`, `kubernetes.io/ws` or another name that gateways know.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$')").message("must be a protocol name such as 'http' or 'kubernetes.io/h2c'"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Who may dial it besides the members of its networks: nobody (`Networks`), every pod of the namespace, or every pod of the cluster. Unset: `Networks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_to: Option<OpenTo>,
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }
}

/// Who may dial a port besides the members of its networks.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum OpenTo {
    #[default]
    Networks,
    Namespace,
    Cluster,
}

/// How a service's name is answered.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum EndpointMode {
    #[serde(rename = "VIP")]
    Vip,
    #[serde(rename = "DNSRR")]
    Dnsrr,
}

/// Which network a service's pods live in.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum NetworkMode {
    #[default]
    Stack,
    None,
    Host,
}

/// A service's place in a network.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Membership {
    /// Further names under which it is reached. Two services may share one: it then answers for both.
    #[schemars(schema_with = "schema::aliases")]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
}
