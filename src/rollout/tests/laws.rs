//! Laws over random stacks, edits and interruptions.
//!
//! Two more are looked after by the world's controllers, whenever a pod starts: runs of a Job never overlap, and a claim with room for one writer never
//! sees two workloads of a service.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::controllers::has_ended;
use super::world::World;
use crate::api::{Condition, OnFailure};
use crate::child::{Child, ChildId, Kind, ReplicasOwner, labels};
use crate::render::Part;
use crate::rollout::health::{Progress, progress};
use crate::rollout::{Body, Step};
use crate::stack::{Need, Scale, Workload};

/// A stack as a user writes it: services, and what stands beside them.
#[derive(Clone, Debug)]
struct Spec {
    services: Value,
    rest: Value,
    /// Of the shared volume and of those of each pod. Sizes only grow.
    sizes: (u8, u8),
}

impl Spec {
    fn rest(&self, sizes: (u8, u8)) -> Value {
        let mut rest = self.rest.clone();
        rest["volumes"]["data"] = json!({"size": format!("{}Gi", sizes.0)});
        rest["volumes"]["own"] = json!({"size": format!("{}Gi", sizes.1), "perReplica": true});
        rest
    }
}

/// Services with edges only to earlier ones: no cycles.
fn spec() -> impl Strategy<Value = Spec> {
    let service = (0..12u8, 1..3u8, 0..4i32, any::<u8>(), any::<[u8; 2]>());
    let rest = (1..3u8, 1..3u8, any::<bool>(), prop::bool::weighted(0.15));
    (prop::collection::vec(service, 1..=5), rest, (1..3u8, 1..3u8)).prop_map(|(list, rest, sizes)| {
        let services = list.iter().enumerate().map(|(at, drawn)| (format!("s{at}"), service_of(at, drawn)));
        let (fetch, content, internal, stopped) = rest;
        let rest = json!({
            "volumes": {"models": {"size": "1Gi", "accessMode": "ReadWriteMany", "populate": {"image": format!("fetch:{fetch}"), "command": ["fetch"]}}},
            "configs": {"conf": {"content": content.to_string()}},
            "networks": {"back": {"internal": internal}},
            "stopped": stopped,
        });
        Spec { services: Value::Object(services.collect()), rest, sizes }
    })
}

fn service_of(at: usize, (shape, tag, count, edges, [kinds, more]): &(u8, u8, i32, u8, [u8; 2])) -> Value {
    let mut service = json!({"image": format!("i:{tag}")});
    let mut mounts = serde_json::Map::new();
    let auto = json!({"min": 2, "max": 5, "cpuPercent": 50});
    match shape {
        0 => {}
        3 | 10 => service["autoscale"] = auto,
        1 | 2 | 4..=6 => service["replicas"] = json!(count),
        7 => service["mode"] = json!("Global"),
        _ => service["mode"] = json!(if *shape == 11 { "Replicated" } else { "Job" }),
    }
    if more & 16 == 16 && service["mode"] != "Job" {
        service["update"] = json!({"onFailure": "Rollback", "history": 2});
    }
    if matches!(shape, 3 | 10) {
        service["resources"] = json!({"requests": {"cpu": 1}});
    }
    if matches!(shape, 4 | 6 | 9) {
        mounts.insert("/data".into(), json!({"volume": "data"}));
    }
    if matches!(shape, 5 | 6 | 10) {
        mounts.insert("/own".into(), json!({"volume": "own"}));
    }
    if matches!(shape, 7 | 8 | 11) && more & 1 == 1 {
        mounts.insert("/models".into(), json!({"volume": "models", "readOnly": true}));
    }
    if more & 2 == 2 {
        mounts.insert("/conf".into(), json!({"config": "conf"}));
    }
    if !mounts.is_empty() {
        service["mounts"] = Value::Object(mounts);
    }
    if more & 4 == 4 {
        service["ports"] = json!({"http": {"port": 80, "published": 80}});
    }
    if more & 8 == 8 {
        service["networks"] = json!({"back": {}});
    }
    let edge = |bit: usize| match kinds >> (2 * (bit % 4)) & 3 {
        0 => json!({"condition": "Started"}),
        1 => json!({"required": false}),
        _ => json!({}),
    };
    let on: serde_json::Map<String, Value> =
        (0..at).filter(|bit| edges >> bit & 1 == 1).map(|bit| (format!("s{bit}"), edge(bit))).collect();
    if !on.is_empty() {
        service["dependsOn"] = Value::Object(on);
    }
    service
}

