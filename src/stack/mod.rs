//! The checked model: what an [`AppStack`](crate::api::AppStack) means, with every reference resolved and every default decided.
//!
//! Pure. [`check`] is the only way in, for the operator and for the command line alike; renderers take nothing else.

mod check;
pub mod definition;
pub mod graph;
mod health;
pub mod model;
mod mounts;
pub mod names;
mod pod_security;
mod ports;

pub use check::check;
pub use model::{
    Autoscale, Config, EnvVar, Health, Mount, Need, Network, Port, PortRef, Probe, Problem, Problems, Published,
    Resources, Scale, Service, Source, Stack, Value, Volume,
};
pub use mounts::bytes;
