//! The revision of a service: a hash of what its pods are made from, as the user means it.
//!
//! It never hashes rendered bytes: a new version of the operator must not replace pods. What says the same hashes the same: a default written out, a
//! duration in other units, a reference that resolves to the same; and what no pod shows is left out. A field added to the API later is left out of the
//! JSON while unset, so it does not move the hash of stacks that do not use it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{networks, ports};
use crate::api::{
    self, AppStackSpec, Config, Duration, FsGroupChangePolicy, HttpScheme, Mount, PodSecurity, Port, Profile,
    Propagation, PullPolicy, Quantity, SecretKey, SecurityContext, Service, ServicePort, Tmpfs, TolerationOperator,
};
use crate::child::digest::Digest;

/// Hash of the definition of service `name` and of what it refers to: the content of its configs, the names of its Secrets, how its volumes are mounted,
/// the shared names of its networks, what its Pod Security level makes of its containers.
pub fn revision(name: &str, written: &Service, stack: &AppStackSpec) -> String {
    let service = normal(written, stack);
    let joined = networks::names(written);
    let shared: BTreeMap<&String, &String> =
        joined.iter().filter_map(|name| Some((name, stack.networks.get(name)?.shared_name.as_ref()?))).collect();
    let aliases: BTreeSet<&String> =
        written.networks.values().flat_map(|network| &network.aliases).filter(|alias| *alias != name).collect();
    let mounts = || service.mounts.values();
    let volumes: BTreeMap<&String, Value> = mounts()
        .filter_map(|mount| mount.volume.as_ref())
        .map(|name| (name, volume(stack.volumes.get(name))))
        .collect();
    let configs: BTreeMap<&String, Option<Config>> = mounts()
        .filter_map(|mount| mount.config.as_ref())
        .chain(service.env_from.iter().filter_map(|from| from.config.as_ref()))
        .map(|name| (name, stack.configs.get(name).map(|config| files(name, config))))
        .collect();
    let secrets: BTreeMap<&String, Option<&String>> = mounts()
        .filter_map(|mount| mount.secret.as_ref())
        .chain(service.env_from.iter().filter_map(|from| from.secret.as_ref()))
        .chain(service.pre_start.iter().flat_map(|step| step.secret_env.values()).map(|key| &key.secret))
        .chain(service.secret_env.values().map(|key| &key.secret))
        .map(|name| (name, stack.secrets.get(name).map(|secret| &secret.secret_name)))
        .collect();
    let parts = [
        ("service", json!(service)),
        ("networks", json!(joined)),
        ("shared", json!(shared)),
        ("aliases", json!(aliases)),
        ("volumes", json!(volumes)),
        ("configs", json!(configs)),
        ("secrets", json!(secrets)),
    ];
    // What is not used stands nowhere, so that what comes later moves no hash.
    let used = parts.into_iter().filter(|(_, part)| *part != json!({}) && *part != json!([]));
    Digest::of(&Value::Object(used.map(|(name, part)| (name.to_owned(), part)).collect::<Map<_, _>>())).hex8()
}

/// The definition of the Job that fills a volume, as it is hashed: how often it is tried is not what it does.
pub(super) fn populate(written: &api::Populate, stack: &AppStackSpec) -> api::Populate {
    let mut normal = api::Populate { retries: None, ..written.clone() };
    unset(&mut normal.mount_path, &POPULATE_PATH.to_owned());
    normal.secret_env.values_mut().for_each(|key| secret_key(key, stack));
    normal
}

/// Where a volume is mounted to be filled.
pub(super) const POPULATE_PATH: &str = "/volume";

