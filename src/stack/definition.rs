//! The revision of a service: a hash of what its pods are made from, as the user wrote it.
//!
//! It never hashes rendered bytes: a new version of the operator must not replace pods. A field added to the API later is left out of the
//! JSON while unset, so it does not move the hash of stacks that do not use it.

use serde_json::{Map, Value, json};

use crate::api;
use crate::child::digest::Digest;

/// Fields of a service that say how many pods there are, when they start and who may call them, not what they are.
const NOT_OF_THE_POD: [&str; 8] =
    ["replicas", "autoscale", "dependsOn", "publish", "routes", "profiles", "endpointMode", "publishNotReady"];
/// The same, of a port.
const NOT_OF_THE_PORT: [&str; 3] = ["published", "appProtocol", "openTo"];
/// The same, of a Job.
const NOT_OF_THE_JOB: [&str; 2] = ["retries", "deadline"];

/// Hash of a service's definition and of what it refers to: the content of its configs, the names of its Secrets, how its volumes are
/// mounted, its Pod Security level.
pub fn revision(service: &api::Service, stack: &api::AppStackSpec) -> String {
    let mut own = serde_json::to_value(service).unwrap_or_default();
    if let Some(fields) = own.as_object_mut() {
        drop_all(fields, &NOT_OF_THE_POD);
        if let Some(ports) = fields.get_mut("ports").and_then(Value::as_object_mut) {
            ports.values_mut().filter_map(Value::as_object_mut).for_each(|port| drop_all(port, &NOT_OF_THE_PORT));
        }
        if let Some(job) = fields.get_mut("job").and_then(Value::as_object_mut) {
            drop_all(job, &NOT_OF_THE_JOB);
        }
        // Said or not said, these are the same.
        fields.retain(|field, value| {
            !(field == "job" && *value == json!({}) || field == "mode" && *value == "Replicated")
        });
        fields.entry("networks").or_insert_with(|| json!({"default": {}}));
        fields.insert("podSecurity".into(), json!(service.pod_security.or(stack.pod_security).unwrap_or_default()));
    }
    let mounts = service.mounts.values();
    let volumes: Vec<_> =
        mounts.clone().filter_map(|m| m.volume.as_ref()).map(|name| volume(name, stack.volumes.get(name))).collect();
    let configs: Vec<_> = mounts
        .clone()
        .filter_map(|m| m.config.as_ref())
        .chain(service.env_from.iter().filter_map(|from| from.config.as_ref()))
        .map(|name| (name, stack.configs.get(name)))
        .collect();
    let secrets: Vec<_> = mounts
        .filter_map(|m| m.secret.as_ref())
        .chain(service.env_from.iter().filter_map(|from| from.secret.as_ref()))
        .chain(service.pre_start.iter().flat_map(|step| step.secret_env.values()).map(|key| &key.secret))
        .chain(service.secret_env.values().map(|key| &key.secret))
        .map(|name| (name, stack.secrets.get(name)))
        .collect();
    let shared: Vec<_> = service
        .networks
        .keys()
        .filter_map(|name| stack.networks.get(name)?.shared_name.as_ref().map(|shared| (name, shared)))
        .collect();
    let mut all = vec![own, json!(volumes), json!(configs), json!(secrets)];
    // What came later stands only where it is used, so that older definitions keep their hash.
    all.extend((!shared.is_empty()).then(|| json!(shared)));
    Digest::of(&Value::Array(all)).hex8()
}

/// What of a volume shows in the pods that mount it.
fn volume(name: &str, written: Option<&api::Volume>) -> Value {
    let mut parts = vec![json!(name), json!(written.and_then(|v| v.access_mode))];
    let claim = written.and_then(|v| v.claim_name.as_ref()).map(|claim| json!(claim));
    let own = written.filter(|v| v.per_replica == Some(true)).map(|_| json!("perReplica"));
    parts.extend(claim.or(own));
    Value::Array(parts)
}

fn drop_all(fields: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        fields.remove(*name);
    }
}
