//! What NetworkPolicies mean: policies and pods in, a verdict on a connection out.
//!
//! Written from the API's documentation, apart from the operator, to judge what it renders. Not modelled: that a node always reaches its own pods, and
//! that answers to an allowed connection pass. What the API server refuses (an address block that is none, an operator that is none) is a panic.
//!
//! Besides the standard library it needs nothing but `k8s_openapi` and `serde_json`, so other test code may include it by its path.

mod matching;

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use serde_json::Value;

/// Labels.
pub type Labels = BTreeMap<String, String>;

/// A port that a container names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name; empty where it has none.
    pub name: String,
    /// On which it listens.
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Where it lives.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Ports that its containers name; those it does not name are reached by number alone.
    pub ports: Vec<ContainerPort>,
    /// Its address, which address blocks see; one without matches none.
    pub ip: Option<IpAddr>,
    /// On its node's network: policies neither wall it nor know it by its labels. The API leaves open whether they do; that they do not is what
    /// most networks do, and the safe reading of a wall.
    pub host_network: bool,
}

impl Pod {
    /// From a pod, or a workload's pod template. Sidecars name ports too.
    pub fn of(namespace: &str, name: &str, object: &Value) -> Pod {
        let sidecars = items(object, "/spec/initContainers").filter(|c| c["restartPolicy"] == "Always");
        let containers = items(object, "/spec/containers").chain(sidecars);
        let ports = containers.flat_map(|c| items(c, "/ports")).map(|port| ContainerPort {
            name: text(port, "/name").to_owned(),
            number: port["containerPort"].as_u64().and_then(|n| u16::try_from(n).ok()).expect("a container port"),
            protocol: port["protocol"].as_str().unwrap_or("TCP").to_owned(),
        });
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
            ports: ports.collect(),
            ip: text(object, "/status/podIP").parse().ok(),
            host_network: object.pointer("/spec/hostNetwork").is_some_and(|on| on == true),
        }
    }

    fn is(&self, other: &Pod) -> bool {
        (&self.namespace, &self.name) == (&other.namespace, &other.name)
    }
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// No pod of the cluster.
    Outside(IpAddr),
}

impl End<'_> {
    fn ip(self) -> Option<IpAddr> {
        match self {
            End::Pod(pod) => pod.ip,
            End::Outside(ip) => Some(ip),
        }
    }

    /// The pod, if policies know it as one.
    fn pod(&self) -> Option<&Pod> {
        match self {
            End::Pod(pod) if !pod.host_network => Some(pod),
            End::Pod(_) | End::Outside(_) => None,
        }
    }
}

/// Everything that decides.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Labels of the namespaces; the one with its name, which the server adds to each, may be left out.
    pub namespaces: BTreeMap<String, Labels>,
    /// The pods: for those who ask about all of them. A verdict takes its pods as they come.
    pub pods: Vec<Pod>,
    /// The policies, of all namespaces.
    pub policies: Vec<NetworkPolicy>,
}

/// What one end's policies say of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// No policy concerns this end in this direction.
    Free,
    /// These policies let it, by `namespace/name`.
    Let(Vec<String>),
    /// These policies select the end, and none lets it.
    Walled(Vec<String>),
}

impl Side {
    /// Whether it lets the connection.
    pub fn lets(&self) -> bool {
        !matches!(self, Side::Walled(_))
    }
}

