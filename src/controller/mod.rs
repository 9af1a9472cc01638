//! Everything that touches the API server. Decisions are made in the pure folders; this one carries them out.
//!
//! Read in the order of the flow: [`watch`](self) feeds the [`store`], a difference wakes a stack in the [`queue`], [`reconcile`] looks at it,
//! `apply` and `prune` write through the one [`writer`] that may, `publish` says how it stands.

mod account;
mod apply;
mod backoff;
mod error;
mod in_the_way;
pub mod lease;
mod memory;
pub mod preview;
mod prune;
mod publish;
pub mod queue;
pub mod reconcile;
mod run;
mod standings;
pub mod store;
mod teardown;
#[cfg(test)]
mod tests;
mod watch;
pub mod writer;

pub use run::{LEASE, Options, RunError, run};
pub use watch::SILENCE;
