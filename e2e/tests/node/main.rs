//! What only real nodes can show: probes run, policies hold, volumes keep. `make e2e` starts a bench for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests
mod health;
mod traps;
mod updates;

mod backup;
mod commands;
mod copying;
mod data;
mod moving;
mod names;
mod rollout;
mod scaling;
mod trouble;
mod walls;
