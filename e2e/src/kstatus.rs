//! What kstatus, by which Flux and Helm wait, makes of the objects of a history: the real library, in `e2e/kstatus`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::root;
use crate::observer::Seen;
use crate::workload::{differences, is_complete};
use crate::{Kind, json};

/// How long a status may lag behind what it is about: its pace and a busy machine.
const LAG: Duration = Duration::from_secs(2);

/// The verdict on each change of a history, in its order: `InProgress`, `Failed`, `Current`, `Terminating`.
pub fn verdicts(history: &[Seen]) -> Vec<String> {
    let built = Command::new(root().join("e2e/go-tool.sh")).arg("kstatus").status();
    assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh kstatus failed: it needs Go");
    let mut program = Command::new(root().join("target/tools/kstatus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("what e2e/go-tool.sh has built");
    let mut input = program.stdin.take().expect("its input");
    let text: String = history.iter().map(|seen| format!("{}\n", whole(seen))).collect();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(text.as_bytes()).expect("its input"));
        program.wait_with_output().expect("its answers")
    });
    assert!(output.status.success(), "kstatus failed: {}", output.status);
    let said = String::from_utf8(output.stdout).expect("text");
    let verdicts: Vec<String> = said.lines().map(|l| l.split('\t').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(verdicts.len(), history.len(), "an answer for each object");
    verdicts
}

/// With its kind, which the items of a list are without.
pub fn whole(seen: &Seen) -> Value {
    let mut object = Value::clone(&seen.object);
    let kind = seen.kind.resource();
    (object["apiVersion"], object["kind"]) = (kind.api_version.into(), kind.kind.into());
    object
}

/// A stack as followed through a history.
struct Stack {
    object: Value,
    /// Last moment at which its children were all as this generation wants them; none before the first.
    whole: Option<Instant>,
}

/// Every version of a stack that kstatus calls Current too early: not all of its workloads are, or were a moment ago, of the
/// definition that its spec gives, complete by their own status, and Current for kstatus too.
pub fn too_early(history: &[Seen], verdicts: &[String]) -> Vec<String> {
    let mut stacks: BTreeMap<String, Stack> = BTreeMap::new();
    let mut workloads: BTreeMap<(Kind, String), (Value, bool)> = BTreeMap::new();
    let mut early = Vec::new();
    for (seen, verdict) in history.iter().zip(verdicts) {
        let name = json::name(&seen.object).to_owned();
        // What held until now held until now.
        for stack in stacks.values_mut() {
            if missing(&stack.object, &workloads).is_empty() {
                stack.whole = Some(seen.at);
            }
        }
        if seen.kind.is_workload() {
            if seen.deleted {
                workloads.remove(&(seen.kind, name));
            } else {
                workloads.insert((seen.kind, name), (Value::clone(&seen.object), verdict == "Current"));
            }
        } else if seen.kind == Kind::AppStack {
            let generation = |object: &Value| json::number(object, "/metadata/generation");
            let before = stacks.remove(&name).filter(|s| generation(&s.object) == generation(&seen.object));
            let whole = before.and_then(|stack| stack.whole);
            if verdict == "Current" && !seen.deleted {
                let why = missing(&seen.object, &workloads);
                if !why.is_empty() && whole.is_none_or(|at| at + LAG < seen.at) {
                    early.push(format!("version {} of {name}: {}", seen.version, why.join("; ")));
                }
            }
            if !seen.deleted {
                stacks.insert(name, Stack { object: Value::clone(&seen.object), whole });
            }
        }
    }
    early
}

/// What of a stack's services is not as its spec wants it.
fn missing(stack: &Value, workloads: &BTreeMap<(Kind, String), (Value, bool)>) -> Vec<String> {
    let of_stack: Vec<(&Kind, &Value, bool)> = workloads
        .iter()
        .filter(|(_, (object, _))| json::label(object, "appstack.dev/stack") == json::name(stack))
        .map(|((kind, _), (object, current))| (kind, object, *current))
        .collect();
    let unlike = |name: &str, spec: &Value| {
        let of_service = of_stack.iter().filter(|(_, object, _)| json::label(object, "appstack.dev/service") == name);
        let mut why = BTreeSet::new();
        for (kind, object, current) in of_service {
            match differences(spec, name, &object["spec"]["template"]["spec"]) {
                Err(other) => why.insert(other),
                Ok(()) if !is_complete(**kind, object) => why.insert(format!("{kind} is not complete")),
                Ok(()) if !current => why.insert(format!("{kind} is not Current")),
                Ok(()) => return None,
            };
        }
        Some(format!("{name}: {}", if why.is_empty() { "no workload".into() } else { Vec::from_iter(why).join(", ") }))
    };
    json::entries(stack, "/spec/services").filter_map(|(name, spec)| unlike(name, spec)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    /// A stack whose status was written, and its Deployment, so many seconds after the beginning.
    fn judge(changes: &[(u64, Kind, Value, &str)]) -> usize {
        let begin = Instant::now();
        let history: Vec<Seen> = (1u64..)
            .zip(changes)
            .map(|(version, (after, kind, object, _))| Seen {
                kind: *kind,
                version,
                at: begin + Duration::from_secs(*after),
                deleted: false,
                object: Arc::new(object.clone()),
            })
            .collect();
        let verdicts: Vec<String> = changes.iter().map(|(.., verdict)| (*verdict).to_owned()).collect();
        too_early(&history, &verdicts).len()
    }

    fn stack(generation: u64, image: &str) -> Value {
        json!({"metadata": {"name": "s", "generation": generation}, "spec": {"services": {"db": {"image": image}}}})
    }

    fn workload(image: &str, available: u64) -> Value {
        json!({"metadata": {"name": "s-db", "generation": 1, "labels": {"appstack.dev/stack": "s", "appstack.dev/service": "db"}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "db", "image": image}]}}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}})
    }

    #[test]
    fn current_is_lawful_only_over_what_is_complete_or_was_a_moment_ago() {
        use Kind::{AppStack, Deployment};
        let up = || (1, Deployment, workload("db:1", 1), "Current");
        let down = || (2, Deployment, workload("db:1", 0), "InProgress");
        let current = |after, generation, image| (after, AppStack, stack(generation, image), "Current");
        let new = || (0, AppStack, stack(1, "db:1"), "InProgress");
        assert_eq!(judge(&[new(), up(), current(2, 1, "db:1")]), 0);
        assert_eq!(judge(&[new(), current(1, 1, "db:1")]), 1, "nothing there");
        assert_eq!(judge(&[new(), down(), current(3, 1, "db:1")]), 1, "never available");
        assert_eq!(judge(&[new(), up(), down(), current(3, 1, "db:1")]), 0, "it was, a moment ago");
        assert_eq!(judge(&[new(), up(), down(), current(9, 1, "db:1")]), 1, "long ago");
        assert_eq!(judge(&[new(), up(), current(2, 2, "db:2")]), 1, "of another definition");
        let doubted = (1, Deployment, workload("db:1", 1), "InProgress");
        assert_eq!(judge(&[new(), doubted, current(2, 1, "db:1")]), 1, "kstatus itself says no");
    }
}
