//! Acting as a service account: what a stack is made of is written in its name where `spec.applyAs` says so, and the API server allows no more than that account may.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response};
use kube::Client;
use kube::client::Body;
use tower::Service;

use super::error::Failure;

/// Who is impersonated. The server adds the groups of a service account by itself, so that no right on groups is needed.
const USER: HeaderName = HeaderName::from_static("impersonate-user");
/// Clients kept: beyond that, all are made anew.
const MOST: usize = 1000;

/// A client for each account that some stack names: made once, on the connections of the operator's own.
#[derive(Clone, Default)]
pub(super) struct Accounts(Arc<Mutex<HashMap<(String, String), Client>>>);

/// In whose name something is written.
#[derive(Clone)]
pub(super) struct Actor {
    account: String,
    pub(super) client: Client,
}

impl Accounts {
    /// The account of that name in a namespace. Whether there is one, the API server knows; without rights it is refused everything.
    pub(super) fn actor(&self, client: &Client, namespace: &str, account: &str) -> Actor {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        let acting = all.entry((namespace.to_owned(), account.to_owned())).or_insert_with(|| {
            let user = HeaderValue::from_str(&format!("system:serviceaccount:{namespace}:{account}"));
            Client::new(InTheNameOf { client: client.clone(), user: user.ok() }, namespace)
        });
        Actor { account: account.to_owned(), client: acting.clone() }
    }
}

impl Actor {
    /// What is refused for want of a right, with who it is that lacks it, and what to do.
    pub(super) fn explained(&self, failure: Failure) -> Failure {
        let Failure::Forbidden(message) = failure else { return failure };
        let account = &self.account;
        Failure::Forbidden(if message.contains("\" cannot impersonate resource") {
            format!(
                "spec.applyAs: the operator may not act as service account '{account}': install it with `appstack manifests --apply-as allowed`: {message}"
            )
        } else if message.contains("cannot set blockOwnerDeletion") {
            format!(
                "spec.applyAs: service account '{account}' may not do this: grant it `update` on appstacks/finalizers, and it goes on: {message}"
            )
        } else {
            format!(
                "spec.applyAs: service account '{account}' may not do this: grant it by a Role in this namespace, and it goes on: {message}"
            )
        })
    }
}

/// Puts a name on every request.
struct InTheNameOf {
    client: Client,
    /// None for what is no name: then nothing is sent.
    user: Option<HeaderValue>,
}

impl Service<Request<Body>> for InTheNameOf {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = kube::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(user) = self.user.clone() else {
            return Box::pin(std::future::ready(Err(kube::Error::Service(
                "spec.applyAs is no name of an account".into(),
            ))));
        };
        request.headers_mut().insert(USER, user);
        let client = self.client.clone();
        Box::pin(async move { client.send(request).await })
    }
}
