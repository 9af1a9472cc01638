//! What is asked of whom, from the rows of `expected.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use e2e::expected::{Expected, Way};
use e2e::{Kind, Space, json};
use serde_json::Value;

use super::{OTHER, settled};

/// The stand-in's own port, which no service declares.
const UNDECLARED: u16 = 7070;

/// Something outside of the cluster.
pub const OUT: (&str, u16) = ("outside.example", 80);

/// A pod to dial from.
#[derive(Clone, Debug)]
pub struct Source {
    /// For whom it dials: a service, or another stack.
    pub service: String,
    pub pod: String,
    pub node: String,
}

impl Source {
    pub fn of(service: &str, pod: &Value) -> Source {
        Source { service: service.into(), pod: json::name(pod).into(), node: json::text(pod, "/spec/nodeName").into() }
    }
}

/// One connection, and whether it is to come about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The row it comes from.
    pub row: String,
    /// The service that is to answer; empty where it is none of the stack's.
    pub to: String,
    pub host: String,
    pub port: u16,
    pub open: bool,
    /// The row says that it is shut, but it leads to a published port.
    pub through: bool,
    /// Where the pod is that is dialled by its address.
    pub node: Option<String>,
}

/// A stack that runs.
pub struct Stack {
    pub name: String,
    pub expected: Expected,
    /// Of each service.
    pub pods: BTreeMap<String, Vec<Value>>,
    /// Addresses of load balancers, by the name of their Service.
    balanced: BTreeMap<String, String>,
    headless: BTreeSet<String>,
}

impl Stack {
    /// As it is. Fails unless exactly those services are published that are to be, and not to the machine alone.
    pub async fn of(space: &Space, name: &str, expected: Expected, balanced: BTreeMap<String, String>) -> Stack {
        let open = |ports: &[e2e::expected::Published]| ports.iter().any(|p| p.host_ip.as_deref() != Some("127.0.0.1"));
        let published = expected.published.iter().filter(|(_, ports)| open(ports));
        let published: BTreeSet<String> = published.map(|(service, _)| format!("{service}-published")).collect();
        let live: BTreeSet<String> = balanced.keys().cloned().collect();
        assert_eq!(live, published, "what is published");
        let services = space.list(Kind::Service).await;
        let headless = services.iter().filter(|service| service["spec"]["clusterIP"] == "None");
        let headless = headless.map(|service| json::name(service).to_owned()).collect();
        let pods = settled(space, name, &expected.services).await;
        Stack { name: name.into(), expected, pods, balanced, headless }
    }

    /// Whether a pod is of this service.
    pub fn is_of(&self, service: &str, pod: &str) -> bool {
        self.pods.get(service).is_some_and(|pods| pods.iter().any(|p| json::name(p) == pod))
    }

    fn all(&self) -> impl Iterator<Item = (&Way, bool)> {
        self.expected.reachable.iter().map(|w| (w, true)).chain(self.expected.unreachable.iter().map(|w| (w, false)))
    }

    /// The rows, as questions name them.
    pub fn rows(&self) -> impl Iterator<Item = String> {
        self.all().map(|(way, open)| row(way, open))
    }

    /// What a pod of the cluster is to dial.
    pub fn questions(&self, source: &Source) -> Vec<Question> {
        let mut asked = Vec::new();
        for (way, open) in self.all().filter(|(way, _)| way.from == source.service) {
            let (declared, undeclared) = self.ports(way);
            let names = declared.iter().chain(undeclared.iter().filter(|_| self.headless.contains(&way.to)));
            asked.extend(names.map(|port| self.question(way, open, &way.to, *port)));
            asked.extend(self.by_address(way, open, &declared, &undeclared));
        }
        if source.service == OTHER {
            // So that nobody takes a caller without a network for a wall.
            for (service, target) in self.targets() {
                let row = "published ports are open to everyone".to_owned();
                let (host, to) = (service.clone(), service.clone());
                asked.push(Question { row, to, host, port: target, open: true, through: false, node: None });
            }
        }
        let out = !self.expected.no_egress.contains(&source.service);
        asked.push(Question {
            row: "a way out".into(),
            to: String::new(),
            host: OUT.0.into(),
            port: OUT.1,
            open: out,
            through: false,
            node: None,
        });
        asked
    }

