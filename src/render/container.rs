//! The container of a service, and those that run before it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, Container, ContainerPort, EnvFromSource, EnvVar, EnvVarSource, ExecAction, Lifecycle,
    LifecycleHandler, ResourceRequirements, SecretEnvSource, SecretKeySelector, SleepAction, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::volumes::{self, SeenBy};
use super::{drain, filled, probe, security};
use crate::api::PullPolicy;
use crate::child::digest::Digest;
use crate::stack::{self, EnvFrom, EnvSource, Mount, Resources, Service, Value};

pub(super) fn container(stack: &stack::Stack, service: &Service) -> Container {
    let probes = service.health.as_ref().map(probe::probes).unwrap_or_default();
    Container {
        name: service.name.clone(),
        image: Some(service.image.clone()),
        image_pull_policy: service.pull_policy.map(pull_policy),
        command: filled(literals(&service.entrypoint)),
        args: filled(literals(&service.command)),
        working_dir: service.working_dir.clone(),
        stdin: filled(service.stdin),
        tty: filled(service.tty),
        env: filled(service.env.iter().map(env).collect()),
        env_from: filled(service.env_from.iter().map(|from| env_from(stack, from)).collect()),
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
        lifecycle: filled(Lifecycle {
            post_start: service.post_start.as_deref().map(hook),
            pre_stop: service.pre_stop.as_deref().map(hook).or_else(|| sleep(drain::drain(service))),
            ..Lifecycle::default()
        }),
        liveness_probe: probes.liveness,
        readiness_probe: probes.readiness,
        startup_probe: probes.startup,
        resources: resources(&service.resources),
        security_context: security::of_container(service),
        volume_mounts: filled(service.mounts.iter().map(|mount| volumes::mount(mount, SeenBy::Service)).collect()),
        ..Container::default()
    }
}

/// First those that fill empty volumes from the image, then the service's own steps.
pub(super) fn init_containers(service: &Service) -> Vec<Container> {
    let seeds = service.mounts.iter().filter(|mount| mount.seed).map(|mount| seed(service, mount));
    let steps = service.pre_start.iter().map(|step| Container {
        name: step.name.clone(),
        image: Some(step.image.clone()),
        command: filled(literals(&step.command)),
        env: filled(step.env.iter().map(env).collect()),
        volume_mounts: filled(service.mounts.iter().map(|mount| volumes::mount(mount, SeenBy::Service)).collect()),
        ..before(service)
    });
    seeds.chain(steps).collect()
}

/// What a container before the service's own has in common with it. It reserves as much, which costs nothing as they do not run at the same time,
/// and satisfies a namespace's quota; devices stay with the service.
fn before(service: &Service) -> Container {
    let own = |amounts: &BTreeMap<String, String>| {
        amounts.iter().filter(|(name, _)| !name.contains('/')).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let wanted = Resources { requests: own(&service.resources.requests), limits: own(&service.resources.limits) };
    Container {
        image_pull_policy: service.pull_policy.map(pull_policy),
        resources: resources(&wanted),
        security_context: security::of_container(service),
        ..Container::default()
    }
}

/// Copies what the image has at a path into the volume, as Docker does for a new named volume. A copy that was cut short is done again: a mark
/// tells it from a volume in use. `lost+found` is the file system's own. Who does not own the volume's root may write into it (`fsGroup`), but cannot give
/// it the times and permissions that the folder has in the image: `cp -a` of the folder itself would fail.
pub(super) const SEED: &str = r#"to=/.appstack/seed mark=/.appstack/seed/.appstack-seeding
[ -d "$1" ] || exit 0
if [ ! -e "$mark" ]; then
  for file in "$to"/* "$to"/.[!.]* "$to"/..?*; do
    case "$file" in */lost+found) continue ;; esac
    if [ -e "$file" ] || [ -L "$file" ]; then exit 0; fi
  done
fi
: > "$mark" || exit 1
if [ -O "$to" ]; then
  cp -af "$1/." "$to/" || exit 1
else
  for file in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    if [ -e "$file" ] || [ -L "$file" ]; then cp -af "$file" "$to/" || exit 1; fi
  done
fi
rm -f "$mark""#;

fn seed(service: &Service, mount: &Mount) -> Container {
    let words = ["/bin/sh", "-c", SEED, "seed", &mount.path];
    Container {
        name: format!("seed-{}", Digest::of(&mount.path.as_str().into()).hex8()),
        image: Some(service.image.clone()),
        command: Some(literals(&words.map(str::to_owned))),
        volume_mounts: Some(vec![VolumeMount {
            mount_path: "/.appstack/seed".into(),
            ..volumes::mount(mount, SeenBy::Seed)
        }]),
        ..before(service)
    }
}

pub(super) fn literals(words: &[String]) -> Vec<String> {
    words.iter().map(|word| literal(word)).collect()
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

pub(super) fn env(var: &stack::EnvVar) -> EnvVar {
    // An empty value is dropped on the way in: the variable is there and empty all the same.
    let text = |text: String| EnvVar { name: var.name.clone(), value: filled(text), value_from: None };
    match &var.value {
        Value::Literal(value) => text(literal(value)),
        Value::Template(value) => text(value.clone()),
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

fn env_from(stack: &stack::Stack, from: &EnvFrom) -> EnvFromSource {
    let optional = filled(from.optional);
    let config_map = |name: String| ConfigMapEnvSource { name, optional };
    let (config_map_ref, secret_ref) = match &from.source {
        EnvSource::Config(name) => (Some(config_map(volumes::config_map_name(stack, name))), None),
        EnvSource::ConfigMap(name) => (Some(config_map(name.clone())), None),
        EnvSource::Secret(name) => (None, Some(SecretEnvSource { name: name.clone(), optional })),
    };
    EnvFromSource { config_map_ref, secret_ref, prefix: from.prefix.clone() }
}

/// Hooks run as they are written: the kubelet expands nothing in them.
fn hook(words: &[String]) -> LifecycleHandler {
    LifecycleHandler { exec: Some(ExecAction { command: Some(words.to_vec()) }), ..LifecycleHandler::default() }
}

/// The kubelet itself waits: no program of the image is needed.
fn sleep(time: Duration) -> Option<LifecycleHandler> {
    let seconds = i64::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0)?;
    Some(LifecycleHandler { sleep: Some(SleepAction { seconds }), ..LifecycleHandler::default() })
}

pub(super) fn pull_policy(policy: PullPolicy) -> String {
    match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
    .into()
}

fn resources(wanted: &Resources) -> Option<ResourceRequirements> {
    let amounts = |map: &BTreeMap<String, String>| {
        filled(map.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect::<BTreeMap<_, _>>())
    };
    filled(ResourceRequirements { requests: amounts(&wanted.requests), limits: amounts(&wanted.limits), claims: None })
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
