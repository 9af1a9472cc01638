//! `user`, `group_add`, capabilities, `privileged`, `read_only`, `security_opt`, `sysctls`, `pid` and `userns_mode`.

use serde_json::{Value, json};

use super::{Mapper, Of, code, field, known_images};
use crate::api::{
    Capabilities, Mount, PodSecurity, PodTemplatePatch, Profile, SeccompProfile, SecurityContext, Service,
};
use crate::compose::node::{Entry, Node};
use crate::stack::pod_security::{BASELINE_CAPABILITIES, SAFE_SYSCTLS};

/// What such a service asks of its surroundings.
const PRIVILEGED: &str = "where the cluster enforces Pod Security the namespace needs pod-security.kubernetes.io/enforce=privileged, and the operator --max-pod-security Privileged";

impl<'a> Mapper<'a> {
    /// Which user it runs as and what it may do.
    pub(super) fn security(&mut self, of: &Of<'a>, to: &mut Service) {
        let mut context = to.security_context.take().unwrap_or_default();
        let here = field(of, &self.services, "securityContext");
        if let Some(entry) = of.entry("user") {
            self.user(of, entry, &mut context, &to.image);
        }
        for group in of.node.items("group_add") {
            let text = group.as_text().unwrap_or_default();
            match number(text) {
                Some(number) => context.supplemental_groups.push(number),
                None => {
                    let message = "Kubernetes knows groups by number: names are in files of the image";
                    self.says.refused(group, code::USER, message, "write the group's number");
                }
            }
            self.says.mapped(group, format!("{here}.supplementalGroups"));
        }
        self.capabilities(of, &mut context, to);
        if let Some(entry) = of.entry("privileged") {
            self.privileged(of, entry, &mut context, to);
        }
        if let Some(entry) = of.entry("read_only") {
            context.read_only_root_filesystem = entry.value.is_true().then_some(true);
            if entry.value.is_true() && !to.mounts.contains_key("/tmp") {
                let message = "nothing can be written but to mounts, and /tmp is none";
                self.says.noted(entry.at, code::READ_ONLY, message, "write tmpfs: [/tmp], if the program needs it");
            }
            self.says.mapped(entry, format!("{here}.readOnlyRootFilesystem"));
        }
        for option in of.node.items("security_opt") {
            self.option(of, option, &mut context, to);
        }
        for (name, entry) in of.node.entries("sysctls") {
            context.sysctls.insert(name.clone(), entry.value.printed().unwrap_or_default());
            let here = format!("{here}.sysctls.{name}");
            if SAFE_SYSCTLS.contains(&name.as_str()) {
                self.says.mapped(entry, here);
            } else {
                to.pod_security = Some(PodSecurity::Privileged);
                let message = "nodes let pods set it only if their kubelet allows it, and the level Baseline does not";
                let help = "start the kubelets with --allowed-unsafe-sysctls, or set it on the nodes";
                self.says.approximated(entry, code::SYSCTL, here, message, help);
            }
        }
        context.fs_group = group_of_files(&context, to);
        if context != SecurityContext::default() {
            to.security_context = Some(context);
        }
        if let Some(entry) = of.entry("pid") {
            self.pid(of, entry, to);
        }
        if let Some(entry) = of.entry("userns_mode") {
            match entry.value.as_text().unwrap_or_default() {
                "host" | "" => self.says.nothing(entry, "it is what Kubernetes does"),
                _ => {
                    let message = "whether users of a pod are others on the node is up to the cluster";
                    self.says.ignored(entry, code::NAMESPACE, message, "");
                }
            }
        }
    }

