//! The kinds that live tests look at.

use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // Kubernetes' own words
pub enum Kind {
    AppStack,
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    Pod,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
    Service,
    HttpRoute,
    Ingress,
    EndpointSlice,
    NetworkPolicy,
    PersistentVolumeClaim,
    ConfigMap,
    Event,
}

impl Kind {
    /// What the observer watches.
    pub const WATCHED: [Kind; 12] = [
        Kind::AppStack,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::Pod,
        Kind::PodDisruptionBudget,
        Kind::HorizontalPodAutoscaler,
        Kind::Service,
        Kind::NetworkPolicy,
        Kind::PersistentVolumeClaim,
        Kind::ConfigMap,
    ];

    /// What a stack is made of.
    pub const CHILDREN: [Kind; 12] = [
        Kind::NetworkPolicy,
        Kind::PersistentVolumeClaim,
        Kind::ConfigMap,
        Kind::Service,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::HorizontalPodAutoscaler,
        Kind::PodDisruptionBudget,
        Kind::HttpRoute,
        Kind::Ingress,
    ];

    /// What runs the pods of a service.
    pub const WORKLOADS: [Kind; 4] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job];

    /// The kind as manifests write it.
    pub fn of(kind: &str) -> Kind {
        let mut known = Kind::WATCHED.into_iter().chain(Kind::CHILDREN);
        known
            .find(|k| k.to_string() == kind)
            .unwrap_or_else(|| panic!("{kind} is not a kind that the tests know: add it to Kind::CHILDREN"))
    }

    /// Whether it runs the pods of a service.
    pub fn is_workload(self) -> bool {
        Kind::WORKLOADS.contains(&self)
    }

    /// How the API server names it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Kind::AppStack => ("appstack.dev", "v1alpha1", "AppStack", "appstacks"),
            Kind::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Kind::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Kind::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Kind::Job => ("batch", "v1", "Job", "jobs"),
            Kind::Pod => ("", "v1", "Pod", "pods"),
            Kind::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Kind::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
            Kind::Service => ("", "v1", "Service", "services"),
            Kind::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Kind::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Kind::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Kind::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Kind::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Kind::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Kind::Event => ("", "v1", "Event", "events"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Its objects in a namespace.
    pub fn api(self, client: Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client, namespace, &self.resource())
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.resource().kind)
    }
}
