//! The five samples, and variants of them, do what `e2e/stacks/expected.yaml` says, row by row.

use std::collections::BTreeSet;

use appstack::api::Protocol;
use appstack::stack::Stack;
use appstack::stack::reachability::{Answer, At, Caller, Matrix, Target, Way};
use e2e::expected::{Expected, Way as Row};
use e2e::imported;
use e2e::samples::{ALL, Sample, stack_of};
use serde_json::Value;

use crate::world::{Outcome, World};

/// Rows of one sample, by what they say.
#[derive(Default)]
struct Rows {
    pairs: BTreeSet<(String, String)>,
    reachable: usize,
    unreachable: usize,
    but_for_published: usize,
}

#[test]
fn samples_reach_what_is_expected_and_nothing_else() {
    for sample in ALL.into_iter().filter(|sample| !sample.is_overlay()) {
        let written = stack_of(&mut sample.documents()).clone();
        holds(sample.stack, sample.variant, &written, &sample.expected());
    }
}

/// Built with kubectl, which the control plane's build brings along.
#[test]
fn overlays_of_samples_reach_what_is_expected_and_nothing_else() {
    for sample in ALL.into_iter().filter(|sample| sample.is_overlay()) {
        let written = stack_of(&mut sample.documents()).clone();
        holds(sample.stack, sample.variant, &written, &sample.expected());
    }
}

/// Variants without a sample of their own: the sample less the services that do not run in them.
#[test]
fn parts_of_a_sample_reach_what_is_expected_and_nothing_else() {
    for variant in ["mac", "platform", "redis"] {
        let expected = Expected::of("soundforge", Some(variant));
        let mut written = stack_of(&mut Sample::of("soundforge", None).documents()).clone();
        let services = written["spec"]["services"].as_object_mut().unwrap();
        services.retain(|name, _| expected.services.contains(name));
        for service in services.values_mut() {
            service.as_object_mut().unwrap().remove("dependsOn");
        }
        holds("soundforge", Some(variant), &written, &expected);
    }
}

/// The stacks as `appstack import` makes them of their Compose files, variants without a sample among them.
#[test]
fn imported_stacks_reach_what_is_expected_and_nothing_else() {
    let more = ["mac", "platform", "redis"].map(|variant| ("soundforge", Some(variant)));
    for (stack, variant) in ALL.into_iter().map(|sample| (sample.stack, sample.variant)).chain(more) {
        let written = stack_of(&mut imported::documents(stack, variant)).clone();
        holds(stack, variant, &written, &Expected::of(stack, variant));
    }
}

fn holds(name: &str, variant: Option<&str>, written: &Value, expected: &Expected) {
    let world = World::of(std::slice::from_ref(written));
    let stack = &world.stacks[0];
    let what = format!("{name}{}", variant.map(|variant| format!(" {variant}")).unwrap_or_default());
    let mut rows = Rows::default();
    let mut wrong = Vec::new();
    for (list, open) in [(&expected.reachable, true), (&expected.unreachable, false)] {
        for row in list {
            wrong.extend(against(stack, expected, row, open, &mut rows));
        }
    }
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    let services = expected.services.len();
    assert_eq!(rows.pairs.len(), services * (services - 1), "{what}: each pair of services has a row");

    let matrix = Matrix::of(stack);
    let without: BTreeSet<String> = stack
        .services
        .keys()
        .filter(|name| !matrix.answer(Caller::Service(name), Target::Internet, At::Any).unwrap().is_open())
        .cloned()
        .collect();
    assert_eq!(without, expected.no_egress, "{what}: no way out");
    for name in stack.services.keys() {
        let listed = expected.published.get(name).into_iter().flatten();
        let to_all = listed.filter(|port| port.host_ip.as_deref() != Some("127.0.0.1"));
        let to_all: BTreeSet<(i64, i64)> = to_all.map(|port| (port.published, port.target)).collect();
        assert_eq!(published(stack, name), to_all, "{what}: published of {name}");
    }

    let mut outcome = Outcome::default();
    world.ask(&mut outcome);
    assert!(outcome.mismatches.is_empty(), "{what}: {:#?}", outcome.mismatches);
    let asked: u64 = outcome.counts.values().map(|(asked, ..)| asked).sum();
    println!(
        "{what}: {} pairs of services; {} reachable and {} unreachable rows hold ({} but for a published port), {} without a way out; {asked} questions to its policies, 0 mismatches",
        rows.pairs.len(),
        rows.reachable,
        rows.unreachable,
        rows.but_for_published,
        without.len()
    );
}

/// What of a row the matrix contradicts.
fn against(stack: &Stack, expected: &Expected, row: &Row, open: bool, rows: &mut Rows) -> Vec<String> {
    let matrix = Matrix::of(stack);
    let to = Target::Service(&row.to);
    let is_service = expected.services.contains(&row.from);
    let callers = match row.from.as_str() {
        "outside" => vec![Caller::Outside],
        // In the namespace, or in one of its own.
        "other-stack" => vec![Caller::Namespace, Caller::Cluster],
        service => vec![Caller::Service(service)],
    };
    let all = matrix.ports(to);
    let targets: BTreeSet<i64> = published(stack, &row.to).into_iter().map(|(_, target)| target).collect();
    let is_published = |at: &At| matches!(at, At::Declared(number, _) if targets.contains(&i64::from(*number)));
    let ports: Vec<At> = match row.port.as_str() {
        Some("any") => all,
        Some("unpublished") => all.into_iter().filter(|at| !is_published(at)).collect(),
        Some(other) => panic!("port {other}"),
        None => {
            let number = row.port.as_i64().expect("a number");
            let behind = |(outside, target): (i64, i64)| (outside == number).then_some(target);
            let target = if row.from == "outside" {
                published(stack, &row.to).into_iter().find_map(behind)
            } else {
                Some(number)
            };
            let Some(target) = target else { return vec![format!("{row:?}: not published")] };
            let at = At::Declared(i32::try_from(target).unwrap(), Protocol::Tcp);
            // A port that is not declared is one of the others.
            vec![if all.contains(&at) { at } else { *all.last().unwrap() }]
        }
    };
    if open {
        rows.reachable += 1;
    } else {
        rows.unreachable += 1;
    }
    if is_service {
        rows.pairs.insert((row.from.clone(), row.to.clone()));
    }
    let mut wrong = Vec::new();
    let mut through = false;
    for (from, at) in callers.iter().flat_map(|from| ports.iter().map(move |at| (*from, *at))) {
        let answer = matrix.answer(from, to, at).unwrap();
        // In Compose two services that share no network meet at the published port of the machine; to a policy that is the port of the pod.
        if !open && is_service && matches!(answer, Answer::Open(Way::Published(_))) {
            through = true;
        } else if answer.is_open() != open {
            wrong.push(format!("{row:?}: {from} on {at}: {answer}"));
        }
    }
    rows.but_for_published += usize::from(through);
    wrong
}

/// Published numbers of a service and the container ports behind them.
fn published(stack: &Stack, service: &str) -> BTreeSet<(i64, i64)> {
    let Some(service) = stack.services.get(service) else { return BTreeSet::new() };
    let ports = |name: &str| service.ports.iter().find(|port| port.name == name).map(|port| i64::from(port.number));
    service.published.iter().filter_map(|port| Some((i64::from(port.number), ports(&port.target)?))).collect()
}
