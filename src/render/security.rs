//! As whom containers run, and what they may do.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext, Sysctl};

use super::filled;
use crate::api::{self, FsGroupChangePolicy, PodSecurity, Profile};
use crate::stack::{Service, Source};

/// Of a service's pods. Where it mounts a claim, its files are for the group that the service runs as.
pub(super) fn of_pod(service: &Service) -> PodSecurityContext {
    let wanted = &service.security;
    PodSecurityContext {
        run_as_user: wanted.run_as_user,
        run_as_group: wanted.run_as_group,
        run_as_non_root: non_root(service.pod_security, wanted.run_as_non_root),
        supplemental_groups: filled(wanted.supplemental_groups.clone()),
        seccomp_profile: Some(seccomp(wanted.seccomp_profile.as_ref())),
        sysctls: filled(
            wanted
                .sysctls
                .iter()
                .map(|(name, value)| Sysctl { name: name.replace('/', "."), value: value.clone() })
                .collect(),
        ),
        ..of_files(service)
    }
}

/// Of the pods that fill a volume for `user`: files are for its group. They run as their image says, and under Restricted, which wants a number that is not 0,
/// as the user does.
pub(super) fn of_filler(level: PodSecurity, user: Option<&Service>) -> PodSecurityContext {
    let restricted = user.filter(|_| level == PodSecurity::Restricted).map(|user| &user.security);
    PodSecurityContext {
        run_as_user: restricted.and_then(|wanted| wanted.run_as_user).filter(|number| *number != 0),
        run_as_group: restricted.and_then(|wanted| wanted.run_as_group),
        run_as_non_root: non_root(level, None),
        seccomp_profile: Some(seccomp(None)),
        ..user.map(of_files).unwrap_or_default()
    }
}

/// For which group the files of a service's volumes are.
fn of_files(service: &Service) -> PodSecurityContext {
    let wanted = &service.security;
    let mounts_volume =
        service.mounts.iter().any(|m| matches!(m.source, Source::Volume { .. } | Source::Ephemeral { .. }));
    let fs_group = wanted.fs_group.or(wanted.run_as_group.or(wanted.run_as_user).filter(|_| mounts_volume));
    let policy = match wanted.fs_group_change_policy.unwrap_or(FsGroupChangePolicy::OnRootMismatch) {
        FsGroupChangePolicy::OnRootMismatch => "OnRootMismatch",
        FsGroupChangePolicy::Always => "Always",
    };
    PodSecurityContext {
        fs_group,
        fs_group_change_policy: fs_group.map(|_| policy.to_owned()),
        ..PodSecurityContext::default()
    }
}

fn non_root(level: PodSecurity, wanted: Option<bool>) -> Option<bool> {
    wanted.or((level == PodSecurity::Restricted).then_some(true))
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
