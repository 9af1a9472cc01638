//! AppStack: a Compose project that Kubernetes keeps true.
pub mod api;
pub mod child;
pub mod cli;
pub mod generate;
pub mod stack;
pub mod render;
pub mod rollout;
pub mod report;
pub mod controller;
