//! Files that come from the types: the CustomResourceDefinition, the permissions of the operator, and what installs both with it.

mod crd;
mod install;
mod rbac;

pub use crd::{PUBLISHED, SCHEMA, crd, crd_yaml};
pub use install::{Install, NAMESPACE};
pub use rbac::{rbac, rbac_yaml};