    /// Names of users are in files of the image; those of known images have known numbers.
    fn user(&mut self, of: &Of<'a>, entry: &'a Entry, to: &mut SecurityContext, image: &str) {
        let text = entry.value.as_text().unwrap_or_default();
        let here = field(of, &self.services, "securityContext.runAsUser");
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let group = group.filter(|group| !group.is_empty());
        if text.is_empty() {
            return self.says.nothing(entry, "it says nothing");
        }
        let known = |name: &str| number(name).or_else(|| Some(known_images::user(image, name)?.0));
        let known_group = |name: &str| number(name).or_else(|| Some(known_images::user(image, name)?.1));
        let (Some(user_id), None | Some(Some(_))) = (known(user), group.map(known_group)) else {
            let message = "Kubernetes knows users by number: names are in files of the image";
            let help = format!("write the number: docker run --rm {image} id {user} says it");
            return self.says.refused(entry, code::USER, message, &help);
        };
        to.run_as_user = Some(user_id);
        to.run_as_group = group.and_then(known_group);
        to.run_as_non_root = (user_id != 0).then_some(true);
        if number(user).is_none() || group.is_some_and(|group| number(group).is_none()) {
            let message = format!("'{text}' of this image is known to be {user_id}");
            return self.says.approximated(entry, code::USER, here, &message, "write the number");
        }
        self.says.mapped(entry, here);
    }

