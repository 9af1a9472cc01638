//! `ports` and `expose`: what a container listens on, and what of it is published.

use super::texts::Dial;
use super::{Mapper, Of, code, field, known_images};
use crate::api::{Protocol, Service, ServicePort};
use crate::compose::node::Node;
use crate::compose::ports::range;

/// Ports of one `expose` range that are taken: a port range of a container is a port each.
const LONGEST_RANGE: u16 = 100;

/// More ports than this of one service are not looked at: a stack takes fewer.
const MOST_PORTS: usize = 256;

const TOO_MANY: &str = "a service has no more than a few ports";

/// Ports that data stores listen on: published, they are on the internet once a cloud gives the Service an address.
const STORES: [i32; 12] = [1433, 3306, 5432, 5672, 6379, 7687, 8086, 9042, 9092, 9200, 11211, 27017];

impl<'a> Mapper<'a> {
    /// Ports, each (port, protocol) once unless it is published as several.
    pub(super) fn ports(&mut self, of: &Of<'a>, to: &mut Service) {
        let walled = self.is_walled(of);
        for item in of.node.items("ports") {
            self.port(of, item, walled, to);
        }
        for item in of.node.items("expose") {
            let text = item.printed().unwrap_or_default();
            let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let (Some(protocol), Some((first, last))) = (protocol_of(protocol), range(ports)) else {
                let message = "this is no port and no range of ports";
                self.says.refused(item, code::EXPOSE, message, "write a number, or two with '-' between them");
                continue;
            };
            if last - first >= LONGEST_RANGE {
                let message = format!("a range of more than {LONGEST_RANGE} ports is not opened port by port");
                self.says.refused(item, code::EXPOSE, &message, "name the ports that are used");
                continue;
            }
            if to.ports.len() > MOST_PORTS {
                self.says.refused(item, code::EXPOSE, TOO_MANY, "name the ports that are used");
                continue;
            }
            for port in first.max(1)..=last {
                add(to, i32::from(port), protocol, None);
            }
            self.says.mapped(item, field(of, &self.services, "ports"));
        }
    }

    fn port(&mut self, of: &Of<'a>, item: &'a Node, walled: bool, to: &mut Service) {
        let text = |key: &str| item.get(key).filter(|node| !node.is_null()).and_then(Node::printed).unwrap_or_default();
        let target = item.get("target").and_then(Node::as_int).and_then(|port| i32::try_from(port).ok());
        let target = target.filter(|port| (1..=65_535).contains(port));
        if to.ports.len() > MOST_PORTS {
            return self.says.refused(item, code::EXPOSE, TOO_MANY, "name the ports that are used");
        }
        let (Some(target), Some(protocol)) = (target, protocol_of(&text("protocol"))) else {
            let message = "a port is a number from 1 to 65535 of tcp, udp or sctp";
            return self.says.refused(item, code::EXPOSE, message, "correct the port");
        };
        let (host, published) = (text("host_ip"), text("published"));
        let here = field(of, &self.services, "ports");
        let mut number = range(&published).map(|(first, _)| i32::from(first)).filter(|port| *port > 0);
        let loopback = host == "::1" || host.starts_with("127.");
        if let Some((first, last)) = range(&published).filter(|(first, last)| first < last) {
            let message = format!("Compose takes a free port from {first} to {last}; here it is {first}");
            self.says.approximated(item, code::PORT_RANGE, &here, &message, "");
        }
        if loopback {
            number = None;
            let message = "on the loopback address it is for this computer alone: it is not published";
            let help = format!("appstack port-forward {} {}:{target} reaches it", self.stack_name(), of.name);
            self.says.approximated(item, code::LOOPBACK, &here, message, &help);
        } else if number.is_none() {
            let message = "Compose would take any free port of the computer: it is not published";
            let help = format!("write \"{target}:{target}\" to publish it");
            self.says.approximated(item, code::UNPUBLISHED, &here, message, &help);
        } else if !matches!(host.as_str(), "" | "0.0.0.0" | "::") {
            let message = format!("it is published on every address of the Service, not on {host} alone");
            self.says.approximated(item, code::HOST_IP, &here, &message, "");
        }
        if text("mode") == "host" {
            let message = "there are no ports of nodes: it is published as the others";
            self.says.approximated(item, code::HOST_PORT_MODE, &here, message, "");
        }
        let is_store = STORES.contains(&target) || known_images::of(&to.image).is_some_and(|known| known.is_store);
        if is_store && number.is_some() && !walled {
            let message = "this publishes a data store: on a cloud that is the internet";
            let help = "leave it out: services of the stack reach it without";
            self.says.approximated(item, code::PUBLISHED_STORE, &here, message, help);
        }
        if walled && number.is_some() {
            let message = "all networks of the service are internal: nobody outside reaches it, here as in Compose";
            let help = "add a network that is not internal";
            self.says.approximated(item, code::PUBLISHED_INTERNAL, &here, message, help);
        }
        let taken = |port: &ServicePort| port.published == number && port.protocol == protocol && port.port != target;
        if number.is_some() && to.ports.values().any(taken) {
            let message = "two ports of the container have one published number, on two addresses of the computer";
            return self.says.refused(item, code::HOST_IP, message, "publish one of them as another number");
        }
        let name = add(to, target, protocol, number);
        if loopback {
            let comment = "loopback only in Compose; appstack port-forward".to_owned();
            self.comments.insert(format!("{here}.{name}"), comment);
        }
        if let Some(entry) = item.entry("app_protocol").filter(|entry| !entry.value.is_null())
            && let Some(port) = to.ports.get_mut(&name)
        {
            port.app_protocol = entry.value.as_text().filter(|text| !text.is_empty()).map(str::to_owned);
            self.says.mapped(entry, format!("{here}.{name}.appProtocol"));
        }
        if let Some(entry) = item.entry("name") {
            self.says.nothing(entry, "ports are named by what they are");
        }
        self.says.mapped(item, format!("{here}.{name}"));
    }

