//! Files that come from the types: the CustomResourceDefinition, the permissions of the operator, and what installs both with it.

mod crd;
mod install;
#[cfg(test)]
mod pages;
mod rbac;

pub use crd::{PUBLISHED, SCHEMA, crd, crd_yaml};
pub use install::{Install, NAME, NAMESPACE};
pub use rbac::{chart_rbac_yaml, rbac, rbac_yaml};
