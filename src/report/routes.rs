//! What becomes of a service's routes.

use super::status::Subject;
use crate::api::ServiceState;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Part;
use crate::stack::{Route, RouteParent, Service};

/// The reason of a service whose route asks for requests that another stack gets. It is up all the same, and two may be there on purpose while one takes the other's place.
pub(super) const SHADOWED: &str = "RouteShadowed";

/// How a service stands whose pods are as they should be: degraded while a controller has something against one of its routes. That nobody has looked at
/// a route yet is said, and no more: whoever does may be about to start.
pub(super) fn standing(of: &Subject<'_>, service: &Service) -> (ServiceState, Option<String>, Option<String>) {
    let (mut waits, mut shadowed) = (None, None);
    for (route, live) in service.routes.iter().filter_map(|route| Some((route, live(of, service, route)?))) {
        let RouteParent::Gateway(gateway) = &route.parent else { continue };
        let facts = &live.1.facts.route;
        if let Some((reason, message)) = &facts.trouble {
            let message = format!("route '{}' under Gateway '{}': {message}", route.name, gateway.name);
            return (ServiceState::Degraded, Some(format!("Route{reason}")), Some(message));
        }
        if let Some(rival) = &facts.rival {
            let what_next =
                "whose route is older, so that the Gateway gives it the requests; change host or path, or drop one";
            let message = format!("route '{}' under Gateway '{}': {rival}, {what_next}", route.name, gateway.name);
            shadowed = shadowed.or(Some(message));
        }
        if !facts.taken_up {
            let message = format!(
                "route '{}': nobody has looked at {} yet; is there a Gateway '{}', and a controller for it?",
                route.name, live.0, gateway.name
            );
            waits = waits.or(Some(message));
        }
    }
    let said = shadowed.map(|message| (SHADOWED, message)).or(waits.map(|message| ("RouteNotTakenUp", message)));
    let (reason, message) = said.unzip();
    (ServiceState::Ready, reason.map(str::to_owned), message)
}

/// Where its first route that has an address is reached: by its host, or where the ingress controller answers.
pub(super) fn address(of: &Subject<'_>, service: &Service) -> Option<String> {
    let route = service.routes.iter().find(|route| route.host.as_deref().is_none_or(|host| !host.starts_with('*')))?;
    let host = match &route.host {
        Some(host) => host,
        None => live(of, service, route)?.1.facts.addresses.first()?,
    };
    Some(format!("{host}{}", route.path))
}

fn live<'a>(of: &'a Subject<'_>, service: &Service, route: &Route) -> Option<(&'a ChildId, &'a Child)> {
    let part = Part::Service(service.name.clone());
    let (id, _) = of.wanted.iter().find(|(id, wanted)| {
        matches!(id.kind, Kind::HttpRoute | Kind::Ingress)
            && wanted.part == part
            && wanted.labels().any(|label| label == (labels::ROUTE, &route.name))
    })?;
    Some((id, of.children.get(id)?))
}
