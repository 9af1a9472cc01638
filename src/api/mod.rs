//! What users write and read: the `AppStack` resource, field by field.
//!
//! The doc comments here are what `kubectl explain` prints. Bounds and CEL rules stand beside the fields they guard;
//! what they cannot see (cycles, for one) is checked by [`crate::stack::check`].

pub mod env;
pub mod health;
pub mod lifecycle;
pub mod mounts;
pub mod numbers;
pub mod patch;
pub mod placement;
pub mod ports;
pub mod routes;
pub mod scalars;
pub mod scaling;
pub mod schema;
pub mod security;
pub mod service;
pub mod spec;
mod stacks;
pub mod status;
pub mod update;

pub use env::{EnvFrom, SecretKey};
pub use health::{GrpcProbe, Healthcheck, HttpProbe, HttpScheme, OnUnhealthy, Port, TcpProbe};
pub use lifecycle::{Hook, Job, Mode, PreStart};
pub use mounts::{Ephemeral, HostPath, HostPathType, ImageSource, Mount, Propagation, Seed, Tmpfs};
pub use patch::PodTemplatePatch;
pub use placement::{DnsConfig, DnsOption, Spread, SpreadMode, TaintEffect, Toleration, TolerationOperator};
pub use ports::{EndpointMode, Membership, NetworkMode, OpenTo, Protocol, ServicePort};
pub use routes::{Gateway, Route};
pub use scalars::{Duration, Quantity};
pub use scaling::{Amounts, Autoscale, Gpu, Resources};
pub use security::{Capabilities, FsGroupChangePolicy, PodSecurity, Profile, SeccompProfile, SecurityContext};
pub use service::{Condition, Dependency, PullPolicy, Service};
pub use spec::{
    AccessMode, AppStack, AppStackSpec, Config, Isolation, Network, Populate, Publish, PublishType, Retention, Secret,
    Teardown, Volume,
};
pub use stacks::StackDependency;
pub use status::{AppStackStatus, ServiceState, ServiceStatus};
pub use update::{OnFailure, Update, UpdateOrder};

/// The API group of every label, annotation and resource of ours.
pub const GROUP: &str = "appstack.dev";
/// `apiVersion` of an [`AppStack`].
pub const API_VERSION: &str = "appstack.dev/v1alpha1";
