//! Labels that kompose and k8ify read: what they say of autoscaling and routes is taken over.
//!
//! <https://kompose.io/user-guide/#labels>, <https://github.com/vshn/k8ify#labels>

use super::{Mapper, Of, code, field};
use crate::api::{Autoscale, Port, Route, Service};
use crate::compose::node::{Entry, Node};

/// What is autoscaled, and how; the same words come after `kompose.hpa.`.
const SCALES: [&str; 4] = ["replicas.min", "replicas.max", "cpu", "memory"];

/// What kompose takes for the most pods where only something else is said.
const MOST: i32 = 3;

/// Whether a label is a hint that is read, of a service: no note for other programs then.
pub(super) fn is_hint(name: &str) -> bool {
    let of_kompose = name.strip_prefix("kompose.").is_some_and(|name| {
        name.strip_prefix("hpa.").is_some_and(|scale| SCALES.contains(&scale))
            || ["volume.size", "volume.storage-class-name"].contains(&name)
            || name == "service.expose"
            || ["tls-secret", "ingress-class-name"].iter().any(|of| name.strip_prefix("service.expose.") == Some(of))
    });
    of_kompose || name == "k8ify.expose" || name.starts_with("k8ify.expose.")
}

impl<'a> Mapper<'a> {
    /// Takes over the hints among labels; `x-appstack` wins over them.
    pub(super) fn hints(&mut self, of: &Of<'a>, to: &mut Service) {
        let at_deploy = of.node.get("deploy").map(|deploy| deploy.entries("labels")).into_iter().flatten();
        let all: Vec<(&str, &'a Entry)> = at_deploy
            .chain(of.node.entries("labels"))
            .map(|(name, entry)| (name.as_str(), entry))
            .filter(|(name, _)| is_hint(name))
            .collect();
        self.scale_by_hints(of, &all, to);
        let with = |name: &str| all.iter().find(|(of, _)| *of == name).and_then(|(_, entry)| text(entry));
        let (class, tls) =
            (with("kompose.service.expose.ingress-class-name"), with("kompose.service.expose.tls-secret"));
        for (name, entry) in all {
            match name.strip_prefix("k8ify.expose.").map(str::parse) {
                Some(Ok(port)) => self.route(of, entry, Some(port), (None, None), to),
                _ if matches!(name, "kompose.service.expose" | "k8ify.expose") => {
                    self.route(of, entry, None, (class.clone(), tls.clone()), to);
                }
                _ if name.starts_with("kompose.volume.") => {
                    self.says.resolved(entry, "spec.volumes", "the hint says what its volumes are");
                }
                _ if name.starts_with("kompose.service.expose.") => {
                    self.says.resolved(entry, field(of, &self.services, "routes"), "the hint is about its routes");
                }
                // What is said already stays as it was said.
                _ => self.says.ignored(entry, code::HINT, "the hint is not understood", ""),
            }
        }
    }

    fn scale_by_hints(&mut self, of: &Of<'a>, all: &[(&str, &'a Entry)], to: &mut Service) {
        let mut autoscale =
            Autoscale { min: None, max: MOST, cpu_percent: None, memory_percent: None, scale_down_after: None };
        let here = field(of, &self.services, "autoscale");
        let mut found = false;
        for (name, entry) in all {
            let Some(what) = name.strip_prefix("kompose.hpa.") else { continue };
            let number = text(entry).and_then(|text| text.parse().ok()).filter(|number| (1..=1000).contains(number));
            let Some(number) = number else {
                let message = "a number of pods, or a share in percent, is expected here";
                self.says.ignored(*entry, code::HINT, message, "write it into x-appstack: {autoscale: ...}");
                continue;
            };
            match what {
                "replicas.min" => autoscale.min = Some(number),
                "replicas.max" => autoscale.max = number,
                "cpu" => autoscale.cpu_percent = Some(number),
                _ => autoscale.memory_percent = Some(number),
            }
            found = true;
        }
        if !found {
            return;
        }
        if autoscale.cpu_percent.is_none() && autoscale.memory_percent.is_none() {
            autoscale.cpu_percent = Some(50); // as kompose
        }
        autoscale.max = autoscale.max.max(autoscale.min.unwrap_or_default());
        let given = to.resources.as_ref().map(|all| [&all.requests, &all.limits]).into_iter().flatten().flatten();
        let given: Vec<_> = given.collect();
        let can_scale = (autoscale.cpu_percent.is_none() || given.iter().any(|amounts| amounts.cpu.is_some()))
            && (autoscale.memory_percent.is_none() || given.iter().any(|amounts| amounts.memory.is_some()));
        for (_, entry) in all.iter().filter(|(name, _)| name.starts_with("kompose.hpa.")) {
            if can_scale {
                self.says.resolved(*entry, here.clone(), "the hint says how it is autoscaled");
            } else {
                let message = "a share of what is reserved needs a reservation: it is not autoscaled";
                self.says.ignored(*entry, code::HINT, message, "write deploy.resources.reservations");
            }
        }
        if can_scale {
            to.replicas = None;
            to.autoscale = Some(autoscale);
        }
    }

    /// `true`, or hosts with or without a path.
    fn route(
        &mut self,
        of: &Of<'a>,
        entry: &'a Entry,
        port: Option<i32>,
        (class, tls): (Option<String>, Option<String>),
        to: &mut Service,
    ) {
        let said = text(entry).unwrap_or_default();
        if said.is_empty() || said == "false" {
            return self.says.nothing(entry, "it says that there is no route");
        }
        let port = port.or_else(|| first_port(of));
        let Some(port) = port.filter(|port| to.ports.values().any(|of| of.port == *port)) else {
            let message = "a route leads to a port, and the service names none that it could lead to";
            return self.says.ignored(entry, code::HINT, message, "name it under expose or ports");
        };
        if class.is_none() && self.spec.gateway.is_none() && self.spec.ingress_class_name.is_none() {
            let message = format!("nobody is named who takes requests in, so there is no route for '{said}'");
            let help = "name the class with --ingress-class (kubectl get ingressclass shows them), or write x-appstack: {gateway: {name: NAME}} in the project";
            return self.says.ignored(entry, code::HINT, &message, help);
        }
        let mut first = String::new();
        for rule in said.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let (host, path) =
                rule.split_once('/').map_or((rule, None), |(host, path)| (host, Some(format!("/{path}"))));
            let route = Route {
                host: Some(host.to_owned()).filter(|host| !host.is_empty() && host != "true"),
                path: path.filter(|path| path != "/"),
                port: (to.ports.len() > 1).then_some(Port::Number(port)),
                gateway: None,
                ingress_class_name: class.clone(),
                tls_secret_name: tls.clone(),
            };
            let count = to.routes.len() + 1;
            let name = if count == 1 { "web".to_owned() } else { format!("web-{count}") };
            if first.is_empty() {
                first.clone_from(&name);
            }
            to.routes.insert(name, route);
        }
        let here = field(of, &self.services, &format!("routes.{first}"));
        self.says.resolved(entry, here, "the hint says who reaches it from outside");
    }
}

