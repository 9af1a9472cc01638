//! Updates in Compose's words, as Kubernetes' controllers count.

use std::time::Duration;

use super::check::Place;
use super::model::{Health, Pods, Strategy, Update, Workload};
use crate::api::{self, AccessMode, AppStackSpec, OnFailure, UpdateOrder};

/// Where unset, a rollout without progress for this long has failed (design, section 3), unless its health check needs longer.
const DEADLINE: Duration = Duration::from_secs(600);
/// Where unset, so many definitions are kept by a service that goes back by itself.
const HISTORY: usize = 5;
/// The longest that can be written.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What keeps an old and a new pod of a service from living side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// Nothing does.
    No,
    /// Both would write one claim that one node mounts.
    Writer,
    /// One pod mounts its claim at a time.
    OnePod,
    /// Both would hold the same ports of the node.
    NodePorts,
}

/// What stands in the way of two pods side by side, the hardest first.
pub(super) fn alone(written: &api::Service, spec: &AppStackSpec, writes_exclusive_claim: bool) -> Alone {
    let volumes = written.mounts.values().filter_map(|mount| spec.volumes.get(mount.volume.as_ref()?));
    let mut claims = volumes.filter(|volume| volume.per_replica != Some(true));
    if claims.any(|volume| volume.access_mode == Some(AccessMode::ReadWriteOncePod)) {
        Alone::OnePod
    } else if written.network_mode == Some(api::NetworkMode::Host) && !written.ports.is_empty() {
        Alone::NodePorts
    } else if writes_exclusive_claim {
        Alone::Writer
    } else {
        Alone::No
    }
}

/// How the pods of a service are replaced.
pub(super) fn update(
    written: Option<&api::Update>,
    workload: &Workload,
    alone: Alone,
    health: Option<&Health>,
    here: &mut Place<'_>,
) -> Update {
    let fields = written.cloned().unwrap_or_default();
    if written.is_some() && matches!(workload, Workload::Job(_)) {
        here.problem(".update", "goes with a service that is kept running; a Job is run once for each definition");
    }
    let order = fields.order;
    let strategy = strategy(workload, order, fields.parallelism, alone).unwrap_or_else(|why| {
        here.problem(".update.order", format!("'StartFirst' cannot be: {why}; allowed: 'StopFirst'"));
        Strategy::Recreate
    });
    if strategy == Strategy::Recreate && order.is_none_or(|order| order == UpdateOrder::StopFirst) {
        if fields.parallelism.is_some() {
            here.warn(
                ".update.parallelism",
                "has no effect: pods that write one claim are all stopped before a new one starts",
            );
        }
    } else if alone == Alone::Writer && order == Some(UpdateOrder::StartFirst) {
        here.warn(".update.order", "with 'StartFirst' an old and a new pod write the same files for a while");
    }
    if *workload == Workload::StatefulSet && fields.parallelism.is_some_and(|count| count != 1) {
        here.warn(".update.parallelism", "has no effect: pods with perReplica volumes are replaced one by one");
    }
    let min_ready = seconds(".update.minReady", fields.min_ready.as_ref(), Duration::ZERO, here);
    let usual = DEADLINE.max(check_time(health)) + min_ready;
    let deadline = seconds(".update.deadline", fields.deadline.as_ref(), usual, here);
    if fields.deadline.is_some() && deadline <= min_ready {
        here.problem(
            ".update.deadline",
            format!(
                "must be more than update.minReady ({} s): before that, no new pod counts as progress",
                min_ready.as_secs()
            ),
        );
    }
    let on_failure = fields.on_failure.unwrap_or_default();
    let unset = if on_failure == OnFailure::Rollback { HISTORY } else { 0 };
    let history = fields.history.and_then(|count| usize::try_from(count).ok()).unwrap_or(unset);
    Update { strategy, min_ready, deadline, on_failure, history }
}

/// Whether it is written that pods are replaced the other way round than they would be unsaid. How they stop then is another (`render::drain`), so it is a part of
/// what they are made from.
pub(super) fn is_turned_round(written: Option<&api::Update>, workload: &Workload, alone: Alone) -> bool {
    let starts_first = |order| matches!(strategy(workload, order, None, alone), Ok(Strategy::StartFirst(_)));
    starts_first(written.and_then(|update| update.order)) != starts_first(None)
}

/// In which order pods are replaced, and how many at a time; or why what is asked for can never come to an end.
///
/// A StatefulSet goes on one by one: its `maxUnavailable` is behind a feature gate, and a server without it drops the field (so does 1.35.8 as it comes).
fn strategy(
    workload: &Workload,
    order: Option<UpdateOrder>,
    parallelism: Option<i32>,
    alone: Alone,
) -> Result<Strategy, &'static str> {
    let pods = match parallelism {
        Some(0) => Pods::All,
        count => Pods::Count(count.unwrap_or(1)),
    };
    let start_first = order == Some(UpdateOrder::StartFirst);
    match (workload, alone) {
        (Workload::StatefulSet, _) if !start_first => Ok(Strategy::StopFirst(Pods::Count(1))),
        (Workload::StatefulSet, _) => {
            Err("a pod with a perReplica volume has its own name and claim, which the old one holds until it is gone")
        }
        (_, Alone::OnePod) if start_first => Err("one pod mounts its ReadWriteOncePod volume at a time"),
        (_, Alone::NodePorts) if start_first => Err("the old pod holds the ports of its node until it is gone"),
        (Workload::Deployment, Alone::Writer | Alone::OnePod) if !start_first => Ok(Strategy::Recreate),
        (Workload::DaemonSet, _) | (_, Alone::NodePorts) if !start_first => Ok(Strategy::StopFirst(pods)),
        _ if order == Some(UpdateOrder::StopFirst) => Ok(Strategy::StopFirst(pods)),
        _ => Ok(Strategy::StartFirst(pods)),
    }
}

