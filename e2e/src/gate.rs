//! How long a gate takes: from the event that made a dependency ready to the write of its dependant.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::json;
use crate::observer::Seen;
use crate::workload::is_complete;

/// Workloads that wait for another one: dependant, dependency, by name.
pub type Edges = [(String, String)];

/// For each dependant, the time between the observer's receipt of the event with which the last of its dependencies
/// became complete, and its receipt of the dependant's creation. Both are read from the observer's own clock, so the
/// way to the observer counts twice and cancels out. A dependant written before its dependency's event arrived counts 0.
pub fn latencies(history: &[Seen], edges: &Edges) -> Vec<Duration> {
    let (created, completed) = (first(history, |_| true), first(history, |s| is_complete(s.kind, &s.object)));
    let mut opened: BTreeMap<&str, Instant> = BTreeMap::new();
    for (dependant, dependency) in edges {
        let Some(at) = completed.get(dependency.as_str()) else { continue };
        let latest = opened.entry(dependant).or_insert(*at);
        *latest = (*latest).max(*at);
    }
    opened.iter().filter_map(|(name, open)| Some(created.get(name)?.saturating_duration_since(*open))).collect()
}

/// From the first creation to the last completion among these workloads.
pub fn total<'a>(history: &[Seen], names: impl IntoIterator<Item = &'a String>) -> Duration {
    let (created, completed) = (first(history, |_| true), first(history, |s| is_complete(s.kind, &s.object)));
    let names: Vec<&String> = names.into_iter().collect();
    let begin = names.iter().filter_map(|n| created.get(n.as_str())).min();
    let end = names.iter().map(|n| completed.get(n.as_str()).unwrap_or_else(|| panic!("{n} was never complete"))).max();
    end.zip(begin).map(|(end, begin)| *end - *begin).unwrap_or_default()
}

/// The quantile of these times; zero where there are none.
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few hundred
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

fn first(history: &[Seen], is: impl Fn(&Seen) -> bool) -> BTreeMap<&str, Instant> {
    let mut found = BTreeMap::new();
    for seen in history.iter().filter(|s| s.kind.is_workload() && !s.deleted && is(s)) {
        found.entry(json::name(&seen.object)).or_insert(seen.at);
    }
    found
}