/// A service less what its pods do not show, and less what is the same unsaid: every default that a hash knows of is in this function and those below.
fn normal(written: &Service, stack: &AppStackSpec) -> Service {
    let level = written.pod_security.or(stack.pod_security).unwrap_or_default();
    let mut service = Service {
        // How many pods there are, when they start and how they are replaced, and who may call them and how.
        replicas: None,
        autoscale: None,
        depends_on: BTreeMap::new(),
        profiles: BTreeSet::new(),
        publish: None,
        routes: BTreeMap::new(),
        endpoint_mode: None,
        publish_not_ready: None,
        update: None,
        // Hashed by what follows from them.
        networks: BTreeMap::new(),
        pod_security: None,
        security_context: security(written, level),
        ports: listened_on(written),
        ..written.clone()
    };
    for flag in [&mut service.stdin, &mut service.tty, &mut service.init] {
        unset(flag, &false);
    }
    unset(&mut service.mode, &api::Mode::Replicated);
    unset(&mut service.network_mode, &api::NetworkMode::Stack);
    duration(&mut service.stop_grace_period, 30);
    if let Some(job) = &mut service.job {
        (job.retries, job.deadline) = (None, None);
        unset(&mut job.completions, &1);
    }
    unset(&mut service.job, &api::Job::default());
    if let Some(gpu) = &mut service.gpu {
        unset(&mut gpu.resource, &super::scale::GPU.to_owned());
    }
    for toleration in &mut service.tolerations {
        unset(&mut toleration.operator, &TolerationOperator::Equal);
    }
    variables(&mut service, stack);
    health(&mut service, written);
    resources(&mut service);
    if let Some(size) = service.shm_size.take() {
        let shm = Mount { tmpfs: Some(Tmpfs { size: Some(size) }), ..Mount::default() };
        service.mounts.insert(super::mounts::SHM.to_owned(), shm);
    }
    service.mounts.values_mut().for_each(|mount| self::mount(mount, stack));
    for step in &mut service.pre_start {
        unset(&mut step.image, &service.image);
    }
    if service.pre_start.iter().all(|step| step.image.is_none()) {
        unset(&mut service.image_pull_policy, &pulled(&service.image));
    }
    service
}

fn unset<T: PartialEq>(field: &mut Option<T>, default: &T) {
    if field.as_ref() == Some(default) {
        *field = None;
    }
}

/// In milliseconds; `default` is in seconds.
fn duration(field: &mut Option<Duration>, default: u128) {
    if let Some(exact) = field.as_ref().and_then(Duration::parse).map(|duration| duration.as_millis()) {
        *field = (exact != default * 1000).then(|| Duration(format!("{exact}ms")));
    }
}

/// In thousandths.
fn quantity(written: &mut Quantity) {
    if let Some(millis) = written.millis() {
        *written = Quantity::Text(millis.to_string());
    }
}

/// When an image is pulled, where nothing is said.
///
/// <https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting>
fn pulled(image: &str) -> PullPolicy {
    let last = image.rsplit('/').next().unwrap_or(image);
    let latest = last.ends_with(":latest") || !last.contains(':');
    if latest && !last.contains('@') { PullPolicy::Always } else { PullPolicy::IfNotPresent }
}

/// Ports that the container opens: each once, whatever is published of it.
fn listened_on(written: &Service) -> BTreeMap<String, ServicePort> {
    let own = |port: super::Port| {
        let bare = ServicePort {
            port: port.number,
            protocol: port.protocol,
            published: None,
            app_protocol: None,
            open_to: None,
        };
        (port.name, bare)
    };
    ports::ports(&written.ports).into_iter().map(own).collect()
}

fn secret_key(key: &mut SecretKey, stack: &AppStackSpec) {
    if key.key.is_none() {
        key.key = stack.secrets.get(&key.secret).and_then(|secret| secret.key.clone());
    }
    unset(&mut key.optional, &false);
}

fn variables(service: &mut Service, stack: &AppStackSpec) {
    let steps = service.pre_start.iter_mut().flat_map(|step| step.secret_env.values_mut());
    service.secret_env.values_mut().chain(steps).for_each(|key| secret_key(key, stack));
    for from in &mut service.env_from {
        unset(&mut from.optional, &false);
    }
}

fn health(service: &mut Service, written: &Service) {
    let Some(check) = &mut service.healthcheck else { return };
    for (field, default) in [
        (&mut check.interval, 30),
        (&mut check.timeout, 30),
        (&mut check.start_period, 0),
        (&mut check.start_interval, 5),
    ] {
        duration(field, default);
    }
    unset(&mut check.retries, &3);
    unset(&mut check.on_unhealthy, &api::OnUnhealthy::Ignore);
    if let Some(line) = check.shell.take() {
        check.exec = Some(super::health::shell(&line));
    }
    if let Some(http) = &mut check.http {
        unset(&mut http.path, &"/".to_owned());
        unset(&mut http.scheme, &HttpScheme::Http);
    }
    let dialled = [
        check.http.as_mut().map(|http| &mut http.port),
        check.tcp.as_mut().map(|tcp| &mut tcp.port),
        check.grpc.as_mut().map(|grpc| &mut grpc.port),
    ];
    for port in dialled.into_iter().flatten() {
        if let Some(number) = ports::number(port, &written.ports) {
            *port = Port::Number(number);
        }
    }
}

