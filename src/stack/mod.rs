//! The checked model: what an [`AppStack`](crate::api::AppStack) means, with every reference resolved and every default decided.
//!
//! Pure. [`check`] is the only way in, for the operator and for the command line alike; renderers take nothing else.

mod account;
mod check;
mod configs;
pub mod definition;
mod env;
pub mod graph;
mod health;
pub mod model;
mod mounts;
pub mod names;
pub mod neighbours;
mod networks;
mod patch;
pub(crate) mod pod_security;
mod ports;
pub mod reachability;
pub mod requests;
mod routes;
mod scale;
mod size;
mod ties;
mod update;
mod volumes;

pub use account::{ApplyAs, problem_of_account};
pub use check::check;
pub use model::{
    Autoscale, Claim, Config, EnvFrom, EnvSource, EnvVar, Health, Job, Mount, Need, Network, Placement, Pods, Populate,
    Port, PortRef, PreStart, Probe, Problem, Problems, Published, Resources, Route, RouteParent, Scale, Service,
    Source, Stack, Storage, Strategy, Tie, Update, Value, Volume, Workload,
};
pub use size::{bytes, cores};
