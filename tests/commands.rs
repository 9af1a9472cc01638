//! What all commands have in common: help, exit codes, and which stream says what.
#![allow(clippy::unwrap_used)] // a test that cannot run the program fails

use std::collections::BTreeSet;
use std::process::{Command, Output};

/// Commands that ask a cluster, with words that they take.
const ASK: [&[&str]; 21] = [
    &["diff", "x"],
    &["status", "x"],
    &["wait", "x"],
    &["tree", "x"],
    &["events", "x"],
    &["scale", "x", "web=1"],
    &["restart", "x"],
    &["history", "x"],
    &["rollback", "x", "web"],
    &["suspend", "x"],
    &["resume", "x"],
    &["ps", "x"],
    &["logs", "x"],
    &["exec", "x", "web", "--", "true"],
    &["port-forward", "x", "web"],
    &["cp", "./Cargo.toml", "x/data"],
    &["backup", "x"],
    &["restore", "x", "--from", "Cargo.toml"],
    &["down", "x"],
    &["check"],
    &["up", "-f", "manifests/samples/hello.yaml"],
];
/// The others, with words at which they have nothing to complain of.
const OFFLINE: [&[&str]; 12] = [
    &["validate", "manifests/samples/hello.yaml"],
    &["render", "manifests/samples/hello.yaml"],
    &["graph", "manifests/samples/hello.yaml"],
    &["kustomize-config", "manifests/samples/hello.yaml"],
    &["explain"],
    &["schema"],
    &["crd"],
    &["rbac"],
    &["manifests"],
    &["version", "--client"],
    &["completion", "bash"],
    &["import", "--help"],
];
/// Runs until it is stopped.
const OPERATOR: &str = "run";

fn appstack(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appstack"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(words).env("KUBECONFIG", "/no/such/file");
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "KUBERNETES_SERVICE_HOST", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).stdin(std::process::Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The commands, as the help lists them.
fn listed() -> BTreeSet<String> {
    let help = text(&appstack(&["--help"], &[]).stdout);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let name = |line: &str| {
        line.strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
            .and_then(|line| line.split(' ').next().map(str::to_owned))
    };
    lines.filter_map(name).filter(|name| name != "help").collect()
}

#[test]
fn every_command_is_in_these_tests_and_has_help_on_standard_output() {
    let known: BTreeSet<String> =
        ASK.iter().chain(&OFFLINE).map(|words| words[0].to_owned()).chain([OPERATOR.to_owned()]).collect();
    assert_eq!(listed(), known);
    for name in &known {
        let said = appstack(&[name, "--help"], &[]);
        assert_eq!(said.status.code(), Some(0), "{name}");
        assert!(
            text(&said.stdout).contains(&format!("Usage: appstack {name}")) && said.stderr.is_empty(),
            "{name}: {said:?}"
        );
    }
}

#[test]
fn wrong_usage_is_2_on_standard_error_alone() {
    for name in listed() {
        let said = appstack(&[&name, "--no-such-flag"], &[]);
        assert_eq!((said.status.code(), said.stdout.len()), (Some(2), 0), "{name}: {said:?}");
        assert!(text(&said.stderr).contains("--no-such-flag"), "{name}: {said:?}");
    }
    assert_eq!(appstack(&[], &[]).status.code(), Some(2));
    assert_eq!(appstack(&["no-such-command"], &[]).status.code(), Some(2));
    for words in [&["validate", "/no/such/file"][..], &["render", "/no/such/file"], &["graph", "/no/such/file"]] {
        let said = appstack(words, &[]);
        assert_eq!((said.status.code(), said.stdout.len()), (Some(2), 0), "{words:?}: {said:?}");
    }
}

#[test]
fn no_cluster_is_3_with_what_to_do_on_standard_error_alone() {
    for words in ASK {
        let said = appstack(words, &[]);
        assert_eq!((said.status.code(), said.stdout.len()), (Some(3), 0), "{words:?}: {said:?}");
        assert!(text(&said.stderr).contains("KUBECONFIG"), "{words:?}: {said:?}");
    }
}

#[test]
fn what_needs_no_cluster_answers_on_standard_output_alone_and_without_colours() {
    for words in OFFLINE {
        for environment in [&[][..], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]] {
            let said = appstack(words, environment);
            assert_eq!(said.status.code(), Some(0), "{words:?}: {said:?}");
            let notes = text(&said.stderr).lines().all(|line| line.starts_with("note: "));
            assert!(!said.stdout.is_empty() && notes, "{words:?}: {said:?}");
            assert!(words[0] == "completion" || !said.stdout.contains(&0x1b), "{words:?}: {said:?}");
        }
    }
}

#[test]
fn what_is_written_for_programs_is_json() {
    for words in [
        &["graph", "manifests/samples/hello.yaml", "-o", "json"][..],
        &["version", "--client", "-o", "json"],
        &["schema"],
    ] {
        let said = appstack(words, &[]);
        let json: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert!(said.status.success() && (json.is_object() || json.is_array()), "{words:?}");
    }
}
