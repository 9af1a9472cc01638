//! The words of the matrix: who asks for whom, and what is said.

use std::fmt;

use crate::api::{OpenTo, Protocol};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller<'a> {
    /// A pod of this service.
    Service(&'a str),
    /// The pod that fills this volume.
    Populate(&'a str),
    /// A pod of another stack of the namespace, in the network that stacks share under this name. What its own stack lets out is not looked at.
    Shared(&'a str),
    /// Any other pod of the namespace.
    Namespace,
    /// A pod of another namespace.
    Cluster,
    /// Somebody outside the cluster.
    Outside,
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target<'a> {
    /// A pod of this service.
    Service(&'a str),
    /// The pod that fills this volume.
    Populate(&'a str),
    /// An address outside the cluster.
    Internet,
    /// The cluster's resolvers, on the ports on which they answer.
    Dns,
}

/// On which port of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// One that the service declares.
    Declared(i32, Protocol),
    /// Any that it does not.
    Other,
    /// Whichever: the target is no service, or has no ports of its own.
    Any,
}

/// Whether a call arrives, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Open(Way),
    /// It does not.
    Shut(Wall),
}

impl Answer {
    /// Whether the call arrives.
    pub fn is_open(&self) -> bool {
        matches!(self, Answer::Open(_))
    }

    /// The reason in one word, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Answer::Open(way) => way.code(),
            Answer::Shut(wall) => wall.code(),
        }
    }
}

/// Why a call arrives. Where several reasons hold, the first of this list is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// `isolation: None` builds no walls.
    NoWalls,
    /// This service is on the network of its node, where no policy reaches.
    OnNode(String),
    /// They share these networks, as the target's stack calls them.
    Networks(Vec<String>),
    /// `isolation: Namespace` lets the namespace in.
    Isolation,
    /// The port is published under these numbers.
    Published(Vec<i32>),
    /// Requests for these hosts and paths are routed to the port.
    Routed(Vec<String>),
    /// The port is open to pods besides.
    OpenTo(OpenTo),
    /// This network of the caller is not internal.
    WayOut(String),
    /// Who has a network may ask for names.
    Resolver,
    /// A volume is filled from anywhere.
    Fetches,
}

/// Why a call does not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wall {
    /// `networkMode: None` of this service.
    NoNetwork(String),
    /// All networks of this caller are internal.
    NoWayOut(String),
    /// All networks of this target are internal.
    NoWayIn(String),
    /// The port is open to some pods, and not to this caller.
    OpenTo(OpenTo),
    /// No network is shared, and the port is not open to others.
    NothingShared,
    /// The port is not published.
    NotPublished,
    /// Nobody dials a pod that fills a volume.
    Fills,
}

impl Way {
    fn code(&self) -> &'static str {
        match self {
            Way::NoWalls => "NoWalls",
            Way::OnNode(_) => "OnNode",
            Way::Networks(_) => "SharedNetwork",
            Way::Isolation => "IsolationNamespace",
            Way::Published(_) => "Published",
            Way::Routed(_) => "Routed",
            Way::OpenTo(_) => "OpenTo",
            Way::WayOut(_) => "WayOut",
            Way::Resolver => "Resolver",
            Way::Fetches => "Populate",
        }
    }
}

impl Wall {
    fn code(&self) -> &'static str {
        match self {
            Wall::NoNetwork(_) => "NoNetwork",
            Wall::NoWayOut(_) => "NoWayOut",
            Wall::NoWayIn(_) => "NoWayIn",
            Wall::OpenTo(_) => "OpenToOthers",
            Wall::NothingShared => "NothingShared",
            Wall::NotPublished => "NotPublished",
            Wall::Fills => "Populate",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Open(way) => way.fmt(f),
            Answer::Shut(wall) => wall.fmt(f),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::NoWalls => f.write_str("isolation None: there are no walls"),
            Way::OnNode(service) => write!(f, "{service} is on the network of its node, outside of the walls"),
            Way::Networks(names) => {
                let word = if names.len() == 1 { "network" } else { "networks" };
                write!(f, "both are in {word} {}", listed(names))
            }
            Way::Isolation => f.write_str("isolation Namespace: open to the whole namespace"),
            Way::Published(numbers) => write!(f, "published as {}", listed(numbers)),
            Way::Routed(requests) => write!(f, "requests for {} are routed to it", listed(requests)),
            Way::OpenTo(whom) => write!(f, "open to every pod of the {}", word(*whom)),
            Way::WayOut(network) => write!(f, "network {network} has a way out"),
            Way::Resolver => f.write_str("every pod with a network may ask the cluster's DNS"),
            Way::Fetches => f.write_str("a volume is filled from anywhere"),
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wall::NoNetwork(service) => write!(f, "networkMode None: {service} has no network"),
            Wall::NoWayOut(service) => {
                write!(f, "internal networks only: {service} has no way out but to their members")
            }
            Wall::NoWayIn(service) => {
                write!(f, "internal networks only: {service} has no way in but from their members")
            }
            Wall::OpenTo(whom) => write!(f, "open to pods of the {} only", word(*whom)),
            Wall::NothingShared => f.write_str("they share no network, and the port is not open to others"),
            Wall::NotPublished => f.write_str("the port is not published"),
            Wall::Fills => f.write_str("nobody dials a pod that fills a volume"),
        }
    }
}

/// `service/db`, as kubectl names things, so that no service is taken for `outside`.
impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Service(name) => write!(f, "service/{name}"),
            Caller::Populate(volume) => write!(f, "populate/{volume}"),
            Caller::Shared(network) => write!(f, "shared-network/{network}"),
            Caller::Namespace => f.write_str("namespace"),
            Caller::Cluster => f.write_str("cluster"),
            Caller::Outside => f.write_str("outside"),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Service(name) => write!(f, "service/{name}"),
            Target::Populate(volume) => write!(f, "populate/{volume}"),
            Target::Internet => f.write_str("internet"),
            Target::Dns => f.write_str("dns"),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Declared(number, protocol) => write!(f, "{number}/{}", protocol.as_str()),
            At::Other => f.write_str("other"),
            At::Any => f.write_str("any"),
        }
    }
}

fn word(whom: OpenTo) -> &'static str {
    match whom {
        OpenTo::Networks => "networks",
        OpenTo::Namespace => "namespace",
        OpenTo::Cluster => "cluster",
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed<T: fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => texts.concat(),
    }
}
