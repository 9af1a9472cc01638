//! Services that change what they are: copies, one per node, a Job, claims of their own; under profiles, stopped and resumed.

use std::time::Duration;

use e2e::live;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::stacks::{Dice, SOON, service, stack};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const EDITS: u64 = 40;

// "A random storm of edits that also change kinds, with the operator killed on the way: the order holds, and it ends Ready."
#[test]
fn changes_of_kind_never_break_the_order() {
    live("kinds_random_edits", async |t| {
        let mut operator = t.space.operator().start();
        let seed = std::env::var("E2E_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7_u64);
        let mut dice = Dice(0x5eed_1234_5678_0000 + seed * 7919);
        let mut services = chain(&mut dice);
        t.space.apply_object(&whole(&services, false, false)).await;
        for edit in 1..=EDITS {
            for _ in 0..=dice.roll(3) {
                change(&mut services, &mut dice, edit);
            }
            let (stopped, more) = (edit != EDITS && dice.roll(8) == 0, dice.roll(2) == 0);
            t.space.apply_object(&whole(&services, stopped, more)).await;
            sleep(Duration::from_millis(dice.roll(600))).await;
            if edit % 13 == 0 {
                operator.kill();
                operator.start_again();
            }
        }
        t.space.wait_ready("kinds", SOON).await;
        let judged = t.assert_order().await;
        println!("{EDITS} edits: {judged} starts of pods, all in order");
        assert!(judged > 15, "expected the edits to start pods more than 15 times, saw {judged}");
    });
}

/// Each waits for every second one before it; the first has claims of its own for each copy, the last runs under a profile.
fn chain(dice: &mut Dice) -> Map<String, Value> {
    let mut services = Map::new();
    for (n, name) in NAMES.iter().enumerate() {
        let mut it = service(&format!("{name}:0"), 40 + dice.roll(120), &[]);
        let edge = |d: &&str| ((*d).to_owned(), json!({}));
        if n > 0 {
            it["dependsOn"] = NAMES[..n].iter().rev().step_by(2).map(edge).collect();
        }
        services.insert((*name).to_owned(), it);
    }
    services["a"]["mounts"] = json!({"/data": {"volume": "data"}});
    services["f"]["profiles"] = json!(["more"]);
    services
}

fn whole(services: &Map<String, Value>, stopped: bool, more: bool) -> Value {
    let mut all = stack("kinds", &Value::Object(services.clone()));
    all["spec"]["volumes"] = json!({"data": {"size": "1Gi", "perReplica": true}});
    if stopped {
        all["spec"]["stopped"] = json!(true);
    }
    if more {
        all["spec"]["profiles"] = json!(["more"]);
    }
    all
}

fn change(services: &mut Map<String, Value>, dice: &mut Dice, edit: u64) {
    let name = NAMES[usize::try_from(dice.roll(6)).unwrap()];
    let service = &mut services[name];
    let fixed = service["mode"] == "Job" || service["mode"] == "Global";
    match dice.roll(7) {
        0 | 1 => service["image"] = json!(format!("{name}:{edit}")),
        2 => service["env"]["EDIT"] = json!(edit.to_string()),
        3 if !fixed => service["replicas"] = json!(dice.roll(3)),
        4 | 5 if name != "a" => {
            service.as_object_mut().unwrap().remove("replicas");
            service["mode"] = json!(["Replicated", "Job", "Global"][usize::try_from(dice.roll(3)).unwrap()]);
        }
        _ => service["env"]["SIM_READY_DELAY"] = json!(format!("{}ms", 40 + dice.roll(200))),
    }
}
