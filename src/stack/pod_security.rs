//! What each Pod Security level refuses, said before admission does.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use super::check::Place;
use super::model::Problem;
use crate::api::{NetworkMode, PodSecurity, Profile, SecurityContext, Service};

/// Capabilities that Baseline lets a container add: the runtime's default set.
pub(crate) const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel parameters that are a pod's own, as Baseline lists them.
pub(crate) const SAFE_SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// Names every field that goes beyond `level`, and a level beyond what the operator grants.
pub(super) fn check(written: &Service, level: PodSecurity, most: PodSecurity, here: &mut Place<'_>) {
    if level > most {
        let message = format!("'{level:?}' is more than this operator grants ('{most:?}', its --max-pod-security)");
        match written.pod_security {
            Some(_) => here.problem(".podSecurity", message),
            // It is the stack's, and is said once for all services that take it over.
            None => here.problems.push(Problem::new("spec.podSecurity", message)),
        }
    }
    for (key, value) in &written.pod_annotations {
        if let Some(wrong) = app_armor(key, value, level) {
            here.problem(&format!(".podAnnotations[{key}]"), wrong);
        }
    }
    let Some(context) = &written.security_context else { return };
    if level < PodSecurity::Privileged {
        let mut needs_privileged = |path: &str, what: &str| {
            here.problem(&format!(".securityContext.{path}"), format!("{what} needs podSecurity: Privileged"));
        };
        if context.privileged == Some(true) {
            needs_privileged("privileged", "privileged");
        }
        for add in added(context).filter(|add| !BASELINE_CAPABILITIES.contains(add)) {
            needs_privileged("capabilities.add", &format!("capability {add}"));
        }
        if context.seccomp_profile.as_ref().is_some_and(|p| p.r#type == Profile::Unconfined) {
            needs_privileged("seccompProfile.type", "'Unconfined'");
        }
        for name in context.sysctls.keys().filter(|name| !SAFE_SYSCTLS.contains(&name.replace('/', ".").as_str())) {
            needs_privileged(&format!("sysctls[{name}]"), "a kernel parameter outside the safe set");
        }
    }
    if level == PodSecurity::Restricted {
        let mut refused = |path: &str, message: &str| {
            here.problem(&format!(".securityContext.{path}"), format!("{message} under podSecurity: Restricted"));
        };
        if context.run_as_user == Some(0) {
            refused("runAsUser", "must not be 0");
        }
        if context.run_as_non_root == Some(false) {
            refused("runAsNonRoot", "must not be false");
        }
        if context.allow_privilege_escalation == Some(true) {
            refused("allowPrivilegeEscalation", "must not be true");
        }
        for add in added(context).filter(|add| *add != "NET_BIND_SERVICE" && BASELINE_CAPABILITIES.contains(add)) {
            refused("capabilities.add", &format!("only NET_BIND_SERVICE may be added, not {add},"));
        }
        if context.capabilities.as_ref().is_some_and(|c| !c.drop.is_empty() && !c.drop.iter().any(|d| d == "ALL")) {
            refused("capabilities.drop", "must contain ALL");
        }
    }
    if written.network_mode == Some(NetworkMode::Host) {
        for name in context.sysctls.keys().filter(|name| name.starts_with("net.") || name.starts_with("net/")) {
            here.problem(
                &format!(".securityContext.sysctls[{name}]"),
                "kernel parameters of the network go with networkMode Stack or None, not Host, where they would be the node's",
            );
        }
    }
    if context.privileged == Some(true) && context.allow_privilege_escalation == Some(false) {
        here.problem(".securityContext.allowPrivilegeEscalation", "must not be false beside privileged: true");
    }
}

/// What is wrong with an annotation that chooses the AppArmor profile of a container: the older way to say it, which the cluster still heeds.
///
/// <https://kubernetes.io/docs/tutorials/security/apparmor/>
pub(super) fn app_armor(key: &str, value: &str, level: PodSecurity) -> Option<String> {
    key.strip_prefix("container.apparmor.security.beta.kubernetes.io/")?;
    if matches!(value, "" | "runtime/default") || value.strip_prefix("localhost/").is_some_and(|name| !name.is_empty())
    {
        return None;
    }
    match value {
        "unconfined" if level == PodSecurity::Privileged => None,
        "unconfined" => Some("AppArmor profile 'unconfined' needs podSecurity: Privileged".into()),
        _ => Some(format!(
            "'{value}' is no AppArmor profile; allowed: 'runtime/default', 'localhost/<profile>', 'unconfined'"
        )),
    }
}

fn added(context: &SecurityContext) -> impl Iterator<Item = &str> {
    context.capabilities.iter().flat_map(|c| &c.add).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_leaves_the_level_no_more_than_a_field_does() {
        let said = |value: &str, level| app_armor("container.apparmor.security.beta.kubernetes.io/web", value, level);
        for level in [PodSecurity::Restricted, PodSecurity::Baseline, PodSecurity::Privileged] {
            for fine in ["runtime/default", "localhost/web", ""] {
                assert_eq!(said(fine, level), None, "{fine}");
            }
            for wrong in ["localhost/", "RuntimeDefault", "unconfined ", "runtime/default/x"] {
                assert!(said(wrong, level).is_some_and(|why| why.contains("allowed")), "{wrong}");
            }
            assert_eq!(said("unconfined", level).is_none(), level == PodSecurity::Privileged);
        }
        assert_eq!(app_armor("example.com/web", "unconfined", PodSecurity::Restricted), None);
    }
}
