//! Whom pods share a node with.

use std::collections::BTreeMap;

use super::model::Tie;
use crate::api::{AccessMode, AppStackSpec, Service};

/// For each volume that one node mounts at a time: the first of all volumes that hang together with it, by services that mount several. An existing
/// claim comes first, since other stacks know it. Services that are off by profile count too, so that switching them on moves nobody.
///
/// One tie for each pod, and no more: of several affinity terms the scheduler asks that one running pod matches all of them, or lets the pod go
/// anywhere.
pub(super) fn ties(spec: &AppStackSpec) -> BTreeMap<String, Tie> {
    let mut ties: BTreeMap<String, Tie> = BTreeMap::new();
    for service in spec.services.values() {
        for name in mounted(service, spec) {
            ties.entry(name.clone()).or_insert_with(|| own(name, spec));
        }
    }
    // Each round carries the first tie one service further.
    loop {
        let mut changed = false;
        for service in spec.services.values() {
            let names: Vec<&String> = mounted(service, spec).collect();
            let Some(first) = names.iter().filter_map(|name| ties.get(*name)).min().cloned() else { continue };
            for name in names {
                changed |= ties.insert(name.clone(), first.clone()).as_ref() != Some(&first);
            }
        }
        if !changed {
            return ties;
        }
    }
}

/// The tie of a service, where it is not simply its own first volume: another service's mounts have a part in it.
pub(super) fn foreign<'a>(service: &Service, spec: &AppStackSpec, ties: &'a BTreeMap<String, Tie>) -> Option<&'a Tie> {
    let own = mounted(service, spec).map(|name| own(name, spec)).min()?;
    ties.get(mounted(service, spec).next()?).filter(|tie| **tie != own)
}

fn own(volume: &str, spec: &AppStackSpec) -> Tie {
    match spec.volumes.get(volume).and_then(|v| v.claim_name.clone()) {
        Some(claim) => Tie::Claim(claim),
        None => Tie::Volume(volume.to_owned()),
    }
}

/// The volumes of a service that one node mounts at a time.
fn mounted<'a>(service: &'a Service, spec: &'a AppStackSpec) -> impl Iterator<Item = &'a String> {
    service.mounts.values().filter_map(|mount| mount.volume.as_ref()).filter(|name| {
        spec.volumes.get(*name).is_some_and(|v| {
            v.access_mode.unwrap_or_default() == AccessMode::ReadWriteOnce && v.per_replica != Some(true)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_that_hang_together_have_one_tie() {
        let mounts = |names: &[&str]| {
            let mounts: serde_json::Map<String, serde_json::Value> =
                names.iter().map(|name| (format!("/{name}"), json!({"volume": name}))).collect();
            json!({"image": "x:1", "mounts": mounts})
        };
        let size = json!({"size": "1Gi"});
        let spec: AppStackSpec = serde_json::from_value(json!({
            "volumes": {"a": size, "b": size, "c": size, "d": size, "e": {"claimName": "theirs"}, "f": size,
                "wide": {"size": "1Gi", "accessMode": "ReadWriteMany"}},
            "services": {"one": mounts(&["a", "b", "wide"]), "two": mounts(&["b", "c"]), "three": mounts(&["d", "wide"]), "four": mounts(&["e", "f"])},
        }))
        .unwrap();
        let ties = ties(&spec);
        let volume = |name: &str| Tie::Volume(name.to_owned());
        assert_eq!((&ties["a"], &ties["b"], &ties["c"]), (&volume("a"), &volume("a"), &volume("a")));
        assert_eq!(ties["d"], volume("d"));
        assert_eq!((&ties["e"], &ties["f"]), (&Tie::Claim("theirs".into()), &Tie::Claim("theirs".into())));
        assert_eq!(ties.len(), 6);
        assert_eq!(foreign(&spec.services["two"], &spec, &ties), Some(&volume("a")));
        assert_eq!(foreign(&spec.services["one"], &spec, &ties), None);
    }
}
