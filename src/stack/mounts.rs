//! Mounts with their references resolved, and sizes as Kubernetes writes them.

use super::check::{Place, not_a_quantity, unknown};
use super::model::{Mount, Source};
use crate::api::{self, AppStackSpec, Quantity};

/// Every mount of a service, in path order, so that a folder is there before what is mounted below it.
pub(super) fn mounts(written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> Vec<Mount> {
    written
        .mounts
        .iter()
        .filter_map(|(path, mount)| {
            let source = source(path, mount, spec, here)?;
            let read_only = mount
                .read_only
                .unwrap_or(matches!(source, Source::Config { .. } | Source::ConfigMap { .. } | Source::Secret { .. }));
            Some(Mount { path: path.clone(), source, read_only })
        })
        .collect()
}

fn source(path: &str, mount: &api::Mount, spec: &AppStackSpec, here: &mut Place<'_>) -> Option<Source> {
    let field = format!(".mounts[{path}]");
    let mode = mount.mode.as_deref().map_or(Some(0o444), |text| i32::from_str_radix(text, 8).ok());
    let Some(mode) = mode else {
        here.problem(&format!("{field}.mode"), "must be octal permissions in quotes, such as \"0444\"");
        return None;
    };
    match (&mount.volume, &mount.config, &mount.secret, &mount.tmpfs) {
        (Some(name), None, None, None) => {
            let Some(volume) = spec.volumes.get(name) else {
                here.problem(&format!("{field}.volume"), unknown("volume", name, "spec.volumes", spec.volumes.keys()));
                return None;
            };
            if volume.size.millis().is_none() {
                here.problems
                    .push(super::Problem::new(format!("spec.volumes[{name}].size"), not_a_quantity(&volume.size)));
            }
            Some(Source::Volume { name: name.clone(), sub_path: mount.sub_path.clone() })
        }
        (None, Some(name), None, None) => config(&field, name, mount, mode, spec, here),
        (None, None, Some(name), None) => {
            let Some(secret) = spec.secrets.get(name) else {
                here.problem(&format!("{field}.secret"), unknown("secret", name, "spec.secrets", spec.secrets.keys()));
                return None;
            };
            let key = mount.key.clone().or_else(|| secret.key.clone());
            Some(Source::Secret { secret: name.clone(), secret_name: secret.secret_name.clone(), key, mode })
        }
        (None, None, None, Some(tmpfs)) => {
            Some(Source::Tmpfs { size: tmpfs.size.as_ref().and_then(Quantity::millis).map(|m| m / 1000) })
        }
        _ => {
            here.problem(&field, "a mount must have exactly one of volume, config, secret, tmpfs");
            None
        }
    }
}

fn config(
    field: &str,
    name: &str,
    mount: &api::Mount,
    mode: i32,
    spec: &AppStackSpec,
    here: &mut Place<'_>,
) -> Option<Source> {
    let Some(config) = spec.configs.get(name) else {
        here.problem(&format!("{field}.config"), unknown("config", name, "spec.configs", spec.configs.keys()));
        return None;
    };
    if let Some(config_map_name) = config.config_map_name.clone() {
        return Some(Source::ConfigMap { config: name.to_owned(), config_map_name, key: mount.key.clone(), mode });
    }
    let key = match (&mount.key, &config.content) {
        (None, Some(_)) => Some(name.to_owned()),
        (Some(_), Some(_)) => {
            here.problem(
                &format!("{field}.key"),
                format!("config '{name}' is one file (content): it has no keys to choose from"),
            );
            return None;
        }
        (Some(key), None) if !config.data.contains_key(key) => {
            here.problem(
                &format!("{field}.key"),
                unknown("file", key, &format!("spec.configs[{name}].data"), config.data.keys()),
            );
            return None;
        }
        (key, None) => key.clone(),
    };
    Some(Source::Config { name: name.to_owned(), key, mode })
}

/// Bytes as the API server writes them back: in binary units where one divides them, else in decimal ones.
pub fn bytes(bytes: i128) -> String {
    if bytes != 0 && bytes % 1024 == 0 {
        shortest(bytes, 1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi"])
    } else {
        shortest(bytes, 1000, &["", "k", "M", "G", "T", "P"])
    }
}

/// Cores as the API server writes them back.
pub(super) fn cores(millis: i128) -> String {
    shortest(millis, 1000, &["m", "", "k", "M"])
}

fn shortest(mut value: i128, base: i128, units: &[&str]) -> String {
    let mut unit = 0;
    while value != 0 && value % base == 0 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{value}{}", if value == 0 { "" } else { units.get(unit).copied().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_come_back_as_they_were_sent() {
        assert_eq!(bytes(1024 * 1024 * 1024), "1Gi");
        assert_eq!(bytes(1536 * 1024 * 1024), "1536Mi");
        assert_eq!(bytes(1_000_000), "1M");
        assert_eq!(bytes(1_024_000), "1000Ki");
        assert_eq!(bytes(1_234_567), "1234567");
        assert_eq!(bytes(0), "0");
        assert_eq!(cores(1000), "1");
        assert_eq!(cores(250), "250m");
        assert_eq!(cores(0), "0");
        assert_eq!(cores(1_000_000), "1k");
    }
}
