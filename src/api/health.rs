//! Health checks, in Compose's words.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, numbers, schema};

/// How to tell that the service is healthy. Exactly one of `exec`, `shell`, `http`, `tcp` and `grpc`. A failing check
/// takes the pod out of its Services and holds those who wait for it; as in Compose, it restarts nothing unless `onUnhealthy` says so.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.exec), has(self.shell), has(self.http), has(self.tcp), has(self.grpc)].filter(x, x).size() == 1")
    .message("a healthcheck must have exactly one of exec, shell, http, tcp, grpc"))]
pub struct Healthcheck {
    /// A command to run in the container, without a shell; healthy if it exits with 0. Compose's `CMD`.
    #[schemars(schema_with = "schema::words")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<String>>,
    /// A line for `/bin/sh -c` in the container; healthy if it exits with 0. Compose's `CMD-SHELL`.
    #[schemars(length(min = 1, max = 16384), regex(pattern = r"^[^\x00]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// An HTTP GET; healthy if it answers with 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// A TCP connection; healthy if it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// A call of the gRPC health service; healthy if it answers `SERVING`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcProbe>,
    /// Time between checks; unset: 30s.
    #[x_kube(validation = Rule::new("!self.matches('^(0+(h|m|s|ms))+$')").message("must be more than 0; leave it out for 30s"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// How long one check may take; unset: 30s. A check that hangs takes all of it: with `startPeriod` or `onUnhealthy: Restart` keep it at or below
    /// `startInterval`, or such a check is counted unhealthy later than by Docker.
    #[x_kube(validation = Rule::new("!self.matches('^(0+(h|m|s|ms))+$')").message("must be more than 0; leave it out for 30s"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Failures in a row until the service counts as unhealthy; unset: 3.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
    /// Time to start in which the check runs more often and failures do not count; unset: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
    /// Time between checks during `startPeriod`; unset: 5s.
    #[x_kube(validation = Rule::new("!self.matches('^(0+(h|m|s|ms))+$')").message("must be more than 0; leave it out for 5s"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
    /// What follows when it is unhealthy. `Ignore`: nothing but that, as in Compose. `Restart`: the container is killed and started anew. Unset: `Ignore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unhealthy: Option<OnUnhealthy>,
}

/// What follows when a container is unhealthy.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum OnUnhealthy {
    #[default]
    Ignore,
    Restart,
}

/// An HTTP GET on a port of the pod.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct HttpProbe {
    /// The port: its number, or its name in `ports`.
    #[schemars(schema_with = "numbers::port")]
    pub port: Port,
    /// The path; unset: `/`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(r"self.matches('^/[^\\s]*$')").message("must begin with '/' and have no spaces"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `HTTP` or `HTTPS` (its certificate is not checked); unset: `HTTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<HttpScheme>,
    /// Headers to send, by name.
    #[schemars(schema_with = "schema::headers")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A TCP connection to a port of the pod.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TcpProbe {
    /// The port: its number, or its name in `ports`.
    #[schemars(schema_with = "numbers::port")]
    pub port: Port,
}

/// A call of the gRPC health service, `grpc.health.v1.Health`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct GrpcProbe {
    /// The port: its number, or its name in `ports`.
    #[schemars(schema_with = "numbers::port")]
    pub port: Port,
    /// The service to ask about; unset: the server as a whole.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Port {
    /// Its number.
    Number(i32),
    /// Its name among the service's `ports`.
    Name(String),
}

#[allow(missing_docs)] // the words are Kubernetes' own
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpScheme {
    Http,
    Https,
}
