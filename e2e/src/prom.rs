//! What Prometheus makes of alert rules and expressions: its own parser, engine and templates, in `e2e/prom`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::root;

/// What it answers.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// What is wrong with the rules.
    pub problems: Vec<String>,
    /// One for each case that was asked about.
    pub cases: Vec<Judged>,
    /// One for each expression.
    pub expressions: Vec<Parsed>,
}

/// What becomes of an alert on the series of a case.
#[derive(Debug, Deserialize)]
pub struct Judged {
    /// What fires at the end.
    pub firing: Vec<Alert>,
    /// The seconds at which its expression held, for how long or short.
    pub held: Vec<i64>,
}

/// An alert that fires.
#[derive(Debug, Deserialize)]
pub struct Alert {
    /// Its labels, without its name.
    pub labels: BTreeMap<String, String>,
    /// Its texts.
    pub annotations: BTreeMap<String, String>,
}

/// An expression as Prometheus reads it.
#[derive(Debug, Deserialize)]
pub struct Parsed {
    /// Why it does not; empty: it does.
    pub problem: String,
    /// Which series it asks for.
    pub selectors: Vec<Selector>,
    /// By which labels it groups.
    pub labels: Vec<String>,
}

/// Series that an expression asks for.
#[derive(Debug, Deserialize)]
pub struct Selector {
    /// Their metric.
    pub metric: String,
    /// Name, operator and value of what is asked of their labels.
    pub matchers: Vec<(String, String, String)>,
}

/// A file of `manifests/monitoring`.
pub fn shipped(file: &str) -> String {
    let path = root().join("manifests/monitoring").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The alerts that are shipped.
pub fn alerts() -> Vec<Value> {
    let rule: Value = serde_saphyr::from_str(&shipped("alerts.yaml")).expect("YAML");
    crate::json::items(&rule, "/spec/groups/0/rules").cloned().collect()
}

/// Asks it: cases about the alerts that are shipped, evaluated every so many seconds, and expressions. `e2e/prom/main.go` says what a case has.
pub fn ask(every: i64, cases: &[Value], expressions: &[String]) -> Answer {
    let built = Command::new(root().join("e2e/go-tool.sh")).arg("prom").status();
    assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh prom failed: it needs Go");
    let rules = json!({"groups": [{"name": "appstack", "rules": alerts()}]}).to_string(); // JSON is YAML
    let question = json!({"rules": rules, "every": every, "cases": cases, "expressions": expressions}).to_string();
    let mut program = Command::new(root().join("target/tools/prom"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("what e2e/go-tool.sh has built");
    let mut input = program.stdin.take().expect("its input");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(question.as_bytes()).expect("its input"));
        program.wait_with_output().expect("its answer")
    });
    assert!(output.status.success(), "prom failed: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("its answer")
}