    fn capabilities(&mut self, of: &Of<'a>, context: &mut SecurityContext, to: &mut Service) {
        let mut all = Capabilities::default();
        for (key, list) in [("cap_add", &mut all.add), ("cap_drop", &mut all.drop)] {
            let here = field(of, &self.services, &format!("securityContext.capabilities.{}", &key.replace("cap_", "")));
            for item in of.node.items(key) {
                let text = item.as_text().unwrap_or_default().to_uppercase();
                let name = text.strip_prefix("CAP_").unwrap_or(&text).to_owned();
                if key == "cap_add" && !BASELINE_CAPABILITIES.contains(&name.as_str()) {
                    to.pod_security = Some(PodSecurity::Privileged);
                    let message = format!("{name} is more than runtimes give: the service is at the level Privileged");
                    self.says.approximated(item, code::CAPABILITY, &here, &message, PRIVILEGED);
                } else {
                    self.says.mapped(item, &here);
                }
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
        if all != Capabilities::default() {
            context.capabilities = Some(all);
        }
    }

    fn privileged(&mut self, of: &Of<'a>, entry: &'a Entry, context: &mut SecurityContext, to: &mut Service) {
        if !entry.value.is_true() {
            return self.says.nothing(entry, "no container is");
        }
        let message = "a privileged container may do on the node what root may";
        if !self.choices.allows(code::PRIVILEGED) {
            let help = "write the capabilities that it needs under cap_add; or --allow privileged";
            return self.says.refused(entry, code::PRIVILEGED, message, help);
        }
        context.privileged = Some(true);
        to.pod_security = Some(PodSecurity::Privileged);
        let here = field(of, &self.services, "securityContext.privileged");
        self.says.approximated(entry, code::PRIVILEGED, here, message, PRIVILEGED);
    }

    fn option(&mut self, of: &Of<'a>, item: &'a Node, context: &mut SecurityContext, to: &mut Service) {
        let text = item.as_text().unwrap_or_default();
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, "true"));
        let here = field(of, &self.services, "securityContext");
        match (name, value) {
            ("no-new-privileges", "true") => {
                context.allow_privilege_escalation = Some(false);
                self.says.mapped(item, format!("{here}.allowPrivilegeEscalation"));
            }
            ("no-new-privileges", _) => self.says.nothing(item, "it says nothing"),
            ("seccomp", "unconfined") => {
                context.seccomp_profile = Some(SeccompProfile { r#type: Profile::Unconfined, localhost_profile: None });
                to.pod_security = Some(PodSecurity::Privileged);
                let message = "without a seccomp profile the service is at the level Privileged";
                let here = format!("{here}.seccompProfile");
                self.says.approximated(item, code::SECURITY_OPTION, here, message, PRIVILEGED);
            }
            ("seccomp", "builtin") => self.says.nothing(item, "it is what pods have anyway"),
            ("seccomp", _) => {
                let message = "a profile has to be a file on every node";
                let help = "put it below the kubelet's seccomp folder, and name it by seccompProfile in the stack";
                self.says.refused(item, code::SECURITY_OPTION, message, help);
            }
            ("apparmor", value) => {
                let profile = match value {
                    "unconfined" => json!({"type": "Unconfined"}),
                    "docker-default" | "runtime/default" => json!({"type": "RuntimeDefault"}),
                    other => json!({"type": "Localhost", "localhostProfile": other}),
                };
                if value == "unconfined" {
                    to.pod_security = Some(PodSecurity::Privileged);
                }
                self.of_pod(of, item, to, "appArmorProfile", profile);
            }
            ("label", value) => match value.split_once(':') {
                Some((key @ ("type" | "level" | "user" | "role"), value)) => {
                    self.of_pod(of, item, to, "seLinuxOptions", json!({key: value}));
                }
                _ => self.says.ignored(item, code::SECURITY_OPTION, "SELinux is up to the nodes", ""),
            },
            _ => {
                let message = format!("Kubernetes has nothing like '{name}'");
                self.says.refused(item, code::SECURITY_OPTION, &message, "take it out");
            }
        }
    }

    /// A field of the pod's security context that the stack has no word for.
    fn of_pod(&mut self, of: &Of<'a>, item: &'a Node, to: &mut Service, name: &str, value: Value) {
        let patch = to.pod_template_patch.get_or_insert_with(PodTemplatePatch::default);
        let context = patch.spec.entry("securityContext").or_insert_with(|| json!({}));
        if let Some(context) = context.as_object_mut() {
            match (context.get_mut(name).and_then(Value::as_object_mut), value.as_object()) {
                (Some(there), Some(more)) => there.extend(more.clone()),
                _ => drop(context.insert(name.to_owned(), value)),
            }
        }
        let here = field(of, &self.services, "podTemplatePatch");
        self.says.approximated(item, code::SECURITY_OPTION, here, "it is written in the pod's own words", "");
    }

    fn pid(&mut self, of: &Of<'a>, entry: &'a Entry, to: &mut Service) {
        match entry.value.as_text().unwrap_or_default() {
            "" => self.says.nothing(entry, "it says nothing"),
            "host" if self.choices.allows(code::HOST_PID) => {
                patch(to, "hostPID");
                let here = field(of, &self.services, "podTemplatePatch");
                self.says.approximated(entry, code::HOST_PID, here, "it sees every process of the node", PRIVILEGED);
            }
            "host" => {
                let message = "it would see every process of the node";
                self.says.refused(entry, code::HOST_PID, message, "take it out; or --allow hostpid");
            }
            _ => {
                let message = "two services do not see each other's processes: each pod has its own";
                self.says.refused(entry, code::PID, message, "write both as one service");
            }
        }
    }
}

/// Sets a switch of the pod that only the level Privileged allows.
pub(super) fn patch(to: &mut Service, name: &str) {
    let patch = to.pod_template_patch.get_or_insert_with(PodTemplatePatch::default);
    patch.spec.insert(name.to_owned(), json!(true));
    to.pod_security = Some(PodSecurity::Privileged);
}

/// The group that a new claim is given to, so that a user who is not root may write there: an image has one that Compose does not say.
/// Where the service says its user the operator takes that one's.
fn group_of_files(context: &SecurityContext, to: &Service) -> Option<i64> {
    let writes = |mount: &Mount| (mount.volume.is_some() || mount.ephemeral.is_some()) && mount.read_only != Some(true);
    let (user, group) = known_images::of(&to.image)?.runs_as?;
    let group = if group == 0 { user } else { group };
    (context.run_as_user.is_none() && to.mounts.values().any(writes)).then_some(group)
}

/// The number of a user or group: a number, or that of root.
fn number(name: &str) -> Option<i64> {
    if name == "root" {
        return Some(0);
    }
    name.parse().ok().filter(|id| (0..=i64::from(u32::MAX)).contains(id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::choices::Choices;
    use super::super::code;
    use super::super::says::Class::{Approximated, Ignored, Refused};
    use super::super::tests::{found, mapped_with, service};

    #[test]
    fn users_are_numbers() {
        for (lines, context) in [
            ("user: '1000:1001'", json!({"runAsUser": 1000, "runAsGroup": 1001, "runAsNonRoot": true})),
            ("user: root", json!({"runAsUser": 0})),
            ("group_add: ['44', root]", json!({"supplementalGroups": [44, 0]})),
            (
                "cap_add: [CAP_NET_BIND_SERVICE]\ncap_drop: [all]",
                json!({"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}),
            ),
            ("read_only: true", json!({"readOnlyRootFilesystem": true})),
            ("security_opt: ['no-new-privileges:true']", json!({"allowPrivilegeEscalation": false})),
            ("sysctls: {net.ipv4.tcp_syncookies: 0}", json!({"sysctls": {"net.ipv4.tcp_syncookies": "0"}})),
        ] {
            assert_eq!(service(lines)["securityContext"], context, "{lines}");
        }
        assert_eq!(found("user: somebody"), [(Refused, code::USER.0)]);
    }

    #[test]
    fn a_known_image_that_is_not_root_may_write_to_its_volumes() {
        let group = |lines: &str| {
            let text = format!("services:\n  a: {{{lines}}}\nvolumes: {{data: }}\n");
            let spec = mapped_with(&[("compose.yaml", &text)], &Choices::default()).stack.spec;
            spec.services["a"].security_context.as_ref().and_then(|context| context.fs_group)
        };
        assert_eq!(group("image: 'grafana/grafana:10', volumes: ['data:/var/lib/grafana']"), Some(472));
        assert_eq!(group("image: 'grafana/grafana:10', volumes: ['data:/var/lib/grafana'], user: '0'"), None);
        assert_eq!(group("image: 'grafana/grafana:10', volumes: ['data:/var/lib/grafana:ro']"), None);
        assert_eq!(group("image: 'grafana/grafana:10'"), None);
        assert_eq!(group("image: 'postgres:16', volumes: ['data:/var/lib/postgresql/data']"), None);
    }

    #[test]
    fn more_than_a_runtime_gives_is_said_or_refused() {
        for (lines, class, code) in [
            ("cap_add: [SYS_PTRACE]", Approximated, code::CAPABILITY),
            ("privileged: true", Refused, code::PRIVILEGED),
            ("security_opt: ['seccomp:unconfined']", Approximated, code::SECURITY_OPTION),
            ("security_opt: ['seccomp:./p.json']", Refused, code::SECURITY_OPTION),
            ("security_opt: ['apparmor:unconfined']", Approximated, code::SECURITY_OPTION),
            ("security_opt: ['systempaths=unconfined']", Refused, code::SECURITY_OPTION),
            ("sysctls: {net.core.somaxconn: 1024}", Approximated, code::SYSCTL),
            ("pid: host", Refused, code::HOST_PID),
            ("userns_mode: private", Ignored, code::NAMESPACE),
            ("read_only: true", Approximated, code::READ_ONLY),
        ] {
            assert_eq!(found(lines), [(class, code.0)], "{lines}");
        }
        assert_eq!(service("cap_add: [SYS_PTRACE]")["podSecurity"], json!("Privileged"));
        let text = "services:\n  a: {image: a:1, privileged: true, pid: host}\n";
        let choices = Choices { allow: ["privileged", "hostpid"].map(str::to_owned).into(), ..Choices::default() };
        let mapped = mapped_with(&[("compose.yaml", text)], &choices);
        let a = serde_json::to_value(&mapped.stack.spec.services["a"]).unwrap();
        assert_eq!(a["securityContext"], json!({"privileged": true}));
        assert_eq!(a["podTemplatePatch"]["spec"], json!({"hostPID": true}));
        assert_eq!(a["podSecurity"], json!("Privileged"));
    }
}
