//! A cluster with stacks in it, as rendered, and strangers around them; and every question that can be asked there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use appstack::api::{AppStack, PodSecurity};
use appstack::child::Kind;
use appstack::render::{Part, Settings, render};
use appstack::stack::reachability::{At, Caller, Matrix, Target};
use appstack::stack::{Stack, check};
use e2e::policy::{Cluster, End, Labels, Pod};
use serde_json::{Value, json};

const NAMESPACE: &str = "here";
const ELSEWHERE: &str = "there";
const OUTSIDE: [&str; 3] = ["203.0.113.9", "10.200.0.1", "2001:db8::9"];
const INTERNET: [&str; 2] = ["198.51.100.7", "2001:db8::7"];
/// The node-local resolver.
const RESOLVER: &str = "169.254.20.10";

/// Who asked, was allowed and was denied, by kind of pair.
pub type Counts = BTreeMap<String, (u64, u64, u64)>;

pub struct World {
    pub stacks: Vec<Stack>,
    pub cluster: Cluster,
    /// Pods by stack (its place in `stacks`) and by what they are for; a service has two.
    pods: BTreeMap<(usize, String), Vec<Pod>>,
    resolver: Pod,
}

/// What does not agree, and what was asked.
#[derive(Default)]
pub struct Outcome {
    pub mismatches: Vec<String>,
    pub counts: Counts,
}

