//! Our evaluator of policies against Cyclonus, of Kubernetes' network policy working group, on policies made up at random.
//!
//! Not asked, since Cyclonus knows neither: what a pod on its node's network may do, and whether a pod reaches itself. Where Cyclonus reads labels
//! otherwise than Kubernetes, Kubernetes' own library judges (`e2e/policy/prepare.go`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use e2e::cluster::root;
use e2e::dice::Dice;
use e2e::policy::{Cluster, ContainerPort, End, Labels, Pod};
use serde_json::{Map, Value, json};

const SETS: u64 = 500;
const QUESTIONS: u64 = 60;

// "Check the evaluator itself against an existing implementation ... on a corpus of at least 300 generated policy sets."
#[test]
fn the_evaluator_agrees_with_cyclonus() {
    let sets: Vec<Value> = (1..=SETS).map(|seed| Maker(Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))).set()).collect();
    let answers = cyclonus(&sets);
    assert_eq!(answers.len(), sets.len());
    let (mut asked, mut allowed, mut by_ingress, mut by_egress) = (0, 0, 0, 0);
    for (set, answers) in sets.iter().zip(&answers) {
        let cluster = cluster(set);
        let questions = set["questions"].as_array().unwrap();
        assert_eq!(answers.as_array().unwrap().len(), questions.len());
        for (question, theirs) in questions.iter().zip(answers.as_array().unwrap()) {
            let (from, to) = (end(&cluster, &question["from"]), end(&cluster, &question["to"]));
            let port = u16::try_from(question["port"].as_u64().unwrap()).unwrap();
            let ours = cluster.verdict(from, to, port, question["protocol"].as_str().unwrap());
            let sides = json!({"ingress": ours.ingress.lets(), "egress": ours.egress.lets()});
            assert_eq!(sides, *theirs, "{from:?} to {to:?}, {question}: ours {ours:?}\n{}", set["policies"]);
            asked += 1;
            allowed += u32::from(ours.allowed);
            by_ingress += u32::from(!ours.ingress.lets());
            by_egress += u32::from(!ours.egress.lets());
        }
    }
    let denied = asked - allowed;
    println!(
        "{SETS} sets, {asked} questions: {allowed} allowed, {denied} denied ({by_ingress} by ingress, {by_egress} by egress); 0 mismatches"
    );
    assert!(allowed > asked / 4 && by_ingress > asked / 10 && by_egress > asked / 10, "a corpus that asks for little");
}

/// Their answers, built and run.
fn cyclonus(sets: &[Value]) -> Vec<Value> {
    let built = Command::new(root().join("e2e/go-tool.sh")).arg("policy").status();
    assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh policy failed: it needs Go");
    let mut program = Command::new(root().join("target/tools/policy"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("what e2e/go-tool.sh has built");
    let mut input = program.stdin.take().unwrap();
    let text: String = sets.iter().map(|set| format!("{set}\n")).collect();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(text.as_bytes()).unwrap());
        program.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "the oracle failed: {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn labels(object: &Value) -> Labels {
    serde_json::from_value(object.clone()).unwrap()
}

fn cluster(set: &Value) -> Cluster {
    let pods = set["pods"].as_array().unwrap().iter().enumerate();
    let pods = pods.map(|(n, pod)| Pod {
        namespace: pod["namespace"].as_str().unwrap().to_owned(),
        name: n.to_string(),
        labels: labels(&pod["labels"]),
        ports: pod["ports"].as_array().unwrap().iter().map(port).collect(),
        ip: pod["ip"].as_str().unwrap().parse().ok(),
        host_network: false,
    });
    let namespaces = set["namespaces"].as_object().unwrap().iter().map(|(name, of)| (name.clone(), labels(of)));
    let policies = serde_json::from_value(set["policies"].clone()).unwrap();
    Cluster { namespaces: namespaces.collect(), pods: pods.collect(), policies }
}

fn port(port: &Value) -> ContainerPort {
    ContainerPort {
        name: port["name"].as_str().unwrap().to_owned(),
        number: u16::try_from(port["number"].as_u64().unwrap()).unwrap(),
        protocol: port["protocol"].as_str().unwrap().to_owned(),
    }
}

fn end<'a>(cluster: &'a Cluster, end: &Value) -> End<'a> {
    match end["pod"].as_u64() {
        Some(n) => End::Pod(&cluster.pods[usize::try_from(n).unwrap()]),
        None => End::Outside(end["ip"].as_str().unwrap().parse().unwrap()),
    }
}

const NAMESPACES: [&str; 3] = ["one", "two", "three"];
const KEYS: [&str; 3] = ["app", "tier", "team"];
const VALUES: [&str; 4] = ["a", "b", "c", ""];
const PORTS: [u16; 6] = [53, 80, 443, 8080, 8081, 9100];
const PORT_NAMES: [&str; 4] = ["http", "dns", "metrics", "web"];
const OUTSIDE: [&str; 4] = ["192.0.2.7", "192.0.2.200", "203.0.113.9", "2001:db8::7"];

/// Makes sets from a small world, so that what is made matches often.
struct Maker(Dice);

impl Maker {
    /// Yes once in `of`.
    fn once(&mut self, of: u64) -> bool {
        self.0.roll(of) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[usize::try_from(self.0.roll(list.len() as u64)).unwrap()]
    }

    fn some(&mut self, most: u64, mut one: impl FnMut(&mut Maker) -> Value) -> Value {
        (0..self.0.roll(most + 1)).map(|_| one(self)).collect()
    }