    /// Whether nothing from outside reaches a service: it joins internal networks only.
    fn is_walled(&self, of: &Of<'a>) -> bool {
        let mut networks = of.node.entries("networks").peekable();
        let internal = |name: &str| self.project.root.find(&["networks", name, "internal"]).is_some_and(Node::is_true);
        networks.peek().is_some() && networks.all(|(name, _)| internal(name))
    }

    /// A port that others dial and that the service does not name: in Compose any port answers, a Service answers on those that it lists.
    pub(super) fn infer_ports(&mut self) {
        for (name, _) in self.project.services() {
            let label = self.services.get(name);
            for dial in self.texts.dials(name).copied().collect::<Vec<_>>() {
                let Some(service) = self.spec.services.get_mut(&label) else { break };
                let same = |port: &ServicePort| port.port == i32::from(dial.port) && port.protocol == dial.protocol;
                if service.ports.values().any(same) || dial.by == name || service.network_mode.is_some() {
                    continue;
                }
                let Dial { by, port, .. } = dial;
                if service.ports.len() > MOST_PORTS {
                    let message = format!("'{by}' dials more ports of '{name}' than a service can have");
                    self.says.noted(
                        dial.at,
                        code::INFERRED_PORT,
                        &message,
                        &format!("write those that it has in '{name}'"),
                    );
                    break;
                }
                add(service, i32::from(dial.port), dial.protocol, None);
                let message = format!("'{by}' dials port {port} of '{name}', which names no such port: it is added");
                let help = format!("write expose: [\"{port}\"] in '{name}'");
                self.says.noted(dial.at, code::INFERRED_PORT, &message, &help);
            }
        }
    }
}

/// Adds a port and says its name. A port that was there without a published number gets it.
fn add(to: &mut Service, port: i32, protocol: Protocol, published: Option<i32>) -> String {
    let fits = |of: &ServicePort| {
        let same = of.port == port && of.protocol == protocol;
        same && (published.is_none() || of.published.is_none() || of.published == published)
    };
    if let Some((name, found)) = to.ports.iter_mut().find(|(_, of)| fits(of)) {
        found.published = found.published.or(published);
        return name.clone();
    }
    let plain = format!("{}-{port}", protocol.as_str().to_lowercase());
    let name = match published.filter(|_| to.ports.contains_key(&plain)) {
        Some(published) => format!("{plain}-{published}"),
        None => plain,
    };
    let of = ServicePort { port, protocol, published, app_protocol: None, open_to: None };
    to.ports.insert(name.clone(), of);
    name
}

fn protocol_of(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "" | "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::Approximated;
    use super::super::tests::{found, mapped, service};

    #[test]
    fn each_port_stands_once_and_published_ones_say_as_what() {
        for (lines, ports) in [
            ("ports: ['8080:80']", json!({"tcp-80": {"port": 80, "protocol": "TCP", "published": 8080}})),
            (
                "ports: ['53:53/udp', '53:53']",
                json!({"udp-53": {"port": 53, "protocol": "UDP", "published": 53}, "tcp-53": {"port": 53, "protocol": "TCP", "published": 53}}),
            ),
            (
                "ports: ['80:80', '8080:80']\nexpose: [80, 90-91]",
                json!({
                    "tcp-80": {"port": 80, "protocol": "TCP", "published": 80},
                    "tcp-80-8080": {"port": 80, "protocol": "TCP", "published": 8080},
                    "tcp-90": {"port": 90, "protocol": "TCP"}, "tcp-91": {"port": 91, "protocol": "TCP"},
                }),
            ),
            ("ports: ['127.0.0.1:8080:80']", json!({"tcp-80": {"port": 80, "protocol": "TCP"}})),
            (
                "ports: [{target: 80, published: '9000-9002', app_protocol: http}]",
                json!({"tcp-80": {"port": 80, "protocol": "TCP", "published": 9000, "appProtocol": "http"}}),
            ),
        ] {
            assert_eq!(service(lines)["ports"], ports, "{lines}");
        }
    }

    #[test]
    fn what_a_published_port_loses_is_said() {
        for (lines, code) in [
            ("ports: ['127.0.0.1:8080:80']", code::LOOPBACK),
            ("ports: ['10.0.0.1:8080:80']", code::HOST_IP),
            ("ports: ['80']", code::UNPUBLISHED),
            ("ports: ['9000-9002:80']", code::PORT_RANGE),
            ("ports: ['15432:5432']", code::PUBLISHED_STORE),
            ("ports: [{target: 80, published: '80', mode: host}]", code::HOST_PORT_MODE),
        ] {
            assert_eq!(found(lines), [(Approximated, code.0)], "{lines}");
        }
        let walled =
            "services:\n  a: {image: a:1, ports: ['80:80'], networks: [n]}\nnetworks:\n  n: {internal: true}\n";
        assert_eq!(mapped(walled).findings[0].outcome.code, code::PUBLISHED_INTERNAL);
    }

    #[test]
    fn a_port_that_others_dial_is_added() {
        let text = "services:\n  a: {image: a:1, environment: {URL: 'http://b:8000/x'}}\n  b: {image: b:1}\n";
        let mapped = mapped(text);
        assert_eq!(mapped.stack.spec.services["b"].ports.keys().collect::<Vec<_>>(), ["tcp-8000"]);
        assert_eq!(mapped.findings[0].outcome.code, code::INFERRED_PORT);
    }
}
