//! What a stack is made of: the kinds of children, what is kept of each, and the digest by which two of them are compared.
//!
//! Pure, and below every stage: rendering, planning, reporting and the controller all speak in these terms.

pub mod digest;
mod full;
pub mod kind;
pub mod labels;
mod moved;
mod reduce;
mod route;

pub use full::full_disk;
pub use kind::Kind;
pub use reduce::{
    BalancerFacts, Child, ChildId, Condition, DISK_FULL, Facts, MANAGER, PodFacts, ReplicasOwner, node_ports,
};
pub use route::{Requests, RouteFacts};
