//! What may happen now: from what is wanted and what is seen to the writes and deletes of this pass.
//!
//! Pure and stateless: no clock, no memory of progress. A crash between any two requests resumes by planning again.
//!
//! `planner` walks the services in their order: `gate` says who may start pods, `health` how far a workload has come, `replicas` who sets the count,
//! `predecessors` what must be gone first, `rollback` what is put back. `populate` fills volumes before that; `beside_pods` writes everything that is no
//! workload; `prune` ends it. `preview` says what a plan leaves for later. `teardown` says what may go of a stack that is deleted in order.

mod beside_pods;
mod differs;
mod gate;
pub mod health;
mod parts;
mod plan;
mod planner;
mod populate;
mod predecessors;
mod preview;
mod prune;
mod replicas;
mod rollback;
mod teardown;

#[cfg(test)]
mod tests;

pub(crate) use beside_pods::refusal_of_size;
pub use parts::Parts;
pub use plan::{Body, Cause, Delete, Gone, Guard, Plan, Refusal, RefusalKind, Step, Unfilled, Until, Wait, Write};
pub use planner::{Seen, Settled, plan};
pub use preview::{Later, doomed, later};
pub use replicas::first_count;
pub use rollback::ROLLED_BACK;
pub use teardown::{Held, Leaving, Stage, Teardown, teardown, unseen};