type Question = (u16, &'static str);

impl World {
    /// Stacks of one namespace, as they are written.
    pub fn of(written: &[Value]) -> World {
        let mut world = World {
            stacks: Vec::new(),
            cluster: Cluster::default(),
            pods: BTreeMap::new(),
            resolver: Pod { labels: labels(&[("k8s-app", "kube-dns")]), ..pod("kube-system", "dns") },
        };
        for (at, written) in written.iter().enumerate() {
            let mut stack: AppStack =
                serde_json::from_value(written.clone()).unwrap_or_else(|e| panic!("{e}: {written}"));
            stack.metadata.namespace = Some(NAMESPACE.into());
            stack.metadata.uid = Some("uid".into());
            let stack = check(&stack, PodSecurity::Privileged).unwrap_or_else(|e| panic!("{:#?}: {written}", e.all));
            world.add(at, &stack);
            world.stacks.push(stack);
        }
        world
    }

    fn add(&mut self, at: usize, stack: &Stack) {
        for (id, wanted) in render(stack, &Settings::default()) {
            let template = &wanted.object["spec"]["template"];
            let whose = match (&wanted.part, id.kind) {
                (_, Kind::NetworkPolicy) => {
                    self.cluster.policies.push(serde_json::from_value(wanted.object).unwrap());
                    continue;
                }
                (Part::Service(name), kind) if kind.starts_pods() => Target::Service(name).to_string(),
                (Part::Volume(name), Kind::Job) => Target::Populate(name).to_string(),
                _ => continue,
            };
            let pods = [0, 1].map(|n| Pod::of(NAMESPACE, &format!("{at}-{whose}-{n}"), template));
            self.pods.insert((at, whose), pods.into());
        }
    }

    /// Asks every question of every stack, and those between stacks.
    pub fn ask(&self, outcome: &mut Outcome) {
        for (at, stack) in self.stacks.iter().enumerate() {
            let matrix = Matrix::of(stack);
            for entry in matrix.entries() {
                let kind = format!("{} -> {}", kind_of(&entry.from.to_string()), kind_of(&entry.to.to_string()));
                let to_itself = entry.from.to_string() == entry.to.to_string();
                let kind = if to_itself { format!("{kind} (its other pod)") } else { kind };
                let what = format!("{} -> {} on {}: {}", entry.from, entry.to, entry.at, entry.answer);
                let strangers = self.strangers(at, entry.from);
                let from = strangers.iter().chain(self.own(at, &entry.from.to_string(), 0)).map(End::Pod);
                let from: Vec<End<'_>> = from.chain(outside(entry.from)).collect();
                self.compare(
                    &from,
                    &self.targets(at, entry.to),
                    &ports(stack, entry.to, entry.at),
                    entry.answer.is_open(),
                    &kind,
                    &what,
                    outcome,
                );
            }
            for (other, target) in self.stacks.iter().enumerate().filter(|(other, _)| *other != at) {
                for (caller, to) in
                    stack.services.keys().flat_map(|from| target.services.keys().map(move |to| (from, to)))
                {
                    for port in Matrix::of(target).ports(Target::Service(to)) {
                        let answer = matrix.across(caller, Matrix::of(target), to, port).unwrap();
                        let what = format!("stack {at}'s {caller} -> stack {other}'s {to} on {port}: {answer}");
                        let from: Vec<End<'_>> =
                            self.own(at, &format!("service/{caller}"), 0).iter().map(End::Pod).collect();
                        let kind = "service -> service of another stack";
                        self.compare(
                            &from,
                            &self.targets(other, Target::Service(to)),
                            &ports(target, Target::Service(to), port),
                            answer.is_open(),
                            kind,
                            &what,
                            outcome,
                        );
                    }
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // each a part of one question
    fn compare(
        &self,
        from: &[End<'_>],
        to: &[End<'_>],
        ports: &[Question],
        expected: bool,
        kind: &str,
        what: &str,
        outcome: &mut Outcome,
    ) {
        assert!(!from.is_empty() && !to.is_empty() && !ports.is_empty(), "nobody to ask: {what}");
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
            for (number, protocol) in ports {
                let verdict = self.cluster.verdict(*from, *to, *number, protocol);
                let count = outcome.counts.entry(kind.to_owned()).or_default();
                *count = (count.0 + 1, count.1 + u64::from(expected), count.2 + u64::from(!expected));
                if verdict.allowed != expected {
                    outcome.mismatches.push(format!("{what}; but {from:?} to {to:?} {number}/{protocol}: {verdict:?}"));
                }
            }
        }
    }

    /// Pods of the stack: the first of them calls, the last of them is called.
    fn own(&self, at: usize, whose: &str, nth: usize) -> &[Pod] {
        self.pods.get(&(at, whose.to_owned())).map_or(&[], |pods| &pods[nth..=nth])
    }

    fn targets(&self, at: usize, to: Target<'_>) -> Vec<End<'_>> {
        match to {
            Target::Internet => INTERNET.iter().map(|ip| End::Outside(ip.parse().unwrap())).collect(),
            Target::Dns => vec![End::Pod(&self.resolver), End::Outside(RESOLVER.parse().unwrap())],
            Target::Service(_) | Target::Populate(_) => self.own(at, &to.to_string(), 1).iter().map(End::Pod).collect(),
        }
    }

    /// Pods that are none of the stack's: some without labels, and some that carry all labels of one of its pods but for what makes it one.
    fn strangers(&self, at: usize, from: Caller<'_>) -> Vec<Pod> {
        let mine = self.pods.iter().filter(|((stack, _), _)| *stack == at).map(|(_, pods)| &pods[0].labels);
        let alike = mine.max_by_key(|labels| labels.len()).cloned().unwrap_or_default();
        match from {
            Caller::Namespace => {
                let mut labels = alike;
                labels.insert("appstack.dev/stack".into(), "another".into());
                labels.retain(|key, _| !key.starts_with("appstack.dev/shared-network."));
                vec![pod(NAMESPACE, "stranger"), Pod { labels, ..pod(NAMESPACE, "namesake") }]
            }
            Caller::Cluster => vec![pod(ELSEWHERE, "stranger"), Pod { labels: alike, ..pod(ELSEWHERE, "twin") }],
            Caller::Shared(network) => {
                let label = format!("appstack.dev/shared-network.{network}");
                vec![Pod {
                    labels: labels(&[("appstack.dev/stack", "another"), (&label, "")]),
                    ..pod(NAMESPACE, "member")
                }]
            }
            Caller::Service(_) | Caller::Populate(_) | Caller::Outside => Vec::new(),
        }
    }
}

/// `service/db` -> `service`.
fn kind_of(end: &str) -> &str {
    end.split('/').next().unwrap_or_default()
}

fn outside(from: Caller<'_>) -> Vec<End<'static>> {
    let addresses: &[&str] = if from == Caller::Outside { &OUTSIDE } else { &[] };
    addresses.iter().map(|ip| End::Outside(ip.parse::<IpAddr>().unwrap())).collect()
}

/// Ports that stand for an answer. "Other" are also a declared number under another protocol, and a published number that is no port of the container.
fn ports(stack: &Stack, to: Target<'_>, at: At) -> Vec<Question> {
    let service = match to {
        Target::Service(name) => stack.services.get(name),
        Target::Populate(_) => None,
        Target::Internet => return vec![(443, "TCP"), (53, "UDP"), (53, "TCP")],
        Target::Dns => return vec![(53, "UDP"), (53, "TCP"), (5353, "UDP"), (8053, "TCP")],
    };
    let number = |n: i32| u16::try_from(n).unwrap();
    if let At::Declared(port, protocol) = at {
        return vec![(number(port), protocol.as_str())];
    }
    let declared: Vec<Question> =
        service.into_iter().flat_map(|s| &s.ports).map(|port| (number(port.number), port.protocol.as_str())).collect();
    let published =
        service.into_iter().flat_map(|s| &s.published).map(|port| (number(port.number), port.protocol.as_str()));
    let otherwise = declared.iter().flat_map(|(n, _)| ["TCP", "UDP", "SCTP"].map(|protocol| (*n, protocol)));
    let mut all: Vec<Question> = otherwise.chain(published).chain([(7, "TCP"), (40_404, "UDP")]).collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|port| !declared.contains(port));
    all
}

fn pod(namespace: &str, name: &str) -> Pod {
    let ip = "10.9.9.9".parse().ok();
    Pod { ip, ..Pod::of(namespace, name, &json!({})) }
}

fn labels(list: &[(&str, &str)]) -> Labels {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
