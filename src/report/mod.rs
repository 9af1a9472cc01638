//! What we say about a stack: its status, and the events that tell how it came about.
//!
//! Pure: a function of the plan, of what is seen, and of the status before. Time is an argument.

mod conditions;
mod events;
mod isolation;
mod news;
mod routes;
mod services;
mod status;
mod teardown;

#[cfg(test)]
mod tests;

pub use events::{Event, folded};
pub use isolation::{NETWORK_ISOLATION, PROOF, Proof, not_enforced};
pub use news::{Weight, over, weight};
pub use status::{Report, Subject, invalid, report, suspended, undecodable};
pub use teardown::tearing_down;
