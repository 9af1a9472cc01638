//! What Argo CD makes of a stack: its own code (`e2e/argocd`), with the settings that we ship for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::root;
use crate::go;
use crate::samples::run;
use crate::space::documents;

/// The program, built when it is first asked for.
pub fn built() -> PathBuf {
    go::tool("argocd", None)
}

/// Where the scripts are, laid out as in Argo CD's own repository.
pub fn folder() -> PathBuf {
    root().join("manifests/argocd/resource_customizations/appstack.dev/AppStack")
}

/// What people copy into the ConfigMap `argocd-cm`.
pub fn settings_file() -> PathBuf {
    root().join("manifests/argocd/argocd-cm.yaml")
}

/// The health of each stack: `status` and `message`.
pub fn health<'a>(stacks: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let settings = settings();
    let questions = stacks.into_iter().map(|stack| json!({"ask": "health", "object": stack, "overrides": settings}));
    ask(&questions.collect::<Vec<_>>())
}

/// The actions that are offered for a stack, and whether each can be taken.
pub fn actions(stack: &Value) -> BTreeMap<String, bool> {
    let said = ask(&[json!({"ask": "actions", "object": stack, "overrides": settings()})]).remove(0);
    let all = said.as_array().expect("actions").iter();
    all.map(|action| (action["name"].as_str().expect("a name").to_owned(), action["disabled"] != true)).collect()
}

/// The merge patch that Argo CD sends for an action.
pub fn act(stack: &Value, action: &str) -> Value {
    ask(&[json!({"ask": "action", "object": stack, "overrides": settings(), "action": action})]).remove(0)
}

/// What Argo CD would change of a live object, as a patch: `serverSide` by a dry run, whose answer is given, and `legacy` without one. Null is: nothing.
pub fn differences(git: &Value, live: &Value, predicted: &Value) -> Value {
    ask(&[json!({"ask": "differences", "git": git, "object": live, "predicted": predicted})]).remove(0)
}

/// An object after a merge patch.
pub fn patched(object: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut all = object.as_object().cloned().unwrap_or_default();
    for (key, change) in changes {
        if change.is_null() {
            all.remove(key);
        } else {
            let before = all.remove(key).unwrap_or_default();
            all.insert(key.clone(), patched(&before, change));
        }
    }
    Value::Object(all)
}

/// Fails unless Argo CD says of a stack what kstatus does; but that it has a word for one that is suspended.
pub fn assert_agrees(stage: &str, verdict: &str, stack: &Value, health: &Value) {
    let ready = crate::json::condition(stack, "Ready");
    let newest = stack["status"]["observedGeneration"] == stack["metadata"]["generation"];
    let expected = match verdict {
        _ if newest && ready.is_some_and(|ready| ready["reason"] == "Suspended") => "Suspended",
        "Current" => "Healthy",
        "Failed" => "Degraded",
        _ => "Progressing",
    };
    assert_eq!(health["status"], expected, "{stage}: {health} of {:#}", stack["status"]);
    assert!(health["message"].as_str().is_some_and(|message| !message.is_empty()), "{stage}: {health}");
}

/// Writes stacks with their health as the tests of Argo CD's repository want them, where `UPDATE_ARGO` is set.
pub fn keep(captured: &[(String, Value, Value)]) {
    if std::env::var_os("UPDATE_ARGO").is_none() {
        return;
    }
    let data = folder().join("testdata");
    let _ = std::fs::remove_dir_all(&data); // with what is no stage any more
    std::fs::create_dir_all(&data).expect("testdata");
    let mut tests = Vec::new();
    for (stage, stack, health) in captured {
        let words = stage.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let name = format!("testdata/{}.yaml", words.collect::<Vec<_>>().join("-"));
        let mut stack = stack.clone();
        stack["metadata"].as_object_mut().expect("metadata").remove("managedFields");
        stack["metadata"]["namespace"] = "default".into();
        write(&folder().join(&name), &serde_saphyr::to_string(&stack).expect("YAML"));
        tests.push(json!({"healthStatus": health, "inputPath": name}));
    }
    write(&folder().join("health_test.yaml"), &serde_saphyr::to_string(&json!({"tests": tests})).expect("YAML"));
}

/// Writes a file that is kept with the scripts.
pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// What the ConfigMap says of each kind, by Argo CD's rule for its keys: `resource.customizations.TYPE.GROUP_KIND`.
fn settings() -> Value {
    let path = settings_file();
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut all = json!({});
    for (key, value) in crate::json::entries(&documents(&text).remove(0), "/data") {
        let [_, _, what, kind] = key.splitn(4, '.').collect::<Vec<_>>()[..] else { panic!("{key}") };
        all[kind.replace('_', "/")][what] = value.clone();
    }
    all
}

fn ask(questions: &[Value]) -> Vec<Value> {
    let input: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let said = run(&built(), &[], input.as_bytes());
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let answers = serde_json::Deserializer::from_slice(&said.stdout).into_iter();
    let answers: Vec<Value> = answers.map(|answer| answer.expect("an answer")).collect();
    assert_eq!(answers.len(), questions.len(), "an answer for each question");
    answers
}
