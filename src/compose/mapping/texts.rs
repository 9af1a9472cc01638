//! What the texts of a project dial: values of variables, commands, health checks, hooks and configs.
//!
//! Compose lets every container reach every port of another by any of its names; here a port, a further name and a look-up of every address
//! have to be declared. One scan of all texts finds which are used.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Mapper;
use super::hosts::{Hit, scan};
use crate::api::Protocol;
use crate::compose::node::{At, Entry, Node};
use crate::compose::project::Project;

/// A port of a service that a text dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dial<'a> {
    /// The name by which it is dialled.
    pub host: &'a str,
    /// The port of the container.
    pub port: u16,
    /// By the scheme, or by ports that are nearly always UDP.
    pub protocol: Protocol,
    /// The key or item that says it; nowhere for a file that no key holds.
    pub at: At,
    /// The service whose text it is.
    pub by: &'a str,
}

/// A place where a host is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mention<'a> {
    /// The key or item that says it; nowhere for a file that no key holds.
    pub at: At,
    /// The service whose text it is.
    pub by: &'a str,
}

/// Everything that is dialled and named. Services are called by their names in Compose, those that are off included.
#[derive(Debug, Default)]
pub(super) struct Texts<'a> {
    /// Services by each of their names: their own, `container_name`, `hostname`, aliases of networks.
    names: HashMap<&'a str, Vec<&'a str>>,
    dials: HashMap<&'a str, Vec<Dial<'a>>>,
    mentions: HashMap<&'a str, Vec<Mention<'a>>>,
    discovered: HashMap<&'a str, Mention<'a>>,
}

impl<'a> Texts<'a> {
    /// Scans the project. What is in files that are bound is added by [`Mapper::scan_configs`].
    pub(super) fn of(project: &'a Project) -> Texts<'a> {
        let mut texts = Texts::default();
        for (service, entry) in project.services() {
            texts.name(service, service);
            let node = &entry.value;
            for key in ["container_name", "hostname"] {
                node.get(key).and_then(Node::as_text).into_iter().for_each(|name| texts.name(name, service));
            }
            for (_, joined) in node.entries("networks") {
                let aliases = joined.value.items("aliases").iter().filter_map(Node::as_text);
                aliases.for_each(|name| texts.name(name, service));
            }
        }
        for (service, entry) in project.services() {
            texts.service(service, &entry.value, project);
        }
        texts
    }

    /// The ports of a service that texts dial, by whichever of its names, in the order of the files. A port stands once for each place.
    pub(super) fn dials(&self, service: &str) -> impl Iterator<Item = &Dial<'a>> {
        self.dials.get(service).into_iter().flatten()
    }

