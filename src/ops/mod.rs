//! For those who run the operator: what it counts of its own work, whether it has what it needs, and where both can be asked.

pub mod metrics;
pub mod needs;
pub mod requests;
pub mod server;

use std::sync::Arc;

pub use metrics::Metrics;
pub use needs::Needs;

/// Both, as the rest of the operator holds them.
#[derive(Clone, Debug, Default)]
pub struct Ops {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is there and what is missing.
    pub needs: Arc<Needs>,
}
