//! Mounts with their references resolved.

use super::check::{Place, not_a_quantity, unknown};
use super::model::{Mount, Source};
use crate::api::{self, AppStackSpec, PodSecurity, Propagation, Quantity};

/// Where memory that processes share is mounted.
pub(super) const SHM: &str = "/dev/shm";

/// Permissions of files, where nothing is said.
pub(super) const MODE: i32 = 0o444;

/// Every mount of a service, in path order, so that a folder is there before what is mounted below it.
pub(super) fn mounts(
    written: &api::Service,
    spec: &AppStackSpec,
    level: PodSecurity,
    here: &mut Place<'_>,
) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = written
        .mounts
        .iter()
        .filter_map(|(path, mount)| {
            let field = format!(".mounts[{path}]");
            let source = source(&field, mount, spec, here)?;
            if matches!(source, Source::HostPath { .. }) && level < PodSecurity::Privileged {
                here.problem(&format!("{field}.hostPath"), "a path of the node needs podSecurity: Privileged");
            }
            if mount.propagation == Some(Propagation::Bidirectional)
                && written.security_context.as_ref().and_then(|c| c.privileged) != Some(true)
            {
                here.problem(&format!("{field}.propagation"), "'Bidirectional' needs securityContext.privileged: true");
            }
            let always_read_only = matches!(
                source,
                Source::Config { .. } | Source::ConfigMap { .. } | Source::Secret { .. } | Source::Image { .. }
            );
            Some(Mount {
                path: path.clone(),
                source,
                sub_path: mount.sub_path.clone(),
                read_only: mount.read_only.unwrap_or(always_read_only),
                seed: mount.seed.is_some(),
                propagation: mount.propagation,
            })
        })
        .collect();
    if let Some(size) = &written.shm_size {
        if written.mounts.contains_key(SHM) {
            here.problem(
                ".shmSize",
                format!("shmSize mounts {SHM}, which is among the mounts already; drop one of the two"),
            );
        }
        let source = Source::Tmpfs { size: bytes(".shmSize", size, here) };
        mounts.push(Mount {
            path: SHM.into(),
            source,
            sub_path: None,
            read_only: false,
            seed: false,
            propagation: None,
        });
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
    }
    mounts
}

fn source(field: &str, mount: &api::Mount, spec: &AppStackSpec, here: &mut Place<'_>) -> Option<Source> {
    let api::Mount { volume, config, secret, tmpfs, ephemeral, host_path, image, .. } = mount;
    let given = [
        volume.is_some(),
        config.is_some(),
        secret.is_some(),
        tmpfs.is_some(),
        ephemeral.is_some(),
        host_path.is_some(),
        image.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        here.problem(
            field,
            "a mount must have exactly one of volume, config, secret, tmpfs, ephemeral, hostPath, image",
        );
        return None;
    }
    if let Some(name) = volume {
        if !spec.volumes.contains_key(name) {
            here.problem(&format!("{field}.volume"), unknown("volume", name, "spec.volumes", spec.volumes.keys()));
            return None;
        }
        return Some(Source::Volume { name: name.clone() });
    }
    if let Some(name) = config {
        return self::config(field, name, mount, spec, here);
    }
    if let Some(name) = secret {
        let Some(secret) = spec.secrets.get(name) else {
            here.problem(&format!("{field}.secret"), unknown("secret", name, "spec.secrets", spec.secrets.keys()));
            return None;
        };
        let key = mount.key.clone().or_else(|| secret.key.clone());
        let mode = mode(field, mount, here)?;
        return Some(Source::Secret { secret: name.clone(), secret_name: secret.secret_name.clone(), key, mode });
    }
    if let Some(tmpfs) = tmpfs {
        let size = tmpfs.size.as_ref().and_then(|size| bytes(&format!("{field}.tmpfs.size"), size, here));
        return Some(Source::Tmpfs { size });
    }
    if let Some(ephemeral) = ephemeral {
        let size = bytes(&format!("{field}.ephemeral.size"), &ephemeral.size, here)?;
        return Some(Source::Ephemeral { size, storage_class_name: ephemeral.storage_class_name.clone() });
    }
    if let Some(host) = host_path {
        return Some(Source::HostPath { path: host.path.clone(), r#type: host.r#type });
    }
    image.as_ref().map(|image| Source::Image { reference: image.reference.clone(), pull_policy: image.pull_policy })
}

fn bytes(path: &str, written: &Quantity, here: &mut Place<'_>) -> Option<i128> {
    let millis = written.millis();
    if millis.is_none() {
        here.problem(path, not_a_quantity(written));
    }
    millis.map(|millis| millis / 1000)
}

fn mode(field: &str, mount: &api::Mount, here: &mut Place<'_>) -> Option<i32> {
    let mode = mount.mode.as_deref().map_or(Some(MODE), |text| i32::from_str_radix(text, 8).ok());
    if mode.is_none() {
        here.problem(&format!("{field}.mode"), "must be octal permissions in quotes, such as \"0444\"");
    }
    mode
}

fn config(field: &str, name: &str, mount: &api::Mount, spec: &AppStackSpec, here: &mut Place<'_>) -> Option<Source> {
    let Some(config) = spec.configs.get(name) else {
        here.problem(&format!("{field}.config"), unknown("config", name, "spec.configs", spec.configs.keys()));
        return None;
    };
    let mode = mode(field, mount, here)?;
    if config.key.as_ref().is_some_and(|key| !has_file(config, key)) {
        // Said of the config.
        return None;
    }
    let key = mount.key.clone().or_else(|| config.key.clone());
    if let Some(config_map_name) = config.config_map_name.clone() {
        return Some(Source::ConfigMap { config: name.to_owned(), config_map_name, key, mode });
    }
    if config.content.is_some() {
        if mount.key.is_some() {
            let message = format!("config '{name}' is one file (content): it has no keys to choose from");
            here.problem(&format!("{field}.key"), message);
            return None;
        }
        return Some(Source::Config { name: name.to_owned(), key: Some(name.to_owned()), mode });
    }
    if let Some(key) = key.as_ref().filter(|key| !has_file(config, key)) {
        let files = config.data.keys().chain(config.binary_data.keys());
        here.problem(&format!("{field}.key"), unknown("file", key, &format!("spec.configs[{name}].data"), files));
        return None;
    }
    Some(Source::Config { name: name.to_owned(), key, mode })
}

/// Whether a config may hold a file of this name; what a ConfigMap of somebody else holds is not known.
pub(super) fn has_file(config: &api::Config, key: &str) -> bool {
    config.config_map_name.is_some() || config.data.contains_key(key) || config.binary_data.contains_key(key)
}
