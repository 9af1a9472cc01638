//! What a `podTemplatePatch` may not do: leave the pod's Pod Security level, or take what is the operator's.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use serde_json::Value;

use super::check::Place;
use super::pod_security::{self, BASELINE_CAPABILITIES, SAFE_SYSCTLS};
use crate::api::patch::FORBIDDEN;
use crate::api::{PodSecurity, PodTemplatePatch};

/// Kinds of volume that Restricted allows.
const RESTRICTED_VOLUMES: [&str; 9] =
    ["name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "secret"];

/// Looks at a patch of the pods of `service`, whose container has its name.
pub(super) fn check(patch: &PodTemplatePatch, service: &str, level: PodSecurity, here: &mut Place<'_>) {
    let mut found = Vec::new();
    for (field, why) in FORBIDDEN {
        if patch.spec.contains_key(field) {
            found.push((format!("spec.{field}"), format!("a patch may not set {field}: {why}")));
        }
    }
    for map in ["labels", "annotations"] {
        let keys = patch.metadata.get(map).and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
        for key in keys.filter(|key| key.starts_with("appstack.dev/")) {
            found.push((format!("metadata.{map}[{key}]"), "keys of 'appstack.dev/' are the operator's own".into()));
        }
    }
    let annotations = patch.metadata.get("annotations").and_then(Value::as_object).into_iter().flatten();
    for (key, value) in annotations {
        if let Some(wrong) = pod_security::app_armor(key, value.as_str().unwrap_or_default(), level) {
            found.push((format!("metadata.annotations[{key}]"), wrong));
        }
    }
    let spec = Value::Object(patch.spec.clone());
    if level < PodSecurity::Privileged {
        for (field, what) in beyond_baseline(&spec) {
            found.push((field, format!("{what} needs podSecurity: Privileged")));
        }
    }
    if level == PodSecurity::Restricted {
        for (field, what) in beyond_restricted(&spec, service) {
            found.push((field, format!("{what} under podSecurity: Restricted")));
        }
    }
    for (field, message) in found {
        here.problem(&format!(".podTemplatePatch.{field}"), message);
    }
}

type Found = Vec<(String, String)>;

fn items<'a>(spec: &'a Value, list: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    spec[list].as_array().into_iter().flatten().enumerate()
}

fn containers(spec: &Value) -> impl Iterator<Item = (String, &Value)> {
    ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| items(spec, list).map(move |(at, container)| (format!("spec.{list}[{at}]"), container)))
}

