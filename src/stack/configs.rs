//! Inline configs: what is in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::check::used;
use super::model::{Config, Problem, Service, Source};
use crate::api::{self, AppStackSpec};
use crate::child::digest::Digest;

/// What the API server lets a ConfigMap hold.
///
/// <https://kubernetes.io/docs/concepts/configuration/configmap/#motivation>
const MOST_BYTES: usize = 1 << 20;

/// The inline configs that some service uses.
pub(super) fn configs(
    services: &BTreeMap<String, Service>,
    spec: &AppStackSpec,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Config> {
    let from_env = services.values().flat_map(|s| &s.env_from).filter_map(|from| from.source.config());
    let names: BTreeSet<&String> = used(services, Source::config).chain(from_env).collect();
    let mut configs = BTreeMap::new();
    for name in names {
        let Some(written) = spec.configs.get(name) else { continue };
        let config = config(name, written);
        let bytes = bytes(&config);
        if bytes > MOST_BYTES {
            let message = format!(
                "holds {bytes} bytes; a ConfigMap holds at most {MOST_BYTES}: put large files into a volume or an image"
            );
            problems.push(Problem::new(format!("spec.configs[{name}]"), message));
        }
        configs.insert(name.clone(), config);
    }
    configs
}

fn config(name: &str, written: &api::Config) -> Config {
    let data = match &written.content {
        Some(content) => BTreeMap::from([(name.to_owned(), content.clone())]),
        None => written.data.clone(),
    };
    let content = if written.binary_data.is_empty() { json!(data) } else { json!([data, written.binary_data]) };
    Config { hash: Digest::of(&content).hex8(), data, binary_data: written.binary_data.clone() }
}

fn bytes(config: &Config) -> usize {
    let decoded = |base64: &String| base64.trim_end_matches('=').len() * 3 / 4;
    config.data.values().map(String::len).sum::<usize>() + config.binary_data.values().map(decoded).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_text_count_as_what_they_are() {
        let config = |base64: &str| Config {
            binary_data: BTreeMap::from([("f".into(), base64.into())]),
            data: BTreeMap::new(),
            hash: String::new(),
        };
        for (base64, size) in [("", 0), ("AA==", 1), ("AAA=", 2), ("AAAA", 3), ("AAAAAA==", 4)] {
            assert_eq!(bytes(&config(base64)), size, "{base64}");
        }
    }
}
