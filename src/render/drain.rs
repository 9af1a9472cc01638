//! The time between a pod's last request and its end.

use std::time::Duration;

use serde_json::Value;

use crate::api::PodTemplatePatch;
use crate::stack::{Service, Strategy, Workload};

/// Long enough for every node to learn that a pod is going: kube-proxy needs a second or two, a balancer of a cloud or a name in a cache up to five.
const DRAIN: Duration = Duration::from_secs(5);

/// For how long a pod that is to stop goes on serving before it hears of it; zero where nobody would notice.
///
/// Kubernetes takes a pod out of its Services and asks it to stop at the same moment, and most programs end at once: until the last node has heard of it, clients
/// are sent to a port that nobody listens on (0.2 s for each pod, even on two idle nodes). Docker's engine takes a task out first. It matters where new pods
/// start first, so that others go on serving, and where something dials the service by a name.
pub(super) fn drain(service: &Service) -> Duration {
    let kept_running = matches!(service.workload, Workload::Deployment | Workload::DaemonSet);
    let start_first = matches!(service.update.strategy, Strategy::StartFirst(_));
    let by_hand = service.pre_stop.is_some() || service.patch.as_ref().is_some_and(says_how_to_stop);
    if kept_running && start_first && !service.ports.is_empty() && !by_hand { DRAIN } else { Duration::ZERO }
}

/// A hook has one handler, and one that sleeps for longer than the grace period is refused.
fn says_how_to_stop(patch: &PodTemplatePatch) -> bool {
    let containers = patch.spec.get("containers").and_then(Value::as_array).into_iter().flatten();
    patch.spec.contains_key("terminationGracePeriodSeconds")
        || containers.into_iter().any(|container| !container["lifecycle"]["preStop"].is_null())
}
