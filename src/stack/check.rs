//! From what is written to what it means, or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::model::{
    Autoscale, Config, EnvVar, Need, Network, Problem, Problems, Resources, Scale, Service, Source, Stack, Value,
    Volume,
};
use super::{definition, graph, health, mounts, pod_security, ports};
use crate::api::{self, AccessMode, AppStack, Condition, PodSecurity, Quantity};
use crate::child::digest::Digest;

/// Where unset, a rollout without progress for this long has failed (design, section 3), unless its health check needs longer.
const DEADLINE: Duration = Duration::from_secs(600);

/// The model of a stack, or every problem of it. `most` is the highest Pod Security level that the operator grants.
///
/// Admission has refused what the CRD's schema and rules can see; this repeats only what resolving a reference needs anyway, so that a
/// stack that got past an older CRD is refused here and not half applied.
pub fn check(written: &AppStack, most: PodSecurity) -> Result<Stack, Problems> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let spec = &written.spec;

    let edges: BTreeMap<&str, Vec<&str>> = spec
        .services
        .iter()
        .map(|(name, service)| {
            (
                name.as_str(),
                service.depends_on.keys().map(String::as_str).filter(|d| spec.services.contains_key(*d)).collect(),
            )
        })
        .collect();
    let cycles = graph::cycles(&edges);
    for cycle in &cycles {
        let field = match cycle.as_slice() {
            [first, second, ..] => format!("spec.services[{first}].dependsOn[{second}]"),
            _ => "spec.services".into(),
        };
        let says = if cycle.len() == 2 {
            "a service cannot wait for itself"
        } else {
            "services wait for each other in a circle; drop one of the edges"
        };
        problems.push(Problem::new(field, format!("{says}: {}", cycle.join(" -> "))));
    }

    let services: BTreeMap<String, Service> = spec
        .services
        .iter()
        .map(|(name, service)| {
            let mut here =
                Place { field: format!("spec.services[{name}]"), problems: &mut problems, warnings: &mut warnings };
            (name.clone(), self::service(name, service, spec, most, &mut here))
        })
        .collect();

    problems.sort();
    let order = match graph::order(&edges) {
        Some(order) if problems.is_empty() => order,
        _ => return Err(Problems { all: problems, cycle: cycles.into_iter().next() }),
    };
    warnings.sort();
    let joined: BTreeSet<&String> = services.values().flat_map(|s| &s.networks).collect();
    let networks = joined
        .into_iter()
        .map(|name| {
            (name.clone(), Network { internal: spec.networks.get(name).and_then(|n| n.internal).unwrap_or_default() })
        })
        .collect();
    let volumes = used(&services, |source| match source {
        Source::Volume { name, .. } => Some(name),
        _ => None,
    })
    .filter_map(|name| Some((name.clone(), volume(spec.volumes.get(name)?))))
    .collect();
    let configs = used(&services, |source| match source {
        Source::Config { name, .. } => Some(name),
        _ => None,
    })
    .filter_map(|name| Some((name.clone(), config(name, spec.configs.get(name)?))))
    .collect();
    Ok(Stack {
        name: written.metadata.name.clone().unwrap_or_default(),
        namespace: written.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        uid: written.metadata.uid.clone().unwrap_or_default(),
        isolation: spec.isolation.unwrap_or_default(),
        services,
        order,
        networks,
        volumes,
        configs,
        warnings,
    })
}

/// Where in the spec we are, and where to put what is found there.
pub(super) struct Place<'a> {
    pub(super) field: String,
    pub(super) problems: &'a mut Vec<Problem>,
    pub(super) warnings: &'a mut Vec<Problem>,
}

impl Place<'_> {
    /// `path` below this place is wrong.
    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}{path}", self.field), message));
    }
    /// `path` below this place is legal and probably not meant.
    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(Problem::new(format!("{}{path}", self.field), message));
    }
    /// The duration at `path`, or `default` where it is unset.
    pub(super) fn duration(&mut self, path: &str, written: Option<&api::Duration>, default: u64) -> Duration {
        let Some(written) = written else { return Duration::from_secs(default) };
        written.parse().unwrap_or_else(|| {
            self.problem(path, format!("'{}' must be a duration such as '1m30s' (units h, m, s, ms)", written.0));
            Duration::from_secs(default)
        })
    }
}

