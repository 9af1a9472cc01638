//! What users write and read: the `AppStack` resource, field by field.
//!
//! The doc comments here are what `kubectl explain` prints. Bounds and CEL rules stand beside the fields they guard;
//! what they cannot see (cycles, for one) is checked by [`crate::stack::check`].

pub mod health;
pub mod mounts;
pub mod scalars;
pub mod schema;
pub mod security;
pub mod service;
pub mod spec;
pub mod status;

pub use health::{Healthcheck, HttpProbe, HttpScheme, Port, TcpProbe};
pub use mounts::{Mount, Tmpfs};
pub use scalars::{Duration, Quantity};
pub use security::{Capabilities, FsGroupChangePolicy, PodSecurity, Profile, SeccompProfile, SecurityContext};
pub use service::{
    Autoscale, Condition, Dependency, Membership, Protocol, PullPolicy, Resources, SecretKey, Service, ServicePort,
};
pub use spec::{
    AccessMode, AppStack, AppStackSpec, Config, Isolation, Network, Publish, PublishType, Retention, Secret, Volume,
};
pub use status::{AppStackStatus, ServiceState, ServiceStatus};

/// The API group of every label, annotation and resource of ours.
pub const GROUP: &str = "appstack.dev";
/// `apiVersion` of an [`AppStack`].
pub const API_VERSION: &str = "appstack.dev/v1alpha1";
