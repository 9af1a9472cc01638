//! How HTTP requests from outside reach a service: one object for each route, so that each has a verdict of its own.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::{Part, metadata};
use crate::api::Gateway;
use crate::child::{Kind, labels};
use crate::stack::{Route, RouteParent, Service, Stack, names};

/// `<stack>-<service>-<route>`.
pub(super) fn route(stack: &Stack, service: &Service, route: &Route) -> (Kind, Value) {
    let name = names::joined(&[&stack.name, &service.name, &route.name]);
    let mut meta = metadata::owned(stack, name, &Part::Service(service.name.clone()));
    meta.labels.get_or_insert_with(BTreeMap::new).insert(labels::ROUTE.into(), route.name.clone());
    match &route.parent {
        RouteParent::Gateway(gateway) => (Kind::HttpRoute, http_route(&meta, service, route, gateway)),
        RouteParent::Ingress { class, tls_secret } => {
            (Kind::Ingress, super::json(ingress(meta, service, route, class, tls_secret.as_ref())))
        }
    }
}

/// Every default is written out: its lists are atomic, and the server fills them in.
fn http_route(meta: &ObjectMeta, service: &Service, route: &Route, gateway: &Gateway) -> Value {
    let mut parent = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name});
    for (field, value) in [("namespace", &gateway.namespace), ("sectionName", &gateway.section_name)] {
        if let Some(value) = value {
            parent[field] = json!(value);
        }
    }
    let mut spec = json!({
        "parentRefs": [parent],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": service.name, "port": route.number, "weight": 1}],
        }],
    });
    if let Some(host) = &route.host {
        spec["hostnames"] = json!([host]);
    }
    json!({"metadata": meta, "spec": spec})
}

fn ingress(
    metadata: ObjectMeta,
    service: &Service,
    route: &Route,
    class: &str,
    tls_secret: Option<&String>,
) -> Ingress {
    let backend = IngressServiceBackend {
        name: service.name.clone(),
        port: Some(ServiceBackendPort { name: Some(route.port.clone()), number: None }),
    };
    let path = HTTPIngressPath {
        path: Some(route.path.clone()),
        path_type: "Prefix".into(),
        backend: IngressBackend { service: Some(backend), resource: None },
    };
    let tls = |secret: &String| {
        vec![IngressTLS { hosts: route.host.clone().map(|host| vec![host]), secret_name: Some(secret.clone()) }]
    };
    Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: Some(class.to_owned()),
            tls: tls_secret.map(tls),
            rules: Some(vec![IngressRule {
                host: route.host.clone(),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            ..IngressSpec::default()
        }),
        status: None,
    }
}
