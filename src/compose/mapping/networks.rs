//! `networks`, `network_mode`, further names, `dns` and `extra_hosts`.

use super::names::is_label;
use super::says::Place;
use super::table::Row;
use super::{Mapper, Of, code, field};
use crate::api::{DnsConfig, DnsOption, EndpointMode, Membership, Network, NetworkMode, PodSecurity, Service};
use crate::compose::node::{At, Entry, Node};

/// A name that a `links` entry gives another service.
pub(super) struct Link {
    of: String,
    alias: String,
    at: At,
}

impl<'a> Mapper<'a> {
    /// The networks of the project.
    pub(super) fn all_networks(&mut self) {
        for (name, entry) in self.project.root.entries("networks") {
            let label = self.networks.get(name);
            let here = format!("spec.networks.{label}");
            let node = &entry.value;
            let mut network = Network::default();
            if let Some(internal) = node.entry("internal").filter(|entry| !entry.value.is_null()) {
                network.internal = internal.value.is_true().then_some(true);
                self.says.mapped(internal, format!("{here}.internal"));
            }
            if let Some(external) = node.entry("external").filter(|entry| !entry.value.is_null()) {
                if external.value.is_true() {
                    let shared = node.get("name").and_then(Node::as_text).unwrap_or(name);
                    network.shared_name = Some(super::names::label(shared));
                    let message = "stacks of this namespace that name it share it; those of other namespaces do not";
                    let to = format!("{here}.sharedName");
                    let help = "put the stacks in one namespace";
                    self.says.approximated(external, code::EXTERNAL_NETWORK, &to, message, help);
                    node.entry("name").into_iter().for_each(|entry| self.says.mapped(entry, &to));
                } else {
                    self.says.nothing(external, "it is the project's own");
                }
            }
            if let Some(named) = node.entry("name") {
                self.says.nothing(named, "a network is known by its key");
            }
            if let Some(driver) = node.entry("driver").filter(|entry| !entry.value.is_null()) {
                match driver.value.as_text().unwrap_or_default() {
                    "" | "bridge" | "overlay" | "default" => {
                        self.says.nothing(driver, "pods reach each other on every node");
                    }
                    "host" | "none" => self.says.resolved(driver, "", "services that join it say how"),
                    other => {
                        let message = format!("the driver '{other}' gives containers addresses of another network");
                        let help = "Multus attaches pods to such networks";
                        self.says.refused(driver, code::NETWORK_DRIVER, &message, help);
                    }
                }
            }
            let defined = name != "default" || network != Network::default();
            self.settle(&entry.value, &mut vec!["networks", "*"], Row::top().to("networks").to("*"));
            self.says.mapped(entry, here);
            if defined {
                self.spec.networks.insert(label, network);
            }
        }
    }

    /// Which networks a service joins, and under which names.
    pub(super) fn joins(&mut self, of: &Of<'a>, to: &mut Service) {
        if let Some(entry) = of.entry("network_mode") {
            self.network_mode(of, entry, to);
        }
        for (name, entry) in of.node.entries("networks") {
            let driver = self.project.root.find(&["networks", name, "driver"]).and_then(Node::as_text);
            match driver.unwrap_or_default() {
                "host" => {
                    self.host_network(of, entry.into(), to);
                    continue;
                }
                "none" => to.network_mode = Some(NetworkMode::None),
                _ => {}
            }
            let label = self.networks.get(name);
            let here = field(of, &self.services, &format!("networks.{label}"));
            let mut membership = Membership::default();
            for alias in entry.value.items("aliases") {
                self.alias(of, alias, &mut membership, &here);
            }
            if to.network_mode.is_none() {
                to.networks.insert(label, membership);
            }
            if entry.value.is_null() || super::rest::is_empty(&entry.value) {
                self.says.mapped(entry, here);
            }
        }
        if let Some(entry) = of.entry("networks").filter(|entry| entry.value.as_map().is_some_and(|map| map.len() < 2))
        {
            // An empty one joins `default`, which nobody wrote.
            let unwritten = of.node.entries("networks").all(|(_, entry)| !entry.at.is_written());
            if unwritten {
                self.says.mapped(entry, field(of, &self.services, "networks"));
            }
        }
        let only_default = to.networks.len() == 1 && to.networks.get("default").is_some_and(|m| m.aliases.is_empty());
        if only_default {
            to.networks.clear();
        }
        self.links(of);
        self.dns(of, to);
        self.hosts(of, to);
    }