    /// What a client outside is to dial: published ports at their load balancer, all others there and at the pods.
    pub fn questions_from_outside(&self) -> Vec<Question> {
        let mut asked = Vec::new();
        for (way, open) in self.all().filter(|(way, _)| way.from == "outside") {
            let (declared, undeclared) = self.ports(way);
            let balancer = self.balanced.get(&format!("{}-published", way.to));
            if open {
                let host = balancer.unwrap_or_else(|| panic!("{} is not published", way.to));
                asked.extend(declared.iter().map(|port| self.question(way, open, host, *port)));
                continue;
            }
            let published: BTreeSet<u16> = self.published(&way.to).map(|(published, _)| published).collect();
            let others = declared.iter().chain(&undeclared).filter(|port| !published.contains(port));
            asked.extend(
                balancer.into_iter().flat_map(|host| others.clone().map(|port| self.question(way, open, host, *port))),
            );
            asked.extend(self.by_address(way, open, &declared, &undeclared));
        }
        asked
    }

    fn by_address<'a>(
        &'a self,
        way: &'a Way,
        open: bool,
        declared: &'a [u16],
        undeclared: &'a [u16],
    ) -> impl Iterator<Item = Question> + 'a {
        self.pods[&way.to].iter().flat_map(move |pod| {
            declared.iter().chain(undeclared).map(move |port| Question {
                node: Some(json::text(pod, "/spec/nodeName").to_owned()),
                ..self.question(way, open, json::text(pod, "/status/podIP"), *port)
            })
        })
    }

    fn question(&self, way: &Way, open: bool, host: &str, port: u16) -> Question {
        // What of a pair is open although its row says that it is shut.
        let is_service = self.expected.services.contains(&way.from);
        let goes_out = is_service && !self.expected.no_egress.contains(&way.from);
        let through = !open && goes_out && self.published(&way.to).any(|(_, target)| target == port);
        let (to, host) = (way.to.clone(), host.to_owned());
        Question { row: row(way, open), to, host, port, open: open || through, through, node: None }
    }

    /// Declared ports of a row, and those that nobody declares.
    fn ports(&self, way: &Way) -> (Vec<u16>, Vec<u16>) {
        let listens = self.expected.listens[&way.to].iter().map(|port| number(*port));
        let targets: Vec<u16> = self.published(&way.to).map(|(_, target)| target).collect();
        match way.port.as_str() {
            Some("any") => (listens.collect(), vec![UNDECLARED]),
            Some("unpublished") => (listens.filter(|port| !targets.contains(port)).collect(), vec![UNDECLARED]),
            Some(other) => panic!("port {other}"),
            None => (vec![number(way.port.as_i64().expect("a number"))], Vec::new()),
        }
    }

    /// Published numbers and what is behind them, but for those of the machine alone.
    fn published(&self, service: &str) -> impl Iterator<Item = (u16, u16)> + '_ {
        let ports = self.expected.published.get(service).into_iter().flatten();
        ports.filter(|p| p.host_ip.as_deref() != Some("127.0.0.1")).map(|p| (number(p.published), number(p.target)))
    }

    fn targets(&self) -> impl Iterator<Item = (&String, u16)> {
        self.expected
            .published
            .keys()
            .flat_map(|service| self.published(service).map(move |(_, target)| (service, target)))
    }
}

fn row(way: &Way, open: bool) -> String {
    format!("{} {} {} on {}", way.from, if open { "reaches" } else { "does not reach" }, way.to, way.port)
}

fn number(port: i64) -> u16 {
    u16::try_from(port).expect("a port")
}
