//! From what is written to what it means, or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::model::{Need, Network, Placement, PreStart, Problem, Problems, Service, Source, Stack};
use super::{
    configs, definition, env, graph, health, mounts, neighbours, networks, patch, pod_security, ports, requests,
    routes, scale, ties, update, volumes,
};
use crate::api::{self, AppStack, AppStackSpec, Condition, Mode, OpenTo, PodSecurity, Quantity};
use crate::child::digest::Digest;

/// The model of a stack, or every problem of it. `most` is the highest Pod Security level that the operator grants.
///
/// Admission has refused what the CRD's schema and rules can see; this repeats only what resolving a reference needs anyway, so that a
/// stack that got past an older CRD is refused here and not half applied. Services that are off by profile are checked too, and then left out.
pub fn check(written: &AppStack, most: PodSecurity) -> Result<Stack, Problems> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let spec = &written.spec;

    let edges = edges(spec);
    let cycles = graph::cycles(&edges);
    problems.extend(cycles.iter().map(|cycle| circle(cycle)));

    let mut services = BTreeMap::new();
    for (name, service) in &spec.services {
        let mut here =
            Place { field: format!("spec.services[{name}]"), problems: &mut problems, warnings: &mut warnings };
        let model = self::service(name, service, spec, most, &mut here);
        if is_on(service, spec) {
            services.insert(name.clone(), model);
        }
    }
    let broken_configs = spec.configs.iter().filter_map(|(name, config)| {
        let key = config.key.as_ref().filter(|key| config.content.is_none() && !mounts::has_file(config, key))?;
        let files = config.data.keys().chain(config.binary_data.keys());
        let field = format!("spec.configs[{name}].key");
        Some(Problem::new(field, unknown("file", key, &format!("spec.configs[{name}].data"), files)))
    });
    problems.extend(broken_configs);
    problems.extend(ports::node_port_clashes(&services));
    problems.extend(neighbours::of_itself(written.metadata.name.as_deref().unwrap_or_default(), spec));
    problems.extend(routes::of_stack(spec));
    let name = written.metadata.name.as_deref().unwrap_or_default();
    let namespace = written.metadata.namespace.as_deref().unwrap_or("default");
    problems.extend(routes::clashes((namespace, name), &services));
    problems.extend(volumes::shared_by_pods(&services, spec));
    warnings.extend(networks::without_walls(&services, spec));
    let volumes = used(&services, Source::volume)
        .filter_map(|name| {
            let field = format!("spec.volumes[{name}]");
            let mut here = Place { field, problems: &mut problems, warnings: &mut warnings };
            Some((name.clone(), volumes::volume(name, spec.volumes.get(name)?, spec, most, &mut here)))
        })
        .collect();

    let configs = configs::configs(&services, spec, &mut problems);

    problems.sort();
    problems.dedup();
    let order = match graph::order(&edges) {
        Some(order) if problems.is_empty() => order,
        _ => return Err(Problems { all: problems, cycle: cycles.into_iter().next() }),
    };
    let order: Vec<String> = order.into_iter().filter(|name| services.contains_key(name)).collect();
    let ties = ties::ties(spec);
    // Who its pods share a node with is a part of what they are.
    for (name, service) in &mut services {
        if let Some(tie) = spec.services.get(name).and_then(|written| ties::foreign(written, spec, &ties)) {
            service.revision = Digest::of(&json!([service.revision, format!("{tie:?}")])).hex8();
        }
    }
    // A restart is the same definition once more.
    for (name, service) in &mut services {
        service.definition.clone_from(&service.revision);
        service.put_back = requests::put_back(written, service, &mut warnings);
        if let Some(stamp) = requests::stamp(written, name, &mut warnings) {
            service.revision = Digest::of(&json!([service.revision, {"restart": stamp}])).hex8();
        }
    }
    restart_with_dependencies(&order, spec, &mut services);
    warnings.sort();
    Ok(Stack {
        name: written.metadata.name.clone().unwrap_or_default(),
        namespace: written.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        uid: written.metadata.uid.clone().unwrap_or_default(),
        isolation: spec.isolation.unwrap_or_default(),
        stopped: spec.stopped.unwrap_or_default(),
        teardown: spec.teardown.unwrap_or_default(),
        apply_as: spec.apply_as.clone(),
        depends_on: spec.depends_on.keys().cloned().collect(),
        networks: joined(&services, spec),
        configs,
        ties,
        volumes,
        order,
        services,
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

fn edges(spec: &AppStackSpec) -> BTreeMap<&str, Vec<&str>> {
    let there = |name: &&str| spec.services.contains_key(*name);
    spec.services
        .iter()
        .map(|(name, service)| (name.as_str(), service.depends_on.keys().map(String::as_str).filter(there).collect()))
        .collect()
}

fn circle(cycle: &[String]) -> Problem {
    let field = match cycle {
        [first, second, ..] => format!("spec.services[{first}].dependsOn[{second}]"),
        _ => "spec.services".into(),
    };
    let says = if cycle.len() == 2 {
        "a service cannot wait for itself"
    } else {
        "services wait for each other in a circle; drop one of the edges"
    };
    Problem::new(field, format!("{says}: {}", cycle.join(" -> ")))
}

/// Whether a service runs, as profiles go.
fn is_on(service: &api::Service, spec: &AppStackSpec) -> bool {
    service.profiles.is_empty() || !service.profiles.is_disjoint(&spec.profiles)
}

fn service(
    name: &str,
    written: &api::Service,
    spec: &AppStackSpec,
    most: PodSecurity,
    here: &mut Place<'_>,
) -> Service {
    let level = written.pod_security.or(spec.pod_security).unwrap_or_default();
    pod_security::check(written, level, most, here);
    let patch = written.pod_template_patch.clone();
    if let Some(patch) = &patch {
        patch::check(patch, name, level, here);
    }
    let mounts = mounts::mounts(written, spec, level, here);
    let mut ports = ports::ports(&written.ports);
    let networks = networks::joined(written, spec, level, here);
    let health = written.healthcheck.as_ref().map(|check| health::health(check, written, &ports, here));
    let workload = scale::workload(written, spec, here);
    let scale = scale::scale(written, here);
    let (headless, publish_not_ready) = networks::endpoints(name, written, &workload, &scale, health.as_ref(), here);
    let mut published = ports::published(&written.ports, &ports);
    let mut routes = routes::routes(written, spec, here);
    let opened =
        !published.is_empty() || !routes.is_empty() || ports.iter().any(|port| port.open_to != OpenTo::Networks);
    if opened && !has_way_in(written, &networks, spec) {
        here.warn(".ports", "ports of a service with networkMode None, or on internal networks only, are not reachable, as in Compose; join it to a network that is not internal");
        published.clear();
        routes.clear();
        for port in &mut ports {
            port.open_to = OpenTo::Networks;
        }
    }
    if !routes.is_empty() && (headless || publish_not_ready) {
        here.warn(".routes", "requests go to the service's own name, which answers for pods that are not ready or for each pod by itself: set endpointMode: VIP and publishNotReady: false where callers must not see that");
    }
    let writes_exclusive_claim = volumes::claims(written, &mounts, spec, here);
    let alone = update::alone(written, spec, writes_exclusive_claim);
    let mut revision = definition::revision(name, written, spec);
    if !ports.is_empty() && update::is_turned_round(written.update.as_ref(), &workload, alone) {
        revision = Digest::of(&json!([revision, "turned round"])).hex8();
    }
    let update = update::update(written.update.as_ref(), &workload, alone, health.as_ref(), here);
    Service {
        name: name.to_owned(),
        revision,
        definition: String::new(), // known when all services are
        put_back: None,
        workload,
        image: written.image.clone(),
        pull_policy: written.image_pull_policy,
        pull_secrets: written.image_pull_secrets.clone(),
        entrypoint: written.entrypoint.clone().unwrap_or_default(),
        command: written.command.clone().unwrap_or_default(),
        working_dir: written.working_dir.clone(),
        stdin: written.stdin.unwrap_or_default(),
        tty: written.tty.unwrap_or_default(),
        init: written.init.unwrap_or_default(),
        env: env::service(written, spec, here),
        env_from: env::whole(written, spec, here),
        headless,
        publish_not_ready,
        published,
        routes,
        publish: written.publish.clone().or_else(|| spec.publish.clone()).unwrap_or_default(),
        network_mode: written.network_mode.unwrap_or_default(),
        networks,
        aliases: networks::aliases(name, written, spec, here),
        needs: needs(name, written, spec, here),
        scale,
        resources: scale::resources(written, here),
        pre_start: pre_start(name, written, spec, here),
        post_start: written.post_start.as_ref().map(|hook| hook.exec.clone()),
        pre_stop: written.pre_stop.as_ref().map(|hook| hook.exec.clone()),
        placement: Placement {
            node_selector: written.node_selector.clone(),
            tolerations: written.tolerations.clone(),
            spread: written.spread.clone().unwrap_or_default(),
            priority_class: written.priority_class_name.clone(),
            runtime_class: written.runtime_class_name.clone(),
        },
        service_account: written.service_account_name.clone(),
        pod_labels: written.pod_labels.clone(),
        pod_annotations: written.pod_annotations.clone(),
        host_aliases: host_aliases(written, here),
        dns_config: dns_config(written, here),
        patch,
        stop_grace: here.duration(".stopGracePeriod", written.stop_grace_period.as_ref(), 30),
        pod_security: level,
        security: written.security_context.clone().unwrap_or_default(),
        update,
        writes_exclusive_claim,
        ports,
        health,
        mounts,
    }
}

/// Whether some network of a service lets the outside in.
fn has_way_in(written: &api::Service, networks: &BTreeSet<String>, spec: &AppStackSpec) -> bool {
    let internal = |n: &String| spec.networks.get(n).and_then(|n| n.internal).unwrap_or_default();
    networks.iter().any(|n| !internal(n)) || written.network_mode == Some(api::NetworkMode::Host)
}

fn pre_start(service: &str, written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> Vec<PreStart> {
    for (at, step) in written.pre_start.iter().enumerate() {
        let name = &step.name;
        if name == service {
            here.problem(
                &format!(".preStart[{at}].name"),
                format!("'{name}' is the name of the service, and so of its own container; a step needs another one"),
            );
        }
        if written.pre_start.iter().take(at).any(|earlier| earlier.name == *name) {
            here.problem(&format!(".preStart[{at}].name"), format!("two steps may not have the same name, '{name}'"));
        }
    }
    written
        .pre_start
        .iter()
        .enumerate()
        .map(|(at, step)| PreStart {
            name: step.name.clone(),
            image: step.image.clone().unwrap_or_else(|| written.image.clone()),
            command: step.command.clone().unwrap_or_default(),
            env: env::variables(&step.env, &step.secret_env, &format!(".preStart[{at}]"), spec, here),
        })
        .collect()
}

fn host_aliases(written: &api::Service, here: &mut Place<'_>) -> BTreeMap<String, Vec<String>> {
    let mut by_address: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (host, address) in &written.host_aliases {
        match address.parse::<std::net::IpAddr>() {
            Ok(_) => by_address.entry(address.clone()).or_default().push(host.clone()),
            Err(_) => here.problem(&format!(".hostAliases[{host}]"), api::schema::ADDRESS),
        }
    }
    by_address
}

/// Kubernetes takes search domains of so many characters in all.
const SEARCH_LIST: usize = 2048;

fn dns_config(written: &api::Service, here: &mut Place<'_>) -> Option<api::DnsConfig> {
    let config = written.dns_config.clone()?;
    if config.searches.join(" ").len() > SEARCH_LIST {
        here.problem(".dnsConfig.searches", format!("must have at most {SEARCH_LIST} characters in all"));
    }
    Some(config)
}

fn needs(name: &str, written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> BTreeMap<String, Need> {
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
        let required = edge.required.unwrap_or(true);
        if !is_on(dependency, spec) && is_on(written, spec) {
            let profiles = dependency.profiles.iter().cloned().collect::<Vec<_>>().join(", ");
            let off = format!("'{on}' is off: it runs only with profile {profiles} in spec.profiles");
            if required {
                here.problem(&path, format!("{off}; add one, or say required: false"));
            } else {
                here.warn(&path, format!("{off}; '{name}' starts without it"));
            }
            continue;
        }
        let is_job = dependency.mode == Some(Mode::Job);
        let condition = edge.condition.unwrap_or(if is_job { Condition::Completed } else { Condition::Healthy });
        match condition {
            Condition::Completed if !is_job => here.problem(
                &format!("{path}.condition"),
                format!(
                    "'Completed' is for a service of mode Job, and '{on}' is kept running; allowed: 'Started', 'Healthy'"
                ),
            ),
            Condition::Healthy if is_job => here.problem(
                &format!("{path}.condition"),
                format!("'Healthy' is for a service that is kept running, and '{on}' is a Job; allowed: 'Started', 'Completed'"),
            ),
            Condition::Healthy if edge.condition.is_some() && dependency.healthcheck.is_none() => {
                here.warn(
                    &path,
                    format!("'{on}' has no healthcheck: 'Healthy' means no more than that its containers run"),
                );
            }
            Condition::Completed | Condition::Healthy | Condition::Started => {}
        }
        needs.insert(on.clone(), Need { condition, required });
    }
    needs
}

/// `restart: true`: a new revision of the dependency is a new revision of the dependant.
fn restart_with_dependencies(order: &[String], spec: &AppStackSpec, services: &mut BTreeMap<String, Service>) {
    for name in order {
        let Some(written) = spec.services.get(name) else { continue };
        let followed: Vec<(String, String)> = written
            .depends_on
            .iter()
            .filter(|(_, edge)| edge.restart == Some(true))
            .filter_map(|(on, _)| Some((on.clone(), services.get(on)?.revision.clone())))
            .collect();
        if let Some(service) = services.get_mut(name).filter(|_| !followed.is_empty()) {
            service.revision = Digest::of(&json!([service.revision, followed])).hex8();
        }
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

pub(super) fn used<'a>(
    services: &'a BTreeMap<String, Service>,
    pick: impl Fn(&'a Source) -> Option<&'a String>,
) -> impl Iterator<Item = &'a String> {
    let names: BTreeSet<&String> = services.values().flat_map(|s| &s.mounts).filter_map(|m| pick(&m.source)).collect();
    names.into_iter()
}

fn joined(services: &BTreeMap<String, Service>, spec: &AppStackSpec) -> BTreeMap<String, Network> {
    let names: BTreeSet<&String> = services.values().flat_map(|s| &s.networks).collect();
    names
        .into_iter()
        .map(|name| {
            let written = spec.networks.get(name).cloned().unwrap_or_default();
            (name.clone(), Network { internal: written.internal.unwrap_or_default(), shared: written.shared_name })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_may_not_have_the_name_of_the_services_own_container() {
        let said = |step: &str| {
            let service = json!({"image": "web:1", "preStart": [{"name": "first"}, {"name": step}]});
            let spec = serde_json::from_value(json!({"services": {"web": service}})).unwrap();
            check(&AppStack::new("shop", spec), PodSecurity::Baseline).map_err(|problems| problems.all)
        };
        assert!(said("second").is_ok());
        assert_eq!(said("web").unwrap_err()[0].field, "spec.services[web].preStart[1].name");
    }
}
