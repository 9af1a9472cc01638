//! Who uses a Secret or ConfigMap that has changed takes it up: the operator looks into neither.

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Applied;
use crate::api::{AppStack, PodSecurity};
use crate::cli::restart::{Round, stamp};
use crate::cli::server::Asked;
use crate::stack::{Workload, check};

/// Restarts the services of a stack that was there for which something else is in a Secret or ConfigMap now; Jobs that use it are only named.
pub(super) async fn restart(asked: &Asked, was_there: bool, applied: &Applied) -> kube::Result<()> {
    let stack = &applied.stack;
    if stack.spec.suspend == Some(true) || !was_there || applied.other_data.is_empty() {
        return Ok(());
    }
    let mut users: BTreeSet<&str> = BTreeSet::new();
    let mut jobs: BTreeSet<&str> = BTreeSet::new();
    let model = check(stack, PodSecurity::Privileged).ok();
    let changed: Vec<_> = applied.other_data.iter().flat_map(|(kind, name)| names_of(stack, kind, name)).collect();
    for (name, service) in &stack.spec.services {
        let service = serde_json::to_value(service).unwrap_or_default();
        if !changed.iter().any(|(key, local)| uses(&service, key, local)) {
            continue;
        }
        let of = model.as_ref().and_then(|model| model.services.get(name));
        match of.map(|service| &service.workload) {
            Some(Workload::Job(_)) => drop(jobs.insert(name)),
            Some(_) => drop(users.insert(name)),
            None => {}
        }
    }
    if !jobs.is_empty() {
        let names = jobs.iter().copied().collect::<Vec<_>>().join(" ");
        eprintln!(
            "note: Jobs that use what has changed have run: `appstack restart {} {names} -n {}` runs them again",
            asked.name, asked.namespace
        );
    }
    if users.is_empty() {
        return Ok(());
    }
    let users: Vec<String> = users.into_iter().map(str::to_owned).collect();
    match Round::of(stack, &users, &stamp()) {
        Ok(round) => {
            let patch = json!({"metadata": {"annotations": round.annotations}});
            let params = PatchParams { field_manager: Some("appstack-restart".into()), ..PatchParams::default() };
            asked.api.patch(&asked.name, &params, &Patch::Merge(patch)).await?;
            println!("restarts, to take up what has changed: {}", users.join(", "));
        }
        Err(why) => why.iter().for_each(|why| eprintln!("note: {why}")),
    }
    Ok(())
}

/// The names by which a stack calls a Secret or ConfigMap, each with the key that services have it under.
fn names_of(stack: &AppStack, kind: &str, object: &str) -> Vec<(&'static str, String)> {
    if kind == "Secret" {
        let named = stack.spec.secrets.iter().filter(|(_, secret)| secret.secret_name == object);
        return named.map(|(name, _)| ("secret", name.clone())).collect();
    }
    let named = stack.spec.configs.iter().filter(|(_, config)| config.config_map_name.as_deref() == Some(object));
    named.map(|(name, _)| ("config", name.clone())).collect()
}

/// Whether a value has this entry anywhere.
fn uses(value: &Value, key: &str, name: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.get(key).and_then(Value::as_str) == Some(name) || map.values().any(|value| uses(value, key, name))
        }
        Value::Array(items) => items.iter().any(|item| uses(item, key, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_a_secret_is_found_wherever_it_is_named() {
        for service in [
            json!({"secretEnv": {"A": {"secret": "db", "key": "a"}}}),
            json!({"envFrom": [{"secret": "db"}]}),
            json!({"mounts": {"/a": {"secret": "db"}}}),
            json!({"preStart": [{"image": "a", "secretEnv": {"A": {"secret": "db"}}}]}),
        ] {
            assert!(uses(&service, "secret", "db"), "{service}");
            assert!(!uses(&service, "secret", "other") && !uses(&service, "config", "db"), "{service}");
        }
        assert!(!uses(&json!({"env": {"secrets": "db"}}), "secret", "db"));
    }
}
