//! Every row of `expected.yaml`'s reachable and unreachable, dialled: from pods on the same node as who is dialled and on the other one, from
//! another stack, and from outside; by name and by address.
//!
//! Policies know a pod by its labels, and a pod starts wherever the scheduler puts it. So beside each service's own pods a caller is put on each
//! node that has none of them: a pod with their labels but for those by which Services find them. It has their walls and answers to nobody.

mod questions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::nodes::{Dialled, Nodes, dial, pods_of};
use e2e::samples::Sample;
use e2e::{Kind, Live, Space, eventually, json, live};
use futures::StreamExt as _;
use serde_json::{Value, json as value};

use crate::rollout::{plug_in_gpus, roll_out};
use questions::{Question, Source, Stack};

const NODES: [&str; 2] = ["node-0", "node-1"];
const OTHER: &str = "other-stack";

/// In Compose two services that share no network meet at the published port of the machine. A policy cannot tell them from anybody else who comes to a
/// published port, and these four have a way out: exactly these pairs are open, on this port of the pod alone.
const MEET_AT_A_PUBLISHED_PORT: [(&str, &str, u16); 4] = [
    ("analysis", "frontend", 8080),
    ("download", "frontend", 8080),
    ("processing", "frontend", 8080),
    ("spotify", "frontend", 8080),
];

#[test]
fn finity_reaches_what_is_listed_and_nothing_else() {
    holds("finity", None);
}

#[test]
fn cirame_reaches_what_is_listed_and_nothing_else() {
    holds("cirame", None);
}

#[test]
fn aurum_reaches_what_is_listed_and_nothing_else() {
    holds("aurum", Some("proxy"));
}

#[test]
fn aria_reaches_what_is_listed_and_nothing_else() {
    holds("aria", Some("monitoring"));
}

#[test]
fn soundforge_reaches_what_is_listed_and_nothing_else() {
    holds("soundforge", None);
}

/// Of a stack's variants the one with the most services: it has every row.
fn holds(stack: &'static str, variant: Option<&'static str>) {
    let nodes = Nodes::get();
    live(&format!("node_walls_{stack}"), async |t| {
        let sample = Sample::of(stack, variant);
        let expected = sample.expected();
        if !expected.gpus.is_empty() {
            plug_in_gpus(&t).await;
        }
        let mut documents = sample.documents();
        documents.push(value!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "another"},
            "spec": {"services": {"caller": {"image": "appstack.test/app:1", "mode": "Global"}}},
        }));
        let (_operator, name) = roll_out(&t, documents).await;
        t.space.wait_ready("another", Duration::from_secs(60)).await;
        let began = Instant::now();
        let balanced = nodes.balance(&t.space).await;
        let stack = Stack::of(&t.space, &name, expected, balanced).await;
        let sources = sources(&t, &stack).await;
        walls_stand(&t, &stack, &sources).await;

        let outside = ask_from_outside(nodes, &stack);
        let asked: Vec<(Source, Vec<Question>)> =
            sources.into_iter().map(|source| (source.clone(), stack.questions(&source))).collect();
        let mut tally = Tally::default();
        tally.take(&stack, "outside", None, outside);
        let space = &t.space;
        let mut answers = futures::stream::iter(asked.into_iter().map(|(source, questions)| {
            let (space, pod) = (space.clone(), source.pod.clone());
            async move {
                let seen = tokio::task::spawn_blocking(move || ask(questions, &|t| dial(&space, &pod, t)));
                (source, seen.await.expect("a dialler"))
            }
        }))
        .buffer_unordered(3);
        while let Some((source, seen)) = answers.next().await {
            tally.take(&stack, &source.service, Some(&source.node), seen);
        }
        drop(answers);
        tally.report(&stack, began.elapsed());
    });
}

/// The pods of each service and of the other stack, and callers where a node has none.
async fn sources(t: &Live, stack: &Stack) -> Vec<Source> {
    let mut sources = Vec::new();
    for (service, pods) in &stack.pods {
        let own = pods.iter().map(|pod| Source::of(service, pod));
        sources.extend(own);
        for node in NODES.iter().filter(|node| pods.iter().all(|pod| json::text(pod, "/spec/nodeName") != **node)) {
            let pod = caller(service, node, &pods[0]);
            t.space.apply_object(&pod).await;
            sources.push(Source { service: service.clone(), pod: json::name(&pod).to_owned(), node: (*node).into() });
        }
    }
    for pod in pods_of(&t.space, "another", "caller").await {
        sources.push(Source::of(OTHER, &pod));
    }
    assert_eq!(sources.iter().filter(|s| s.service == OTHER).count(), NODES.len(), "one on each node");
    eventually(Duration::from_secs(90), "the callers", async || {
        let pods = t.space.list(Kind::Pod).await;
        let waiting: Vec<&str> = pods.iter().filter(|pod| !json::holds(pod, "Ready")).map(json::name).collect();
        if waiting.is_empty() { Ok(()) } else { Err(waiting.join(" ")) }
    })
    .await;
    sources
}

fn caller(service: &str, node: &str, like: &Value) -> Value {
    let found_by = ["appstack.dev/service", "appstack.dev/job", "appstack.dev/alias", "pod-template-hash"];
    let labels: BTreeMap<&str, &Value> = json::entries(like, "/metadata/labels")
        .filter(|(key, _)| !found_by.iter().any(|finds| key.starts_with(finds)))
        .collect();
    value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("caller-{service}-{node}"), "labels": labels},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
            "containers": [{"name": "app", "image": "appstack.test/app:1", "command": ["app", "pause"]}],
        },
    })
}