    fn alias(&mut self, of: &Of<'a>, alias: &'a Node, to: &mut Membership, here: &str) {
        let name = alias.as_text().unwrap_or_default();
        if name == of.name || name == self.services.get(of.name) {
            return self.says.nothing(alias, "it is the service's own name");
        }
        if self.services.has(name) {
            let message = format!("'{name}' is the name of another service, and a name cannot mean both");
            return self.says.refused(alias, code::ALIAS, &message, "take another name");
        }
        if !is_label(name, 63) {
            let message = format!("'{name}' cannot be the name of a Service: lower case letters, digits and hyphens");
            return self.says.ignored(alias, code::ALIAS, &message, "dial the service by its own name");
        }
        to.aliases.insert(name.to_owned());
        self.says.mapped(alias, format!("{here}.aliases"));
    }

    fn network_mode(&mut self, of: &Of<'a>, entry: &'a Entry, to: &mut Service) {
        let mode = entry.value.as_text().unwrap_or_default();
        match mode {
            "" | "bridge" | "default" => self.says.nothing(entry, "it joins the network 'default'"),
            "none" => {
                to.network_mode = Some(NetworkMode::None);
                self.says.mapped(entry, field(of, &self.services, "networkMode"));
            }
            "host" => self.host_network(of, entry.into(), to),
            _ if mode.starts_with("service:") || mode.starts_with("container:") => {
                let message = "two services share no network namespace: each pod has its own";
                let help = "write both as one service of two processes, or let them talk over a network";
                self.says.refused(entry, code::NETWORK_MODE, message, help);
            }
            _ => {
                let message = format!("there is no network mode '{mode}'");
                self.says.refused(entry, code::NETWORK_MODE, &message, "name the network under 'networks'");
            }
        }
    }

    fn host_network(&mut self, of: &Of<'a>, place: Place<'_>, to: &mut Service) {
        let message = "on the network of the node it is outside the walls of the stack, and may see what the node sees";
        if !self.choices.allows(code::HOST_NETWORK) {
            let help = "take it out: services reach each other by name; or --allow hostnetwork";
            return self.says.refused(place, code::HOST_NETWORK, message, help);
        }
        to.network_mode = Some(NetworkMode::Host);
        to.pod_security = Some(PodSecurity::Privileged);
        let here = field(of, &self.services, "networkMode");
        self.says.approximated(place, code::HOST_NETWORK, here, message, "");
    }

    /// `SERVICE:ALIAS`: the other service answers to the alias; that it is waited for stands among the dependencies.
    fn links(&mut self, of: &Of<'a>) {
        for link in of.node.items("links") {
            let text = link.as_text().unwrap_or_default();
            let (service, alias) = text.split_once(':').unwrap_or((text, text));
            if service != alias {
                self.links.push(Link { of: service.to_owned(), alias: alias.to_owned(), at: link.at });
            }
            let to = format!("{}, and networks.*.aliases of {service}", field(of, &self.services, "dependsOn"));
            self.says.mapped(link, to);
        }
    }

    fn dns(&mut self, of: &Of<'a>, to: &mut Service) {
        let texts =
            |key: &str| of.node.items(key).iter().filter_map(Node::as_text).map(str::to_owned).collect::<Vec<_>>();
        let mut config = DnsConfig { nameservers: texts("dns"), searches: texts("dns_search"), options: Vec::new() };
        for option in texts("dns_opt") {
            let (name, value) =
                option.split_once(':').map_or((option.as_str(), None), |(name, value)| (name, Some(value)));
            config.options.push(DnsOption { name: name.to_owned(), value: value.map(str::to_owned) });
        }
        let here = field(of, &self.services, "dnsConfig");
        if let Some(entry) = of.entry("dns").filter(|_| !config.nameservers.is_empty()) {
            let message = "the cluster's own name server is asked first, or names of services would not be found";
            self.says.approximated(entry, code::DNS, format!("{here}.nameservers"), message, "");
        }
        for key in ["dns", "dns_search", "dns_opt"] {
            if let Some(entry) = of.entry(key) {
                self.says.mapped(entry, here.clone());
            }
        }
        if config != DnsConfig::default() {
            to.dns_config = Some(config);
        }
    }

