//! AppStack: a Compose project that Kubernetes keeps true.
pub mod api;
pub mod child;
pub mod generate;
pub mod stack;