/// What the world does between two writes. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Move {
    /// A rollout, or a Job, ends well.
    Complete(usize),
    /// A rollout begins.
    Begin(usize),
    /// A Job fails, or a rollout stands still.
    Fail(usize),
    /// An autoscaler sets a count.
    Scale(usize),
    /// Pods that were on their way out are gone.
    Reap,
    /// The operator carries out only so much of its plan, then dies.
    Crash(usize),
    /// The operator makes a whole pass.
    Pass,
    /// The user edits.
    Edit(Spec),
    /// Somebody deletes an object.
    Delete(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let any = 0..64usize;
    let one = prop_oneof![
        6 => any.clone().prop_map(Move::Complete),
        3 => any.clone().prop_map(Move::Begin),
        1 => any.clone().prop_map(Move::Fail),
        1 => any.clone().prop_map(Move::Scale),
        2 => Just(Move::Reap),
        3 => (0..8usize).prop_map(Move::Crash),
        6 => Just(Move::Pass),
        2 => spec().prop_map(Move::Edit),
        1 => any.prop_map(Move::Delete),
    ];
    prop::collection::vec(one, 0..30)
}

fn apply(world: &mut World, sizes: &mut (u8, u8), step: Move) {
    let chosen = |world: &World, at: usize| {
        let all = world.starters();
        all.get(at % all.len().max(1)).cloned()
    };
    match step {
        Move::Complete(at) => chosen(world, at).iter().for_each(|id| world.bring_home(id)),
        Move::Begin(at) => chosen(world, at).iter().for_each(|id| world.set_out(id)),
        Move::Fail(at) => chosen(world, at).iter().for_each(|id| world.fail(id)),
        Move::Scale(at) => chosen(world, at).iter().for_each(|id| autoscaled(world, id)),
        Move::Reap => world.reap(),
        Move::Crash(after) => {
            let plan = world.plan();
            plan.writes.iter().take(after).for_each(|write| world.take(write));
            let left = after.saturating_sub(plan.writes.len());
            plan.deletes.iter().take(left).for_each(|delete| world.delete(&delete.id, delete.orphan));
        }
        Move::Pass => drop(world.pass()),
        Move::Edit(spec) => {
            *sizes = (sizes.0.max(spec.sizes.0), sizes.1.max(spec.sizes.1));
            world.edit_with(&spec.services, &spec.rest(*sizes));
        }
        Move::Delete(at) => {
            let all: Vec<ChildId> =
                world.children.keys().filter(|id| !matches!(id.kind, Kind::Claim | Kind::Pod)).cloned().collect();
            all.get(at % all.len().max(1)).into_iter().for_each(|id| world.delete(id, false));
        }
    }
}

fn autoscaled(world: &mut World, id: &ChildId) {
    let autoscaler = ChildId { kind: Kind::Autoscaler, name: id.name.clone() };
    if world.children.contains_key(&autoscaler)
        && let Some(child) = world.children.get_mut(id).filter(|child| child.facts.spec_replicas > Some(0))
        && id.kind.has_replicas()
    {
        let child = std::sync::Arc::make_mut(child);
        child.meta.generation = child.meta.generation.map(|g| g + 1);
        (child.facts.spec_replicas, child.facts.replicas_owner) = (Some(4), ReplicasOwner::Autoscaler);
    }
}

fn service(child: &Child) -> &str {
    let name = child.label(labels::SERVICE);
    if name.is_empty() { child.label(labels::JOB) } else { name }
}

fn pods<'a>(world: &'a World, name: &'a str) -> impl Iterator<Item = &'a Child> {
    let pods = world.children.iter().filter(|(id, _)| id.kind == Kind::Pod).map(|(_, pod)| pod.as_ref());
    pods.filter(move |pod| service(pod) == name)
}

/// What the law asks of services that others depend on, read from the world itself.
struct Order<'a> {
    world: &'a World,
    steps: &'a std::collections::BTreeMap<String, Step>,
    progress: &'a std::collections::BTreeMap<String, Progress>,
}

