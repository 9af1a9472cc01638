//! Who reaches whom: the live policies and the live pods, put to the evaluator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use e2e::observer::Seen;
use e2e::policy::{Cluster, End, Pod};
use e2e::{Kind, Space, json};
use serde_json::Value;

/// Policies and pods of some namespaces at one moment.
pub struct Reach {
    /// Where a pod without another word lives.
    home: String,
    cluster: Cluster,
}

/// Who is no pod of these namespaces.
enum Who {
    Pod(Box<Pod>),
    Outside,
}

impl Reach {
    /// As it is now. Pods that are on their way out do not count.
    pub async fn of(spaces: &[&Space]) -> Reach {
        let mut cluster = Cluster::default();
        for space in spaces {
            for policy in space.list(Kind::NetworkPolicy).await {
                cluster.policies.push(serde_json::from_value(policy).expect("a policy"));
            }
            let pods = space.list(Kind::Pod).await;
            let running = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            cluster.pods.extend(running.map(|pod| Pod::of(&space.name, json::name(pod), pod)));
        }
        Reach { home: spaces[0].name.clone(), cluster }
    }

    /// Whether one may dial the other on this port, `8000` or `53/UDP`. A name is `stack/service`, `namespace:stack/service`, `stranger` (a pod of
    /// the namespace), `elsewhere` (a pod of another one), `outside`, or `dns`. Every pod of a service must have the same verdict.
    pub fn may(&self, from: &str, to: &str, port: &str) -> bool {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "TCP"));
        let number = number.parse().expect("a port");
        let mut verdicts = BTreeSet::new();
        for from in self.who(from) {
            for to in self.who(to) {
                verdicts.insert(self.cluster.verdict(from.end(), to.end(), number, protocol).allowed);
            }
        }
        assert_eq!(verdicts.len(), 1, "{from} -> {to}: pods of one service differ");
        verdicts.contains(&true)
    }

    /// Fails unless every one of these is so; returns how many there were.
    pub fn assert_all(&self, what: &str, expected: &[(&str, &str, &str, bool)]) -> usize {
        let wrong: Vec<String> = expected
            .iter()
            .filter(|(from, to, port, allowed)| self.may(from, to, port) != *allowed)
            .map(|(from, to, port, allowed)| format!("{from} -> {to} on {port}: expected {allowed}, saw {}", !allowed))
            .collect();
        assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
        println!("{what}: {} verdicts, as they should be", expected.len());
        expected.len()
    }

    fn who(&self, name: &str) -> Vec<Who> {
        let stranger = |namespace: &str, labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let pod = Pod { namespace: namespace.into(), name: "stranger".into(), labels, ..Pod::default() };
            vec![Who::Pod(Box::new(pod))]
        };
        match name {
            "outside" => return vec![Who::Outside],
            "stranger" => return stranger(&self.home, &[]),
            "elsewhere" => return stranger("elsewhere", &[]),
            "dns" => return stranger("kube-system", &[("k8s-app", "kube-dns")]),
            _ => {}
        }
        let (namespace, name) = name.split_once(':').unwrap_or((&self.home, name));
        let (stack, service) = name.split_once('/').expect("stack/service");
        let label = |pod: &Pod, key: &str| pod.labels.get(key).cloned().unwrap_or_default();
        let is = |pod: &&Pod| {
            pod.namespace == namespace
                && label(pod, "appstack.dev/stack") == stack
                && label(pod, "appstack.dev/service") == service
        };
        let found: Vec<Who> = self.cluster.pods.iter().filter(is).map(|pod| Who::Pod(Box::new(pod.clone()))).collect();
        assert!(!found.is_empty(), "no pod of {namespace}:{name}");
        found
    }
}

impl Who {
    fn end(&self) -> End<'_> {
        match self {
            Who::Pod(pod) => End::Pod(pod),
            Who::Outside => End::Outside("203.0.113.7".parse().expect("an address")),
        }
    }
}

/// Every state of policies and pods that the observer saw since a version, put to the evaluator: of each pair of services, on this port, that may
/// talk at the beginning and at the end, or may not at either, the states in which some of their pods had another verdict. And how many verdicts
/// were given.
pub fn gaps(history: &[Seen], since: u64, port: u16) -> (Vec<String>, usize) {
    let mut now: BTreeMap<(Kind, String), Arc<Value>> = BTreeMap::new();
    let mut states = Vec::new();
    for seen in history.iter().filter(|seen| matches!(seen.kind, Kind::Pod | Kind::NetworkPolicy)) {
        if seen.version > since && states.is_empty() {
            states.push((seen.version, verdicts(&now, port)));
        }
        let key = (seen.kind, json::name(&seen.object).to_owned());
        let is_going = seen.kind == Kind::Pod && !seen.object["metadata"]["deletionTimestamp"].is_null();
        if seen.deleted || is_going {
            now.remove(&key)
        } else {
            now.insert(key, seen.object.clone())
        };
        if seen.version > since {
            states.push((seen.version, verdicts(&now, port)));
        }
    }
    let (Some((_, first)), Some((_, last))) = (states.first(), states.last()) else { return (Vec::new(), 0) };
    let same = first.iter().filter(|(pair, verdict)| verdict.len() == 1 && last.get(*pair) == Some(verdict));
    let mut found = Vec::new();
    for (pair, verdict) in same {
        for (version, state) in &states {
            if let Some(other) = state.get(pair).filter(|other| *other != verdict) {
                found.push(format!("at {version}: {pair} was {verdict:?} and is {other:?}"));
            }
        }
    }
    (found, states.iter().map(|(_, state)| state.len()).sum())
}

fn verdicts(now: &BTreeMap<(Kind, String), Arc<Value>>, port: u16) -> BTreeMap<String, BTreeSet<bool>> {
    let of = |kind: Kind| now.iter().filter(move |((k, _), _)| *k == kind).map(|((_, name), object)| (name, object));
    let policies = of(Kind::NetworkPolicy).map(|(_, p)| serde_json::from_value(p.as_ref().clone()).expect("a policy"));
    let cluster = Cluster { policies: policies.collect(), ..Cluster::default() };
    let pods: Vec<(String, Pod)> = of(Kind::Pod)
        .map(|(name, pod)| {
            let namespace = json::text(pod, "/metadata/namespace");
            let label = |key| json::label(pod, key);
            let service = format!("{}/{}", label("appstack.dev/stack"), label("appstack.dev/service"));
            (service, Pod::of(namespace, name, pod))
        })
        .collect();
    let mut found: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for (from, one) in &pods {
        for (to, other) in pods.iter().filter(|(to, _)| to != from) {
            let allowed = cluster.verdict(End::Pod(one), End::Pod(other), port, "TCP").allowed;
            found.entry(format!("{from} -> {to}")).or_default().insert(allowed);
        }
    }
    found
}