    fn set(&mut self) -> Value {
        let mut namespaces = Map::new();
        for name in NAMESPACES {
            let mut labels = self.labels();
            labels["kubernetes.io/metadata.name"] = json!(name);
            namespaces.insert(name.to_owned(), labels);
        }
        let pods: Vec<Value> = (0..4 + self.0.roll(5)).map(|n| self.pod(n)).collect();
        let policies: Vec<Value> = (0..=self.0.roll(6)).map(|n| self.policy(n)).collect();
        let questions: Vec<Value> = (0..QUESTIONS).map(|_| self.question(pods.len() as u64)).collect();
        json!({"namespaces": namespaces, "pods": pods, "policies": policies, "questions": questions})
    }

    fn labels(&mut self) -> Value {
        let mut labels = json!({});
        for key in KEYS {
            if !self.once(3) {
                labels[key] = json!(self.pick(&VALUES));
            }
        }
        labels
    }

    fn pod(&mut self, n: u64) -> Value {
        let namespace = self.pick(&NAMESPACES);
        let ip = if self.once(6) { format!("fd00::{n}") } else { format!("10.0.{}.{n}", self.0.roll(3)) };
        let ports =
            self.some(3, |m| json!({"name": m.pick(&PORT_NAMES), "number": m.number(), "protocol": m.protocol()}));
        json!({"namespace": namespace, "labels": self.labels(), "ip": ip, "ports": ports})
    }

    fn number(&mut self) -> u16 {
        PORTS[usize::try_from(self.0.roll(PORTS.len() as u64)).unwrap()]
    }

    fn protocol(&mut self) -> &'static str {
        self.pick(&["TCP", "TCP", "TCP", "UDP", "UDP", "SCTP"])
    }

    fn policy(&mut self, n: u64) -> Value {
        let mut spec = json!({"podSelector": self.selector()});
        let types = [None, Some(json!(["Ingress"])), Some(json!(["Egress"])), Some(json!(["Ingress", "Egress"]))];
        if let Some(types) = &types[usize::try_from(self.0.roll(4)).unwrap()] {
            spec["policyTypes"] = types.clone();
        }
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            if !self.once(4) {
                spec[direction] = self.some(3, |m| m.rule(peers));
            }
        }
        let namespace = self.pick(&NAMESPACES);
        json!({"metadata": {"name": format!("p{n}"), "namespace": namespace}, "spec": spec})
    }

    fn rule(&mut self, peers: &str) -> Value {
        let mut rule = json!({});
        if !self.once(4) {
            rule["ports"] = self.some(3, Maker::port);
        }
        if !self.once(6) {
            rule[peers] = self.some(3, Maker::peer);
        }
        rule
    }

    fn port(&mut self) -> Value {
        let mut port = match self.0.roll(6) {
            0 => json!({}),
            1 | 2 => json!({"port": self.pick(&PORT_NAMES)}),
            3 => {
                let (from, to) = (self.number(), self.number());
                json!({"port": from.min(to), "endPort": from.max(to)})
            }
            _ => json!({"port": self.number()}),
        };
        if !self.once(3) {
            port["protocol"] = json!(self.protocol());
        }
        port
    }

    fn peer(&mut self) -> Value {
        match self.0.roll(5) {
            0 => json!({"podSelector": self.selector()}),
            1 => json!({"namespaceSelector": self.selector()}),
            2 | 3 => json!({"namespaceSelector": self.selector(), "podSelector": self.selector()}),
            _ => json!({"ipBlock": self.block()}),
        }
    }

    fn selector(&mut self) -> Value {
        let mut selector = json!({});
        for _ in 0..self.0.roll(2) {
            selector["matchLabels"][self.pick(&KEYS)] = json!(self.pick(&VALUES));
        }
        if self.once(2) {
            selector["matchExpressions"] = self.some(2, |m| {
                let mut one = json!({"key": m.pick(&KEYS), "operator": m.pick(&["In", "NotIn", "NotIn", "Exists", "DoesNotExist"])});
                if one["operator"].as_str().unwrap().ends_with("In") {
                    one["values"] = (0..=m.0.roll(2)).map(|_| json!(m.pick(&VALUES))).collect();
                }
                one
            });
        }
        selector
    }

    /// A block around an address that somebody has, with smaller ones left out.
    fn block(&mut self) -> Value {
        let inside = format!("10.0.{}.{}", self.0.roll(3), self.0.roll(9));
        let all: Vec<&str> = OUTSIDE.into_iter().chain([inside.as_str(), inside.as_str(), "fd00::1"]).collect();
        let around = self.pick(&all);
        let longest = if around.parse::<IpAddr>().unwrap().is_ipv4() { 32 } else { 128 };
        let bits = if self.once(3) { 0 } else { self.0.roll(longest + 1) };
        let mut block = json!({"cidr": format!("{around}/{bits}")});
        if bits < longest && self.once(2) {
            block["except"] = self.some(2, |m| json!(format!("{around}/{}", bits + 1 + m.0.roll(longest - bits))));
        }
        block
    }

    /// Between two pods, or a pod and an address outside, either way.
    fn question(&mut self, pods: u64) -> Value {
        let one = self.0.roll(pods);
        let pod = json!({"pod": one});
        let other = if self.once(3) {
            json!({"ip": self.pick(&OUTSIDE)})
        } else {
            json!({"pod": (one + 1 + self.0.roll(pods - 1)) % pods}) // never itself
        };
        let (from, to) = if self.once(2) { (pod, other) } else { (other, pod) };
        json!({"from": from, "to": to, "port": self.number(), "protocol": self.protocol()})
    }
}
