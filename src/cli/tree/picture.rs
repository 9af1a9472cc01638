//! The picture. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::leaf::Leaf;
use crate::api::{AppStack, AppStackStatus, PodSecurity, ServiceState, ServiceStatus};
use crate::child::{Kind, labels};
use crate::cli::look::{Look, age, columns, one_line, sign};
use crate::cli::table::{counts, head, why};
use crate::report::not_enforced;
use crate::stack::{Service, Stack, check};

/// A line below a service: how deep, what, and in which state.
struct Twig {
    prefix: String,
    text: String,
    state: ServiceState,
}

pub(super) fn picture(stack: &AppStack, leaves: &[Leaf], look: Look, now: Timestamp) -> String {
    let status = stack.status.clone().unwrap_or_default();
    // A stack that cannot be run as it is written has no order; what was known of its services stays.
    let model = check(stack, PodSecurity::Privileged).ok();
    let mut names: Vec<String> = model.as_ref().map_or_else(Vec::new, |model| model.order.clone());
    names.extend(status.services.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    let mut text = top(stack, &status, model.as_ref(), look, now);
    let none = ServiceStatus::default();
    let known = |name: &str| status.services.get(name).unwrap_or(&none);
    let rows: Vec<Vec<String>> =
        names.iter().map(|name| row(name, known(name), model.as_ref(), &status, now)).collect();
    let left = left_over(&names, leaves);
    for (at, (name, line)) in names.iter().zip(columns(&rows)).enumerate() {
        let last = at + 1 == names.len() && left.is_empty();
        let service = known(name);
        let line = format!("{} {line}", if last { "\u{2514}\u{2500}" } else { "\u{251c}\u{2500}" });
        let line = look.paint(&look.cut(&line), sign(service.state), service.state);
        text.push_str(&format!("{}\n", look.paint(&line, service.state.as_str(), service.state)));
        let below = if last { "   " } else { "\u{2502}  " };
        let own = model.as_ref().and_then(|model| model.services.get(name));
        text.push_str(&drawn(&twigs(below, name, own, service, leaves, now), look));
    }
    if !left.is_empty() {
        text.push_str("\u{2514}\u{2500} no longer in the spec\n");
        text.push_str(&drawn(&branch("   ", &left, "", &none, now), look));
    }
    text
}

fn drawn(twigs: &[Twig], look: Look) -> String {
    let line =
        |twig: &Twig| look.paint(&look.cut(&format!("{}{}", twig.prefix, twig.text)), sign(twig.state), twig.state);
    twigs.iter().map(|twig| format!("{}\n", line(twig))).collect()
}

/// The stack as a whole, and in full what stands in the way: the one line to read when there is time for one.
fn top(stack: &AppStack, status: &AppStackStatus, model: Option<&Stack>, look: Look, now: Timestamp) -> String {
    let condition = |r#type: &str| status.conditions.iter().find(|c| c.type_ == r#type);
    let ready = condition("Ready");
    let state = match ready {
        Some(ready) if ready.status == "True" => ServiceState::Ready,
        _ if condition("Stalled").is_some() => ServiceState::Failed,
        _ if condition("Reconciling").is_some() => ServiceState::Progressing,
        Some(_) => ServiceState::Stopped,
        None => ServiceState::Pending,
    };
    let since = ready.map_or_else(String::new, |ready| format!(" for {}", age(ready.last_transition_time.0, now)));
    let mut text = look.paint(&format!("{} {}{since}\n", sign(state), head(stack)), sign(state), state);
    let cause = match (state, ready) {
        (ServiceState::Ready, _) | (_, None) => None,
        _ => model.and_then(|model| cause(model, status)),
    };
    let said = || ready.filter(|_| state != ServiceState::Ready).map(|ready| one_line(&ready.message));
    if let Some(cause) = cause.or_else(said) {
        text.push_str(&format!("  {cause}\n"));
    }
    if let Some(open) = not_enforced(&status.conditions) {
        text.push_str(&format!("  warning: {open}\n"));
    }
    text
}

fn row(
    name: &str,
    service: &ServiceStatus,
    model: Option<&Stack>,
    status: &AppStackStatus,
    now: Timestamp,
) -> Vec<String> {
    let since = service.since.as_ref().map_or_else(String::new, |since| age(since.0, now));
    let chain = model.map_or_else(Vec::new, |model| chain(model, status, name));
    let what = match (chain.as_slice(), &service.waiting_on, &service.address) {
        ([_, rest @ ..], ..) if !rest.is_empty() => format!("waits for {}", rest.join(", which waits for ")),
        (_, Some(waiting), _) => format!("waits for {}", one_line(waiting)),
        (_, None, Some(address)) if service.reason.is_none() => format!("at {address}"),
        _ => why(service),
    };
    let head = format!("{} {name}", sign(service.state));
    vec![head, service.state.as_str().to_owned(), counts(service), since, what]
}

/// A service, what it waits for, what that waits for, and so on.
fn chain<'a>(model: &'a Stack, status: &AppStackStatus, name: &'a str) -> Vec<&'a str> {
    let mut chain = vec![name];
    let mut here = name;
    loop {
        let waiting = status.services.get(here).and_then(|s| s.waiting_on.as_deref()).unwrap_or_default();
        let named = |on: &str| waiting.starts_with(&format!("{on} (")) || waiting.contains(&format!(", {on} ("));
        let needs = model.services.get(here).map(|service: &Service| &service.needs);
        // The one that waits itself, if any: it is the longer story.
        let mut waited: Vec<&String> = needs.into_iter().flatten().map(|(on, _)| on).filter(|on| named(on)).collect();
        waited.sort_by_key(|on| status.services.get(*on).is_none_or(|s| s.waiting_on.is_none()));
        match waited.first() {
            Some(next) if !chain.contains(&next.as_str()) => {
                here = next;
                chain.push(here);
            }
            _ => return chain,
        }
    }
}

/// `web waits for api, which waits for db: ImagePullBackOff: ...`, of the longest wait.
fn cause(model: &Stack, status: &AppStackStatus) -> Option<String> {
    let longest = model.order.iter().map(|name| chain(model, status, name)).max_by_key(Vec::len)?;
    let [first, rest @ ..] = longest.as_slice() else { return None };
    let end = status.services.get(*rest.last()?)?;
    let why = match why(end) {
        why if why.is_empty() => format!("{} {}", end.state.as_str(), counts(end)),
        why => why,
    };
    Some(format!("{first} waits for {}: {why}", rest.join(", which waits for ")))
}

/// What is left of services that the spec does not have any more.
fn left_over<'a>(names: &[String], leaves: &'a [Leaf]) -> Vec<&'a Leaf> {
    let gone = |leaf: &&Leaf| {
        let service = leaf.service();
        let shown = leaf.kind.starts_pods() || leaf.kind == Kind::Pod;
        shown && !service.is_empty() && !names.iter().any(|name| name == service)
    };
    leaves.iter().filter(gone).collect()
}