/// Whether a connection is allowed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Both sides let it.
    pub allowed: bool,
    /// What the policies of the end that is dialled say.
    pub ingress: Side,
    /// What the policies of the end that dials say.
    pub egress: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Cluster {
    /// Whether `from` may open a connection to `to` on this port, as policies see it: after translation, on the pod itself. A pod always reaches
    /// itself; replicas are told apart by their names.
    pub fn verdict(&self, from: End<'_>, to: End<'_>, port: u16, protocol: &str) -> Verdict {
        if let (End::Pod(one), End::Pod(other)) = (from, to)
            && one.is(other)
        {
            return Verdict { allowed: true, ingress: Side::Free, egress: Side::Free };
        }
        let asked = Asked { to, port, protocol };
        let ingress = self.side(Direction::Ingress, to, from, &asked);
        let egress = self.side(Direction::Egress, from, to, &asked);
        Verdict { allowed: ingress.lets() && egress.lets(), ingress, egress }
    }

    fn side(&self, direction: Direction, subject: End<'_>, peer: End<'_>, asked: &Asked<'_>) -> Side {
        let Some(pod) = subject.pod() else { return Side::Free };
        let none = NetworkPolicySpec::default();
        let (mut lets, mut walls) = (Vec::new(), Vec::new());
        for policy in &self.policies {
            let namespace = policy.metadata.namespace.as_deref().unwrap_or("default");
            let spec = policy.spec.as_ref().unwrap_or(&none);
            let selects = matching::selects(spec.pod_selector.as_ref(), &pod.labels);
            if namespace != pod.namespace || !selects || !concerns(spec, direction) {
                continue;
            }
            let name = format!("{namespace}/{}", policy.metadata.name.as_deref().unwrap_or_default());
            let lets_in = |(peers, ports): (Option<&[NetworkPolicyPeer]>, Option<&[NetworkPolicyPort]>)| {
                any_or_all(peers, |p| self.is_peer(p, namespace, peer)) && any_or_all(ports, |p| asked.is_on(p))
            };
            let opens = match direction {
                Direction::Ingress => {
                    spec.ingress.iter().flatten().any(|rule| lets_in((rule.from.as_deref(), rule.ports.as_deref())))
                }
                Direction::Egress => {
                    spec.egress.iter().flatten().any(|rule| lets_in((rule.to.as_deref(), rule.ports.as_deref())))
                }
            };
            if opens { &mut lets } else { &mut walls }.push(name);
        }
        match (lets.is_empty(), walls.is_empty()) {
            (false, _) => Side::Let(lets),
            (true, true) => Side::Free,
            (true, false) => Side::Walled(walls),
        }
    }

    /// Pods are known by their labels and those of their namespace; whoever has an address also by that.
    fn is_peer(&self, peer: &NetworkPolicyPeer, namespace: &str, end: End<'_>) -> bool {
        if let Some(block) = &peer.ip_block {
            return end.ip().is_some_and(|ip| matching::is_in_block(ip, block));
        }
        assert!(peer.pod_selector.is_some() || peer.namespace_selector.is_some(), "a peer that says nothing: {peer:?}");
        let Some(pod) = end.pod() else { return false };
        let at_home = match &peer.namespace_selector {
            None => pod.namespace == namespace,
            Some(selector) => matching::selects(Some(selector), &self.labels_of(&pod.namespace)),
        };
        at_home && matching::selects(peer.pod_selector.as_ref(), &pod.labels)
    }

    fn labels_of(&self, namespace: &str) -> Labels {
        let mut labels = self.namespaces.get(namespace).cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }
}

/// A rule without peers is for everyone, one without ports for every port.
fn any_or_all<T>(list: Option<&[T]>, is: impl FnMut(&T) -> bool) -> bool {
    list.is_none_or(|list| list.is_empty() || list.iter().any(is))
}

/// Types that are not written are what the server fills in: Ingress always, Egress where there are rules for it.
fn concerns(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    let written = spec.policy_types.as_deref().unwrap_or_default();
    match direction {
        Direction::Ingress => written.is_empty() || written.iter().any(|t| t == "Ingress"),
        Direction::Egress if written.is_empty() => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        Direction::Egress => written.iter().any(|t| t == "Egress"),
    }
}

/// The port that is asked about.
struct Asked<'a> {
    to: End<'a>,
    port: u16,
    protocol: &'a str,
}

impl Asked<'_> {
    /// A name is a port of the pod that is dialled, whichever way the policy looks; who is no pod has no names.
    fn is_on(&self, rule: &NetworkPolicyPort) -> bool {
        matching::is_port(rule, self.port, self.protocol, self.to.pod().map_or(&[], |pod| &pod.ports))
    }
}

#[cfg(test)]
mod tests;
