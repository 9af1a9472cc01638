//! The HorizontalPodAutoscaler of a service.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget, ResourceMetricSource,
};

use super::{Part, metadata, workload};
use crate::stack::{Scale, Service, Stack};

/// `<stack>-<service>`. Its metrics are one atomic list to the server (T24): always cpu, then memory.
pub(super) fn autoscaler(stack: &Stack, service: &Service) -> Option<HorizontalPodAutoscaler> {
    let Scale::Auto(wanted) = &service.scale else { return None };
    let (name, kind) = (workload::name(stack, service), workload::kind(service));
    let metrics = [("cpu", wanted.cpu_percent), ("memory", wanted.memory_percent)];
    Some(HorizontalPodAutoscaler {
        metadata: metadata::owned(stack, name.clone(), &Part::Service(service.name.clone())),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(kind.api_version()),
                kind: kind.names().kind.into(),
                name,
            },
            min_replicas: Some(wanted.min),
            max_replicas: wanted.max,
            metrics: Some(
                metrics.into_iter().filter_map(|(resource, percent)| Some(utilization(resource, percent?))).collect(),
            ),
            behavior: wanted.scale_down_after.map(|after| HorizontalPodAutoscalerBehavior {
                scale_down: Some(HPAScalingRules {
                    stabilization_window_seconds: i32::try_from(after.as_millis().div_ceil(1000)).ok(),
                    ..HPAScalingRules::default()
                }),
                scale_up: None,
            }),
        }),
        status: None,
    })
}

fn utilization(resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource {
            name: resource.into(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