/// Returns when the callers are known to the policy agents: those that are to have no way out have none.
async fn walls_stand(t: &Live, stack: &Stack, sources: &[Source]) {
    for source in sources.iter().filter(|source| stack.expected.no_egress.contains(&source.service)) {
        eventually(Duration::from_secs(30), &format!("the walls of {}", source.pod), async || {
            let (space, pod) = (t.space.clone(), source.pod.clone());
            let seen = tokio::task::spawn_blocking(move || dial(&space, &pod, &[questions::OUT])).await.unwrap();
            if seen[0].reached() { Err(format!("{seen:?}")) } else { Ok(()) }
        })
        .await;
    }
}

fn ask_from_outside(nodes: &Nodes, stack: &Stack) -> Vec<(Question, Dialled)> {
    ask(stack.questions_from_outside(), &|targets| nodes.dial_from_outside(targets))
}

/// What ought to be open may take a moment, on a machine that does much else; what ought to be shut must be so at once.
fn ask(questions: Vec<Question>, dial: &dyn Fn(&[(&str, u16)]) -> Vec<Dialled>) -> Vec<(Question, Dialled)> {
    let mut answered = Vec::new();
    let (mut open, begin) = (questions, Instant::now());
    loop {
        let targets: Vec<(&str, u16)> = open.iter().map(|q| (q.host.as_str(), q.port)).collect();
        let seen = dial(&targets);
        let all = open.into_iter().zip(seen);
        let in_time = begin.elapsed() < Duration::from_secs(20);
        let later = |question: &Question, seen: &Dialled| {
            let answered = if question.to.is_empty() { seen.reached() } else { seen.outcome == "answered" };
            question.open && !answered || seen.outcome == "no answer to the name"
        };
        let (again, done): (Vec<_>, Vec<_>) = all.partition(|(question, seen)| in_time && later(question, seen));
        answered.extend(done);
        open = again.into_iter().map(|(question, _)| question).collect();
        if open.is_empty() {
            return answered;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What was seen.
#[derive(Default)]
struct Tally {
    open: usize,
    shut: usize,
    sources: usize,
    rows: BTreeSet<String>,
    out: BTreeMap<bool, usize>,
    /// Of each pair by pod address: whether it was dialled on one node, and from the other.
    placed: BTreeMap<(String, String), BTreeSet<bool>>,
    through: BTreeSet<(String, String, u16)>,
    wrong: Vec<String>,
}

impl Tally {
    fn take(&mut self, stack: &Stack, from: &str, node: Option<&str>, seen: Vec<(Question, Dialled)>) {
        self.sources += 1;
        for (question, dialled) in seen {
            *if question.open { &mut self.open } else { &mut self.shut } += 1;
            self.rows.insert(question.row.clone());
            if question.host == questions::OUT.0 {
                *self.out.entry(question.open).or_default() += 1;
            }
            if let (Some(node), Some(at)) = (node, &question.node) {
                self.placed.entry((from.into(), question.to.clone())).or_default().insert(node == at);
            }
            if question.through {
                self.through.insert((from.into(), question.to.clone(), question.port));
            }
            let is_name = question.host.parse::<std::net::IpAddr>().is_err();
            let unknown = is_name && dialled.outcome.contains("name");
            let is_theirs = question.to.is_empty() || stack.is_of(&question.to, &dialled.who);
            if unknown || dialled.reached() != question.open || (question.open && !is_theirs) {
                self.wrong.push(format!(
                    "{} from {} ({}), expected {}: {dialled:?}",
                    question.row,
                    from,
                    node.unwrap_or("-"),
                    if question.open { "open" } else { "shut" }
                ));
            }
        }
    }

    fn report(&self, stack: &Stack, took: Duration) {
        let both = self.placed.values().filter(|nodes| nodes.len() == 2).count();
        println!(
            "{}: {} rows; {} sources dialled {} targets in {:.0} s: {} open, {} shut, {} mismatches; {both} pairs on one node and across; outside from {} pods, not from {}",
            stack.name,
            stack.expected.reachable.len() + stack.expected.unreachable.len(),
            self.sources,
            self.open + self.shut,
            took.as_secs_f64(),
            self.open,
            self.shut,
            self.wrong.len(),
            self.out.get(&true).unwrap_or(&0),
            self.out.get(&false).unwrap_or(&0),
        );
        assert!(
            self.wrong.is_empty(),
            "{} mismatches:\n  {}",
            self.wrong.len(),
            self.wrong[..self.wrong.len().min(40)].join("\n  ")
        );
        let missed: Vec<String> = stack.rows().filter(|row| !self.rows.contains(row)).collect();
        assert!(missed.is_empty(), "rows that nobody dialled: {missed:?}");
        let one_way: Vec<_> = self.placed.iter().filter(|(_, nodes)| nodes.len() < 2).collect();
        assert!(one_way.is_empty(), "pairs that were not dialled on one node and across: {one_way:?}");
        let meet: BTreeSet<_> = MEET_AT_A_PUBLISHED_PORT.map(|(from, to, port)| (from.into(), to.into(), port)).into();
        let meet = if stack.name == "soundforge" { meet } else { BTreeSet::new() };
        assert_eq!(self.through, meet, "pairs that meet at a published port");
    }
}

/// All pods of the services, once no more come and go.
async fn settled(space: &Space, stack: &str, services: &BTreeSet<String>) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    for service in services {
        let what = format!("the pods of {service}");
        let pods = eventually(Duration::from_secs(60), &what, async || {
            let pods = pods_of(space, stack, service).await;
            if !pods.is_empty() && pods.iter().all(|pod| json::holds(pod, "Ready")) {
                Ok(pods)
            } else {
                Err(pods.len().to_string())
            }
        })
        .await;
        found.insert(service.clone(), pods);
    }
    found
}
