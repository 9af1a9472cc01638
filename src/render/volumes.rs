//! What a pod's volumes are, and where its containers see them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, EphemeralVolumeSource, HostPathVolumeSource, ImageVolumeSource,
    KeyToPath, PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::json;

use super::{claim, config, container, filled};
use crate::api::{HostPathType, Propagation};
use crate::child::digest::Digest;
use crate::stack::{self, Claim, Mount, Source, Stack};

/// Who looks at a volume.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SeenBy {
    /// The service and its steps.
    Service,
    /// The container that fills it, which must write.
    Seed,
}

/// Each volume of the pod once: mounts of one volume at several paths share it. Claims of each pod's own come from the StatefulSet.
pub(super) fn volumes(stack: &Stack, mounts: &[Mount]) -> Vec<Volume> {
    let mut named: BTreeMap<String, Vec<&Mount>> = BTreeMap::new();
    for mount in mounts {
        named.entry(name(mount)).or_default().push(mount);
    }
    named.into_iter().filter_map(|(name, mounts)| volume(stack, name, &mounts)).collect()
}

/// The volume behind mounts that share one. Where they are of single files it names each: a file that is not there then keeps the pod from starting, and says
/// so, where the kubelet would else make an empty folder of its name.
fn volume(stack: &Stack, name: String, mounts: &[&Mount]) -> Option<Volume> {
    let keys: BTreeSet<&String> = mounts.iter().filter_map(|mount| key(mount)).collect();
    let items = filled(
        keys.into_iter().map(|key| KeyToPath { key: key.clone(), path: key.clone(), mode: None }).collect::<Vec<_>>(),
    );
    let mount = mounts.first()?;
    let mut volume = Volume { name, ..Volume::default() };
    let config_map = |name: String, mode: i32| ConfigMapVolumeSource {
        name,
        default_mode: Some(mode),
        items: items.clone(),
        ..ConfigMapVolumeSource::default()
    };
    match &mount.source {
        Source::Volume { name } => {
            let claim_name = match &stack.volumes.get(name)?.claim {
                Claim::PerReplica(_) => return None,
                Claim::Existing(claim) => claim.clone(),
                Claim::Own(_) => claim::name(stack, name),
            };
            volume.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None });
        }
        Source::Config { name, mode, .. } => {
            volume.config_map = Some(config_map(config_map_name(stack, name), *mode));
        }
        Source::ConfigMap { config_map_name, mode, .. } => {
            volume.config_map = Some(config_map(config_map_name.clone(), *mode));
        }
        Source::Secret { secret_name, mode, .. } => {
            volume.secret = Some(SecretVolumeSource {
                secret_name: Some(secret_name.clone()),
                default_mode: Some(*mode),
                items: items.clone(),
                ..SecretVolumeSource::default()
            });
        }
        Source::Tmpfs { size } => {
            volume.empty_dir = Some(EmptyDirVolumeSource {
                medium: Some("Memory".into()),
                size_limit: size.map(|s| Quantity(stack::bytes(s))),
            });
        }
        Source::Ephemeral { size, storage_class_name } => {
            volume.ephemeral = Some(ephemeral(*size, storage_class_name.clone()));
        }
        Source::HostPath { path, r#type } => {
            volume.host_path =
                Some(HostPathVolumeSource { path: path.clone(), type_: r#type.map(|t| host_path_type(t).into()) });
        }
        Source::Image { reference, pull_policy } => {
            volume.image = Some(ImageVolumeSource {
                reference: Some(reference.clone()),
                pull_policy: pull_policy.map(container::pull_policy),
            });
        }
    }
    Some(volume)
}

fn ephemeral(size: i128, storage_class_name: Option<String>) -> EphemeralVolumeSource {
    EphemeralVolumeSource {
        volume_claim_template: Some(PersistentVolumeClaimTemplate {
            metadata: None,
            spec: PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".into()]),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([("storage".into(), Quantity(stack::bytes(size)))])),
                    limits: None,
                }),
                storage_class_name,
                ..PersistentVolumeClaimSpec::default()
            },
        }),
    }
}

/// Name of our ConfigMap of a config, with its present content.
pub(super) fn config_map_name(stack: &Stack, name: &str) -> String {
    config::name(stack, name, stack.configs.get(name).map(|c| c.hash.as_str()).unwrap_or_default())
}

const fn host_path_type(r#type: HostPathType) -> &'static str {
    match r#type {
        HostPathType::DirectoryOrCreate => "DirectoryOrCreate",
        HostPathType::Directory => "Directory",
        HostPathType::FileOrCreate => "FileOrCreate",
        HostPathType::File => "File",
        HostPathType::Socket => "Socket",
        HostPathType::CharDevice => "CharDevice",
        HostPathType::BlockDevice => "BlockDevice",
    }
}

fn name(mount: &Mount) -> String {
    let hashed = |what: &str, of: serde_json::Value| format!("{what}-{}", Digest::of(&of).hex8());
    let files = if key(mount).is_some() { "-files" } else { "" };
    match &mount.source {
        Source::Volume { name } => claim::volume_name(name),
        // Permissions are the volume's: the same files with others are another volume. So are single files, and the folder as a whole.
        Source::Config { name, mode, .. } | Source::ConfigMap { config: name, mode, .. } => {
            format!("config-{name}-{mode:o}{files}")
        }
        Source::Secret { secret, mode, .. } => format!("secret-{secret}-{mode:o}{files}"),
        Source::Tmpfs { .. } => hashed("tmpfs", json!(mount.path)),
        Source::Ephemeral { .. } => hashed("ephemeral", json!(mount.path)),
        Source::HostPath { path, r#type } => hashed("host", json!([path, r#type])),
        Source::Image { reference, pull_policy } => hashed("image", json!([reference, pull_policy])),
    }
}

/// The one file that is meant.
fn key(mount: &Mount) -> Option<&String> {
    match &mount.source {
        Source::Config { key, .. } | Source::ConfigMap { key, .. } | Source::Secret { key, .. } => key.as_ref(),
        _ => None,
    }
}

pub(super) fn mount(mount: &Mount, seen_by: SeenBy) -> VolumeMount {
    VolumeMount {
        name: name(mount),
        mount_path: mount.path.clone(),
        mount_propagation: mount.propagation.map(|propagation| {
            match propagation {
                Propagation::None => "None",
                Propagation::HostToContainer => "HostToContainer",
                Propagation::Bidirectional => "Bidirectional",
            }
            .into()
        }),
        read_only: filled(mount.read_only && seen_by == SeenBy::Service),
        sub_path: mount.sub_path.as_ref().or(key(mount)).cloned(),
        ..VolumeMount::default()
    }
}