fn service(
    name: &str,
    written: &api::Service,
    spec: &api::AppStackSpec,
    most: PodSecurity,
    here: &mut Place<'_>,
) -> Service {
    let mounts = mounts::mounts(written, spec, here);
    let ports = ports::ports(&written.ports);
    let networks = networks(written, spec, here);
    let health = written.healthcheck.as_ref().map(|check| health::health(check, written, &ports, here));
    let level = written.pod_security.or(spec.pod_security).unwrap_or_default();
    pod_security::check(written.security_context.as_ref(), level, most, here);

    let walled = networks.iter().all(|n| spec.networks.get(n).and_then(|n| n.internal).unwrap_or_default());
    let mut published = ports::published(&written.ports, &ports);
    if walled && !published.is_empty() {
        here.warn(".ports", "published ports of a service whose networks are all internal are not reachable, as in Compose; join it to a network that is not internal");
        published.clear();
    }
    let exclusive = mounts.iter().filter_map(|mount| match &mount.source {
        Source::Volume { name, .. } => Some((mount, name, spec.volumes.get(name)?.access_mode.unwrap_or_default())),
        _ => None,
    });
    let writes_exclusive_claim = exclusive.clone().any(|(mount, _, mode)| {
        !mount.read_only && matches!(mode, AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod)
    });
    let copies = written.autoscale.as_ref().map(|a| a.max).or(written.replicas).unwrap_or(1);
    for (mount, volume, mode) in exclusive.filter(|(mount, ..)| copies > 1 && !mount.read_only) {
        match mode {
            AccessMode::ReadWriteOncePod => here.problem(
                &format!(".mounts[{}]", mount.path),
                format!("volume '{volume}' is ReadWriteOncePod, for a single writer: replicas and autoscale.max must be at most 1, or the mount readOnly"),
            ),
            AccessMode::ReadWriteOnce => here.warn(
                &format!(".mounts[{}]", mount.path),
                format!("volume '{volume}' is ReadWriteOnce: all {copies} pods share one node and the same files"),
            ),
            _ => {}
        }
    }
    let check_time = health.as_ref().map_or(Duration::ZERO, |h| {
        let tries = u32::try_from(h.retries).unwrap_or(1);
        2 * (h.start_period + (h.interval + h.timeout) * tries)
    });
    Service {
        name: name.to_owned(),
        revision: definition::revision(written, spec),
        image: written.image.clone(),
        pull_policy: written.image_pull_policy,
        pull_secrets: written.image_pull_secrets.clone(),
        entrypoint: written.entrypoint.clone().unwrap_or_default(),
        command: written.command.clone().unwrap_or_default(),
        working_dir: written.working_dir.clone(),
        stdin: written.stdin.unwrap_or_default(),
        tty: written.tty.unwrap_or_default(),
        env: env(written, spec, here),
        ports,
        published,
        publish: written.publish.clone().or_else(|| spec.publish.clone()).unwrap_or_default(),
        networks,
        health,
        needs: needs(name, written, spec, here),
        mounts,
        scale: scale(written, here),
        resources: resources(written, here),
        stop_grace: here.duration(".stopGracePeriod", written.stop_grace_period.as_ref(), 30),
        pod_security: level,
        security: written.security_context.clone().unwrap_or_default(),
        deadline: DEADLINE.max(check_time),
        writes_exclusive_claim,
    }
}

fn env(written: &api::Service, spec: &api::AppStackSpec, here: &mut Place<'_>) -> Vec<EnvVar> {
    let mut env: BTreeMap<&String, Value> =
        written.env.iter().map(|(name, value)| (name, Value::Literal(value.clone()))).collect();
    for (name, from) in &written.secret_env {
        let path = format!(".secretEnv[{name}]");
        let Some(secret) = spec.secrets.get(&from.secret) else {
            here.problem(
                &format!("{path}.secret"),
                unknown("secret", &from.secret, "spec.secrets", spec.secrets.keys()),
            );
            continue;
        };
        let Some(key) = from.key.clone().or_else(|| secret.key.clone()) else {
            here.problem(&path, format!("a key must be named here or in spec.secrets[{}].key", from.secret));
            continue;
        };
        let value =
            Value::Secret { secret_name: secret.secret_name.clone(), key, optional: from.optional.unwrap_or_default() };
        if env.insert(name, value).is_some() {
            here.problem(&path, "a variable may be in one of env and secretEnv only");
        }
    }
    env.into_iter().map(|(name, value)| EnvVar { name: name.clone(), value }).collect()
}

fn networks(written: &api::Service, spec: &api::AppStackSpec, here: &mut Place<'_>) -> BTreeSet<String> {
    for name in written.networks.keys().filter(|name| *name != "default" && !spec.networks.contains_key(*name)) {
        here.problem(&format!(".networks[{name}]"), unknown("network", name, "spec.networks", spec.networks.keys()));
    }
    if written.networks.is_empty() {
        BTreeSet::from(["default".to_owned()])
    } else {
        written.networks.keys().cloned().collect()
    }
}

