//! AppStack: a Compose project that Kubernetes keeps true.
//!
//! An [`api::AppStack`] is checked into a [`stack::Stack`], rendered into [`render::Children`], planned against what is seen, carried out, and reported on.
//! Folders, in the order of the data flow:
//!
//! | folder | what is in it |
//! |---|---|
//! | [`api`] | what users write and read |
//! | [`stack`] | the checked model (pure) |
//! | [`child`] | what a stack is made of: kinds, what is kept of an object, the digest (pure) |
//! | [`render`] | desired objects (pure) |
//! | [`rollout`] | what may happen now (pure) |
//! | [`report`] | what we say about it (pure) |
//! | [`controller`] | everything that touches the API server |
//! | [`ops`] | for those who run the operator: metrics, probes |
//! | [`yaml`] | YAML as values that know their place (pure) |
//! | [`compose`] | Compose files as one project (pure but for reading files) |
//! | [`cli`] | the commands, one file each |
//! | [`generate`] | files that come from the types |

pub mod api;
pub mod child;
pub mod cli;
pub mod compose;
pub mod controller;
pub mod generate;
pub mod ops;
pub mod render;
pub mod report;
pub mod rollout;
pub mod stack;
pub mod yaml;
