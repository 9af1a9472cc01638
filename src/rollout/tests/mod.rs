//! The plan against a small world of its own: promises one by one, and laws over random stacks.

mod controllers;
mod counts;
mod deadlines;
mod fills;
mod kinds;
mod laws;
mod names;
mod optional;
mod promises;
mod rollback;
mod stacks;
mod steered;
mod teardown;
mod world;
