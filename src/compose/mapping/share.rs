//! Env files that three services or more have: `--share-env` makes one config of them.

use std::collections::BTreeMap;

use super::{Mapper, names};
use crate::api::{Config, EnvFrom};
use crate::compose::node::FileId;

/// How many services have to share a block.
const LEAST: usize = 3;
/// Entries of one config.
const MOST: usize = 64;

impl Mapper<'_> {
    /// Moves what all users of an env file have of it into a config that they name in `envFrom`. What a service says itself still wins.
    pub(super) fn share_env(&mut self) {
        if !self.choices.share_env {
            return;
        }
        let mut files: BTreeMap<FileId, BTreeMap<String, BTreeMap<&str, &str>>> = BTreeMap::new();
        for (name, service) in self.project.services() {
            let label = self.services.get(name);
            let Some(written) = self.spec.services.get(&label) else { continue };
            for (variable, entry) in service.value.entries("environment") {
                let is_key = variable.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
                    && !matches!(variable.as_str(), "." | "..");
                let value =
                    entry.value.as_text().filter(|value| written.env.get(variable).is_some_and(|own| own == value));
                if let (true, true, Some(value)) = (is_key, self.is_from_file(entry), value) {
                    let users = files.entry(entry.at.file).or_default();
                    users.entry(label.clone()).or_default().insert(variable, value);
                }
            }
        }
        for (file, users) in files.into_iter().filter(|(_, users)| users.len() >= LEAST) {
            let mut all = users.values();
            let mut shared = all.next().cloned().unwrap_or_default();
            for own in all {
                shared.retain(|variable, value| own.get(variable) == Some(value));
            }
            let data: BTreeMap<String, String> = shared
                .into_iter()
                .take(MOST)
                .map(|(variable, value)| (variable.to_owned(), value.to_owned()))
                .collect();
            if data.len() < 2 {
                continue;
            }
            let path = self.loaded.sources.get(file).map_or("env", |source| source.name.as_str());
            let wanted: String = names::label(path.rsplit('/').next().unwrap_or(path)).chars().take(37).collect();
            let mut tries = (1..).map(|number| if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") });
            let config = tries.find(|name| !self.spec.configs.contains_key(name)).unwrap_or_default();
            for label in users.keys() {
                let Some(service) = self.spec.services.get_mut(label) else { continue };
                service.env.retain(|variable, _| !data.contains_key(variable));
                service.env_from.push(EnvFrom { config: Some(config.clone()), ..EnvFrom::default() });
            }
            self.spec.configs.insert(config, Config { data, ..Config::default() });
        }
    }
}
