//! The ConfigMap of an inline config.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Part, metadata};
use crate::stack::{Config, Stack, names};

/// `<stack>-<config>-<hash8>`, immutable: new content is a new name, so a service that is held keeps the content it was started with.
pub(super) fn config_map(stack: &Stack, config: &str, wanted: &Config) -> ConfigMap {
    ConfigMap {
        metadata: metadata::owned(stack, name(stack, config, &wanted.hash), &Part::Config(config.to_owned())),
        data: Some(wanted.data.clone()),
        immutable: Some(true),
        binary_data: None,
    }
}

/// Name of a config's ConfigMap with this content.
pub(super) fn name(stack: &Stack, config: &str, hash: &str) -> String {
    names::joined(&[&stack.name, config, hash])
}
