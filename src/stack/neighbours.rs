//! Stacks that wait for stacks of their namespace.

use std::collections::{BTreeMap, BTreeSet};

use super::graph;
use super::model::{Problem, Problems};
use super::requests::is_answered;
use crate::api::{AppStack, AppStackSpec};

/// The stacks of a namespace, by name.
pub type Neighbours = BTreeMap<String, Neighbour>;

/// A stack, as those who wait for it see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// Those that it waits for itself.
    pub depends_on: BTreeSet<String>,
    /// Why it is not Ready at its newest generation; none if it is.
    pub unready: Option<String>,
}

impl Neighbour {
    /// By its status.
    pub fn of(stack: &AppStack) -> Self {
        Neighbour { depends_on: stack.spec.depends_on.keys().cloned().collect(), unready: unready(stack) }
    }

    /// One that cannot be read.
    pub fn unreadable() -> Self {
        Neighbour { depends_on: BTreeSet::new(), unready: Some("the operator cannot read it".into()) }
    }
}

fn unready(stack: &AppStack) -> Option<String> {
    if stack.metadata.deletion_timestamp.is_some() {
        return Some("it is being deleted".into());
    }
    let Some(status) = stack.status.as_ref().filter(|_| is_answered(stack)) else {
        return Some("nobody has looked at its last change yet".into());
    };
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let services = || format!("{} services ready", status.summary.as_deref().unwrap_or("no"));
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) if ready.reason == "Progressing" => Some(services()),
        Some(ready) => Some(format!("{}: {}", services(), ready.reason)),
        None => Some(services()),
    }
}

/// The stacks that this one still waits for, and why each is not Ready.
pub fn awaited(depends_on: &BTreeSet<String>, there: &Neighbours) -> BTreeMap<String, String> {
    let why = |name: &String| match there.get(name) {
        Some(stack) => stack.unready.clone(),
        None => Some("there is no such stack in this namespace".into()),
    };
    depends_on.iter().filter_map(|name| Some((name.clone(), why(name)?))).collect()
}

/// The circle of stacks that this one is in, if it is in one: none of them would ever be the first. Each of them is told.
pub fn circle(name: &str, there: &Neighbours) -> Option<Problems> {
    there.get(name).filter(|stack| !stack.depends_on.is_empty())?;
    let known = |on: &&str| there.contains_key(*on);
    let edges: BTreeMap<&str, Vec<&str>> = there
        .iter()
        .map(|(name, stack)| (name.as_str(), stack.depends_on.iter().map(String::as_str).filter(known).collect()))
        .collect();
    let path = graph::circle_through(&edges, name)?;
    let second = path.get(1)?;
    let field = format!("spec.dependsOn[{second}]");
    let problem = Problem::new(
        field,
        format!("stacks wait for each other in a circle; drop one of the edges: {}", path.join(" -> ")),
    );
    Some(Problems { all: vec![problem], cycle: Some(path) })
}

/// A stack that names itself.
pub(super) fn of_itself(name: &str, spec: &AppStackSpec) -> Option<Problem> {
    let is_itself = !name.is_empty() && spec.depends_on.contains_key(name);
    is_itself.then(|| Problem::new("spec.dependsOn", "a stack cannot wait for itself"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn there(stacks: &[(&str, &[&str])]) -> Neighbours {
        let of = |on: &[&str]| on.iter().map(|s| (*s).to_owned()).collect();
        stacks.iter().map(|(name, on)| ((*name).into(), Neighbour { depends_on: of(on), unready: None })).collect()
    }

    fn stack(generation: i64, status: &Value) -> AppStack {
        let metadata = json!({"name": "infra", "generation": generation});
        let stack = json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": metadata, "spec": {"services": {}}, "status": status});
        serde_json::from_value(stack).unwrap()
    }

    fn status(seen: i64, ready: &str, reason: &str) -> Value {
        json!({"observedGeneration": seen, "summary": "2/5",
            "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}]})
    }

    #[test]
    fn a_stack_counts_when_it_is_ready_at_its_newest_generation() {
        let why = |generation, status: &Value| Neighbour::of(&stack(generation, status)).unready;
        assert_eq!(why(3, &status(3, "True", "AllServicesReady")), None);
        let unseen = Some("nobody has looked at its last change yet".to_owned());
        assert_eq!(why(3, &status(2, "True", "AllServicesReady")), unseen, "what was ready is not what is wanted now");
        assert_eq!(why(1, &json!({"observedGeneration": -1})), unseen);
        assert_eq!(why(3, &status(3, "False", "Progressing")).unwrap(), "2/5 services ready");
        assert_eq!(why(3, &status(3, "False", "Suspended")).unwrap(), "2/5 services ready: Suspended");
        let mut going = stack(3, &status(3, "True", "AllServicesReady"));
        going.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap());
        assert_eq!(Neighbour::of(&going).unready.unwrap(), "it is being deleted");
    }

    #[test]
    fn a_stack_that_is_not_there_is_waited_for_by_name() {
        let all = awaited(&["a".to_owned(), "b".to_owned()].into(), &there(&[("a", &[])]));
        assert_eq!(all, [("b".to_owned(), "there is no such stack in this namespace".to_owned())].into());
    }

    #[test]
    fn every_stack_of_a_circle_is_told_its_path_and_those_behind_it_are_not_in_it() {
        let all = there(&[("a", &["b"]), ("b", &["c", "x"]), ("c", &["a", "gone"]), ("d", &["a"]), ("x", &[])]);
        let path = |name: &str| circle(name, &all).and_then(|problems| problems.cycle).map(|path| path.join(" "));
        assert_eq!(path("a").unwrap(), "a b c a");
        assert_eq!(path("b").unwrap(), "b c a b");
        assert_eq!(path("c").unwrap(), "c a b c");
        assert_eq!((path("d"), path("x"), path("gone")), (None, None, None));
        let said = circle("a", &all).unwrap().all[0].to_string();
        assert!(said.starts_with("spec.dependsOn[b]: ") && said.ends_with("a -> b -> c -> a"), "{said}");
    }
}
