//! What we ship for Argo CD, by its own code, over stacks that a live test has captured. The files lie as in Argo CD's repository, whose tests read the same.
//! `UPDATE_ARGO=1` writes what follows from the scripts; with `--test live -- conformance::`, the stacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use e2e::cluster::root;
use e2e::samples::run;
use e2e::space::documents;
use e2e::{argo, go, json};
use serde_json::{Value, json};

fn text(name: &str) -> String {
    let path = argo::folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read(name: &str) -> Value {
    documents(&text(name)).remove(0)
}

fn stage(name: &str) -> Value {
    read(&format!("testdata/{name}.yaml"))
}

fn is_to_be_written() -> bool {
    std::env::var_os("UPDATE_ARGO").is_some()
}

/// A script as a block of YAML.
fn block(indent: usize, script: &str) -> String {
    text(script).lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{:indent$}{line}", "");
        all
    })
}

#[test]
fn what_people_copy_is_made_of_the_scripts_that_are_tested() {
    let mut expected = format!(
        "# Health and actions of stacks for Argo CD; docs/gitops.md says how they are installed. Made of resource_customizations/ by UPDATE_ARGO=1
# cargo test -p e2e --test argocd.
apiVersion: v1
kind: ConfigMap
metadata: {{name: argocd-cm}}
data:
  resource.customizations.health.appstack.dev_AppStack: |
{}  resource.customizations.actions.appstack.dev_AppStack: |
    discovery.lua: |
{}    definitions:
",
        block(4, "health.lua"),
        block(6, "actions/discovery.lua")
    );
    for action in ["restart", "resume", "suspend"] {
        let script = block(8, &format!("actions/{action}/action.lua"));
        let _ = write!(expected, "    - name: {action}\n      action.lua: |\n{script}");
    }
    if is_to_be_written() {
        argo::write(&argo::settings_file(), &expected);
    }
    let found = std::fs::read_to_string(argo::settings_file()).unwrap_or_default();
    assert_eq!(found, expected, "UPDATE_ARGO=1 writes it anew");
}

// "The same file is one of the `patches`"
#[test]
fn kustomize_takes_it_as_a_patch() {
    let folder = root().join("target/e2e/argocd-cm");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(argo::settings_file(), folder.join("argocd-cm.yaml")).unwrap();
    let own = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm}\ndata: {url: https://argo.example.com}\n";
    argo::write(&folder.join("install.yaml"), own);
    argo::write(&folder.join("kustomization.yaml"), "resources: [install.yaml]\npatches: [{path: argocd-cm.yaml}]\n");
    let kustomize = go::tool("kustomize", Some("sigs.k8s.io/kustomize/kustomize/v5"));
    let built = run(&kustomize, &["build", folder.to_str().unwrap()], b"");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built = documents(&String::from_utf8_lossy(&built.stdout)).remove(0);
    let mut expected = documents(&std::fs::read_to_string(argo::settings_file()).unwrap()).remove(0);
    expected["data"]["url"] = json!("https://argo.example.com");
    assert_eq!(built["data"], expected["data"]);
}

// "Argo CD health Lua and actions in upstream layout, run in tests by Argo's own health code (Go module) over captured objects of every stage"
#[test]
fn each_stage_of_a_stack_has_the_health_that_people_expect() {
    let expected = [
        ("nobody-has-looked", "Progressing"),
        ("creation", "Healthy"),
        ("an-update-not-seen", "Progressing"),
        ("an-update", "Healthy"),
        ("a-failing-image-before-its-deadline", "Progressing"),
        ("a-failing-image-past-its-deadline", "Degraded"),
        ("healing", "Healthy"),
        ("scaling", "Healthy"),
        ("suspended", "Suspended"),
        ("resumed", "Healthy"),
        ("a-spec-that-cannot-be", "Degraded"),
        ("put-right", "Healthy"),
        ("stopped", "Healthy"),
        ("started", "Healthy"),
        ("a-pod-that-is-lost", "Progressing"),
        ("a-pod-that-is-back", "Healthy"),
    ];
    let kept = read("health_test.yaml");
    let cases: Vec<&Value> = json::items(&kept, "/tests").collect();
    let found: Vec<(&str, &str)> = cases
        .iter()
        .map(|case| {
            let name = Path::new(json::text(case, "/inputPath")).file_stem().unwrap();
            (name.to_str().unwrap(), json::text(case, "/healthStatus/status"))
        })
        .collect();
    assert_eq!(found, expected);
    let stacks: Vec<Value> = found.iter().map(|(name, _)| stage(name)).collect();
    for (case, health) in cases.iter().zip(argo::health(&stacks)) {
        assert_eq!(health, case["healthStatus"], "{}", case["inputPath"]);
    }
}

#[test]
fn a_status_that_says_nothing_yet_is_progress() {
    let healthy = stage("creation");
    let with = |patch: &Value| argo::patched(&healthy, patch);
    for stack in [
        with(&json!({"status": null})),
        with(&json!({"status": {"conditions": null}})),
        with(&json!({"status": {"conditions": []}})),
        with(&json!({"status": {"observedGeneration": null}})),
        with(&json!({"metadata": {"generation": 99}})),
    ] {
        let health = argo::health([&stack]).remove(0);
        let expected = json!({"status": "Progressing", "message": "Waiting for the operator"});
        assert_eq!(health, expected, "{:#}", stack["status"]);
    }
    let mut suspended_before = stage("suspended");
    suspended_before["metadata"]["generation"] = json!(99);
    assert_eq!(argo::health([&suspended_before])[0]["status"], "Progressing", "resumed, and nobody has looked");
}

