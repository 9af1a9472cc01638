//! Jobs: services that end, and the filling of volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Part, container, filled, metadata, placement, pod, security, volumes, workload};
use crate::child::labels;
use crate::stack::{self, Mount, Populate, Service, Source, Stack, names};

/// `<stack>-<service>-<hash8>`: one for each definition. A try is over when its pod has ended, so that two never run at once; each try is a pod of its
/// own, whose log stays.
pub(super) fn job(stack: &Stack, service: &Service, wanted: &stack::Job, template: PodTemplateSpec) -> Job {
    let name = names::joined(&[&stack.name, &service.name, &service.revision]);
    Job {
        metadata: workload::meta(stack, service, name),
        spec: Some(JobSpec {
            active_deadline_seconds: wanted.deadline.and_then(|d| i64::try_from(d.as_millis().div_ceil(1000)).ok()),
            completions: Some(wanted.completions),
            parallelism: Some(wanted.completions),
            ..spec(wanted.retries, stack.stopped, template)
        }),
        status: None,
    }
}

fn spec(retries: i32, suspend: bool, template: PodTemplateSpec) -> JobSpec {
    JobSpec {
        backoff_limit: Some(retries),
        pod_replacement_policy: Some("Failed".into()),
        suspend: Some(suspend),
        template,
        ..JobSpec::default()
    }
}

/// `<stack>-<volume>-<hash8>`: fills a volume before the first service that mounts it starts. Its pod belongs to no network: it may go out, and nothing
/// may come in. It runs where, and pulls as, the first service by name that mounts the volume, and its files are for that service's group; none of that is in
/// the hash, so that a volume is not filled again because its reader moved. It reserves nothing: it has to fit beside a reader that runs already.
pub(super) fn populate(stack: &Stack, volume: &str, wanted: &Populate) -> Job {
    let part = Part::Volume(volume.to_owned());
    let mount = Mount {
        path: wanted.mount_path.clone(),
        source: Source::Volume { name: volume.to_owned() },
        sub_path: None,
        read_only: false,
        seed: false,
        propagation: None,
    };
    let mounts = std::slice::from_ref(&mount);
    let mut users =
        stack.services.values().filter(|s| s.mounts.iter().any(|m| m.source.volume().is_some_and(|v| v == volume)));
    let user = users.next();
    let mut meta = metadata::owned(stack, names::joined(&[&stack.name, volume, &wanted.revision]), &part);
    let revision = BTreeMap::from([(labels::REVISION.to_owned(), wanted.revision.clone())]);
    meta.annotations = Some(revision.clone());
    meta.labels.get_or_insert_default().insert(labels::POPULATE.into(), volume.to_owned());
    let mut pod_labels = metadata::all(stack, &Part::Stack);
    pod_labels.insert(labels::POPULATE.into(), volume.to_owned());
    pod_labels.extend(placement::shared_node(stack, mounts).map(|node| (node.label, String::new())));
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(pod_labels), annotations: Some(revision), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            affinity: placement::affinity(stack, mounts),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            containers: vec![Container {
                name: "populate".into(),
                image: Some(wanted.image.clone()),
                command: filled(container::literals(&wanted.command)),
                env: filled(wanted.env.iter().map(container::env).collect()),
                security_context: security::container(&crate::api::SecurityContext::default(), wanted.pod_security),
                volume_mounts: Some(vec![volumes::mount(&mount, volumes::SeenBy::Service)]),
                ..Container::default()
            }],
            image_pull_secrets: user.and_then(pod::pull_secrets),
            node_selector: user.and_then(|user| filled(user.placement.node_selector.clone())),
            restart_policy: Some("Never".into()),
            security_context: Some(security::of_filler(wanted.pod_security, user)),
            service_account_name: user.and_then(|user| user.service_account.clone()),
            tolerations: user.and_then(|user| filled(placement::tolerations(&user.placement))),
            volumes: filled(volumes::volumes(stack, mounts)),
            ..PodSpec::default()
        }),
    };
    Job { metadata: meta, spec: Some(spec(wanted.retries, stack.stopped, template)), status: None }
}
