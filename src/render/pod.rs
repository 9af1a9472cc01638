//! The pod template of a service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    HostAlias, LocalObjectReference, PodDNSConfig, PodDNSConfigOption, PodSpec, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Part, Settings, container, drain, filled, metadata, placement, security, volumes};
use crate::api::{DnsConfig, NetworkMode};
use crate::child::labels;
use crate::stack::{Service, Stack, Workload};

pub(super) fn template(stack: &Stack, service: &Service, settings: &Settings) -> PodTemplateSpec {
    let is_job = matches!(service.workload, Workload::Job(_));
    let mut annotations = service.pod_annotations.clone();
    annotations.insert(labels::REVISION.to_owned(), service.revision.clone());
    #[cfg(debug_assertions)]
    annotations.extend(settings.test_salt.iter().map(|salt| ("appstack.dev/test-salt".to_owned(), salt.clone())));
    #[cfg(not(debug_assertions))]
    let _ = settings;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels(stack, service)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            affinity: placement::affinity(stack, &service.mounts),
            // A token in every pod, and variables such as REDIS_PORT=tcp://..., are surprises to Compose users; who names an account wants its token.
            automount_service_account_token: Some(service.service_account.is_some()),
            enable_service_links: Some(false),
            containers: vec![container::container(stack, service)],
            dns_config: service.dns_config.as_ref().map(dns),
            dns_policy: (service.network_mode == NetworkMode::Host).then(|| "ClusterFirstWithHostNet".into()),
            host_aliases: filled(
                service
                    .host_aliases
                    .iter()
                    .map(|(ip, hosts)| HostAlias { ip: ip.clone(), hostnames: Some(hosts.clone()) })
                    .collect(),
            ),
            host_network: (service.network_mode == NetworkMode::Host).then_some(true),
            image_pull_secrets: pull_secrets(service),
            init_containers: filled(container::init_containers(service)),
            node_selector: filled(service.placement.node_selector.clone()),
            priority_class_name: service.placement.priority_class.clone(),
            restart_policy: is_job.then(|| "Never".into()),
            runtime_class_name: service.placement.runtime_class.clone(),
            security_context: Some(security::of_pod(service)),
            service_account_name: service.service_account.clone(),
            share_process_namespace: service.init.then_some(true),
            termination_grace_period_seconds: grace(service),
            tolerations: filled(placement::tolerations(&service.placement)),
            topology_spread_constraints: filled(placement::spread(stack, service)),
            volumes: filled(volumes::volumes(stack, &service.mounts)),
            ..PodSpec::default()
        }),
    }
}

pub(super) fn pull_secrets(service: &Service) -> Option<Vec<LocalObjectReference>> {
    filled(service.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect())
}

/// The process has all of its own time once it is asked to stop.
fn grace(service: &Service) -> Option<i64> {
    i64::try_from((drain::drain(service) + service.stop_grace).as_millis().div_ceil(1000)).ok()
}

/// The recommended labels, in which the user's win, and those that Services, policies and affinities select by.
fn pod_labels(stack: &Stack, service: &Service) -> BTreeMap<String, String> {
    let mut all = metadata::all(stack, &Part::Service(service.name.clone()));
    all.extend(service.pod_labels.clone());
    all.remove(labels::SERVICE);
    all.extend(identity(stack, service));
    let mut marks = Vec::new();
    for network in &service.networks {
        marks.push(labels::in_network(network));
        marks.extend(stack.networks.get(network).and_then(|n| n.shared.as_deref()).map(labels::in_shared_network));
    }
    marks.extend((service.network_mode == NetworkMode::None).then(|| labels::NO_NETWORK.into()));
    marks.extend(service.aliases.iter().map(|alias| labels::answers_to(alias)));
    marks.extend(placement::shared_node(stack, &service.mounts).map(|node| node.label));
    all.extend(marks.into_iter().map(|label| (label, String::new())));
    all
}

/// By these labels the pods of a service are known: a Service does not select those of a Job that nothing may dial.
pub(super) fn identity(stack: &Stack, service: &Service) -> BTreeMap<String, String> {
    let mut own = metadata::identity(stack, &Part::Service(service.name.clone()));
    if matches!(service.workload, Workload::Job(_)) && service.ports.is_empty() {
        own.remove(labels::SERVICE);
        own.insert(labels::JOB.into(), service.name.clone());
    }
    own
}

fn dns(wanted: &DnsConfig) -> PodDNSConfig {
    PodDNSConfig {
        nameservers: filled(wanted.nameservers.clone()),
        searches: filled(wanted.searches.clone()),
        options: filled(
            wanted
                .options
                .iter()
                .map(|o| PodDNSConfigOption { name: Some(o.name.clone()), value: o.value.clone() })
                .collect(),
        ),
    }
}
