//! The one table of kinds: what is watched, in which order it is applied, and what the operator may do with it.

/// Every kind the operator watches. Written kinds come in the order in which they are applied: what a pod needs stands before what starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Walls, before anything that could be reached.
    NetworkPolicy,
    /// A volume's claim.
    Claim,
    /// An inline config.
    ConfigMap,
    /// A name for others to dial, or published ports.
    Service,
    /// A service's pods, so many.
    Deployment,
    /// A service's pods, so many, each with claims of its own.
    StatefulSet,
    /// A service's pods, one on every node.
    DaemonSet,
    /// A service's pods, until they end well; or those that fill a volume.
    Job,
    /// What sets their number.
    Autoscaler,
    /// How many of them may be taken away at once when a node is drained.
    Budget,
    /// How requests from outside reach a service, under a Gateway. Not every cluster knows this kind.
    HttpRoute,
    /// The same, through an ingress controller.
    Ingress,
    /// What a service's pods were made from when a rollout of it was complete: what it goes back to.
    Record,
    /// Watched, never written, deleted only where its owner is lost: who has started, and what ails those who have not.
    Pod,
}

/// How the API server names a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// Empty for the core group.
    pub group: &'static str,
    /// The version we speak.
    pub version: &'static str,
    /// As in a manifest.
    pub kind: &'static str,
    /// As in a URL.
    pub plural: &'static str,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Kind; 14] = [
        Kind::NetworkPolicy,
        Kind::Claim,
        Kind::ConfigMap,
        Kind::Service,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::Autoscaler,
        Kind::Budget,
        Kind::HttpRoute,
        Kind::Ingress,
        Kind::Record,
        Kind::Pod,
    ];

    /// How the API server names it.
    pub const fn names(self) -> Names {
        let (group, version, kind, plural) = match self {
            Kind::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Kind::Claim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Kind::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Kind::Service => ("", "v1", "Service", "services"),
            Kind::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Kind::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Kind::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Kind::Job => ("batch", "v1", "Job", "jobs"),
            Kind::Autoscaler => ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
            Kind::Budget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Kind::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Kind::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Kind::Record => ("apps", "v1", "ControllerRevision", "controllerrevisions"),
            Kind::Pod => ("", "v1", "Pod", "pods"),
        };
        Names { group, version, kind, plural }
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(self) -> String {
        let Names { group, version, .. } = self.names();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// Whether objects of this kind start pods: they wait at the gate, and a change in rendering alone leaves them be.
    pub const fn starts_pods(self) -> bool {
        match self {
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => true,
            Kind::NetworkPolicy
            | Kind::Claim
            | Kind::ConfigMap
            | Kind::Service
            | Kind::Autoscaler
            | Kind::Budget
            | Kind::HttpRoute
            | Kind::Ingress
            | Kind::Record
            | Kind::Pod => false,
        }
    }

    /// Whether objects of this kind have a count of pods that somebody sets.
    pub const fn has_replicas(self) -> bool {
        matches!(self, Kind::Deployment | Kind::StatefulSet)
    }

    /// The CustomResourceDefinition by which a cluster knows the kind, where it is not one of Kubernetes' own. Such a cluster may be without it.
    pub const fn definition(self) -> Option<&'static str> {
        match self {
            Kind::HttpRoute => Some("httproutes.gateway.networking.k8s.io"),
            _ => None,
        }
    }

    /// Whether the operator writes objects of this kind.
    pub const fn is_written(self) -> bool {
        !matches!(self, Kind::Pod)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.names().kind)
    }
}