fn twigs(
    prefix: &str,
    name: &str,
    own: Option<&Service>,
    service: &ServiceStatus,
    leaves: &[Leaf],
    now: Timestamp,
) -> Vec<Twig> {
    let mounted = |pick: fn(&crate::stack::Source) -> Option<&String>| -> BTreeSet<&str> {
        let mounts = own.into_iter().flat_map(|own| &own.mounts);
        mounts.filter_map(|mount| pick(&mount.source)).map(String::as_str).collect()
    };
    let volumes = mounted(crate::stack::Source::volume);
    let mut configs = mounted(crate::stack::Source::config);
    configs.extend(
        own.into_iter().flat_map(|own| &own.env_from).filter_map(|from| from.source.config()).map(String::as_str),
    );
    let is_part = |leaf: &&Leaf| {
        let label = |key| leaf.child.label(key);
        match leaf.kind {
            // Of several services, unless it is of one pod.
            Kind::Claim => volumes.contains(label(labels::VOLUME)) && ["", name].contains(&leaf.service()),
            Kind::Job | Kind::Pod if !label(labels::POPULATE).is_empty() => volumes.contains(label(labels::POPULATE)),
            Kind::ConfigMap => configs.contains(label(labels::CONFIG)),
            _ => leaf.service() == name,
        }
    };
    let parts: Vec<&Leaf> = leaves.iter().filter(is_part).collect();
    branch(prefix, &parts, own.map_or("", |own| own.revision.as_str()), service, now)
}

/// Workloads with their pods, then the rest.
fn branch(prefix: &str, parts: &[&Leaf], revision: &str, service: &ServiceStatus, now: Timestamp) -> Vec<Twig> {
    let workloads: Vec<&Leaf> = parts.iter().filter(|leaf| leaf.kind.starts_pods()).copied().collect();
    let mut pods: BTreeMap<&str, Vec<&Leaf>> = BTreeMap::new();
    let mut tops: Vec<&Leaf> = workloads.clone();
    for leaf in parts.iter().filter(|leaf| !leaf.kind.starts_pods()) {
        let of = |workload: &&&Leaf| leaf.name.strip_prefix(&workload.name).is_some_and(|rest| rest.starts_with('-'));
        let owner = workloads.iter().filter(of).max_by_key(|workload| workload.name.len());
        match owner.filter(|_| leaf.kind == Kind::Pod) {
            Some(owner) => pods.entry(&owner.name).or_default().push(leaf),
            None => tops.push(leaf),
        }
    }
    let mut twigs = Vec::new();
    for (at, top) in tops.iter().enumerate() {
        let last = at + 1 == tops.len();
        twigs.push(twig(prefix, last, top, revision, service, now));
        let below = format!("{prefix}{}", if last { "   " } else { "\u{2502}  " });
        let own = pods.get(top.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        twigs.extend(own.iter().enumerate().map(|(at, pod)| {
            let last = at + 1 == own.len();
            twig(&below, last, pod, revision, service, now)
        }));
    }
    twigs
}

fn twig(prefix: &str, last: bool, leaf: &Leaf, revision: &str, service: &ServiceStatus, now: Timestamp) -> Twig {
    let (state, said) = leaf.said(revision, service, now);
    let prefix = format!("{prefix}{} ", if last { "\u{2514}\u{2500}" } else { "\u{251c}\u{2500}" });
    let kind = match leaf.kind {
        Kind::Claim => "Claim".to_owned(),
        Kind::ConfigMap => "Config".to_owned(),
        kind => kind.to_string(),
    };
    let text = format!("{} {kind} {}   {said}", sign(state), leaf.name);
    Twig { prefix, text: text.trim_end().to_owned(), state }
}
