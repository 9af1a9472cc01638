//! As whom containers run, and what they may do.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext, Sysctl};

use super::filled;
use crate::api::{self, FsGroupChangePolicy, PodSecurity, Profile};
use crate::stack::{Service, Source};

/// Of a service's pods. Where it mounts a claim, its files are for the group that the service runs as.
pub(super) fn of_pod(service: &Service) -> PodSecurityContext {
    let wanted = &service.security;
    let mounts_volume =
        service.mounts.iter().any(|m| matches!(m.source, Source::Volume { .. } | Source::Ephemeral { .. }));
    let fs_group = wanted.fs_group.or(wanted.run_as_group.or(wanted.run_as_user).filter(|_| mounts_volume));
    let policy = wanted.fs_group_change_policy.unwrap_or(FsGroupChangePolicy::OnRootMismatch);
    let at_level = at_level(service.pod_security, wanted.run_as_non_root);
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
        run_as_non_root: at_level.run_as_non_root,
        supplemental_groups: filled(wanted.supplemental_groups.clone()),
        seccomp_profile: Some(seccomp(wanted.seccomp_profile.as_ref())),
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

/// Of the pods of a level, where nothing else is asked for.
pub(super) fn at_level(level: PodSecurity, run_as_non_root: Option<bool>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: run_as_non_root.or((level == PodSecurity::Restricted).then_some(true)),
        seccomp_profile: Some(seccomp(None)),
        ..PodSecurityContext::default()
    }
}

fn seccomp(profile: Option<&api::SeccompProfile>) -> SeccompProfile {
    SeccompProfile {
        type_: match profile.map_or(Profile::RuntimeDefault, |p| p.r#type) {
            Profile::RuntimeDefault => "RuntimeDefault",
            Profile::Localhost => "Localhost",
            Profile::Unconfined => "Unconfined",
        }
        .into(),
        localhost_profile: profile.and_then(|p| p.localhost_profile.clone()),
    }
}

/// Of each container of a service.
pub(super) fn of_container(service: &Service) -> Option<SecurityContext> {
    container(&service.security, service.pod_security)
}

/// Of a container that asks for this at this level.
pub(super) fn container(wanted: &api::SecurityContext, level: PodSecurity) -> Option<SecurityContext> {
    let restricted = level == PodSecurity::Restricted;
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
