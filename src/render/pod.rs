//! The pod template of a service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, LocalObjectReference, PersistentVolumeClaimVolumeSource, PodAffinity, PodAffinityTerm,
    PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile, SecretKeySelector,
    SecretVolumeSource, SecurityContext, Sysctl, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Part, Settings, claim, config, filled, metadata, probe};
use crate::api::{AccessMode, FsGroupChangePolicy, PodSecurity, Profile, PullPolicy};
use crate::child::digest::Digest;
use crate::child::labels;
use crate::stack::{self, Mount, Resources, Service, Source, Stack, Value};

pub(super) fn template(stack: &Stack, service: &Service, settings: &Settings) -> PodTemplateSpec {
    let mut pod_labels = metadata::all(stack, &Part::Service(service.name.clone()));
    pod_labels.extend(service.networks.iter().map(|network| (labels::in_network(network), String::new())));
    let exclusive = exclusive_volumes(stack, service);
    pod_labels.extend(exclusive.iter().map(|volume| (labels::uses_volume(volume), String::new())));
    #[allow(unused_mut)] // debug builds add the salt
    let mut annotations = BTreeMap::from([(labels::REVISION.to_owned(), service.revision.clone())]);
    #[cfg(debug_assertions)]
    annotations.extend(settings.test_salt.iter().map(|salt| ("appstack.dev/test-salt".to_owned(), salt.clone())));
    #[cfg(not(debug_assertions))]
    let _ = settings;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            affinity: affinity(stack, &exclusive),
            // A Secret token in every pod, and variables such as REDIS_PORT=tcp://..., are surprises to Compose users.
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            containers: vec![container(service)],
            image_pull_secrets: filled(
                service.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect(),
            ),
            security_context: Some(pod_security(service)),
            termination_grace_period_seconds: i64::try_from(service.stop_grace.as_millis().div_ceil(1000)).ok(),
            volumes: filled(volumes(stack, service)),
            ..PodSpec::default()
        }),
    }
}

fn container(service: &Service) -> Container {
    Container {
        name: service.name.clone(),
        image: Some(service.image.clone()),
        image_pull_policy: service.pull_policy.map(|policy| {
            match policy {
                PullPolicy::Always => "Always",
                PullPolicy::IfNotPresent => "IfNotPresent",
                PullPolicy::Never => "Never",
            }
            .to_owned()
        }),
        command: filled(service.entrypoint.iter().map(|word| literal(word)).collect()),
        args: filled(service.command.iter().map(|word| literal(word)).collect()),
        working_dir: service.working_dir.clone(),
        stdin: filled(service.stdin),
        tty: filled(service.tty),
        env: filled(service.env.iter().map(env).collect()),
        ports: filled(
            service
                .ports
                .iter()
                .map(|port| ContainerPort {
                    name: Some(port.name.clone()),
                    container_port: port.number,
                    protocol: Some(port.protocol.as_str().into()),
                    ..ContainerPort::default()
                })
                .collect(),
        ),
        readiness_probe: service.health.as_ref().map(probe::readiness),
        resources: resources(&service.resources),
        security_context: container_security(service),
        volume_mounts: filled(service.mounts.iter().map(mount).collect()),
        ..Container::default()
    }
}

/// The kubelet expands `$(NAME)` in commands and variables and makes `$$` a dollar; Compose users wrote literals.
///
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '$' && matches!(chars.peek(), Some('(' | '$')) {
            out.push('$');
        }
    }
    out
}

fn env(var: &stack::EnvVar) -> EnvVar {
    match &var.value {
        // An empty value is dropped on the way in: the variable is there and empty all the same.
        Value::Literal(value) => EnvVar { name: var.name.clone(), value: filled(literal(value)), value_from: None },
        Value::Secret { secret_name, key, optional } => EnvVar {
            name: var.name.clone(),
            value: None,
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: secret_name.clone(),
                    key: key.clone(),
                    optional: filled(*optional),
                }),
                ..EnvVarSource::default()
            }),
        },
    }
}

fn resources(wanted: &Resources) -> Option<ResourceRequirements> {
    let amounts = |map: &BTreeMap<&'static str, String>| {
        filled(
            map.iter().map(|(name, amount)| ((*name).to_owned(), Quantity(amount.clone()))).collect::<BTreeMap<_, _>>(),
        )
    };
    let (requests, limits) = (amounts(&wanted.requests), amounts(&wanted.limits));
    (requests.is_some() || limits.is_some()).then_some(ResourceRequirements { requests, limits, claims: None })
}

fn pod_security(service: &Service) -> PodSecurityContext {
    let wanted = &service.security;
    let mounts_volume = service.mounts.iter().any(|m| matches!(m.source, Source::Volume { .. }));
    let fs_group = wanted.fs_group.or(wanted.run_as_group.or(wanted.run_as_user).filter(|_| mounts_volume));
    let policy = wanted.fs_group_change_policy.unwrap_or(FsGroupChangePolicy::OnRootMismatch);
    let profile = wanted.seccomp_profile.as_ref();
    PodSecurityContext {
        fs_group,
        fs_group_change_policy: fs_group.map(|_| {
            match policy {
                FsGroupChangePolicy::OnRootMismatch => "OnRootMismatch",
                FsGroupChangePolicy::Always => "Always",
            }
            .to_owned()
        }),
        run_as_user: wanted.run_as_user,
        run_as_group: wanted.run_as_group,
        run_as_non_root: wanted.run_as_non_root.or((service.pod_security == PodSecurity::Restricted).then_some(true)),
        supplemental_groups: filled(wanted.supplemental_groups.clone()),
        seccomp_profile: Some(SeccompProfile {
            type_: match profile.map_or(Profile::RuntimeDefault, |p| p.r#type) {
                Profile::RuntimeDefault => "RuntimeDefault",
                Profile::Localhost => "Localhost",
                Profile::Unconfined => "Unconfined",
            }
            .into(),
            localhost_profile: profile.and_then(|p| p.localhost_profile.clone()),
        }),
        sysctls: filled(
            wanted
                .sysctls
                .iter()
                .map(|(name, value)| Sysctl { name: name.replace('/', "."), value: value.clone() })
                .collect(),
        ),
        ..PodSecurityContext::default()
    }
}