    fn hosts(&mut self, of: &Of<'a>, to: &mut Service) {
        let is_address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
        for (host, entry) in of.node.entries("extra_hosts") {
            let here = format!("{}.{host}", field(of, &self.services, "hostAliases"));
            let addresses: Vec<&str> = entry.value.as_list().into_iter().flatten().filter_map(Node::as_text).collect();
            match addresses.as_slice() {
                [address, rest @ ..] if is_address(address) => {
                    to.host_aliases.insert(host.clone(), (*address).to_owned());
                    if rest.is_empty() {
                        self.says.mapped(entry, here);
                    } else {
                        let message = "a host name has one address here: the first";
                        self.says.approximated(entry, code::HOST_ALIAS, here, message, "");
                    }
                }
                _ => {
                    let message = "a pod does not know the computer that Compose runs on";
                    let help = "name the host by its address, or make a Service of type ExternalName";
                    self.says.refused(entry, code::HOST_GATEWAY, message, help);
                }
            }
        }
    }

    /// Names beside the service's own that something in the project dials: aliases on every network of the service.
    pub(super) fn infer_names(&mut self) {
        for link in std::mem::take(&mut self.links) {
            self.says.service = Some(link.of.clone());
            if is_label(&link.alias, 63) && !self.services.has(&link.alias) {
                self.add_alias(&link.of, &link.alias);
            } else if !self.project.services().any(|(name, _)| *name == link.alias) {
                let message = format!("'{}' cannot be the name of a Service", link.alias);
                self.says.noted(link.at, code::ALIAS, &message, "dial the service by its own name");
            }
        }
        for (name, service) in self.project.services() {
            self.says.service = Some(name.clone());
            self.every_address(name);
            self.other_name(name, service);
            for key in ["container_name", "hostname"] {
                if let Some(entry) = service.value.entry(key).filter(|entry| !entry.value.is_null()) {
                    self.name(name, entry);
                }
            }
        }
        self.says.service = None;
    }

    /// A service that is called otherwise than in Compose, and who dials it by the name that it has there.
    fn other_name(&mut self, name: &str, service: &Entry) {
        let label = self.services.get(name);
        if label == name {
            return;
        }
        let message = format!("'{name}' cannot be the name of a Service: it is called '{label}' here");
        self.says.noted(service.at, code::RENAMED, &message, &format!("call it '{label}' in Compose as well"));
        let mut last = At::NOWHERE;
        for mention in self.texts.mentions(name).copied().collect::<Vec<_>>() {
            if mention.at == last && last.is_written() {
                continue;
            }
            last = mention.at;
            self.says.service = Some(mention.by.to_owned());
            let message = format!("'{}' dials '{name}', which is called '{label}' here: nobody answers", mention.by);
            self.says.noted(
                mention.at,
                code::OLD_NAME,
                &message,
                &format!("dial '{label}', and call it so in Compose"),
            );
        }
        self.says.service = Some(name.to_owned());
    }

    /// Who looks up every address of a service finds them under a name without an address of its own.
    fn every_address(&mut self, service: &str) {
        let Some(mention) = self.texts.discovers(service) else { return };
        let Some(found) = self.spec.services.get_mut(&self.services.get(service)) else { return };
        if found.endpoint_mode.is_none() {
            found.endpoint_mode = Some(EndpointMode::Dnsrr);
            let message =
                format!("'{}' looks up every address of '{service}': its name answers with all of them", mention.by);
            self.says.noted(mention.at, code::DISCOVERED, &message, "endpoint_mode: vip says otherwise");
        }
    }

