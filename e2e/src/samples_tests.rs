//! Samples and `expected.yaml` speak of the same things: what can be told without a cluster.

use std::collections::BTreeSet;

use super::*;
use crate::expected::key;
use crate::json;

fn keys(value: &Value, pointer: &str) -> BTreeSet<String> {
    json::entries(value, pointer).map(|(k, _)| k.to_owned()).collect()
}

fn listed(value: &Value, pointer: &str) -> BTreeSet<String> {
    json::items(value, pointer).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Those that need no kustomize.
fn files() -> impl Iterator<Item = (Sample, Value, Expected)> {
    ALL.into_iter().filter(|s| !s.is_overlay()).map(|s| {
        let stack = stack_of(&mut s.documents()).clone();
        (s, stack, s.expected())
    })
}

#[test]
fn every_entry_of_expected_is_understood() {
    let variants = [
        ("finity", &["backend-only"][..]),
        ("cirame", &["production"]),
        ("aurum", &["proxy", "development", "development-stores"]),
        ("aria", &["monitoring"]),
        ("soundforge", &["development", "mac", "platform", "redis"]),
    ];
    for (stack, variants) in variants {
        assert!(!Expected::of(stack, None).services.is_empty());
        for variant in variants {
            assert!(!Expected::of(stack, Some(variant)).services.is_empty(), "{stack}, {variant}");
        }
    }
}

#[test]
fn every_sample_has_the_services_of_its_stack() {
    for (sample, stack, expected) in files() {
        let active = listed(&stack, "/spec/profiles");
        let runs = |service: &Value| {
            let asks = listed(service, "/profiles");
            asks.is_empty() || !asks.is_disjoint(&active)
        };
        let services = json::entries(&stack, "/spec/services");
        let running: BTreeSet<String> = services.filter(|(_, s)| runs(s)).map(|(n, _)| n.to_owned()).collect();
        assert_eq!(running, expected.services, "{sample:?}");
        let others: BTreeSet<String> = expected.optional_services.values().flatten().cloned().collect();
        assert_eq!(keys(&stack, "/spec/services"), &running | &others, "{sample:?}: with all profiles");
    }
}

#[test]
fn every_sample_names_what_expected_names() {
    for (sample, stack, expected) in files() {
        // The default network needs no words.
        let named = expected.networks.keys().filter(|n| *n != "default");
        let networks: BTreeSet<String> = named.map(|n| key(n)).collect();
        assert_eq!(keys(&stack, "/spec/networks"), networks, "{sample:?}");
        let volumes: BTreeSet<String> = expected.volumes.keys().map(|n| key(n)).collect();
        let declared = keys(&stack, "/spec/volumes");
        assert!(declared.is_superset(&volumes), "{sample:?}: {volumes:?}, but declared are {declared:?}");
        for (target, mount) in &expected.config_mounts {
            for user in &mount.users {
                let service = &stack["spec"]["services"][user];
                assert!(service["mounts"][&mount.target]["config"].is_string(), "{sample:?}: {target} of {user}");
            }
        }
        for (before, after) in &expected.order {
            let edge = &stack["spec"]["services"][after]["dependsOn"][before];
            assert_eq!(edge["condition"], "Healthy", "{sample:?}: {after} waits for {before}");
        }
        for (before, after) in &expected.started {
            let edge = &stack["spec"]["services"][after]["dependsOn"][before];
            assert_eq!(edge["condition"], "Started", "{sample:?}: {after} waits for {before}");
        }
    }
}

#[test]
fn the_placeholders_stand_in_secrets_only() {
    for sample in ALL.into_iter().filter(|s| !s.is_overlay()) {
        let (secrets, others): (Vec<_>, Vec<_>) = sample.documents().into_iter().partition(|d| d["kind"] == "Secret");
        for value in sample.expected().secret_values {
            let within = |documents: &[Value]| documents.iter().any(|d| d.to_string().contains(&value));
            assert!(within(&secrets), "{sample:?}: {value} is in no Secret");
            assert!(!within(&others), "{sample:?}: {value} is in what is no Secret");
        }
    }
}
