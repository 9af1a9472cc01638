//! What runs before, beside and after a service's own process.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, SecretKey, schema};

/// What a service is: kept running so many times, on every node, or run until it ends.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // described on the field
pub enum Mode {
    #[default]
    Replicated,
    Global,
    Job,
}

/// How a service of `mode: Job` runs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Job {
    /// Further tries after a failed one; unset: 0.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
    /// How long all tries together may take; unset: for ever.
    #[x_kube(validation = Rule::new("!self.matches('^(0+(h|m|s|ms))+$')").message("must be more than 0"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// How many pods have to succeed, all at the same time; unset: 1.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completions: Option<i32>,
}

/// A step that has to end well before the service's own process starts, in each of its pods, with the service's mounts.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.env) || !has(self.secretEnv) || self.env.all(k, !(k in self.secretEnv))").message("a variable may be in one of env and secretEnv only"))]
pub struct PreStart {
    /// Its name among the steps.
    #[schemars(schema_with = "schema::step_name")]
    pub name: String,
    /// The image; unset: the service's.
    #[schemars(schema_with = "schema::image_pattern")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The program and its arguments, taken literally.
    #[schemars(schema_with = "schema::words")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Environment variables, taken literally.
    #[schemars(schema_with = "schema::step_env_values")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables from keys of `spec.secrets`.
    #[schemars(schema_with = "schema::step_env::<SecretKey>")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, SecretKey>,
}

/// A command in the running container.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Hook {
    /// The program and its arguments, without a shell.
    #[schemars(schema_with = "schema::words")]
    pub exec: Vec<String>,
}
