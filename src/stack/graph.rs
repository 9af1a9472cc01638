//! Who waits for whom.

use std::collections::BTreeMap;

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graphmap::DiGraphMap;

/// Every cycle of the edges (service to what it depends on), each as a closed path: `[a, b, a]`. One per knot of services that wait
/// for each other, shortest names first.
pub fn cycles(edges: &BTreeMap<&str, Vec<&str>>) -> Vec<Vec<String>> {
    let graph = graph(edges);
    let mut found: Vec<Vec<String>> = tarjan_scc(&graph)
        .into_iter()
        .filter(|knot| knot.len() > 1 || knot.first().is_some_and(|only| graph.contains_edge(only, only)))
        .map(|mut knot| {
            knot.sort_unstable();
            walk(&graph, &knot)
        })
        .collect();
    found.sort();
    found
}

/// The shortest closed path from this node, if there is one: `[a, b, a]`.
pub fn circle_through(edges: &BTreeMap<&str, Vec<&str>>, from: &str) -> Option<Vec<String>> {
    let graph = graph(edges);
    let mut knot = tarjan_scc(&graph).into_iter().find(|knot| knot.contains(&from))?;
    knot.sort_unstable();
    let at = knot.iter().position(|node| *node == from)?;
    knot.swap(0, at);
    Some(walk(&graph, &knot)).filter(|path| !path.is_empty())
}

/// Dependencies before dependants, names deciding among equals; none where there is a cycle.
pub fn order(edges: &BTreeMap<&str, Vec<&str>>) -> Option<Vec<String>> {
    let graph = graph(edges);
    // Rank is the longest way to a service without dependencies; sorting by it keeps the order stable as services are added.
    let mut rank: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sorted = toposort(&graph, None).ok()?;
    sorted.reverse();
    for service in &sorted {
        let below = graph.neighbors(service).filter_map(|d| rank.get(d)).max().map_or(0, |r| r + 1);
        rank.insert(service, below);
    }
    sorted.sort_by_key(|service| (rank.get(service).copied(), *service));
    Some(sorted.into_iter().map(str::to_owned).collect())
}

fn graph<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>) -> DiGraphMap<&'a str, ()> {
    let mut graph = DiGraphMap::new();
    for (from, to) in edges {
        graph.add_node(*from);
        for to in to {
            graph.add_edge(*from, *to, ());
        }
    }
    graph
}

/// A closed path inside a strongly connected set, from its first member: the shortest, by breadth-first search.
fn walk(graph: &DiGraphMap<&str, ()>, knot: &[&str]) -> Vec<String> {
    let Some(start) = knot.first().copied() else { return Vec::new() };
    let mut paths = std::collections::VecDeque::from([vec![start]]);
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = paths.pop_front() {
        let Some(last) = path.last().copied() else { continue };
        let mut next: Vec<&str> = graph.neighbors(last).filter(|n| knot.contains(n)).collect();
        next.sort_unstable();
        for service in next {
            if service == start {
                return path.iter().copied().chain([start]).map(str::to_owned).collect();
            }
            if seen.insert(service) {
                paths.push_back(path.iter().copied().chain([service]).collect());
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges<'a>(list: &[(&'a str, &[&'a str])]) -> BTreeMap<&'a str, Vec<&'a str>> {
        list.iter().map(|(from, to)| (*from, to.to_vec())).collect()
    }

    #[test]
    fn dependencies_come_first() {
        let edges =
            edges(&[("web", &["api", "auth"]), ("api", &["db"]), ("auth", &["db"]), ("db", &[]), ("aside", &[])]);
        assert_eq!(order(&edges).unwrap(), ["aside", "db", "api", "auth", "web"]);
        assert!(cycles(&edges).is_empty());
    }

    #[test]
    fn cycles_are_listed_closed() {
        let ring = edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]);
        assert_eq!(cycles(&ring), [["a", "b", "c", "a"]]);
        assert_eq!(order(&ring), None);
        let names: Vec<String> = (0..50).map(|n| format!("s{n:02}")).collect();
        let long: BTreeMap<&str, Vec<&str>> =
            names.iter().enumerate().map(|(n, name)| (name.as_str(), vec![names[(n + 1) % 50].as_str()])).collect();
        assert_eq!(cycles(&long)[0].len(), 51);
    }
}
