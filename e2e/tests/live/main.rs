//! The live tests: the real operator on a real control plane, whose nodes are simulated (`make test`) or real (`make e2e`). One binary, since each
//! would link the whole client again. Each test says which line of the promise it proves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

mod autoscale;
mod bad_input;
mod causes;
mod chart;
mod commands;
mod config;
mod conformance;
mod diff;
mod down;
mod drain;
mod drift;
mod faults;
mod gapless;
mod golden;
mod install;
mod isolation;
mod jobs;
mod kinds;
mod modes;
mod names;
mod needs;
mod neighbours;
mod order;
mod ownership;
mod pod_security;
mod probes;
mod publish;
mod quiet;
mod reach;
mod routes;
mod samples;
mod scaling;
mod scenarios;
mod shared;
mod stacks;
mod steer;
mod storage;
mod switches;
mod teardown;
mod up;
mod update;
mod upgrade;
mod walls;
