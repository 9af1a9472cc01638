//! The proof over random stacks, and the proof that it would notice.

use std::collections::BTreeMap;

use e2e::dice::Dice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::made;
use crate::world::{Outcome, World};

const STACKS: usize = 1000;
const MUTANTS: u64 = 2000;

fn dice(seed: u64) -> Dice {
    Dice((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

// "For 1,000 random stacks rendered policies evaluate to the model's matrix: 0 mismatches."
#[test]
fn rendered_policies_let_through_what_the_model_says() {
    let (mut outcome, mut stacks, mut pairs) = (Outcome::default(), 0, 0);
    for seed in 0.. {
        let written = made::stacks(&mut dice(seed));
        let before = outcome.mismatches.len();
        World::of(&written).ask(&mut outcome);
        let found = &outcome.mismatches[before..];
        assert!(found.is_empty(), "{} mismatches, first {}\nof {}", found.len(), found[0], json!(written));
        stacks += written.len();
        pairs += usize::from(written.len() == 2);
        if stacks >= STACKS {
            break;
        }
    }
    let mut all = (0, 0, 0);
    println!("{:48} {:>9} {:>9} {:>9}", "questions", "asked", "allowed", "denied");
    for (kind, (asked, allowed, denied)) in &outcome.counts {
        println!("{kind:48} {asked:>9} {allowed:>9} {denied:>9}");
        all = (all.0 + asked, all.1 + allowed, all.2 + denied);
        // What fills a volume has a way out under any isolation.
        let never_denied = ["populate -> internet", "populate -> dns"].contains(&kind.as_str());
        assert!(*allowed >= 30 && (*denied >= 30 || never_denied), "{kind} is hardly asked: {allowed}, {denied}");
    }
    println!(
        "{stacks} stacks, {pairs} pairs of them in one namespace: {} questions, {} allowed, {} denied; 0 mismatches",
        all.0, all.1, all.2
    );
}

/// One thing taken away or altered in one policy; none where it has nothing of the kind.
type Mutation = fn(&mut Value) -> Option<()>;

const MUTATIONS: [(&str, Mutation); 7] = [
    ("policy dropped", |policy| {
        policy["spec"]["podSelector"] = json!({"matchLabels": {"nobody": "has this"}});
        Some(())
    }),
    ("subject without its conditions", |policy| {
        let selector = policy["spec"]["podSelector"].as_object_mut()?;
        selector.remove("matchExpressions").or_else(|| {
            let labels = selector.get_mut("matchLabels")?.as_object_mut()?;
            labels.remove("appstack.dev/service").map(drop)?;
            Some(Value::Null)
        })?;
        Some(())
    }),
    ("rules of one direction dropped", |policy| {
        let spec = policy["spec"].as_object_mut()?;
        spec.remove("ingress").or_else(|| spec.remove("egress")).map(drop)
    }),
    ("everyone in", |policy| {
        policy["spec"].get("policyTypes")?.as_array()?.contains(&json!("Ingress")).then_some(())?;
        policy["spec"]["ingress"] = json!([{}]);
        Some(())
    }),
    ("out to everywhere", |policy| {
        policy["spec"].get("policyTypes")?.as_array()?.contains(&json!("Egress")).then_some(())?;
        (policy["spec"]["egress"] != json!([{}])).then_some(())?;
        policy["spec"]["egress"] = json!([{}]);
        Some(())
    }),
    ("ports forgotten", |policy| {
        policy["spec"].get_mut("ingress")?.get_mut(0)?.as_object_mut()?.remove("ports").map(drop)
    }),
    ("peers forgotten", |policy| {
        let spec = policy["spec"].as_object_mut()?;
        let rules = spec.values_mut().filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut);
        let mut forgotten = rules.filter_map(|rule| rule.remove("from").or_else(|| rule.remove("to")));
        forgotten.next().map(drop)
    }),
];

/// A proof that nothing could fail would prove nothing. Not each mutation shows in each stack: what one policy no longer denies another one may, or
/// nobody asks for what it no longer allows.
#[test]
fn a_policy_that_is_wrong_is_noticed() {
    let (mut made, mut noticed) = (0, 0);
    let mut by: BTreeMap<(&str, String), (u64, u64)> = BTreeMap::new();
    for seed in 0..MUTANTS {
        let dice = &mut dice(1_000_000 + seed);
        let mut world = World::of(&made::stacks(dice));
        if world.cluster.policies.is_empty() {
            continue;
        }
        let at = usize::try_from(dice.roll(world.cluster.policies.len() as u64)).unwrap();
        let (name, mutate) = MUTATIONS[usize::try_from(dice.roll(MUTATIONS.len() as u64)).unwrap()];
        let mut policy = serde_json::to_value(&world.cluster.policies[at]).unwrap();
        let which = policy["metadata"]["labels"]["appstack.dev/policy"].as_str().unwrap().to_owned();
        if mutate(&mut policy).is_none() {
            continue;
        }
        world.cluster.policies[at] = serde_json::from_value::<NetworkPolicy>(policy).unwrap();
        let mut outcome = Outcome::default();
        world.ask(&mut outcome);
        let seen = u64::from(!outcome.mismatches.is_empty());
        let count = by.entry((name, which)).or_default();
        *count = (count.0 + 1, count.1 + seen);
        (made, noticed) = (made + 1, noticed + seen);
    }
    for ((name, which), (made, noticed)) in &by {
        println!("{name:32} {which:10} {noticed:>4} of {made:>4} noticed");
    }
    println!("{noticed} of {made} mutated policies noticed; the others change no verdict");
    assert!(noticed * 2 >= made, "{noticed} of {made}");
    for (name, _) in MUTATIONS {
        let seen: u64 = by.iter().filter(|((of, _), _)| *of == name).map(|(_, (_, noticed))| noticed).sum();
        assert!(seen >= 10, "'{name}' was noticed {seen} times");
    }
    for which in ["ingress", "dns", "network", "published", "none", "populate"] {
        let seen: u64 = by.iter().filter(|((_, of), _)| of == which).map(|(_, (_, noticed))| noticed).sum();
        assert!(seen >= 3, "a wrong policy '{which}' was noticed {seen} times");
    }
}