impl Order<'_> {
    fn standing(&self, name: &str) -> Progress {
        let (world, revision) = (self.world, &self.world.stack.services[name].revision);
        progress(world.id(name).kind, world.workload(name), revision, pods(world, name))
    }

    fn has_started(&self, name: &str) -> bool {
        let revision = Some(self.world.stack.services[name].revision.as_str());
        let live = self.world.workload(name);
        let ran = |pod: &Child| pod.annotation(labels::REVISION) == revision && pod.facts.pod.has_run;
        live.is_some_and(|child| child.facts.spec_replicas == Some(0) || has_ended(child))
            || pods(self.world, name).any(ran)
    }

    fn has_failed(&self, name: &str) -> bool {
        let bad = matches!(self.standing(name), Progress::Overdue | Progress::Failed);
        bad || self.progress.get(name) == Some(&Progress::Overdue) // by the operator's own deadline
            || matches!(self.steps.get(name), Some(Step::Failed(_)))
    }

    /// What a service needs holds, and nothing behind that is on the move.
    fn check(&self, name: &str) {
        let world = self.world;
        let running = world.workload(name).is_some_and(|c| c.facts.available_replicas > 0)
            || pods(world, name).any(|pod| pod.facts.pod.ready && !pod.is_going());
        for (on, need) in &world.stack.services[name].needs {
            if !need.required && self.has_failed(on) {
                continue;
            }
            let is = self.standing(on);
            let held = match need.condition {
                Condition::Started => self.has_started(on),
                Condition::Healthy | Condition::Completed => {
                    let available = world.workload(on).is_some_and(|c| c.facts.available_replicas > 0);
                    is == Progress::Complete || running && is == Progress::Finished && available
                }
            };
            assert!(held, "{name} goes before {on}: {is:?}");
            self.nothing_moves_behind(on);
        }
    }

    fn nothing_moves_behind(&self, name: &str) {
        for (on, Need { condition, required }) in &self.world.stack.services[name].needs {
            if !required && self.has_failed(on) {
                continue;
            }
            let still = match condition {
                Condition::Started => self.has_started(on),
                Condition::Healthy | Condition::Completed => self.standing(on) >= Progress::Finished,
            };
            assert!(still, "{on} behind {name} is {:?}", self.standing(on));
            self.nothing_moves_behind(on);
        }
    }
}

/// Every workload that the plan would create, or whose template it would change, comes after what it depends on; its volumes are there and filled.
fn respects_order(world: &World) {
    let plan = world.plan();
    let order = Order { world, steps: &plan.steps, progress: &plan.progress };
    for write in plan.writes.iter().filter(|write| write.id.kind.starts_pods()) {
        let wanted = &world.wanted[&write.id];
        let live = world.children.get(&write.id);
        let replicas = match &write.body {
            Body::Scale { count } => {
                let runs = live.is_some_and(|c| c.facts.spec_replicas > Some(0));
                assert!(*count == 0 || runs, "the count alone never starts {}", write.id);
                continue;
            }
            Body::Object { replicas, .. } => *replicas,
            Body::Restore { .. } | Body::Grow { .. } => continue,
        };
        if world.stack.stopped {
            assert!(replicas == Some(0) || wanted.object["spec"]["suspend"] == true, "{} starts", write.id);
            continue;
        }
        let template = wanted.object["spec"]["template"]["spec"]["volumes"].as_array();
        for name in template.into_iter().flatten().filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str()) {
            let claim = ChildId { kind: Kind::Claim, name: name.to_owned() };
            let comes_first = write.after.contains(&claim) && plan.writes.iter().any(|write| write.id == claim);
            assert!(comes_first || world.children.contains_key(&claim), "{} goes before {claim}", write.id);
        }
        let Part::Service(name) = &wanted.part else { continue };
        let (name, service) = (name, &world.stack.services[name]);
        if live.is_some_and(|c| {
            c.annotation(labels::REVISION) == Some(service.revision.as_str())
                && c.facts.spec_replicas != Some(0)
                && !c.facts.suspended
        }) {
            continue;
        }
        order.check(name);
        for volume in service.mounts.iter().filter_map(|mount| mount.source.volume()) {
            let part = Part::Volume(volume.to_owned());
            let fill = world.wanted.iter().find(|(id, wanted)| id.kind == Kind::Job && wanted.part == part);
            let filled = fill.is_none_or(|(id, _)| {
                world.children.get(id).is_some_and(|job| job.facts.condition("Complete").is_some())
            });
            assert!(filled, "{name} goes before {volume} is filled");
        }
    }
}

