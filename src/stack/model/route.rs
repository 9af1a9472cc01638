//! How requests from outside reach a service.

use crate::api::Gateway;

/// One route, its parent decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Unique in the service.
    pub name: String,
    /// None: any host.
    pub host: Option<String>,
    /// Absolute; it and everything below.
    pub path: String,
    /// Name of the container port.
    pub port: String,
    /// Its number, under which the service's name answers.
    pub number: i32,
    /// Who takes the requests in.
    pub parent: RouteParent,
}

/// Who takes requests in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteParent {
    /// A Gateway: the route is an HTTPRoute.
    Gateway(Gateway),
    /// A class of ingress controllers: the route is an Ingress.
    Ingress {
        /// Its name.
        class: String,
        /// The Secret with the certificate.
        tls_secret: Option<String>,
    },
}