/// In whole seconds, as Kubernetes counts.
fn seconds(field: &str, written: Option<&api::Duration>, default: Duration, here: &mut Place<'_>) -> Duration {
    if written.is_none() {
        return default;
    }
    let exact = here.duration(field, written, 0);
    if exact > DAY {
        here.problem(field, "must be at most 24h");
    }
    if exact.subsec_nanos() == 0 {
        return exact;
    }
    here.warn(field, "is rounded up: Kubernetes counts whole seconds");
    Duration::from_secs(exact.as_secs() + 1)
}

/// Twice the time that a health check may take to say no for good.
fn check_time(health: Option<&Health>) -> Duration {
    health.map_or(Duration::ZERO, |h| {
        let tries = u32::try_from(h.retries).unwrap_or(1);
        2 * (h.start_period + (h.interval + h.timeout) * tries)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use UpdateOrder::{StartFirst, StopFirst};

    #[test]
    fn order_and_parallelism_as_compose_means_them() {
        let (many, own, every) = (Workload::Deployment, Workload::StatefulSet, Workload::DaemonSet);
        let (one, three, all) = (Pods::Count(1), Pods::Count(3), Pods::All);
        let start = |pods| Ok(Strategy::StartFirst(pods));
        let stop = |pods| Ok(Strategy::StopFirst(pods));
        for (workload, alone, order, parallelism, expected) in [
            (&many, Alone::No, None, None, start(one)),
            (&many, Alone::No, None, Some(3), start(three)),
            (&many, Alone::No, None, Some(0), start(all)),
            (&many, Alone::No, Some(StartFirst), Some(1), start(one)),
            (&many, Alone::No, Some(StopFirst), None, stop(one)),
            (&many, Alone::No, Some(StopFirst), Some(3), stop(three)),
            (&many, Alone::No, Some(StopFirst), Some(0), stop(all)),
            (&many, Alone::Writer, None, None, Ok(Strategy::Recreate)),
            (&many, Alone::Writer, Some(StopFirst), Some(3), Ok(Strategy::Recreate)),
            (&many, Alone::Writer, Some(StartFirst), Some(3), start(three)),
            (&many, Alone::OnePod, None, Some(3), Ok(Strategy::Recreate)),
            (&many, Alone::NodePorts, None, None, stop(one)),
            (&many, Alone::NodePorts, Some(StopFirst), Some(0), stop(all)),
            (&own, Alone::No, None, None, stop(one)),
            (&own, Alone::No, Some(StopFirst), Some(3), stop(one)),
            (&own, Alone::No, None, Some(0), stop(one)),
            (&own, Alone::Writer, None, Some(3), stop(one)),
            (&every, Alone::No, None, None, stop(one)),
            (&every, Alone::No, Some(StopFirst), Some(0), stop(all)),
            (&every, Alone::No, Some(StartFirst), None, start(one)),
            (&every, Alone::No, Some(StartFirst), Some(3), start(three)),
            (&every, Alone::NodePorts, None, Some(3), stop(three)),
        ] {
            assert_eq!(
                strategy(workload, order, parallelism, alone),
                expected,
                "{workload:?} {alone:?} {order:?} {parallelism:?}"
            );
        }
        for (workload, alone) in
            [(&own, Alone::No), (&many, Alone::OnePod), (&many, Alone::NodePorts), (&every, Alone::NodePorts)]
        {
            assert!(strategy(workload, Some(StartFirst), None, alone).is_err(), "{workload:?} {alone:?} never ends");
        }
    }

    #[test]
    fn a_deadline_leaves_room_for_the_health_check_and_for_min_ready() {
        let of = |update: &str, check: &str| {
            let text = format!("services: {{web: {{image: 'a:1', update: {update}, healthcheck: {check}}}}}");
            let spec = serde_saphyr::from_str(&text).unwrap();
            let stack = super::super::check(&api::AppStack::new("s", spec), api::PodSecurity::Baseline).unwrap();
            let update = &stack.services["web"].update;
            (update.min_ready.as_secs(), update.deadline.as_secs())
        };
        let (quick, slow) = ("{shell: x}", "{shell: x, interval: 2m, timeout: 1m, retries: 5, startPeriod: 10m}");
        assert_eq!(of("{}", quick), (0, 600));
        assert_eq!(of("{minReady: 30s}", quick), (30, 630));
        assert_eq!(of("{minReady: 30s}", slow), (30, 2 * (600 + 5 * 180) + 30));
        assert_eq!(of("{deadline: 90s, minReady: 1500ms}", slow), (2, 90), "as written");
    }
}