    fn name(&mut self, service: &str, entry: &'a Entry) {
        let host = entry.value.as_text().unwrap_or_default();
        if host.is_empty() || host == service || self.texts.mentions(host).next().is_none() {
            self.says.nothing(entry, "nothing in the project dials it: pods have names of their own");
        } else if self.services.has(host) {
            let message = format!("'{host}' is the name of another service, and a name cannot mean both");
            self.says.refused(entry, code::ALIAS, &message, "dial the service by its own name");
        } else if is_label(host, 63) {
            self.add_alias(service, host);
            let to = format!("spec.services.{}.networks.*.aliases", self.services.get(service));
            self.says.mapped(entry, to);
        } else {
            let message = format!("'{host}' is dialled, and cannot be the name of a Service");
            self.says.ignored(entry, code::ALIAS, &message, "dial the service by its own name");
        }
    }

    fn add_alias(&mut self, service: &str, alias: &str) {
        let Some(service) = self.spec.services.get_mut(&self.services.get(service)) else { return };
        if service.networks.is_empty() && service.network_mode.is_none() {
            service.networks.insert("default".to_owned(), Membership::default());
        }
        for membership in service.networks.values_mut() {
            membership.aliases.insert(alias.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::{Ignored, Refused};
    use super::super::tests::{found, mapped, service};

    #[test]
    fn a_service_joins_the_networks_it_names_under_the_names_it_gives() {
        let text = "services:
  a: {image: a:1, networks: {front: {aliases: [a, web, 'x.y']}, default: {}}}
  b: {image: b:1, networks: [back]}
  c: {image: c:1, networks: []}
networks:
  front:
  back: {internal: true, name: other}
  unused: {}
  outer: {external: true, name: Shared_Net}
";
        let spec = serde_json::to_value(&mapped(text).stack.spec).unwrap();
        assert_eq!(spec["networks"], json!({"front": {}, "back": {"internal": true}}));
        assert_eq!(spec["services"]["a"]["networks"], json!({"front": {"aliases": ["web"]}, "default": {}}));
        assert_eq!(spec["services"]["b"]["networks"], json!({"back": {}}));
        assert!(spec["services"]["c"].get("networks").is_none());
    }

    #[test]
    fn links_and_names_that_are_dialled_are_aliases() {
        let text = "services:
  a: {image: a:1, links: ['db:database'], environment: {URL: 'http://my-cache:80/'}}
  db: {image: db:1, container_name: nobody-dials-it}
  cache: {image: c:1, container_name: my-cache}
";
        let spec = serde_json::to_value(&mapped(text).stack.spec).unwrap();
        assert_eq!(spec["services"]["db"]["networks"], json!({"default": {"aliases": ["database"]}}));
        assert_eq!(spec["services"]["cache"]["networks"], json!({"default": {"aliases": ["my-cache"]}}));
    }

    #[test]
    fn what_a_pod_cannot_share_is_refused() {
        for (lines, code) in [
            ("network_mode: host", code::HOST_NETWORK),
            ("network_mode: container:x", code::NETWORK_MODE),
            ("extra_hosts: ['h:host-gateway']", code::HOST_GATEWAY),
            ("external_links: [x]", code::EXTERNAL_LINK),
        ] {
            assert_eq!(found(lines), [(Refused, code.0)], "{lines}");
        }
        assert_eq!(found("domainname: x.y"), [(Ignored, code::DNS.0)]);
        assert_eq!(service("network_mode: none")["networkMode"], json!("None"));
        assert_eq!(service("extra_hosts: ['h=10.0.0.1']")["hostAliases"], json!({"h": "10.0.0.1"}));
        let dns = service("dns: 1.1.1.1\ndns_search: x.y\ndns_opt: ['ndots:2']");
        assert_eq!(
            dns["dnsConfig"],
            json!({"nameservers": ["1.1.1.1"], "searches": ["x.y"], "options": [{"name": "ndots", "value": "2"}]})
        );
    }
}
