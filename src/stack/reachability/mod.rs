//! Who can talk to whom, from what a stack means: networks, published ports, isolation. It looks at no policy; a test proves that the rendered
//! ones say the same.
//!
//! A call has to get out of its caller's walls and into its target's. Policies are about pods: a published port is open to the pods of the
//! namespace too. Ports that a `podTemplatePatch` moves are not seen here.

mod answer;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use answer::{Answer, At, Caller, Target, Wall, Way};

use super::model::{Network, Port, Service, Stack};
use crate::api::{Isolation, NetworkMode, OpenTo};

/// All questions that can be asked of a stack, and their answers.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    stack: &'a Stack,
}

/// One line of the matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Who calls.
    pub from: Caller<'a>,
    /// Who is called.
    pub to: Target<'a>,
    /// On which port.
    pub at: At,
    /// Whether the call arrives.
    pub answer: Answer,
}

/// A network by what tells it from all others of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wire<'a> {
    Own(&'a str),
    Shared(&'a str),
}

/// Where a caller stands, for who looks at it from inside the walls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Namespace,
    Cluster,
    Outside,
}

/// What a target sees of a caller.
struct Seen<'a> {
    place: Place,
    wires: BTreeSet<Wire<'a>>,
    /// One of the stack's own.
    known: bool,
}

impl<'a> Matrix<'a> {
    /// Of a stack.
    pub fn of(stack: &'a Stack) -> Self {
        Matrix { stack }
    }

