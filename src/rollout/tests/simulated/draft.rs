//! Random stacks, as users write and edit them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// What a user has in mind. Services are in the order of their dependencies, so that no cycle can be drawn; their names are not.
#[derive(Clone, PartialEq)]
pub(super) struct Draft {
    services: Vec<Drawn>,
    rest: Rest,
}

/// One service. Bits of `edges` are earlier services, those of the others options.
#[derive(Clone, Debug, PartialEq)]
struct Drawn {
    name: u8,
    shape: u8,
    tag: u8,
    count: i32,
    edges: u8,
    kinds: u8,
    options: u16,
}

/// What stands beside the services.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is a field of the spec
struct Rest {
    fetch: u8,
    content: u8,
    internal: bool,
    stopped: bool,
    suspend: bool,
    profile: bool,
    isolation: u8,
    /// Of the shared volume and of those of each pod: sizes only grow.
    sizes: (u8, u8),
}

/// One edit.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Another stack altogether.
    All(Draft),
    /// What stood there two edits ago.
    Undo,
    /// Another image of a service.
    Image(u8),
    /// Another count.
    Count(u8, i32),
    /// Another workload.
    Shape(u8, u8),
    /// Another option on or off.
    Option(u8, u8),
    /// An edge more, or one less.
    Edge(u8, u8),
    /// Two services change places: edges between them are reversed.
    Swap(u8, u8),
    /// A service has another name.
    Rename(u8),
    /// A service is gone.
    Remove(u8),
    /// One is added, like this.
    Add(u8),
    Stopped,
    Suspend,
    Profile,
    Isolation(u8),
    Content,
    Fetch,
    Grow(bool),
}

const SHAPES: u8 = 14;
const MODELS: u16 = 1;
const CONFIG: u16 = 2;
const PUBLISHED: u16 = 4;
const BACK: u16 = 8;
const ROLLBACK: u16 = 16;
const RESTART: u16 = 32;
const ROUTE: u16 = 64;
const PROFILE: u16 = 128;
const CONTINUE: u16 = 256;
const STOP_FIRST: u16 = 512;
const ALIAS: u16 = 1024;
const SCRATCH: u16 = 2048;
const OPTIONS: u8 = 12;

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    // Half of the first options, a quarter of the others.
    let options = any::<[u16; 2]>().prop_map(|[a, b]| a & (0b1_1110 | b));
    let service = (0..SHAPES, 1..3u8, 0..4i32, any::<u8>(), any::<u8>(), options);
    let services = (prop::collection::vec(service, 1..=5), 0..3u8).prop_map(|(list, turn)| {
        let count = u8::try_from(list.len()).unwrap();
        let drawn = |(at, (shape, tag, count_of_pods, edges, kinds, options))| {
            let at = u8::try_from(at).unwrap();
            let name = if turn == 2 { count - 1 - at } else { (at + turn) % count };
            Drawn { name, shape, tag, count: count_of_pods, edges, kinds, options }
        };
        list.into_iter().enumerate().map(drawn).collect()
    });
    let rare = || prop::bool::weighted(0.1);
    let rest = (1..3u8, 1..3u8, any::<bool>(), [rare(), rare(), prop::bool::weighted(0.5)], 0..6u8, (1..3u8, 1..3u8));
    (services, rest).prop_map(
        |(services, (fetch, content, internal, [stopped, suspend, profile], isolation, sizes))| Draft {
            services,
            rest: Rest {
                fetch,
                content,
                internal,
                stopped,
                suspend,
                profile,
                isolation: isolation.saturating_sub(3),
                sizes,
            },
        },
    )
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    let at = || 0..8u8;
    prop_oneof![
        4 => draft().prop_map(Edit::All),
        2 => Just(Edit::Undo),
        4 => at().prop_map(Edit::Image),
        2 => (at(), 0..4i32).prop_map(|(at, count)| Edit::Count(at, count)),
        2 => (at(), 0..SHAPES).prop_map(|(at, shape)| Edit::Shape(at, shape)),
        3 => (at(), 0..OPTIONS).prop_map(|(at, option)| Edit::Option(at, option)),
        2 => (at(), at()).prop_map(|(at, on)| Edit::Edge(at, on)),
        1 => (at(), at()).prop_map(|(at, other)| Edit::Swap(at, other)),
        1 => at().prop_map(Edit::Rename),
        2 => at().prop_map(Edit::Remove),
        1 => at().prop_map(Edit::Add),
        1 => Just(Edit::Stopped),
        1 => Just(Edit::Suspend),
        1 => Just(Edit::Profile),
        1 => (0..3u8).prop_map(Edit::Isolation),
        2 => Just(Edit::Content),
        1 => Just(Edit::Fetch),
        1 => any::<bool>().prop_map(Edit::Grow),
    ]
}

