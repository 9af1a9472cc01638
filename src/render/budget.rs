//! How many pods of a service a drained node may take away at once.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, metadata, placement, workload};
use crate::stack::{Scale, Service, Stack, Workload};

/// `<stack>-<service>`, where there is more than one pod or may be: one at a time. A pod that is not ready holds up nobody's drain.
///
/// None for pods that share a node by a claim: the first one of them that is drained can be nowhere else before the last one has gone.
pub(super) fn budget(stack: &Stack, service: &Service) -> Option<PodDisruptionBudget> {
    let several = match &service.scale {
        Scale::Fixed(count) => count.unwrap_or(1) > 1,
        Scale::Auto(_) => true,
    };
    let tied = placement::shared_node(stack, &service.mounts).is_some();
    if !several || tied || !matches!(service.workload, Workload::Deployment | Workload::StatefulSet) {
        return None;
    }
    let part = Part::Service(service.name.clone());
    Some(PodDisruptionBudget {
        metadata: metadata::owned(stack, workload::name(stack, service), &part),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(metadata::identity(stack, &part)),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
