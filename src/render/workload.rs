//! The Deployment of a service.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, Settings, metadata, pod};
use crate::child::labels;
use crate::stack::{Service, Stack, names};

/// `<stack>-<service>`, without a count: whoever writes it states that (`rollout::replicas`).
pub(super) fn deployment(stack: &Stack, service: &Service, settings: &Settings) -> Deployment {
    let part = Part::Service(service.name.clone());
    let mut meta = metadata::owned(stack, name(stack, service), &part);
    meta.annotations = Some(BTreeMap::from([(labels::REVISION.into(), service.revision.clone())]));
    Deployment {
        metadata: meta,
        spec: Some(DeploymentSpec {
            progress_deadline_seconds: i32::try_from(service.deadline.as_secs()).ok(),
            selector: LabelSelector { match_labels: Some(metadata::identity(stack, &part)), match_expressions: None },
            strategy: Some(strategy(service)),
            template: pod::template(stack, service, settings),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Name of a service's workload, and of what sets its count.
pub(super) fn name(stack: &Stack, service: &Service) -> String {
    names::joined(&[&stack.name, &service.name])
}

/// Always in full: a strategy that was defaulted cannot be changed by apply (T11). A claim that one node mounts cannot have the old and
/// the new writer at once, so its writer stops first.
fn strategy(service: &Service) -> DeploymentStrategy {
    if service.writes_exclusive_claim {
        return DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}
