//! Where Kubernetes and Prometheus ask: `/healthz`, `/readyz` and `/metrics`. Nothing that is answered has a word of a user's in it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Ops, metrics};

/// Binds the address. Fails where somebody else has it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("could not listen on {address}: {error}; choose another with --listen"))
}

/// Answers until dropped.
pub async fn serve(listener: TcpListener, ops: Ops) {
    let readiness = {
        let needs = ops.needs.clone();
        move || {
            let (is_ready, text) = needs.readiness();
            let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            std::future::ready((code, text))
        }
    };
    let metrics = {
        let metrics: Arc<metrics::Metrics> = ops.metrics.clone();
        move || std::future::ready(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text()))
    };
    let routes = Router::new()
        // The process answers, so its runtime turns. Whether it has what it needs is for the next one: a restart would not give it that.
        .route("/healthz", get(|| std::future::ready("ok\n")))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics));
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "probes and metrics are answered no more");
    }
}
