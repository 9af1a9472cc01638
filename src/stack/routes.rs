//! Routes: which port they lead to, and who takes the requests in.

use std::collections::BTreeMap;

use super::check::Place;
use super::model::{Problem, Route, RouteParent, Service};
use super::names;
use crate::api::{self, AppStackSpec, Protocol, ServicePort};

/// The routes of a service, in name order.
pub(super) fn routes(written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> Vec<Route> {
    let routes = written.routes.iter().filter_map(|(name, route)| {
        let field = format!(".routes[{name}]");
        let port = port(route, &written.ports, &field, here);
        let parent = parent(route, spec, &field, here);
        let path = route.path.clone().unwrap_or_else(|| "/".into());
        if path.to_lowercase().contains("%2f") {
            here.problem(&format!("{field}.path"), "may not hold '%2F': gateways do not agree on what it means");
        }
        let (port, number) = port?;
        Some(Route { name: name.clone(), host: route.host.clone(), path, port, number, parent: parent? })
    });
    routes.collect()
}

/// The container port behind a route: its first name, by which policies and Ingresses know it, and its number.
fn port(
    route: &api::Route,
    ports: &BTreeMap<String, ServicePort>,
    field: &str,
    here: &mut Place<'_>,
) -> Option<(String, i32)> {
    let tcp = || ports.iter().filter(|(_, port)| port.protocol == Protocol::Tcp);
    let named = |number: i32| tcp().find(|(_, port)| port.port == number).map(|(name, _)| (name.clone(), number));
    let numbers: std::collections::BTreeSet<i32> = tcp().map(|(_, port)| port.port).collect();
    let field = format!("{field}.port");
    match &route.port {
        Some(api::Port::Number(number)) => named(*number).or_else(|| {
            here.problem(&field, format!("{number} is none of the service's TCP ports; declare it in ports"));
            None
        }),
        Some(api::Port::Name(name)) => match ports.get(name) {
            Some(port) if port.protocol == Protocol::Tcp => named(port.port),
            Some(port) => {
                here.problem(&field, format!("'{name}' is {}, and requests come by TCP", port.protocol.as_str()));
                None
            }
            None => {
                here.problem(&field, super::check::unknown("port", name, "ports of the service", ports.keys()));
                None
            }
        },
        None => match numbers.first() {
            Some(only) if numbers.len() == 1 => named(*only),
            Some(_) => {
                here.problem(&field, "the service has several TCP ports: say which one the requests go to");
                None
            }
            None => {
                here.problem(&field, "the service has no TCP port: declare the one that requests go to in ports");
                None
            }
        },
    }
}

/// What the route says, or else the stack. A certificate goes with an Ingress only.
fn parent(route: &api::Route, spec: &AppStackSpec, field: &str, here: &mut Place<'_>) -> Option<RouteParent> {
    let own = route.gateway.is_some() || route.ingress_class_name.is_some();
    let (gateway, class) =
        if own { (&route.gateway, &route.ingress_class_name) } else { (&spec.gateway, &spec.ingress_class_name) };
    match (gateway, class) {
        (Some(gateway), _) => {
            // Beside a gateway of its own, admission has said so.
            if route.tls_secret_name.is_some() && !own {
                here.problem(
                    &format!("{field}.tlsSecretName"),
                    "the certificate of a Gateway belongs to its listener; drop this, or say ingressClassName",
                );
            }
            Some(RouteParent::Gateway(gateway.clone()))
        }
        (None, Some(class)) => {
            Some(RouteParent::Ingress { class: class.clone(), tls_secret: route.tls_secret_name.clone() })
        }
        (None, None) => {
            here.problem(field, "nobody takes the requests in: say gateway or ingressClassName here, or for all routes in spec.gateway or spec.ingressClassName");
            None
        }
    }
}

/// What the stack says of all its routes; admission has refused it, which the command line cannot see.
pub(super) fn of_stack(spec: &AppStackSpec) -> Option<Problem> {
    let both = spec.gateway.is_some() && spec.ingress_class_name.is_some();
    both.then(|| {
        let message =
            "routes are under a gateway or of an ingressClassName, not both; a single route may say otherwise";
        Problem::new("spec", message)
    })
}

/// Routes that mean the same requests, of which one would win by chance, and routes whose objects would have one name.
pub(super) fn clashes((namespace, stack): (&str, &str), services: &BTreeMap<String, Service>) -> Vec<Problem> {
    let mut requests = BTreeMap::new();
    let mut objects = BTreeMap::new();
    let mut clashes = Vec::new();
    for (service, route) in services.values().flat_map(|s| s.routes.iter().map(move |route| (&s.name, route))) {
        let field = format!("spec.services[{service}].routes[{}]", route.name);
        let parent = match &route.parent {
            // One listener or all of them: some request meets both.
            RouteParent::Gateway(gateway) => {
                (Some((&gateway.name, gateway.namespace.as_deref().unwrap_or(namespace))), None)
            }
            RouteParent::Ingress { class, .. } => (None, Some(class)),
        };
        let request = (parent, &route.host, route.path.trim_end_matches('/'));
        let object = names::joined(&[stack, service, &route.name]);
        if let Some(first) = requests.get(&request).cloned() {
            let host = route.host.as_deref().unwrap_or("any host");
            let message =
                format!("{host} {} is routed by {first} already; change host or path, or drop one", route.path);
            clashes.push(Problem::new(&field, message));
        } else if let Some(first) = objects.get(&object) {
            let message =
                format!("its object and that of {first} would both be named '{object}'; rename one of the routes");
            clashes.push(Problem::new(&field, message));
        }
        requests.entry(request).or_insert_with(|| field.clone());
        objects.entry(object).or_insert(field);
    }
    clashes
}