fn container_security(service: &Service) -> Option<SecurityContext> {
    let wanted = &service.security;
    let restricted = service.pod_security == PodSecurity::Restricted;
    let caps = wanted.capabilities.clone().unwrap_or_default();
    let drop = if caps.drop.is_empty() && restricted { vec!["ALL".to_owned()] } else { caps.drop };
    filled(SecurityContext {
        allow_privilege_escalation: wanted.allow_privilege_escalation.or(restricted.then_some(false)),
        capabilities: filled(Capabilities { add: filled(caps.add), drop: filled(drop) }),
        privileged: wanted.privileged,
        read_only_root_filesystem: wanted.read_only_root_filesystem,
        ..SecurityContext::default()
    })
}

/// Volumes that keep all their users on one node.
fn exclusive_volumes(stack: &Stack, service: &Service) -> Vec<String> {
    let mut names: Vec<String> = service
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            Source::Volume { name, .. } => Some(name),
            _ => None,
        })
        .filter(|name| stack.volumes.get(*name).is_some_and(|v| v.access_mode == AccessMode::ReadWriteOnce))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Users of a claim that one node mounts share that node; the first one's own label satisfies its own term (T16).
fn affinity(stack: &Stack, exclusive: &[String]) -> Option<Affinity> {
    let terms: Vec<PodAffinityTerm> = exclusive
        .iter()
        .map(|volume| PodAffinityTerm {
            label_selector: Some(metadata::pods(stack, &[labels::uses_volume(volume)])),
            topology_key: "kubernetes.io/hostname".into(),
            ..PodAffinityTerm::default()
        })
        .collect();
    (!terms.is_empty()).then(|| Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(terms),
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    })
}

/// Each volume of the pod once: mounts of one volume at several paths share it.
fn volumes(stack: &Stack, service: &Service) -> Vec<Volume> {
    let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
    for mount in &service.mounts {
        let name = volume_name(mount);
        let mut volume = Volume { name: name.clone(), ..Volume::default() };
        match &mount.source {
            Source::Volume { name, .. } => {
                let claim_name = claim::name(stack, name);
                volume.persistent_volume_claim =
                    Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None });
            }
            Source::Config { name, mode, .. } => {
                let hash = stack.configs.get(name).map(|c| c.hash.as_str()).unwrap_or_default();
                volume.config_map = Some(ConfigMapVolumeSource {
                    name: config::name(stack, name, hash),
                    default_mode: Some(*mode),
                    ..ConfigMapVolumeSource::default()
                });
            }
            Source::ConfigMap { config_map_name, mode, .. } => {
                volume.config_map = Some(ConfigMapVolumeSource {
                    name: config_map_name.clone(),
                    default_mode: Some(*mode),
                    ..ConfigMapVolumeSource::default()
                });
            }
            Source::Secret { secret_name, mode, .. } => {
                volume.secret = Some(SecretVolumeSource {
                    secret_name: Some(secret_name.clone()),
                    default_mode: Some(*mode),
                    ..SecretVolumeSource::default()
                });
            }
            Source::Tmpfs { size } => {
                volume.empty_dir = Some(EmptyDirVolumeSource {
                    medium: Some("Memory".into()),
                    size_limit: size.map(|s| Quantity(stack::bytes(s))),
                });
            }
        }
        volumes.insert(name, volume);
    }
    volumes.into_values().collect()
}

fn volume_name(mount: &Mount) -> String {
    match &mount.source {
        Source::Volume { name, .. } => format!("volume-{name}"),
        // Permissions are the volume's: the same files with others are another volume.
        Source::Config { name, mode, .. } | Source::ConfigMap { config: name, mode, .. } => {
            format!("config-{name}-{mode:o}")
        }
        Source::Secret { secret, mode, .. } => format!("secret-{secret}-{mode:o}"),
        Source::Tmpfs { .. } => format!("tmpfs-{}", Digest::of(&mount.path.as_str().into()).hex8()),
    }
}

fn mount(mount: &Mount) -> VolumeMount {
    let sub_path = match &mount.source {
        Source::Volume { sub_path, .. } => sub_path.clone(),
        Source::Config { key, .. } | Source::ConfigMap { key, .. } | Source::Secret { key, .. } => key.clone(),
        Source::Tmpfs { .. } => None,
    };
    VolumeMount {
        name: volume_name(mount),
        mount_path: mount.path.clone(),
        read_only: filled(mount.read_only),
        sub_path,
        ..VolumeMount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn shell_snippets_reach_the_process_as_written() {
        for (written, sent) in
            [("$(date)", "$$(date)"), ("$$", "$$$"), ("a$b", "a$b"), ("$$(X)", "$$$$(X)"), ("100$", "100$")]
        {
            assert_eq!(literal(written), sent);
        }
    }
}
