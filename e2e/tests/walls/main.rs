//! Walls, proved without a cluster: the rendered policies let through exactly what the model of a stack says.
//!
//! The operator's code says what is meant (`stack::reachability`) and what is sent (`render`); in between judges [`e2e::policy`], which knows neither.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

mod made;
mod proof;
mod samples;
mod world;
