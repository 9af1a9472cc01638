//! Laws over random stacks, edits and interruptions.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::World;
use crate::child::labels;
use crate::rollout::Body;
use crate::rollout::health::{Progress, progress};

/// Services with edges only to earlier ones: no cycles. A service is (image tag, replicas, edges as a bit mask).
fn services(most: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec((1..4u8, 0..3i32, any::<u8>()), 1..=most).prop_map(|list| {
        let mut map = serde_json::Map::new();
        for (at, (tag, replicas, edges)) in list.iter().enumerate() {
            let on: serde_json::Map<String, Value> =
                (0..at.min(8)).filter(|bit| edges >> bit & 1 == 1).map(|bit| (format!("s{bit}"), json!({}))).collect();
            let mut service = json!({"image": format!("i:{tag}"), "replicas": replicas});
            if !on.is_empty() {
                service["dependsOn"] = Value::Object(on);
            }
            map.insert(format!("s{at}"), service);
        }
        Value::Object(map)
    })
}

/// What the world does between two writes.
#[derive(Clone, Debug)]
enum Move {
    /// A rollout ends.
    Complete(usize),
    /// A rollout begins.
    Begin(usize),
    /// The operator writes only so many of its writes, then dies.
    Crash(usize),
    /// The operator makes a whole pass.
    Pass,
    /// The user edits.
    Edit(Value),
    /// Somebody deletes a workload.
    Delete(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0..6usize).prop_map(Move::Complete),
        2 => (0..6usize).prop_map(Move::Begin),
        2 => (0..5usize).prop_map(Move::Crash),
        4 => Just(Move::Pass),
        1 => services(6).prop_map(Move::Edit),
        1 => (0..6usize).prop_map(Move::Delete),
    ];
    prop::collection::vec(one, 0..30)
}

/// Every workload that the plan would create, or whose template it would change, has dependencies that are complete at their own wanted
/// revision (finished, with a pod to serve, where it is running already), and nothing behind those is still on the move.
fn respects_order(world: &World) {
    let standing = |name: &str| {
        progress(world.id(name).kind, world.workload(name), &world.stack.services[name].revision, std::iter::empty())
    };
    for write in world.plan().writes.iter().filter(|w| w.id.kind.starts_pods()) {
        let (name, service) = world.stack.services.iter().find(|(name, _)| world.id(name) == write.id).unwrap();
        let live = world.workload(name);
        if let Body::Scale { count } = write.body {
            assert!(
                count == 0 || live.is_some_and(|c| c.facts.spec_replicas > Some(0)),
                "the count alone never starts {name} from nothing"
            );
            continue;
        }
        if live.is_some_and(|c| {
            c.annotation(labels::REVISION) == Some(service.revision.as_str()) && c.facts.spec_replicas != Some(0)
        }) {
            continue;
        }
        let running = live.is_some_and(|c| c.facts.available_replicas > 0);
        for on in service.needs.keys() {
            let held = standing(on) == Progress::Complete
                || running
                    && standing(on) == Progress::Finished
                    && world.workload(on).unwrap().facts.available_replicas > 0;
            assert!(held, "{name} goes before {on}: {:?}", standing(on));
            let mut behind: Vec<&String> = world.stack.services[on].needs.keys().collect();
            while let Some(further) = behind.pop() {
                assert!(
                    standing(further) >= Progress::Finished,
                    "{name} goes while {further} behind {on} is {:?}",
                    standing(further)
                );
                behind.extend(world.stack.services[further].needs.keys());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_order_and_comes_to_rest_where_a_fresh_start_does(first in services(6), history in moves()) {
        let mut world = World::new(&first);
        let mut last = first;
        let there = |world: &World, at: usize| world.workload(&format!("s{at}")).is_some() && world.stack.services.contains_key(&format!("s{at}"));
        for step in history {
            respects_order(&world);
            match step {
                Move::Complete(at) if there(&world, at) => world.complete(&format!("s{at}")),
                Move::Begin(at) if there(&world, at) => world.begin(&format!("s{at}")),
                Move::Delete(at) => { { let id = world.id(&format!("s{at}")); world.children.remove(&id) }; }
                Move::Complete(_) | Move::Begin(_) => {}
                Move::Crash(after) => {
                    let plan = world.plan();
                    for write in plan.writes.iter().take(after) {
                        world.take(write);
                    }
                }
                Move::Pass => { world.pass(); }
                Move::Edit(services) => { world.edit(&services); last = services; }
            }
        }
        world.settle();
        prop_assert!(world.plan().writes.is_empty() && world.plan().deletes.is_empty(), "a stack at rest plans nothing");

        let mut fresh = World::new(&last);
        fresh.settle();
        let shape = |world: &World| -> Vec<_> {
            let part = |c: &crate::child::Child| (c.digest, c.facts.spec_replicas);
            world.children.iter().map(|(id, child)| (id.clone(), part(child))).collect()
        };
        prop_assert_eq!(shape(&world), shape(&fresh), "where it came from does not show");
    }
}
