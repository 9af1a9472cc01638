//! The revision of a service: a hash of what its pods are made from, as the user wrote it.
//!
//! It never hashes rendered bytes: a new version of the operator must not replace pods. A field added to the API later is left out of the
//! JSON while unset, so it does not move the hash of stacks that do not use it.

use serde_json::{Value, json};

use crate::api;
use crate::child::digest::Digest;

/// Fields of a service that say how many pods there are, when they start and who may call them, not what they are.
const NOT_OF_THE_POD: [&str; 4] = ["replicas", "autoscale", "dependsOn", "publish"];

/// Hash of a service's definition and of what it refers to: the content of its configs, the names of its Secrets, how its volumes are
/// mounted, its Pod Security level.
pub fn revision(service: &api::Service, stack: &api::AppStackSpec) -> String {
    let mut own = serde_json::to_value(service).unwrap_or_default();
    if let Some(fields) = own.as_object_mut() {
        for field in NOT_OF_THE_POD {
            fields.remove(field);
        }
        if let Some(ports) = fields.get_mut("ports").and_then(Value::as_object_mut) {
            ports.values_mut().filter_map(Value::as_object_mut).for_each(|port| {
                port.remove("published");
            });
        }
        fields.entry("networks").or_insert_with(|| json!({"default": {}}));
        fields.insert("podSecurity".into(), json!(service.pod_security.or(stack.pod_security).unwrap_or_default()));
    }
    let mounts = service.mounts.values();
    let volumes: Vec<_> = mounts
        .clone()
        .filter_map(|m| m.volume.as_ref())
        .map(|name| (name, stack.volumes.get(name).and_then(|v| v.access_mode)))
        .collect();
    let configs: Vec<_> =
        mounts.clone().filter_map(|m| m.config.as_ref()).map(|name| (name, stack.configs.get(name))).collect();
    let secrets: Vec<_> = mounts
        .filter_map(|m| m.secret.as_ref())
        .chain(service.secret_env.values().map(|key| &key.secret))
        .map(|name| (name, stack.secrets.get(name)))
        .collect();
    Digest::of(&json!([own, volumes, configs, secrets])).hex8()
}