impl Draft {
    /// What it is after an edit. `before`: what it was before the last one.
    pub(super) fn after(&self, edit: &Edit, before: &Draft) -> Draft {
        let mut next = self.clone();
        let count = next.services.len();
        let place = |at: u8| usize::from(at) % count;
        match edit {
            Edit::All(other) => next = other.clone(),
            Edit::Undo => next = before.clone(),
            Edit::Image(at) => next.services[place(*at)].tag ^= 3,
            Edit::Count(at, pods) => next.services[place(*at)].count = *pods,
            Edit::Shape(at, shape) => next.services[place(*at)].shape = *shape,
            Edit::Option(at, option) => next.services[place(*at)].options ^= 1 << option,
            Edit::Edge(at, on) => next.services[place(*at)].edges ^= 1 << (on % 5),
            Edit::Swap(at, other) => next.services.swap(place(*at), place(*other)),
            Edit::Rename(at) => {
                let free = (0..u8::MAX).find(|name| next.services.iter().all(|service| service.name != *name));
                next.services[place(*at)].name = free.unwrap();
            }
            Edit::Remove(at) if count > 1 => drop(next.services.remove(place(*at))),
            Edit::Add(like) if count < 6 => {
                let free = (0..u8::MAX).find(|name| next.services.iter().all(|service| service.name != *name));
                let like = next.services[place(*like)].clone();
                next.services.push(Drawn { name: free.unwrap(), ..like });
            }
            Edit::Remove(_) | Edit::Add(_) => {}
            Edit::Stopped => next.rest.stopped = !next.rest.stopped,
            Edit::Suspend => next.rest.suspend = !next.rest.suspend,
            Edit::Profile => next.rest.profile = !next.rest.profile,
            Edit::Isolation(isolation) => next.rest.isolation = *isolation,
            Edit::Content => next.rest.content ^= 3,
            Edit::Fetch => next.rest.fetch ^= 3,
            Edit::Grow(shared) => {
                if *shared {
                    next.rest.sizes.0 += 1;
                } else {
                    next.rest.sizes.1 += 1;
                }
            }
        }
        let (ours, theirs) = (self.rest.sizes, next.rest.sizes);
        next.rest.sizes = (ours.0.max(theirs.0), ours.1.max(theirs.1));
        next
    }

    /// The same, with what holds the operator back lifted.
    pub(super) fn resumed(&self) -> Draft {
        Draft { rest: Rest { suspend: false, ..self.rest.clone() }, ..self.clone() }
    }

    /// Whether the operator is to leave it alone.
    pub(super) fn is_suspended(&self) -> bool {
        self.rest.suspend
    }

    /// The spec.
    pub(super) fn spec(&self) -> Value {
        let rest = &self.rest;
        let services: Map<String, Value> =
            (0..self.services.len()).map(|at| (self.services[at].name(), self.service(at))).collect();
        let mut spec = json!({
            "services": services,
            "volumes": {
                "data": {"size": format!("{}Gi", rest.sizes.0)},
                "own": {"size": format!("{}Gi", rest.sizes.1), "perReplica": true},
                "scratch": {"size": "1Gi", "retention": "Delete"},
                "models": {"size": "1Gi", "accessMode": "ReadWriteMany", "populate": {"image": format!("fetch:{}", rest.fetch), "command": ["fetch"]}},
            },
            "configs": {"conf": {"content": rest.content.to_string()}},
            "networks": {"back": {"internal": rest.internal}},
            "stopped": rest.stopped,
            "suspend": rest.suspend,
            "isolation": (["Networks", "Namespace", "None"][usize::from(rest.isolation)]),
        });
        if rest.profile {
            spec["profiles"] = json!(["more"]);
        }
        spec
    }

    fn is_off(&self, at: usize) -> bool {
        self.services[at].options & PROFILE != 0 && !self.rest.profile
    }

