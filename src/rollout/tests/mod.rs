//! The plan against a small world of its own: promises one by one, and laws over random histories in a simulated cluster.

mod controllers;
mod counts;
mod deadlines;
mod fills;
mod kinds;
mod names;
mod optional;
mod promises;
mod rollback;
mod simulated;
mod stacks;
mod steered;
mod teardown;
mod world;
