//! Every state that the policies and pods of a namespace went through, and who could reach whom in it.

use std::collections::{BTreeMap, BTreeSet};

use e2e::observer::Seen;
use e2e::policy::{Cluster, End, Pod};
use e2e::{Kind, json};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

/// Asked of every pair: all ports of the stacks below, and one that nobody names.
const PORTS: [u16; 5] = [5432, 8000, 8100, 9000, 9999];

/// Who dials whom on which port. Beside services there are a `stranger` of the namespace, a pod `elsewhere`, and the `outside`.
pub type Question = (String, String, u16);

/// Whether a pair is allowed, between some and between all of its pods.
#[derive(Clone, Debug)]
pub struct Answer {
    pub some: bool,
    pub all: bool,
    /// The pods and the verdict of one that differs from the others, or of the last.
    why: String,
}

/// The policies and pods of a namespace at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    policies: BTreeMap<String, NetworkPolicy>,
    /// With the stack and service they belong to.
    pods: BTreeMap<String, (String, Pod)>,
}

impl State {
    /// What the changes up to a version made of it.
    pub fn at(history: &[Seen], version: u64) -> State {
        let mut state = State::default();
        for seen in history.iter().filter(|seen| seen.version <= version) {
            state.take(seen);
        }
        state
    }

    /// Takes one change; whether it concerns who may reach whom.
    fn take(&mut self, seen: &Seen) -> bool {
        let name = json::name(&seen.object).to_owned();
        match seen.kind {
            Kind::NetworkPolicy if seen.deleted => self.policies.remove(&name).is_some(),
            Kind::NetworkPolicy => {
                let policy: NetworkPolicy = serde_json::from_value((*seen.object).clone()).expect("a policy");
                self.policies.insert(name, policy.clone()) != Some(policy)
            }
            // One that is going may still talk.
            Kind::Pod
                if seen.deleted || ["Succeeded", "Failed"].contains(&json::text(&seen.object, "/status/phase")) =>
            {
                self.pods.remove(&name).is_some()
            }
            Kind::Pod => {
                let pod = Pod::of(json::text(&seen.object, "/metadata/namespace"), &name, &seen.object);
                let service =
                    ["appstack.dev/service", "appstack.dev/job"].map(|key| json::label(&seen.object, key)).concat();
                let whose = format!("{}/{service}", json::label(&seen.object, "appstack.dev/stack"));
                self.pods.insert(name, (whose.clone(), pod.clone())) != Some((whose, pod))
            }
            _ => false,
        }
    }

    /// The answer to every question that there are pods for.
    pub fn answers(&self) -> BTreeMap<Question, Answer> {
        let here = self.pods.values().next().map_or("here", |(_, pod)| pod.namespace.as_str());
        let extra = |namespace: &str, name: &str, labels: Value| {
            Pod::of(namespace, name, &json!({"metadata": {"labels": labels}}))
        };
        let stranger = extra(here, "stranger", json!({"app": "stranger"}));
        let elsewhere = extra("elsewhere", "elsewhere", json!({"app": "elsewhere"}));
        let resolver = extra("kube-system", "resolver", json!({"k8s-app": "kube-dns"}));
        let outside = End::Outside("192.0.2.7".parse().unwrap());
        let cluster = Cluster { policies: self.policies.values().cloned().collect(), ..Cluster::default() };

        let ours: Vec<(&str, End<'_>)> =
            self.pods.values().map(|(whose, pod)| (whose.as_str(), End::Pod(pod))).collect();
        let callers = [("stranger", End::Pod(&stranger)), ("elsewhere", End::Pod(&elsewhere)), ("outside", outside)];
        let called = [("outside", outside), ("elsewhere", End::Pod(&elsewhere))];
        let mut answers: BTreeMap<Question, Answer> = BTreeMap::new();
        let mut ask = |from: (&str, End<'_>), to: (&str, End<'_>), port: u16, protocol: &str| {
            if from.1 == to.1 {
                return; // a pod always reaches itself
            }
            let verdict = cluster.verdict(from.1, to.1, port, protocol);
            let why = || format!("{} to {}: {verdict:?}", who(from.1), who(to.1));
            let key = (from.0.to_owned(), to.0.to_owned(), port);
            let answer = answers.entry(key).or_insert_with(|| Answer { some: false, all: true, why: why() });
            if verdict.allowed != (answer.some && answer.all) {
                answer.why = why();
            }
            answer.some |= verdict.allowed;
            answer.all &= verdict.allowed;
        };
        for from in &ours {
            for to in ours.iter().chain(&called) {
                for port in PORTS {
                    ask(*from, *to, port, "TCP");
                }
            }
            ask(*from, ("resolver", End::Pod(&resolver)), 53, "UDP");
        }
        for from in &callers {
            for to in &ours {
                for port in PORTS {
                    ask(*from, *to, port, "TCP");
                }
            }
        }
        answers
    }
}

fn who(end: End<'_>) -> String {
    match end {
        End::Pod(pod) => {
            let networks = pod.labels.keys().filter_map(|key| key.strip_prefix("appstack.dev/"));
            let networks: Vec<&str> = networks.filter(|key| key.contains("network")).collect();
            format!("{} ({})", pod.name, networks.join(" "))
        }
        End::Outside(ip) => ip.to_string(),
    }
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many states the replay went through.
    pub states: usize,
    /// How many questions have another answer than before, or no longer any.
    pub changed: usize,
    /// Moments in which a pair was allowed that is forbidden before and after, or an allowed one cut that is allowed before and after.
    pub gaps: BTreeSet<String>,
}

/// Replays what happened between two versions at which all was at rest. At rest the pods of a service agree. A service
/// that comes or goes is never open wider than it will be, or was; all that comes at once has its doors from the beginning.
pub fn replay(history: &[Seen], from: u64, to: u64) -> Found {
    let mut state = State::at(history, from);
    let (before, after) = (state.answers(), State::at(history, to).answers());
    for (question, answer) in before.iter().chain(&after) {
        assert_eq!(
            answer.some, answer.all,
            "at rest the pods of a service have the same walls: {question:?}: {}",
            answer.why
        );
    }
    let is_new = before.is_empty();
    let at_ends = |question: &Question| match (before.get(question), after.get(question)) {
        (Some(before), Some(after)) => (before.all == after.all).then_some(after.all),
        (None, Some(after)) if is_new => Some(after.all),
        (None, Some(one)) | (Some(one), None) => (!one.all).then_some(false),
        (None, None) => None,
    };
    let all: BTreeSet<&Question> = before.keys().chain(after.keys()).collect();
    let is_other = |question: &&Question| before.get(*question).map(|a| a.all) != after.get(*question).map(|a| a.all);
    let mut found = Found { states: 1, changed: all.into_iter().filter(is_other).count(), ..Found::default() };
    for seen in history.iter().filter(|seen| seen.version > from && seen.version <= to) {
        if !state.take(seen) {
            continue;
        }
        found.states += 1;
        for (question, answer) in state.answers() {
            let gap = match at_ends(&question) {
                Some(true) if !answer.all => "cut",
                Some(false) if answer.some => "open",
                _ => continue,
            };
            let event = format!(
                "{} {} {}",
                if seen.deleted { "deleted" } else { "written" },
                seen.kind,
                json::name(&seen.object)
            );
            let (from, to, port) = question;
            found.gaps.insert(format!("{from} > {to}:{port} {gap} by {event} at {}: {}", seen.version, answer.why));
        }
    }
    found
}