/// A request that is what its limit would reserve is the same unsaid.
fn resources(service: &mut Service) {
    let Some(resources) = &mut service.resources else { return };
    for amounts in [&mut resources.requests, &mut resources.limits].into_iter().flatten() {
        [&mut amounts.cpu, &mut amounts.memory, &mut amounts.ephemeral_storage]
            .into_iter()
            .flatten()
            .for_each(quantity);
    }
    if let (Some(requests), Some(limits)) = (&mut resources.requests, &resources.limits) {
        for (request, limit) in [
            (&mut requests.cpu, &limits.cpu),
            (&mut requests.memory, &limits.memory),
            (&mut requests.ephemeral_storage, &limits.ephemeral_storage),
        ] {
            if request == limit {
                *request = None;
            }
        }
    }
    unset(&mut resources.requests, &api::Amounts::default());
    unset(&mut resources.limits, &api::Amounts::default());
    unset(&mut service.resources, &api::Resources::default());
}

/// What a level writes into containers stands here, not the level: moving between two that write the same replaces nothing.
fn security(written: &Service, level: PodSecurity) -> Option<SecurityContext> {
    let mut context = written.security_context.clone().unwrap_or_default();
    let mut capabilities = context.capabilities.take().unwrap_or_default();
    if level == PodSecurity::Restricted {
        context.run_as_non_root.get_or_insert(true);
        context.allow_privilege_escalation.get_or_insert(false);
        if capabilities.drop.is_empty() {
            capabilities.drop.push("ALL".to_owned());
        }
    }
    for list in [&mut capabilities.add, &mut capabilities.drop] {
        list.sort_unstable();
    }
    context.capabilities = Some(capabilities);
    unset(&mut context.capabilities, &api::Capabilities::default());
    for flag in [&mut context.run_as_non_root, &mut context.read_only_root_filesystem, &mut context.privileged] {
        unset(flag, &false);
    }
    unset(&mut context.allow_privilege_escalation, &true);
    unset(&mut context.fs_group_change_policy, &FsGroupChangePolicy::OnRootMismatch);
    if written.mounts.values().any(|mount| mount.volume.is_some() || mount.ephemeral.is_some())
        && let Some(group) = context.run_as_group.or(context.run_as_user)
    {
        unset(&mut context.fs_group, &group);
    }
    context.supplemental_groups.sort_unstable();
    unset(
        &mut context.seccomp_profile,
        &api::SeccompProfile { r#type: Profile::RuntimeDefault, localhost_profile: None },
    );
    context.sysctls = context.sysctls.into_iter().map(|(name, value)| (name.replace('/', "."), value)).collect();
    (context != SecurityContext::default()).then_some(context)
}

fn mount(mount: &mut Mount, stack: &AppStackSpec) {
    let always_read_only = mount.config.is_some() || mount.secret.is_some() || mount.image.is_some();
    unset(&mut mount.read_only, &always_read_only);
    unset(&mut mount.propagation, &Propagation::None);
    if let Some(mode) = mount.mode.as_deref().and_then(|text| i32::from_str_radix(text, 8).ok()) {
        mount.mode = (mode != super::mounts::MODE).then(|| format!("{mode:o}"));
    }
    if mount.key.is_none() {
        let config = mount.config.as_ref().and_then(|name| {
            let config = stack.configs.get(name)?;
            config.key.as_ref().or(config.content.as_ref().map(|_| name))
        });
        let secret = mount.secret.as_ref().and_then(|name| stack.secrets.get(name)?.key.as_ref());
        mount.key = config.or(secret).cloned();
    }
    if let Some(tmpfs) = &mut mount.tmpfs {
        tmpfs.size.iter_mut().for_each(quantity);
    }
    if let Some(ephemeral) = &mut mount.ephemeral {
        quantity(&mut ephemeral.size);
    }
    if let Some(image) = &mut mount.image {
        unset(&mut image.pull_policy, &pulled(&image.reference));
    }
}

/// What of a volume shows in the pods that mount it.
fn volume(written: Option<&api::Volume>) -> Value {
    let mode = written.and_then(|volume| volume.access_mode).unwrap_or_default();
    let claim = written.and_then(|volume| volume.claim_name.as_ref()).map(|claim| json!({"claim": claim}));
    let own = written.filter(|volume| volume.per_replica == Some(true)).map(|_| json!("perReplica"));
    json!([mode.as_str(), claim.or(own).unwrap_or_default()])
}

/// Everything in a config: a change in one file of it is another ConfigMap for all who use it. Which file is meant stands with the mount.
fn files(name: &str, written: &Config) -> Config {
    let mut config = Config { key: None, ..written.clone() };
    if let Some(content) = config.content.take() {
        config.data.insert(name.to_owned(), content);
    }
    config
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
