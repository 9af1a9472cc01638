//! The live tests: the real operator on a real control plane with simulated nodes. One binary, since each would link
//! the whole client again. Each test says which line of the promise it proves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

mod autoscale;
mod bad_input;
mod drift;
mod golden;
mod kinds;
mod order;
mod ownership;
mod quiet;
mod samples;
mod stacks;
mod upgrade;
mod walls;