/// At rest, everything is there as it is wanted, and nothing else; where it came from does not show.
fn is_as_wanted(world: &World) {
    let stopped = world.stack.stopped;
    for (id, wanted) in &world.wanted {
        let Some(child) = world.children.get(id) else {
            assert!(stopped && id.kind == Kind::Job || is_unproven(world, id), "{id} is missing");
            continue;
        };
        // One that has filled its volume is left alone.
        let over = !child.label(labels::POPULATE).is_empty() && has_ended(child);
        assert!(over || child.digest == Some(wanted.digest), "{id} is not as it is wanted");
    }
    let kept = world.children.iter().filter(|(id, _)| id.kind == Kind::Record);
    for (name, service) in &world.stack.services {
        let of_it = kept.clone().filter(|(_, record)| record.label(labels::HISTORY_OF) == name).count();
        // What runs, and what it would go back to, may be older than those.
        let goes_back = service.update.on_failure == OnFailure::Rollback;
        assert!(of_it <= if goes_back { service.update.history + 2 } else { 0 }, "{name} keeps {of_it} definitions");
    }
    for (id, child) in &world.children {
        // The last result of a Job stays until the next has succeeded, with the configs that it read.
        let reads = || world.children.values().any(|other| other.facts.config_maps.contains(&id.name));
        let is_result = stopped && (id.kind == Kind::Job && has_ended(child) || id.kind == Kind::ConfigMap && reads());
        let is_kept =
            id.kind == Kind::ConfigMap && kept.clone().any(|(_, other)| other.facts.config_maps.contains(&id.name));
        let stays = matches!(id.kind, Kind::Claim | Kind::Pod | Kind::Record) || is_result || is_kept;
        assert!(stays || world.wanted.contains_key(id), "{id} is left over");
        assert!(id.kind != Kind::Pod || child.facts.pod.ended || child.owner().is_some(), "{id} is nobody's");
        assert!(id.kind != Kind::Pod || !stopped || child.facts.pod.ended, "{id} runs on");
    }
    for (name, service) in &world.stack.services {
        let counted = matches!(service.workload, Workload::Deployment | Workload::StatefulSet);
        let Some(count) = world.workload(name).filter(|_| counted).and_then(|c| c.facts.spec_replicas) else {
            continue;
        };
        match &service.scale {
            _ if stopped => assert_eq!(count, 0, "{name}"),
            Scale::Fixed(Some(wanted)) => assert_eq!(count, *wanted, "{name}"),
            Scale::Fixed(None) | Scale::Auto(_) => assert!(count > 0, "{name}"),
        }
    }
}

/// Whether this is to keep what has not run yet: nothing of its service is wanted to run.
fn is_unproven(world: &World, id: &ChildId) -> bool {
    let Part::Service(name) = &world.wanted[id].part else { return false };
    id.kind == Kind::Record && world.workload(name).is_none_or(|child| child.facts.spec_replicas == Some(0))
}

/// Everything becomes ready. What was rolled back is tried again by a person, and Jobs that have failed are run again by a person.
fn come_to_rest(world: &mut World) {
    let failed = world.starters().into_iter().filter(|id| world.children[id].facts.condition("Failed").is_some());
    for id in failed.collect::<Vec<_>>() {
        world.delete(&id, false);
    }
    world.forget_failures();
    world.settle();
    is_as_wanted(world);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_order_and_comes_to_rest_as_the_stack_wants_it(first in spec(), history in moves()) {
        let mut sizes = first.sizes;
        let mut world = World::with(&first.services, &first.rest(sizes));
        world.lingering = true;
        for step in history {
            respects_order(&world);
            apply(&mut world, &mut sizes, step);
        }
        respects_order(&world);
        come_to_rest(&mut world);
    }

    #[test]
    fn one_stack_at_rest_becomes_another(first in spec(), then in spec(), crashes in prop::collection::vec(0..8usize, 0..6)) {
        let mut sizes = first.sizes;
        let mut world = World::with(&first.services, &first.rest(sizes));
        world.lingering = true;
        come_to_rest(&mut world);
        apply(&mut world, &mut sizes, Move::Edit(then));
        for after in crashes {
            respects_order(&world);
            apply(&mut world, &mut sizes, Move::Crash(after));
            apply(&mut world, &mut sizes, Move::Complete(after));
        }
        come_to_rest(&mut world);
    }
}
