//! Counts what kube's client asks of the API server, whoever asks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Method, Request, Response};
use kube::client::Body;
use tower::{Layer, Service};

use super::Metrics;

/// What is asked. A list is a get.
pub const VERBS: [&str; 6] = ["get", "watch", "create", "patch", "update", "delete"];
/// What comes of it.
pub const RESULTS: [&str; 5] = ["ok", "conflict", "refused", "throttled", "failed"];

/// The layer under a client whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counting(pub Arc<Metrics>);

/// A client whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, metrics: self.0.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (verb, begin) = (verb(request.method(), request.uri().query()), Instant::now());
        let (metrics, answer) = (self.metrics.clone(), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            metrics.request(verb, result(code), begin.elapsed());
            answer
        })
    }
}

fn verb(method: &Method, query: Option<&str>) -> &'static str {
    let is_watch = || query.is_some_and(|query| query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"));
    match *method {
        Method::POST => "create",
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::DELETE => "delete",
        _ if is_watch() => "watch",
        _ => "get",
    }
}

/// By the status code; 0 is no answer.
fn result(code: u16) -> &'static str {
    match code {
        100..=399 => "ok",
        409 => "conflict",
        429 => "throttled",
        400..=499 => "refused",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_a_verb_and_a_result_of_the_list() {
        let asked = [
            (Method::GET, None, "get"),
            (Method::GET, Some("limit=500"), "get"),
            (Method::GET, Some("watch=true&resourceVersion=1"), "watch"),
            (Method::GET, Some("labelSelector=watch%3Dtrue"), "get"),
            (Method::POST, None, "create"),
            (Method::PATCH, Some("fieldManager=appstack&force=true"), "patch"),
            (Method::PUT, None, "update"),
            (Method::DELETE, None, "delete"),
        ];
        for (method, query, expected) in asked {
            assert_eq!(verb(&method, query), expected, "{method} {query:?}");
            assert!(VERBS.contains(&expected));
        }
        for (code, expected) in [
            (200, "ok"),
            (201, "ok"),
            (101, "ok"),
            (409, "conflict"),
            (403, "refused"),
            (422, "refused"),
            (429, "throttled"),
            (500, "failed"),
            (0, "failed"),
        ] {
            assert_eq!(result(code), expected, "{code}");
            assert!(RESULTS.contains(&expected));
        }
    }
}
