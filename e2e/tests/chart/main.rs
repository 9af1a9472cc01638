//! The chart under the real helm: what it renders and refuses, and the life of a release on a control plane of its own, since a definition belongs to
//! the whole cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

mod lifecycle;
mod monitoring;
mod rendered;
mod values;