    fn service(&self, at: usize) -> Value {
        let drawn = &self.services[at];
        let (shape, has) = (drawn.shape, |option: u16| drawn.options & option != 0);
        let mut service = json!({"image": format!("i:{}", drawn.tag)});
        let mut mounts = Map::new();
        let mut update = Map::new();
        match shape {
            0 => {}
            3 | 10 => {
                service["autoscale"] = json!({"min": 2, "max": 5, "cpuPercent": 50});
                service["resources"] = json!({"requests": {"cpu": 1}});
            }
            1 | 2 | 4..=6 | 12 => service["replicas"] = json!(drawn.count),
            7 | 13 => service["mode"] = json!("Global"),
            11 => service["mode"] = json!("Replicated"),
            _ => service["mode"] = json!("Job"),
        }
        let is_job = service["mode"] == "Job";
        let on_host = matches!(shape, 12 | 13);
        if !is_job && has(ROLLBACK) {
            update.insert("onFailure".into(), json!("Rollback"));
            update.insert("history".into(), json!(2));
        } else if !is_job && has(CONTINUE) {
            update.insert("onFailure".into(), json!("Continue"));
        }
        if matches!(shape, 0..=3) && has(STOP_FIRST) {
            update.insert("order".into(), json!("StopFirst"));
        }
        if matches!(shape, 4 | 6 | 9) {
            mounts.insert("/data".into(), json!({"volume": "data"}));
        }
        if matches!(shape, 5 | 6 | 10) {
            mounts.insert("/own".into(), json!({"volume": "own"}));
        }
        if matches!(shape, 7 | 8 | 11) && has(MODELS) {
            mounts.insert("/models".into(), json!({"volume": "models", "readOnly": true}));
        }
        if matches!(shape, 1 | 4 | 8) && has(SCRATCH) {
            mounts.insert("/scratch".into(), json!({"volume": "scratch"}));
        }
        if has(CONFIG) {
            mounts.insert("/conf".into(), json!({"config": "conf"}));
        }
        if on_host {
            service["networkMode"] = json!("Host");
            service["podSecurity"] = json!("Privileged");
            service["ports"] = json!({"http": {"port": 80 + drawn.name}});
        } else {
            if has(PUBLISHED) || has(ROUTE) {
                service["ports"] = json!({"http": {"port": 80}});
            }
            if has(PUBLISHED) {
                service["ports"]["http"]["published"] = json!(80);
            }
            if has(ROUTE) && !is_job {
                service["routes"] =
                    json!({"web": {"path": format!("/{}", drawn.name), "port": "http", "ingressClassName": "nginx"}});
            }
            if has(BACK) || has(ALIAS) {
                let network = if has(BACK) { "back" } else { "default" };
                service["networks"] = json!({network: {}});
                if has(ALIAS) && !is_job {
                    service["networks"][network]["aliases"] = json!(["also"]);
                }
            }
        }
        if has(PROFILE) {
            service["profiles"] = json!(["more"]);
        }
        for (key, map) in [("mounts", mounts), ("update", update), ("dependsOn", self.needs(at))] {
            if !map.is_empty() {
                service[key] = Value::Object(map);
            }
        }
        service
    }

    fn needs(&self, at: usize) -> Map<String, Value> {
        let drawn = &self.services[at];
        let edge = |on: usize| {
            let mut edge = match drawn.kinds >> (2 * (on % 4)) & 3 {
                0 => json!({"condition": "Started"}),
                1 => json!({"required": false}),
                _ => json!({}),
            };
            if self.is_off(on) {
                edge["required"] = json!(false);
            }
            if drawn.options & RESTART != 0 {
                edge["restart"] = json!(true);
            }
            edge
        };
        (0..at).filter(|on| drawn.edges >> (on % 8) & 1 == 1).map(|on| (self.services[on].name(), edge(on))).collect()
    }
}

impl Drawn {
    fn name(&self) -> String {
        format!("s{}", self.name)
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spec = self.spec();
        for (name, service) in spec["services"].as_object().into_iter().flatten() {
            write!(f, "\n      {name}: {service}")?;
        }
        let rest = &self.rest;
        write!(
            f,
            "\n      fetch {}, content {}, sizes {:?}, isolation {}{}{}{}{}",
            rest.fetch,
            rest.content,
            rest.sizes,
            spec["isolation"],
            if rest.internal { ", back is internal" } else { "" },
            if rest.stopped { ", stopped" } else { "" },
            if rest.suspend { ", suspended" } else { "" },
            if rest.profile { ", with profile" } else { "" },
        )
    }
}
