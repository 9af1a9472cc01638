//! What `config` accepts and `up` refuses.

use std::collections::BTreeMap;

use super::node::{At, Holds, Node};
use super::ports;
use super::problem::{Problem, code};
use super::project::Project;

/// All that `up` would refuse of the active services.
///
/// That a service has no health check is told for each dependant ([`code::NO_HEALTH_CHECK`]): only the image knows whether it has one.
pub fn check(project: &Project) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut taken: BTreeMap<(String, String, u16), At> = BTreeMap::new();
    for (name, service) in project.services().filter(|(name, _)| project.is_on(name)) {
        start_interval(name, &service.value, &mut problems);
        for (of, entry) in service.value.entries("depends_on") {
            let condition = entry.value.get("condition").and_then(Node::as_text);
            if condition == Some("service_healthy")
                && project.is_on(of)
                && !has_check(project.root.find(&["services", of]))
            {
                let at = entry.value.get("condition").map_or(entry.at, |node| node.at);
                let message = format!("'{name}' waits for '{of}' to be healthy, and '{of}' has no health check here");
                let problem =
                    Problem::error(code::NO_HEALTH_CHECK, if at.is_written() { at } else { entry.at }, message);
                let help = format!("give '{of}' a healthcheck with a test: one inside its image cannot be seen");
                problems.push(problem.on(format!("services.{name}.depends_on.{of}.condition")).help(help));
            }
        }
        for (index, port) in service.value.items("ports").iter().enumerate() {
            let of = |key: &str| port.get(key).and_then(Node::printed).unwrap_or_default();
            let Some((first, last)) =
                ports::range(&of("published")).filter(|(first, last)| first == last && *first > 0)
            else {
                continue;
            };
            let host = match of("host_ip").as_str() {
                "" | "0.0.0.0" | "::" => String::new(),
                ip => ip.to_owned(),
            };
            if let Some(before) = taken.insert((host, of("protocol"), last), port.at) {
                let problem = Problem::error(
                    code::HOST_PORT,
                    port.at,
                    format!("the port {first} of the host is published twice"),
                );
                problems.push(
                    problem
                        .on(format!("services.{name}.ports[{index}]"))
                        .and(before)
                        .help("publish one of them elsewhere"),
                );
            }
        }
    }
    problems.sort_by_key(|problem| problem.at);
    problems
}

fn start_interval(name: &str, service: &Node, problems: &mut Vec<Problem>) {
    let Some(check) = service.get("healthcheck") else { return };
    let Some(interval) = check.get("start_interval").filter(|node| !node.is_null()) else { return };
    if check.get("start_period").is_none_or(Node::is_null) {
        let problem =
            Problem::error(code::START_INTERVAL, interval.at, "'start_interval' says nothing without 'start_period'");
        let path = format!("services.{name}.healthcheck.start_interval");
        problems.push(problem.on(path).help("add start_period"));
    }
}

fn has_check(service: Option<&Node>) -> bool {
    let Some(check) = service.and_then(|service| service.get("healthcheck")) else { return false };
    let off = check.get("disable").is_some_and(|node| node.holds == Holds::Bool(true));
    let test = check.items("test").first().and_then(Node::as_text);
    !off && test.is_some_and(|word| word != "NONE")
}