    /// The places that name a host: where it is dialled, and where it stands as a host stands (`DB_HOST: db`, `-h db`, `user@db`).
    pub(super) fn mentions(&self, host: &str) -> impl Iterator<Item = &Mention<'a>> {
        self.mentions.get(host).into_iter().flatten()
    }

    /// Where every address of a service is looked up: `tasks.NAME`, or the names of `dns_sd_configs`.
    pub(super) fn discovers(&self, service: &str) -> Option<Mention<'a>> {
        self.discovered.get(service).copied()
    }

    fn name(&mut self, name: &'a str, service: &'a str) {
        let services = self.names.entry(name).or_default();
        if !name.is_empty() && !services.contains(&service) {
            services.push(service);
        }
    }

    fn service(&mut self, service: &'a str, node: &'a Node, project: &'a Project) {
        self.variables(node, service);
        for key in ["command", "entrypoint"] {
            self.words(node.entry(key), service);
        }
        self.words(node.get("healthcheck").and_then(|check| check.entry("test")), service);
        for key in ["pre_start", "post_start", "pre_stop"] {
            for hook in node.items(key) {
                self.words(hook.entry("command"), service);
                self.variables(hook, service);
            }
        }
        for mount in node.items("configs") {
            let Some(source) = mount.get("source").and_then(Node::as_text) else { continue };
            let content = project.root.find(&["configs", source]).and_then(|config| config.entry("content"));
            let Some(content) = content else { continue };
            self.text(content.value.as_text().unwrap_or_default(), Mention { at: content.at, by: service });
        }
    }

    fn variables(&mut self, node: &'a Node, service: &'a str) {
        let own: BTreeMap<&str, &str> = node
            .entries("environment")
            .filter_map(|(name, entry)| Some((name.as_str(), entry.value.as_text()?)))
            .collect();
        for (name, entry) in node.entries("environment") {
            let Some(value) = entry.value.as_text() else { continue };
            let of = Mention { at: entry.at, by: service };
            let words: Vec<&str> = name.rsplitn(2, ['_', '.']).collect();
            if words.first().is_some_and(|last| last.to_ascii_uppercase().ends_with("IMAGE")) {
                continue; // `redis:7`
            }
            let dials = self.text(value, of);
            let last = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
            if !dials && matches!(last.as_str(), "HOST" | "HOSTNAME" | "SERVER" | "ADDR" | "ADDRESS" | "NAME") {
                // `DB_HOST: db` beside `DB_PORT: 5432`.
                let prefix = name.get(..name.len() - last.len()).unwrap_or_default();
                let is_lower = name.ends_with(|c: char| c.is_ascii_lowercase());
                let port = own.get(format!("{prefix}{}", if is_lower { "port" } else { "PORT" }).as_str());
                let port = port.and_then(|port| port.trim().parse().ok()).filter(|port| *port > 0);
                if let (Some(port), Some((&host, _))) = (port, self.names.get_key_value(value.trim())) {
                    self.hit(host, Some(port), Protocol::Tcp, of);
                }
            }
        }
    }

    fn words(&mut self, entry: Option<&'a Entry>, service: &'a str) {
        let Some(entry) = entry else { return };
        let of = Mention { at: entry.at, by: service };
        // Together: `--host db --port 5432`.
        let words = entry.value.as_list().into_iter().flatten().filter_map(Node::as_text);
        let line: Vec<&str> = words.filter(|word| !matches!(*word, "CMD" | "CMD-SHELL" | "NONE")).collect();
        self.text(&line.join(" "), of);
    }

    /// Scans one text; whether it dials something.
    fn text(&mut self, text: &str, of: Mention<'a>) -> bool {
        let hits = self.read(text);
        self.add(&hits, of)
    }

    /// What a text names, each once.
    fn read(&self, text: &str) -> Vec<Hit<'a>> {
        let known = |hit: Hit<'_>| Some(Hit { host: self.names.get_key_value(hit.host)?.0, ..hit });
        let mut hits: Vec<Hit<'a>> =
            scan(text, |word| self.names.contains_key(word)).into_iter().filter_map(known).collect();
        if text.contains("dns_sd_configs") {
            self.discovery(text, &mut hits);
        }
        let mut seen = HashSet::new();
        hits.retain(|hit| seen.insert((hit.host, hit.port, hit.protocol.as_str(), hit.is_every)));
        let own = upstreams(text);
        // `http://web` means the group of servers that nginx calls so, not port 80 of a service.
        let is_own = |hit: &Hit<'_>| {
            let is_written = |port: u16| text.contains(&format!("{}:{port}", hit.host));
            own.contains(&hit.host) && !hit.port.is_some_and(is_written)
        };
        hits.retain(|hit| !is_own(hit));
        hits
    }

    /// Takes down what a text names; whether it dials something.
    fn add(&mut self, hits: &[Hit<'a>], of: Mention<'a>) -> bool {
        for hit in hits {
            if hit.is_every {
                self.discover(hit.host, of);
            }
            self.hit(hit.host, hit.port, hit.protocol, of);
        }
        hits.iter().any(|hit| hit.port.is_some())
    }

    fn hit(&mut self, host: &'a str, port: Option<u16>, protocol: Protocol, of: Mention<'a>) {
        let mentions = self.mentions.entry(host).or_default();
        if mentions.last() != Some(&of) {
            mentions.push(of);
        }
        let Some(port) = port else { return };
        for service in self.names.get(host).into_iter().flatten() {
            let dial = Dial { host, port, protocol, at: of.at, by: of.by };
            let dials = self.dials.entry(service).or_default();
            if dials.last() != Some(&dial) {
                dials.push(dial);
            }
        }
    }

    fn discover(&mut self, host: &str, of: Mention<'a>) {
        for service in self.names.get(host).into_iter().flatten() {
            self.discovered.entry(service).or_insert(of);
        }
    }

    /// The names and the port below each `dns_sd_configs` of a Prometheus configuration.
    fn discovery(&self, text: &str, hits: &mut Vec<Hit<'a>>) {
        let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.trim_start_matches([' ', '-']).starts_with("dns_sd_configs:") {
                continue;
            }
            let (mut found, mut port) = (Vec::new(), None);
            while let Some(line) =
                lines.next_if(|next| next.trim().is_empty() || indent(next) > indent(line) || next.trim() == "-")
            {
                let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
                let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
                let after = words.iter().skip_while(|word| **word != "port").nth(1);
                port = after.and_then(|port| port.parse().ok()).or(port);
                let hosts = words.iter().map(|word| word.strip_prefix("tasks.").unwrap_or(word));
                found.extend(hosts.filter_map(|word| Some(*self.names.get_key_value(word)?.0)));
            }
            let port = port.filter(|port| *port > 0);
            hits.extend(found.into_iter().map(|host| Hit { host, port, protocol: Protocol::Tcp, is_every: true }));
        }
    }
}

