//! What may happen now: from what is wanted and what is seen to the writes and deletes of this pass.
//!
//! Pure and stateless: no clock, no memory of progress. A crash between any two requests resumes by planning again.

mod differs;
mod gate;
pub mod health;
mod jobs;
mod parts;
mod plan;
mod planner;
mod predecessors;
mod prune;
mod replicas;
mod shared;

#[cfg(test)]
mod tests;

pub use parts::Parts;
pub use plan::{Body, Cause, Delete, Guard, Plan, Refusal, RefusalKind, Step, Unfilled, Wait, Write};
pub use planner::{Seen, Settled, plan};
pub use replicas::first_count;
pub(crate) use shared::refusal_of_size;
