//! What a container listens on, and how its health is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{HttpScheme, OpenTo, Protocol};

/// A port of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique in the service; Services and policies refer to it, so that each pod answers by its own revision.
    pub name: String,
    /// 1 to 65535.
    pub number: i32,
    /// Its protocol.
    pub protocol: Protocol,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
    /// Who may dial it besides the members of its networks.
    pub open_to: OpenTo,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The user's name for it.
    pub name: String,
    /// The number outside.
    pub number: i32,
    /// Its protocol.
    pub protocol: Protocol,
    /// Name of the container port behind it.
    pub target: String,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
}

/// A container port as a probe names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    /// Not among the declared ports.
    Number(i32),
    /// Name of a container port.
    Name(String),
}

/// A health check with every number decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// How it is asked.
    pub probe: Probe,
    /// Between checks.
    pub interval: Duration,
    /// Of one check.
    pub timeout: Duration,
    /// Failures in a row until unhealthy.
    pub retries: i32,
    /// In which failures do not count.
    pub start_period: Duration,
    /// Between checks while it starts.
    pub start_interval: Duration,
    /// An unhealthy container is killed.
    pub restart: bool,
}

/// How health is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// A command in the container.
    Exec(Vec<String>),
    /// A GET.
    Http {
        /// Where.
        port: PortRef,
        /// What.
        path: String,
        /// Plain or TLS.
        scheme: HttpScheme,
        /// Sent along.
        headers: BTreeMap<String, String>,
    },
    /// A connection.
    Tcp {
        /// Where.
        port: PortRef,
    },
    /// A call of the gRPC health service.
    Grpc {
        /// Where: Kubernetes takes no name here.
        port: i32,
        /// About which service; none: the server.
        service: Option<String>,
    },
}
