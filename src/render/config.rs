//! The ConfigMap of an inline config.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::{Part, filled, metadata};
use crate::stack::{Config, Stack, names};

/// `<stack>-<config>-<hash8>`, immutable: new content is a new name, so a service that is held keeps the content it was started with.
pub(super) fn config_map(stack: &Stack, config: &str, wanted: &Config) -> Value {
    let object = ConfigMap {
        metadata: metadata::owned(stack, name(stack, config, &wanted.hash), &Part::Config(config.to_owned())),
        data: filled::<BTreeMap<_, _>>(wanted.data.clone()),
        immutable: Some(true),
        binary_data: None,
    };
    let mut object = super::json(object);
    if !wanted.binary_data.is_empty() {
        object["binaryData"] = json!(wanted.binary_data); // base64 already, as the user wrote it
    }
    object
}

/// Name of a config's ConfigMap with this content.
pub(super) fn name(stack: &Stack, config: &str, hash: &str) -> String {
    names::joined(&[&stack.name, config, hash])
}
