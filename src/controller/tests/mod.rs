//! The whole flow against an API server of a few lines: which requests are sent, in which order, and what follows from each refusal.

mod fake;
mod faults;
mod gone;
mod metrics;
mod protocol;
mod statuses;
mod teardown;
mod watches;