#[test]
fn actions_are_offered_where_the_commands_would_not_refuse() {
    let all = |restart: bool, resume: bool, suspend: bool| -> BTreeMap<String, bool> {
        [("restart", restart), ("resume", resume), ("suspend", suspend)].map(|(name, is)| (name.to_owned(), is)).into()
    };
    let running = || stage("creation");
    let going = |stack| argo::patched(&stack, &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    let mut new = running();
    new.as_object_mut().unwrap().remove("status");
    for (stack, expected, what) in [
        (running(), all(true, false, true), "running"),
        (new, all(true, false, true), "new"),
        (stage("a-failing-image-past-its-deadline"), all(true, false, true), "a restart may help"),
        (stage("suspended"), all(false, true, false), "suspended"),
        (stage("stopped"), all(false, false, true), "stopped"),
        (stage("a-spec-that-cannot-be"), all(false, false, true), "it cannot be run as it is written"),
        (going(running()), all(false, false, false), "being deleted"),
        (going(stage("suspended")), all(false, false, false), "suspended, and being deleted"),
    ] {
        assert_eq!(argo::actions(&stack), expected, "{what}");
    }
}

#[test]
fn suspend_and_resume_change_one_field() {
    let running = stage("creation");
    assert_eq!(argo::act(&running, "suspend"), json!({"spec": {"suspend": true}}));
    assert_eq!(argo::act(&stage("suspended"), "resume"), json!({"spec": {"suspend": null}}));
}

#[test]
fn a_restart_stamps_what_is_on_but_jobs_and_what_was_rolled_back_by_hand() {
    let changed = json!({
        "metadata": {"annotations": {
            "appstack.dev/rollback.db": "0123abcd:0123abcd", "appstack.dev/rollback.web": "an old one",
        }},
        "spec": {"profiles": ["debug"], "services": {
            "once": {"image": "job:1", "mode": "Job"}, "each": {"image": "each:1", "mode": "Global"},
            "off": {"image": "off:1", "profiles": ["other"]}, "on": {"image": "on:1", "profiles": ["other", "debug"]},
            // Lua has one word for an empty list and an empty map: they must come back as they were.
            "empty": {"image": "e:1", "dependsOn": {"db": {}}, "command": [], "env": {}, "profiles": []},
        }},
        "status": {"services": {"db": {"state": "RolledBack"}, "api": {"state": "RolledBack"}}},
    });
    let patch = argo::act(&argo::patched(&stage("creation"), &changed), "restart");
    let stamps: Vec<(&str, &Value)> = json::entries(&patch, "/metadata/annotations").collect();
    let names: Vec<&str> = stamps.iter().map(|(key, _)| key.trim_start_matches("appstack.dev/restart.")).collect();
    assert_eq!(names, ["api", "each", "empty", "on", "web"]);
    assert!(stamps.iter().all(|(_, at)| at.as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 20)), "{patch}");
    let mut rest = patch.clone();
    rest["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(rest, json!({"metadata": {}}), "nothing else: Git has not changed");
    let new = argo::patched(&stage("creation"), &json!({"status": null, "metadata": {"annotations": null}}));
    let patch = argo::act(&new, "restart");
    assert_eq!(json::entries(&patch, "/metadata/annotations").count(), 3, "nobody has looked at it yet: {patch}");
}

// "in upstream layout": what an action makes of a stack, as a file, by which Argo CD's repository tests it.
#[test]
fn the_files_of_argos_own_tests_hold() {
    let kept = read("actions/action_test.yaml");
    for case in json::items(&kept, "/discoveryTests") {
        let offered = argo::actions(&read(&format!("actions/{}", json::text(case, "/inputPath"))));
        let offered: Vec<Value> = offered.iter().map(|(name, is)| json!({"name": name, "disabled": !is})).collect();
        assert_eq!(json!(offered), case["result"], "{}", case["inputPath"]);
    }
    let mut actions = Vec::new();
    for case in json::items(&kept, "/actionTests") {
        let (action, output) =
            (json::text(case, "/action"), format!("actions/{}", json::text(case, "/expectedOutputPath")));
        actions.push(action);
        let stack = read(&format!("actions/{}", json::text(case, "/inputPath")));
        let mut after = argo::patched(&stack, &argo::act(&stack, action));
        let stamps = after["metadata"]["annotations"].as_object_mut().into_iter().flatten();
        for (_, at) in stamps.filter(|(key, _)| key.starts_with("appstack.dev/restart.")) {
            *at = json!("0001-01-01T00:00:00Z"); // as those tests do with times
        }
        if is_to_be_written() {
            std::fs::create_dir_all(argo::folder().join("actions/testdata")).unwrap();
            argo::write(&argo::folder().join(&output), &serde_saphyr::to_string(&after).unwrap());
        }
        assert_eq!(after, read(&output), "{output}");
    }
    assert_eq!(actions, ["restart", "suspend", "resume"]);
}