/// The security contexts of the pod and of each container, with where they stand.
fn contexts(spec: &Value) -> impl Iterator<Item = (String, &Value)> {
    let pod = std::iter::once(("spec.securityContext".to_owned(), &spec["securityContext"]));
    pod.chain(containers(spec).map(|(field, c)| (format!("{field}.securityContext"), &c["securityContext"])))
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn beyond_baseline(spec: &Value) -> Found {
    let mut found = Found::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[field] == true {
            found.push((format!("spec.{field}"), format!("'{field}'")));
        }
    }
    for (at, volume) in items(spec, "volumes") {
        if !volume["hostPath"].is_null() {
            found.push((format!("spec.volumes[{at}].hostPath"), "a path of the node".into()));
        }
    }
    for (field, context) in contexts(spec) {
        if context["privileged"] == true {
            found.push((format!("{field}.privileged"), "privileged".into()));
        }
        for add in texts(&context["capabilities"]["add"]).filter(|add| !BASELINE_CAPABILITIES.contains(add)) {
            found.push((format!("{field}.capabilities.add"), format!("capability {add}")));
        }
        for profile in ["seccompProfile", "appArmorProfile"] {
            if context[profile]["type"] == "Unconfined" {
                found.push((format!("{field}.{profile}.type"), "'Unconfined'".into()));
            }
        }
        if context["procMount"].as_str().is_some_and(|mount| mount != "Default") {
            found.push((format!("{field}.procMount"), "another procMount than 'Default'".into()));
        }
        if context["windowsOptions"]["hostProcess"] == true {
            found.push((format!("{field}.windowsOptions.hostProcess"), "'hostProcess'".into()));
        }
        let selinux = &context["seLinuxOptions"];
        let odd = |key: &str| selinux[key].as_str().is_some_and(|text| !text.is_empty());
        let types = ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
        if odd("user") || odd("role") || (odd("type") && !types.contains(&selinux["type"].as_str().unwrap_or_default()))
        {
            found.push((format!("{field}.seLinuxOptions"), "an SELinux user, role or type of one's own".into()));
        }
        for (at, sysctl) in items(context, "sysctls") {
            let name = sysctl["name"].as_str().unwrap_or_default();
            if !SAFE_SYSCTLS.contains(&name.replace('/', ".").as_str()) {
                let what = format!("'{name}', a kernel parameter outside the safe set,");
                found.push((format!("{field}.sysctls[{at}]"), what));
            }
        }
    }
    for (field, container) in containers(spec) {
        if items(container, "ports").any(|(_, port)| port["hostPort"].as_i64().is_some_and(|port| port != 0)) {
            found.push((format!("{field}.ports"), "a hostPort".into()));
        }
        for hook in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let probe = &container[hook];
            if !probe["httpGet"]["host"].is_null() || !probe["tcpSocket"]["host"].is_null() {
                found.push((format!("{field}.{hook}"), "a probe of another host".into()));
            }
        }
        for hook in ["postStart", "preStop"] {
            let hook = &container["lifecycle"][hook];
            if !hook["httpGet"]["host"].is_null() || !hook["tcpSocket"]["host"].is_null() {
                found.push((format!("{field}.lifecycle"), "a hook that calls another host".into()));
            }
        }
    }
    found
}

fn beyond_restricted(spec: &Value, service: &str) -> Found {
    let mut found = Found::new();
    for (at, volume) in items(spec, "volumes") {
        let kinds = volume.as_object().into_iter().flat_map(|volume| volume.keys());
        for kind in kinds
            .filter(|kind| !RESTRICTED_VOLUMES.contains(&kind.as_str()) && *kind != "projected" && *kind != "hostPath")
        {
            found.push((format!("spec.volumes[{at}].{kind}"), format!("a volume of kind {kind} is refused")));
        }
    }
    for (field, context) in contexts(spec) {
        if context["runAsNonRoot"] == false {
            found.push((format!("{field}.runAsNonRoot"), "must not be false".into()));
        }
        if context["runAsUser"] == 0 {
            found.push((format!("{field}.runAsUser"), "must not be 0".into()));
        }
        if context["allowPrivilegeEscalation"] == true {
            found.push((format!("{field}.allowPrivilegeEscalation"), "must not be true".into()));
        }
        let adds = texts(&context["capabilities"]["add"]);
        for add in adds.filter(|add| *add != "NET_BIND_SERVICE" && BASELINE_CAPABILITIES.contains(add)) {
            found
                .push((format!("{field}.capabilities.add"), format!("only NET_BIND_SERVICE may be added, not {add},")));
        }
        let drop = &context["capabilities"]["drop"];
        if drop.is_array() && !texts(drop).any(|word| word == "ALL") {
            found.push((format!("{field}.capabilities.drop"), "must contain ALL".into()));
        }
    }
    // A container that the patch brings along has none of what the operator writes into its own.
    for (field, container) in containers(spec).filter(|(_, c)| c["name"] != service) {
        let context = &container["securityContext"];
        if context["allowPrivilegeEscalation"].is_null() {
            found.push((format!("{field}.securityContext.allowPrivilegeEscalation"), "must be false".into()));
        }
        if !context["capabilities"]["drop"].is_array() {
            found.push((format!("{field}.securityContext.capabilities.drop"), "must contain ALL".into()));
        }
    }
    found
}
