//! Stacks that wait for stacks.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// What must hold of another stack first: that it is Ready. There is nothing else to say of it yet.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct StackDependency {}

/// Names of other stacks.
pub(super) fn edges(generator: &mut SchemaGenerator) -> Schema {
    schema::named::<StackDependency>(generator, 40, 64, "stack")
}