fn needs(name: &str, written: &api::Service, spec: &api::AppStackSpec, here: &mut Place<'_>) -> BTreeMap<String, Need> {
    let mut needs = BTreeMap::new();
    for (on, edge) in &written.depends_on {
        let path = format!(".dependsOn[{on}]");
        let Some(dependency) = spec.services.get(on) else {
            here.problem(
                &path,
                unknown("service", on, "spec.services", spec.services.keys().filter(|other| *other != name)),
            );
            continue;
        };
        let condition = edge.condition.unwrap_or(Condition::Healthy);
        match condition {
            Condition::Completed => here.problem(
                &format!("{path}.condition"),
                format!(
                    "'Completed' is for a service that ends, and '{on}' is kept running; allowed: 'Started', 'Healthy'"
                ),
            ),
            Condition::Healthy if edge.condition.is_some() && dependency.healthcheck.is_none() => {
                here.warn(
                    &path,
                    format!("'{on}' has no healthcheck: 'Healthy' means no more than that its containers run"),
                );
            }
            Condition::Healthy | Condition::Started => {}
        }
        needs.insert(on.clone(), Need { condition, required: edge.required.unwrap_or(true) });
    }
    needs
}

fn scale(written: &api::Service, here: &mut Place<'_>) -> Scale {
    let Some(auto) = &written.autoscale else { return Scale::Fixed(written.replicas) };
    Scale::Auto(Autoscale {
        min: auto.min.unwrap_or(1),
        max: auto.max,
        cpu_percent: auto.cpu_percent,
        memory_percent: auto.memory_percent,
        scale_down_after: auto
            .scale_down_after
            .as_ref()
            .map(|after| here.duration(".autoscale.scaleDownAfter", Some(after), 300)),
    })
}

fn resources(written: &api::Service, here: &mut Place<'_>) -> Resources {
    let Some(resources) = &written.resources else { return Resources::default() };
    let mut amounts = |path: &str, amounts: Option<&api::service::Amounts>| {
        let Some(amounts) = amounts else { return BTreeMap::new() };
        let fields =
            [("cpu", &amounts.cpu), ("memory", &amounts.memory), ("ephemeral-storage", &amounts.ephemeral_storage)];
        let mut canonical = BTreeMap::new();
        for (name, quantity) in fields {
            let Some(quantity) = quantity else { continue };
            match quantity.millis() {
                Some(millis) if name == "cpu" => canonical.insert(name, mounts::cores(millis)),
                Some(millis) => canonical.insert(name, mounts::bytes(millis / 1000)),
                None => {
                    here.problem(&format!(".resources.{path}.{name}"), not_a_quantity(quantity));
                    None
                }
            };
        }
        canonical
    };
    Resources {
        requests: amounts("requests", resources.requests.as_ref()),
        limits: amounts("limits", resources.limits.as_ref()),
    }
}

pub(super) fn not_a_quantity(quantity: &Quantity) -> String {
    let text = match quantity {
        Quantity::Int(n) => n.to_string(),
        Quantity::Text(text) => text.clone(),
    };
    format!("'{text}' must be a quantity such as '500m' or '10Gi'")
}

/// What is said of a reference to nothing, with what there is.
pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    declared_in: &str,
    there: impl Iterator<Item = &'a String>,
) -> String {
    let names: Vec<&str> = there.map(String::as_str).take(12).collect();
    let known = if names.is_empty() {
        "none is declared there".into()
    } else {
        format!("declared there: {}", names.join(", "))
    };
    format!("no {what} '{name}' in {declared_in}; {known}")
}

fn used<'a>(
    services: &'a BTreeMap<String, Service>,
    pick: impl Fn(&'a Source) -> Option<&'a String>,
) -> impl Iterator<Item = &'a String> {
    let names: BTreeSet<&String> = services.values().flat_map(|s| &s.mounts).filter_map(|m| pick(&m.source)).collect();
    names.into_iter()
}

fn volume(written: &api::Volume) -> Volume {
    Volume {
        // Mounting it has checked the size.
        size: written.size.millis().unwrap_or_default() / 1000,
        storage_class_name: written.storage_class_name.clone(),
        access_mode: written.access_mode.unwrap_or_default(),
        retention: written.retention.unwrap_or_default(),
    }
}

fn config(name: &str, written: &api::Config) -> Config {
    let data = match &written.content {
        Some(content) => BTreeMap::from([(name.to_owned(), content.clone())]),
        None => written.data.clone(),
    };
    let hash = Digest::of(&serde_json::json!(data)).hex8();
    Config { data, hash }
}
