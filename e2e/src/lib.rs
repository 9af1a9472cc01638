//! Live tests against a real control plane: the harness, and an observer that shares no code with the operator.
//!
//! [`live`] gives each test a namespace of its own, an [`observer::Observer`] that has watched it from the start, and the
//! API server's audit log. The test starts an [`operator::Operator`] for its namespace alone, so tests run side by side
//! and may kill theirs. When the body is done, the observer's order law ([`order`]) and the laws of statuses ([`statuses`])
//! must hold over everything it saw, whatever the test was about.
//!
//! Environment: `E2E_KUBECONFIG` (and `E2E_AUDIT_LOG`) name the cluster; without them an embedded one is built and
//! started, and goes with this process. `APPSTACK_BIN` is the operator (default `target/debug/appstack`). `E2E_KEEP=1`
//! keeps the namespace of a failed test. What programs printed is under `target/e2e/<test>/`.

// Test code: an expectation that is not met is a failed test, and the panic is how it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::missing_panics_doc)]

pub mod argo;
pub mod audit;
pub mod budget;
pub mod client;
pub mod cluster;
pub mod dice;
pub mod expected;
pub mod gate;
pub mod gateway_api;
pub mod go;
pub mod grant;
pub mod helm;
pub mod imported;
pub mod json;
pub mod kinds;
pub mod kstatus;
pub mod live;
pub mod meaning;
pub mod nodes;
pub mod observer;
pub mod operator;
pub mod order;
pub mod policy;
pub mod prom;
pub mod proxy;
pub mod replicas;
pub mod rights;
pub mod samples;
pub mod simulated;
pub mod space;
pub mod standin;
pub mod statuses;
pub mod steered;
pub mod verdict;
pub mod workload;
pub mod world;

pub use kinds::Kind;
pub use live::{Live, live, live_within};
pub use space::{Space, eventually};