fn text(entry: &Entry) -> Option<String> {
    entry.value.printed().filter(|_| !entry.value.is_null())
}

/// The port that is named first, which is the one that kompose leads to.
fn first_port(of: &Of<'_>) -> Option<i32> {
    let published = of.node.items("ports").first().and_then(|port| port.get("target")).and_then(Node::as_int);
    let exposed = || {
        let text = of.node.items("expose").first().and_then(Node::printed)?;
        text.split(['/', '-']).next().and_then(|port| port.parse().ok())
    };
    published.and_then(|port| port.try_into().ok()).or_else(exposed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::choices::Choices;
    use super::super::code;
    use super::super::says::Class::Ignored;
    use super::super::tests::{found, mapped_with, service};

    #[test]
    fn hints_autoscale_what_has_a_reservation() {
        let labels =
            "labels: {kompose.hpa.replicas.min: 2, kompose.hpa.replicas.max: 10, kompose.hpa.cpu: 70, other: x}";
        let a = service(&format!("{labels}\ndeploy: {{replicas: 4, resources: {{reservations: {{cpus: '0.1'}}}}}}"));
        assert_eq!(a["autoscale"], json!({"min": 2, "max": 10, "cpuPercent": 70}));
        assert_eq!((a.get("replicas"), &a["podAnnotations"]), (None, &json!({"other": "x"})));
        assert_eq!(found(labels), [(Ignored, code::HINT.0); 3]);
    }

    #[test]
    fn hints_are_routes_where_somebody_takes_requests_in() {
        let lines = "labels: {kompose.service.expose: 'a.example/api,b.example'}\nexpose: [8080, 9090]";
        assert_eq!(found(lines), [(Ignored, code::HINT.0)]);
        let text = format!("services:\n  a:\n    image: a:1\n    {}\n", lines.replace('\n', "\n    "));
        let choices = Choices { ingress_class: Some("traefik".to_owned()), ..Choices::default() };
        let mapped = mapped_with(&[("compose.yaml", &text)], &choices);
        let spec = serde_json::to_value(&mapped.stack.spec).unwrap();
        assert_eq!(spec["ingressClassName"], "traefik");
        let routes = json!({"web": {"host": "a.example", "path": "/api", "port": 8080}, "web-2": {"host": "b.example", "port": 8080}});
        assert_eq!(spec["services"]["a"]["routes"], routes);
        assert!(mapped.findings.is_empty(), "{:?}", mapped.findings);
    }

    #[test]
    fn a_hint_without_a_port_or_with_no_number_is_said() {
        assert_eq!(found("labels: {kompose.service.expose: 'true'}"), [(Ignored, code::HINT.0)]);
        assert_eq!(found("labels: {kompose.hpa.cpu: much}"), [(Ignored, code::HINT.0)]);
    }
}