    /// Everybody who may call, in the order of a table's rows.
    pub fn callers(self) -> Vec<Caller<'a>> {
        let shared: BTreeSet<&str> = self.stack.networks.values().filter_map(|n| n.shared.as_deref()).collect();
        let services = self.stack.services.keys().map(|name| Caller::Service(name));
        services
            .chain(self.fillings().map(Caller::Populate))
            .chain(shared.into_iter().map(Caller::Shared))
            .chain([Caller::Namespace, Caller::Cluster, Caller::Outside])
            .collect()
    }

    /// Everybody who may be called, in the order of a table's columns.
    pub fn targets(self) -> Vec<Target<'a>> {
        let services = self.stack.services.keys().map(|name| Target::Service(name));
        services.chain(self.fillings().map(Target::Populate)).chain([Target::Internet, Target::Dns]).collect()
    }

    /// The ports to ask for: those that a service declares, and all others.
    pub fn ports(self, to: Target<'a>) -> Vec<At> {
        let Target::Service(name) = to else { return vec![At::Any] };
        let declared = self.stack.services.get(name).into_iter().flat_map(|service| &service.ports);
        let mut ports: Vec<At> = declared.map(|port| At::Declared(port.number, port.protocol)).collect();
        ports.push(if ports.is_empty() { At::Any } else { At::Other });
        ports
    }

    /// The whole matrix. A service to itself is one of its pods to another.
    pub fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        let targets = self.targets();
        self.callers().into_iter().flat_map(move |from| {
            let targets = targets.clone();
            targets.into_iter().flat_map(move |to| {
                let answer = move |at| Some(Entry { from, to, at, answer: self.answer(from, to, at)? });
                self.ports(to).into_iter().filter_map(answer)
            })
        })
    }

    /// Whether a call arrives. None where nobody asks: a name that the stack does not have, or what strangers may do with strangers.
    pub fn answer(self, from: Caller<'a>, to: Target<'a>, at: At) -> Option<Answer> {
        let leaves = match from {
            Caller::Service(name) => self.leaves(self.stack.services.get(name)?, &self.wires(to)?, to),
            Caller::Populate(_) if self.stack.isolation == Isolation::None => Ok(Way::NoWalls),
            Caller::Populate(volume) => self.fillings().find(|known| *known == volume).map(|_| Ok(Way::Fetches))?,
            Caller::Shared(_) | Caller::Namespace | Caller::Cluster | Caller::Outside => match to {
                Target::Service(_) | Target::Populate(_) => Ok(Way::NoWalls),
                Target::Internet | Target::Dns => return None,
            },
        };
        let arrives = |way| match to {
            Target::Service(name) => self.enters(&self.seen(from), self.stack.services.get(name)?, at),
            Target::Populate(_) if self.stack.isolation == Isolation::None => Some(Ok(Way::NoWalls)),
            Target::Populate(_) => Some(Err(Wall::Fills)),
            Target::Internet | Target::Dns => Some(Ok(way)),
        };
        Some(answer(match leaves {
            Ok(way) => arrives(way)?,
            Err(wall) => Err(wall),
        }))
    }

    /// Whether a call of service `from` of this stack arrives at service `to` of another one.
    pub fn across(self, from: &str, other: Matrix<'a>, to: &'a str, at: At) -> Option<Answer> {
        let (caller, target) = (self.stack.services.get(from)?, other.stack.services.get(to)?);
        let near = self.stack.namespace == other.stack.namespace;
        let of_others = |stack: &'a Stack, service: &'a Service| -> BTreeSet<Wire<'a>> {
            let all = joined(stack, service).into_keys();
            all.filter(|wire| near && matches!(wire, Wire::Shared(_))).collect()
        };
        let place = match (is_on_node(caller), near) {
            (true, _) => Place::Outside,
            (false, true) => Place::Namespace,
            (false, false) => Place::Cluster,
        };
        let seen = Seen { place, wires: of_others(self.stack, caller), known: false };
        let wires = of_others(other.stack, target);
        let leaves = self.leaves(caller, &wires, Target::Service(to));
        Some(answer(leaves.and_then(|_| other.enters(&seen, target, at).unwrap_or(Err(Wall::NothingShared)))))
    }

    /// Volumes that a Job fills.
    fn fillings(self) -> impl Iterator<Item = &'a str> {
        self.stack.volumes.iter().filter(|(_, volume)| volume.populate.is_some()).map(|(name, _)| name.as_str())
    }

    /// The networks of a target; none is a name that the stack does not have.
    fn wires(self, to: Target<'a>) -> Option<BTreeSet<Wire<'a>>> {
        match to {
            Target::Service(name) => Some(joined(self.stack, self.stack.services.get(name)?).into_keys().collect()),
            Target::Populate(volume) => self.fillings().find(|known| *known == volume).map(|_| BTreeSet::new()),
            Target::Internet | Target::Dns => Some(BTreeSet::new()),
        }
    }

    fn seen(self, from: Caller<'a>) -> Seen<'a> {
        let service = match from {
            Caller::Service(name) => self.stack.services.get(name),
            _ => None,
        };
        let place = match from {
            Caller::Service(_) if service.is_some_and(is_on_node) => Place::Outside,
            Caller::Service(_) | Caller::Populate(_) | Caller::Shared(_) | Caller::Namespace => Place::Namespace,
            Caller::Cluster => Place::Cluster,
            Caller::Outside => Place::Outside,
        };
        let wires = match from {
            Caller::Shared(network) => BTreeSet::from([Wire::Shared(network)]),
            _ => service.into_iter().flat_map(|service| joined(self.stack, service).into_keys()).collect(),
        };
        Seen { place, wires, known: service.is_some() }
    }

    /// Out of the walls of a caller, to a target that is in these networks.
    fn leaves(self, caller: &'a Service, wires: &BTreeSet<Wire<'a>>, to: Target<'a>) -> Result<Way, Wall> {
        let name = || caller.name.clone();
        if self.stack.isolation == Isolation::None {
            return Ok(Way::NoWalls);
        }
        if is_on_node(caller) {
            return Ok(Way::OnNode(name()));
        }
        if caller.network_mode == NetworkMode::None {
            return Err(Wall::NoNetwork(name()));
        }
        let own = joined(self.stack, caller);
        if to == Target::Dns {
            return Ok(Way::Resolver);
        }
        if let Some((name, _)) = own.values().find(|(_, network)| !network.internal) {
            return Ok(Way::WayOut((*name).to_owned()));
        }
        let shared: Vec<String> =
            own.iter().filter(|(wire, _)| wires.contains(wire)).map(|(_, (name, _))| (*name).to_owned()).collect();
        if shared.is_empty() { Err(Wall::NoWayOut(name())) } else { Ok(Way::Networks(shared)) }
    }

    /// Into the walls of a target.
    fn enters(self, caller: &Seen<'_>, target: &'a Service, at: At) -> Option<Result<Way, Wall>> {
        let name = || target.name.clone();
        if self.stack.isolation == Isolation::None {
            return Some(Ok(Way::NoWalls));
        }
        if is_on_node(target) {
            return Some(Ok(Way::OnNode(name())));
        }
        if target.network_mode == NetworkMode::None {
            return Some(Err(Wall::NoNetwork(name())));
        }
        let own = joined(self.stack, target);
        let shared: Vec<String> = own
            .iter()
            .filter(|(wire, _)| caller.wires.contains(wire))
            .map(|(_, (name, _))| (*name).to_owned())
            .collect();
        if !shared.is_empty() {
            return Some(Ok(Way::Networks(shared)));
        }
        if self.stack.isolation == Isolation::Namespace && caller.place == Place::Namespace {
            return Some(Ok(Way::Isolation));
        }
        let port = match at {
            At::Declared(number, protocol) => {
                Some(target.ports.iter().find(|port| (port.number, port.protocol) == (number, protocol))?)
            }
            At::Other | At::Any => None,
        };
        if let Some(way) = port.and_then(|port| to_everyone(target, port)) {
            return Some(Ok(way));
        }
        let open_to = port.map_or(OpenTo::Networks, |port| port.open_to);
        Some(match (open_to, caller.place) {
            (OpenTo::Namespace, Place::Namespace) | (OpenTo::Cluster, Place::Namespace | Place::Cluster) => {
                Ok(Way::OpenTo(open_to))
            }
            (OpenTo::Namespace | OpenTo::Cluster, _) => Err(Wall::OpenTo(open_to)),
            (OpenTo::Networks, _) if own.values().all(|(_, network)| network.internal) => Err(Wall::NoWayIn(name())),
            (OpenTo::Networks, Place::Cluster | Place::Outside) if !caller.known => Err(Wall::NotPublished),
            (OpenTo::Networks, _) => Err(Wall::NothingShared),
        })
    }
}

/// Why a port is open to whoever finds it, pods and others alike.
fn to_everyone(service: &Service, port: &Port) -> Option<Way> {
    let behind = service.published.iter().filter(|published| published.target == port.name);
    let numbers: BTreeSet<i32> = behind.map(|published| published.number).collect();
    let routes = service.routes.iter().filter(|route| route.port == port.name);
    let requests: Vec<String> =
        routes.map(|route| format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path)).collect();
    if !numbers.is_empty() {
        return Some(Way::Published(numbers.into_iter().collect()));
    }
    (!requests.is_empty()).then_some(Way::Routed(requests))
}

fn answer(found: Result<Way, Wall>) -> Answer {
    match found {
        Ok(way) => Answer::Open(way),
        Err(wall) => Answer::Shut(wall),
    }
}

/// Whether its pods live in the network of their node, where no policy reaches; a patch can say so too.
fn is_on_node(service: &Service) -> bool {
    let patched = || service.patch.as_ref().is_some_and(|patch| patch.spec.get("hostNetwork") == Some(&true.into()));
    service.network_mode == NetworkMode::Host || patched()
}

/// The networks of a service, with what its stack calls them and says of them. Two names of one shared network are one wire, which has a way out
/// if either has.
fn joined<'a>(stack: &'a Stack, service: &'a Service) -> BTreeMap<Wire<'a>, (&'a str, &'a Network)> {
    let mut all: BTreeMap<Wire<'a>, (&'a str, &'a Network)> = BTreeMap::new();
    if is_on_node(service) {
        return all;
    }
    for (name, network) in service.networks.iter().filter_map(|name| Some((name, stack.networks.get(name)?))) {
        let wire = network.shared.as_deref().map_or(Wire::Own(name), Wire::Shared);
        let kept = all.entry(wire).or_insert((name, network));
        if kept.1.internal {
            *kept = (name, network);
        }
    }
    all
}
