//! One service's part of the status.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::routes;
use super::status::{Subject, bounded};
use crate::api::{PublishType, ServiceState, ServiceStatus};
use crate::child::{Child, ChildId, DISK_FULL, Kind, labels};
use crate::render::Part;
use crate::rollout::health::{self, Progress};
use crate::rollout::{ROLLED_BACK, RefusalKind, Step, Wait};
use crate::stack::{Scale, Service, Workload};

/// What is to be said of a service, with the time at which it entered its state carried over from `before`.
pub(super) fn service(
    of: &Subject<'_>,
    service: &Service,
    before: Option<&ServiceStatus>,
    now: Timestamp,
) -> ServiceStatus {
    let id = of
        .wanted
        .iter()
        .find(|(id, w)| id.kind.starts_pods() && w.part == Part::Service(service.name.clone()))
        .map(|(id, _)| id);
    let live = id
        .and_then(|id| of.children.get(id))
        .filter(|child| child.label(labels::SERVICE) == service.name && child.label(labels::STACK) == of.stack.name);
    let facts = live.map(|child| child.facts.clone()).unwrap_or_default();
    let (state, mut reason, mut message) = standing(of, service, live.map(AsRef::as_ref), before);
    if let (None, Some(to)) = (&reason, service.put_back.as_ref().filter(|_| !of.stack.stopped)) {
        reason = Some("RevisionNotKept".into());
        message = Some(format!(
            "nothing is kept of revision {to}, which was to be put back: what is written runs; `appstack history {} {}` shows what there is",
            of.stack.name, service.name
        ));
    }
    let waiting_on = match of.plan.steps.get(&service.name) {
        Some(Step::Hold(waits)) if !waits.is_empty() => {
            Some(waits.iter().map(|wait| describe(wait, &of.plan.steps)).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    };
    let since =
        before.filter(|before| before.state == state).and_then(|before| before.since.clone()).unwrap_or(Time(now));
    ServiceStatus {
        state,
        kind: id.map(|id| id.kind.to_string()),
        desired: facts.spec_replicas.or(Some(match &service.scale {
            _ if of.stack.stopped => 0,
            Scale::Fixed(count) => count.unwrap_or(1),
            Scale::Auto(auto) => auto.min,
        })),
        ready: Some(facts.ready_replicas),
        updated: Some(
            if state != ServiceState::Ready && of.plan.progress.get(&service.name) == Some(&Progress::NotYet) {
                0
            } else {
                facts.updated_replicas
            },
        ),
        waiting_on: waiting_on.map(|text| bounded(&text)),
        reason,
        message: message.map(|text| bounded(&text)),
        image: Some(service.image.clone()),
        revision: live.and_then(|child| child.annotation(labels::REVISION)).map(str::to_owned),
        since: Some(since),
        address: address(of, service),
    }
}

/// Services of a chain that are named one by one; of a longer one, the middle is counted.
const NAMED: usize = 6;

/// `db (Healthy): 0/1 pods available`, or `api (Healthy), which waits for db (Healthy): 0/1 pods available`: what began it comes last.
pub(super) fn describe(wait: &Wait, steps: &BTreeMap<String, Step>) -> String {
    let mut chain = vec![wait];
    while let Some(Step::Hold(waits)) = chain.last().and_then(|last| steps.get(&last.on))
        && let Some(next) = waits.first()
    {
        chain.push(next);
    }
    let named: Vec<String> = chain.iter().map(|wait| format!("{} ({})", wait.on, wait.until)).collect();
    let why = chain.last().map_or("", |last| last.why.as_str());
    let links = match named.as_slice() {
        [first @ .., last] if named.len() > NAMED => {
            let (shown, counted) = first.split_at(NAMED - 2);
            let shown = shown.join(", which waits for ");
            format!("{shown}, and so on through {} more to {last}", counted.len())
        }
        all => all.join(", which waits for "),
    };
    format!("{links}: {why}")
}

fn standing(
    of: &Subject<'_>,
    service: &Service,
    live: Option<&Child>,
    before: Option<&ServiceStatus>,
) -> (ServiceState, Option<String>, Option<String>) {
    let progress = of.plan.progress.get(&service.name).copied().unwrap_or(Progress::NotYet);
    let said = |state, reason: &str, message: String| (state, Some(reason.to_owned()), Some(message));
    match of.plan.steps.get(&service.name) {
        Some(Step::Failed(cause)) if cause.path.is_empty() => {
            let back = cause.reason == ROLLED_BACK;
            let state = if back { ServiceState::RolledBack } else { ServiceState::Failed };
            return said(state, &cause.reason, cause.message.clone());
        }
        Some(Step::Failed(cause)) => {
            let message =
                format!("waits for {}: {}: {}", cause.path.join(", which waits for "), cause.reason, cause.message);
            return said(ServiceState::Failed, "DependencyFailed", message);
        }
        Some(Step::Hold(waits)) if waits.is_empty() => {
            return said(ServiceState::Waiting, "BeingDeleted", "its previous workload is being deleted".into());
        }
        Some(Step::Hold(waits)) => {
            let message = format!(
                "waits for {}",
                waits.iter().map(|wait| describe(wait, &of.plan.steps)).collect::<Vec<_>>().join(", ")
            );
            return said(ServiceState::Waiting, "DependencyNotReady", message);
        }
        Some(Step::Apply | Step::Done) | None => {}
    }
    // A part of it that is refused, while its pods run on what is there.
    if let Some((_, refusal)) = of.plan.refusals.iter().find(|(id, _)| concerns(of, service, id)) {
        let may_pass = refusal.kind == RefusalKind::Transient;
        let state = if may_pass { ServiceState::Pending } else { ServiceState::Failed };
        return said(state, refusal.kind.reason(), refusal.message.clone());
    }
    let Some(live) = live else {
        let state = if of.stack.stopped { ServiceState::Stopped } else { ServiceState::Pending };
        return (state, None, None);
    };
    if progress == Progress::NotYet && was_ready_as_it_is(service, live, before) {
        return (ServiceState::Ready, None, None);
    }
    let trouble = trouble(of, service, live);
    let state = match progress {
        Progress::Complete if matches!(service.workload, Workload::Job(_)) => {
            return (ServiceState::Completed, None, None);
        }
        Progress::Failed => {
            let failed = live.facts.condition("Failed");
            let why = failed.map_or_else(String::new, |c| format!("{}: {}; ", c.reason, c.message));
            let what_next = "delete the Job, or change the service, to run it again";
            return said(ServiceState::Failed, "JobFailed", format!("{why}{what_next}"));
        }
        _ if of.stack.stopped && live.facts.suspended => ServiceState::Stopped,
        Progress::Complete if live.facts.spec_replicas == Some(0) && live.facts.replicas == 0 => ServiceState::Stopped,
        Progress::Complete => return routes::standing(of, service),
        Progress::Overdue => {
            let why = trouble.map_or_else(
                || "no progress until its deadline".to_owned(),
                |(reason, message)| format!("{reason}: {message}"),
            );
            return said(ServiceState::Failed, "ProgressDeadlineExceeded", why);
        }
        Progress::Finished if was_up_as_it_is(service, live, before) => ServiceState::Degraded,
        Progress::NotYet | Progress::Rolling | Progress::Finished => ServiceState::Progressing,
    };
    let ill = trouble.or_else(|| out_of_order(of, service).filter(|_| state == ServiceState::Degraded));
    let (reason, message) = ill.unzip();
    (state, reason, message.filter(|m| !m.is_empty()))
}

/// Whether it was up at this revision, with as many pods: a rollout or a larger count that is on its way degrades nothing.
fn was_up_as_it_is(service: &Service, live: &Child, before: Option<&ServiceStatus>) -> bool {
    before.is_some_and(|before| {
        matches!(before.state, ServiceState::Ready | ServiceState::Degraded)
            && before.revision.as_deref() == Some(service.revision.as_str())
            && before.desired >= live.facts.spec_replicas
    })
}

/// A generation that its controller has not seen yet may be nothing but a foreign annotation: what was ready at this revision and count is said
/// to be so until the controller says otherwise, a moment later.
fn was_ready_as_it_is(service: &Service, live: &Child, before: Option<&ServiceStatus>) -> bool {
    let revision = Some(service.revision.as_str());
    before.is_some_and(|before| {
        before.state == ServiceState::Ready
            && before.revision.as_deref() == revision
            && live.annotation(labels::REVISION) == revision
            && before.desired == live.facts.spec_replicas
            && live.facts.available_replicas >= live.facts.spec_replicas.unwrap_or(1)
    })
}

/// Whether a refused child is a part of this service.
fn concerns(of: &Subject<'_>, service: &Service, id: &ChildId) -> bool {
    match of.wanted.get(id).map(|wanted| &wanted.part) {
        Some(Part::Service(name)) => *name == service.name,
        Some(Part::Network(network)) => service.networks.contains(network),
        Some(Part::Volume(volume)) => service.mounts.iter().any(|m| m.source.volume() == Some(volume)),
        Some(Part::Config(config)) => {
            let env = service.env_from.iter().filter_map(|from| from.source.config());
            service.mounts.iter().filter_map(|m| m.source.config()).chain(env).any(|name| name == config)
        }
        Some(Part::Alias(alias)) => service.aliases.contains(alias),
        Some(Part::Stack) => true,
        // A claim that a StatefulSet made for one of its pods.
        None => of.children.get(id).is_some_and(|child| child.label(labels::SERVICE) == service.name),
    }
}

/// What ails its pods, those of the wanted revision first, or what keeps them from being made.
fn trouble(of: &Subject<'_>, service: &Service, live: &Child) -> Option<(String, String)> {
    let pods = of.parts.service(&service.name).pods;
    let older = || pods.iter().filter_map(|pod| pod.annotation(labels::REVISION)).find(|r| *r != service.revision);
    health::trouble(pods.iter().copied(), &service.revision)
        .or_else(|| health::refused_pods(live))
        .or_else(|| health::trouble(pods.iter().copied(), older()?))
}

/// Which of its pods runs and is not ready any more, and why.
fn out_of_order(of: &Subject<'_>, service: &Service) -> Option<(String, String)> {
    let pods = of.parts.service(&service.name).pods;
    pods.iter().filter(|pod| !pod.is_going()).find_map(|pod| {
        let (reason, name) = (pod.facts.pod.out_of_order?, pod.meta.name.as_deref().unwrap_or_default());
        if let Some((DISK_FULL, full)) = pod.facts.reported.as_ref().map(|(reason, full)| (reason.as_str(), full)) {
            return Some((DISK_FULL.to_owned(), format!("pod {name} runs, and its health check fails: {full}")));
        }
        let message = match reason {
            "NodeLost" => format!("the node of pod {name} does not answer"),
            _ => format!("pod {name} runs, and its health check fails"),
        };
        Some((reason.to_owned(), message))
    })
}

fn address(of: &Subject<'_>, service: &Service) -> Option<String> {
    let Some(first) = service.published.first() else { return routes::address(of, service) };
    let name = format!("{}-published", service.name);
    let live = of.children.get(&ChildId { kind: Kind::Service, name: name.clone() })?;
    match (service.publish.r#type.unwrap_or_default(), live.facts.addresses.first()) {
        (PublishType::LoadBalancer, Some(address)) => Some(format!("{address}:{}", first.number)),
        (PublishType::LoadBalancer, None) => None,
        (PublishType::ClusterIP | PublishType::NodePort, _) => Some(format!("{name}:{}", first.number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Condition;
    use crate::rollout::Until;

    fn wait(on: &str, why: &str) -> Wait {
        Wait { on: on.into(), until: Until::Holds(Condition::Healthy), why: why.into() }
    }

    #[test]
    fn who_waits_for_one_that_waits_names_what_began_it() {
        let mut steps = BTreeMap::from([("api".to_owned(), Step::Hold(vec![wait("db", "no such image")]))]);
        assert_eq!(describe(&wait("db", "no such image"), &steps), "db (Healthy): no such image");
        let chain = "api (Healthy), which waits for db (Healthy): no such image";
        assert_eq!(describe(&wait("api", "it waits itself"), &steps), chain);
        for at in 0..30 {
            steps.insert(format!("s{at}"), Step::Hold(vec![wait(&format!("s{}", at + 1), "it waits itself")]));
        }
        steps.insert("s30".into(), Step::Hold(vec![wait("db", "no such image")]));
        let long = describe(&wait("s0", "it waits itself"), &steps);
        assert!(long.starts_with("s0 (Healthy), which waits for s1 (Healthy), which"), "{long}");
        assert!(long.ends_with("s3 (Healthy), and so on through 27 more to db (Healthy): no such image"), "{long}");
    }
}
