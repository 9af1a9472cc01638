//! The way out: what no field of ours can say about a pod.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A part of a pod template, in Kubernetes' words.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("has(self.metadata) || has(self.spec)").message("podTemplatePatch must have metadata, spec or both"))]
pub struct PodTemplatePatch {
    /// Labels and annotations. For most of them `podLabels` and `podAnnotations` will do.
    #[schemars(schema_with = "metadata")]
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The pod's own fields.
    #[schemars(schema_with = "spec")]
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub spec: Map<String, Value>,
}

/// Fields that a patch may not set, and why.
pub const FORBIDDEN: [(&str, &str); 5] = [
    ("serviceAccountName", "use the service's own serviceAccountName"),
    ("serviceAccount", "use the service's own serviceAccountName"),
    ("nodeName", "it would pass by the scheduler; use nodeSelector"),
    ("hostUsers", "it decides who the users on the node are"),
    ("restartPolicy", "it follows from the mode"),
];

fn metadata(_: &mut SchemaGenerator) -> Schema {
    let texts = |most: usize| {
        json_schema!({
            "type": "object", "minProperties": 1, "maxProperties": 64,
            "additionalProperties": {"type": "string", "maxLength": most},
            "x-kubernetes-validations": [{
                "rule": "self.all(k, size(k) <= 316 && !k.startsWith('appstack.dev/'))",
                "message": "keys of 'appstack.dev/' are the operator's own",
            }],
        })
    };
    json_schema!({
        "type": "object", "minProperties": 1,
        "properties": {"labels": texts(63), "annotations": texts(65_536)},
    })
}

fn spec(_: &mut SchemaGenerator) -> Schema {
    let fields: Map<String, Value> = FORBIDDEN
        .iter()
        .map(|(field, _)| {
            // A rule sees only fields of a known type.
            let of = if *field == "hostUsers" {
                json!({"type": "boolean"})
            } else {
                json!({"type": "string", "maxLength": 253})
            };
            ((*field).to_owned(), of)
        })
        .collect();
    let rules: Vec<Value> = FORBIDDEN
        .iter()
        .map(|(field, why)| json!({"rule": format!("!has(self.{field})"), "message": format!("a patch may not set {field}: {why}")}))
        .collect();
    json_schema!({
        "type": "object", "minProperties": 1, "maxProperties": 64,
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": fields,
        "x-kubernetes-validations": rules,
    })
}
