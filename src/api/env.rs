//! Where environment variables come from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// One key of a secret.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct SecretKey {
    /// A secret of `spec.secrets`.
    #[schemars(length(min = 1, max = 40))]
    pub secret: String,
    /// Its key; unset: the `key` of that secret.
    #[schemars(schema_with = "schema::data_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Start without the variable when the Secret or key is missing; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// All entries of a config or a secret as variables: exactly one of `config` and `secret`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("has(self.config) != has(self.secret)").message("an entry of envFrom must have exactly one of config, secret"))]
pub struct EnvFrom {
    /// A config of `spec.configs` that has `data` or `configMapName`.
    #[schemars(length(min = 1, max = 40))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// A secret of `spec.secrets` without `key`.
    #[schemars(length(min = 1, max = 40))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Put before each key to make the variable's name.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[ -<>-~]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Start without the variables when the ConfigMap or Secret is missing; unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}