impl Mapper<'_> {
    /// Scans the contents of the configs that services mount: files that were bound are among them.
    pub(super) fn scan_configs(&mut self) {
        let mut scanned: BTreeMap<&str, Vec<Hit<'_>>> = BTreeMap::new();
        for (name, entry) in self.project.services() {
            let Some(service) = self.spec.services.get(&self.services.get(name)) else { continue };
            for (path, mount) in &service.mounts {
                let named = mount.config.as_ref().and_then(|named| self.spec.configs.get_key_value(named));
                let Some((named, config)) = named else { continue };
                let at = mounted(&entry.value, path).unwrap_or(At::NOWHERE);
                let texts = || config.content.iter().chain(config.data.values());
                let hits =
                    scanned.entry(named).or_insert_with(|| texts().flat_map(|text| self.texts.read(text)).collect());
                self.texts.add(hits, Mention { at, by: name });
            }
        }
    }
}

/// The names that an nginx configuration gives to groups of servers: `upstream web { ... }`.
fn upstreams(text: &str) -> Vec<&str> {
    let after = text.split("upstream ").skip(1).filter_map(|after| after.split_once('{'));
    after.map(|(name, _)| name.trim()).filter(|name| !name.is_empty() && !name.contains(char::is_whitespace)).collect()
}

/// The item of a service that mounts something at `path`.
pub(super) fn mounted(service: &Node, path: &str) -> Option<At> {
    let mounts = service.items("volumes").iter().chain(service.items("configs"));
    let target = |mount: &&Node| mount.get("target").and_then(Node::as_text) == Some(path);
    mounts.filter(|mount| mount.get("target").is_some()).find(target).map(|mount| mount.at)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::compose::files::Memory;
    use crate::compose::{Loaded, Options, load};

    fn loaded(text: &str) -> Loaded {
        let files = Memory::from([(PathBuf::from("/p/compose.yaml"), text.as_bytes().to_vec())]);
        let loaded = load(&files, &Options { folder: "/p".into(), ..Options::default() });
        assert!(loaded.project.is_some(), "{:?}", loaded.problems);
        loaded
    }

    #[test]
    fn a_group_of_servers_of_nginx_is_no_service() {
        let loaded = loaded(
            "services:
  proxy: {image: a:1, configs: [nginx]}
  web: {image: b:1}
  api: {image: c:1}
configs:
  nginx:
    content: |
      upstream web { server web:3000; }
      server {
        location / { proxy_pass http://web; }
        location /api { proxy_pass http://api; }
      }
",
        );
        let texts = Texts::of(loaded.project.as_ref().unwrap());
        let dials = |service: &str| texts.dials(service).map(|dial| dial.port).collect::<Vec<_>>();
        assert_eq!((dials("web"), dials("api")), (vec![3000], vec![80]));
    }

    #[test]
    fn ports_and_names_are_found_in_every_text_of_a_project() {
        let loaded = loaded(
            "services:
  web:
    image: a:1
    environment: {DB_HOST: my-db, DB_PORT: 5433, URL: 'redis://cache', CACHE_IMAGE: 'cache:7', LOG: 'udp://logs:514'}
    command: serve --peer db:5432
    healthcheck: {test: [CMD, nc, -z, alias, '9000']}
    pre_start: [{command: [wait, 'db:5434'], environment: {X: 'http://db:5435/'}}]
    configs: [prometheus]
    labels: {x: 'db:1'}
  db: {image: b:1, container_name: my-db, networks: {default: {aliases: [alias]}}}
  cache: {image: c:1}
  logs: {image: d:1, hostname: log-host}
  node: {image: e:1}
configs:
  prometheus:
    content: |
      scrape_configs:
        - job_name: logs
          dns_sd_configs:
            - names: [tasks.node]
              type: A
              port: 9100
        - job_name: cache
          static_configs: [{targets: ['web:8080']}]
",
        );
        let project = loaded.project.as_ref().unwrap();
        let texts = Texts::of(project);
        let dials =
            |service: &str| texts.dials(service).map(|dial| (dial.port, dial.host, dial.by)).collect::<Vec<_>>();
        assert_eq!(
            dials("db"),
            [
                (5433, "my-db", "web"),
                (5432, "db", "web"),
                (9000, "alias", "web"),
                (5434, "db", "web"),
                (5435, "db", "web"),
            ]
        );
        assert_eq!(dials("cache"), [(6379, "cache", "web")]);
        assert_eq!(texts.dials("logs").map(|dial| dial.protocol).collect::<Vec<_>>(), [Protocol::Udp]);
        assert_eq!(dials("node"), [(9100, "node", "web")]);
        assert_eq!(dials("web"), [(8080, "web", "web")]);
        let line = |at: At| loaded.sources.get(at.file).unwrap().text[..at.start as usize].lines().count();
        assert_eq!(texts.mentions("my-db").map(|mention| line(mention.at)).collect::<Vec<_>>(), [4]);
        assert_eq!(texts.mentions("log-host").count(), 0);
        assert!(texts.discovers("node").is_some() && texts.discovers("web").is_none());
    }
}
