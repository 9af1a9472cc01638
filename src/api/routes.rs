//! How HTTP requests from outside reach a service: under a Gateway, or through an Ingress.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Port, numbers, schema};

/// Requests for a host and below a path go to a port of the service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.gateway) && has(self.ingressClassName))").message("a route is under a gateway or of an ingressClassName, not both"))]
#[x_kube(validation = Rule::new("!(has(self.gateway) && has(self.tlsSecretName))").message("the certificate of a gateway belongs to its listener: tlsSecretName goes with ingressClassName"))]
pub struct Route {
    /// The host name, or a pattern such as `*.example.com`; unset: any.
    #[schemars(schema_with = "schema::route_host")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Requests for this path and everything below it; unset: `/`. Of several that fit, the longest wins.
    #[schemars(schema_with = "schema::route_path")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The port of the service, by name or number; unset: its only TCP port.
    #[schemars(schema_with = "numbers::port")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// The Gateway it is under; unset: `spec.gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// The class of its Ingress; unset: `spec.ingressClassName`.
    #[schemars(schema_with = "schema::object_name_pattern")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// A Secret of the namespace with the certificate that the Ingress shows for the host; unset: no TLS, or what the class does by itself.
    #[schemars(schema_with = "schema::object_name_pattern")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_name: Option<String>,
}

/// A Gateway of the Gateway API.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Its name.
    #[schemars(schema_with = "schema::object_name_pattern")]
    pub name: String,
    /// Its namespace, whose owner has to let routes of this one in; unset: the stack's.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// One listener of it, by name; unset: all that take the host.
    #[schemars(schema_with = "schema::object_name_pattern")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}
