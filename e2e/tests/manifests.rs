//! kube-score over what the samples become, and over the chart: no finding without a written reason (`e2e/lint`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use e2e::cluster::root;
use e2e::helm::{chart, template};
use e2e::samples::{ALL, Sample, rendered, run, stack_of};
use serde::Deserialize;
use serde_json::Value;

/// Why a finding stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    check: String,
    summary: Option<String>,
    objects: Option<BTreeSet<String>>,
    why: String,
}

/// What kube-score says of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    check: String,
    summary: String,
    object: String,
}

impl Reason {
    fn is_for(&self, finding: &Finding) -> bool {
        self.check == finding.check
            && self.summary.as_ref().is_none_or(|summary| *summary == finding.summary)
            && self.objects.as_ref().is_none_or(|objects| objects.contains(&finding.object))
    }
}

/// What the reasons of a file have to say to the findings.
struct Judge {
    file: &'static str,
    reasons: Vec<Reason>,
    used: Vec<usize>,
    new: BTreeMap<Finding, Vec<String>>,
    objects: usize,
}

impl Judge {
    fn by(file: &'static str) -> Self {
        let built = Command::new(root().join("e2e/go-tool.sh"))
            .args(["lint", "github.com/zegl/kube-score/cmd/kube-score"])
            .status();
        assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh lint failed: it needs Go");
        let reasons: Vec<Reason> =
            serde_saphyr::from_str(&std::fs::read_to_string(root().join("e2e/lint").join(file)).unwrap()).unwrap();
        assert!(reasons.iter().all(|r| !r.why.is_empty()));
        Judge { file, used: vec![0; reasons.len()], reasons, new: BTreeMap::new(), objects: 0 }
    }

    fn look(&mut self, label: &str, objects: &[u8]) {
        for object in scored(objects) {
            self.objects += 1;
            for finding in findings_of(&object) {
                match self.reasons.iter().position(|reason| reason.is_for(&finding)) {
                    Some(n) => self.used[n] += 1,
                    None => self.new.entry(finding).or_default().push(label.to_owned()),
                }
            }
        }
    }

    fn verdict(self) {
        let Judge { file, reasons, used, new, objects } = self;
        let findings: usize = used.iter().sum();
        println!("{objects} objects, {findings} findings:");
        for (reason, count) in reasons.iter().zip(&used) {
            println!("  {count:>4}x {} {}", reason.check, reason.summary.as_deref().unwrap_or_default());
        }
        assert!(new.is_empty(), "findings without a reason in e2e/lint/{file}: {new:#?}");
        let idle: Vec<&Reason> = reasons.iter().zip(&used).filter(|(_, count)| **count == 0).map(|(r, _)| r).collect();
        assert!(idle.is_empty(), "nothing is found for these any more, take them out: {idle:#?}");
    }
}

// "kube-linter, or an equal, over all samples' rendered objects: no finding without a written reason."
#[test]
fn every_finding_in_the_samples_has_a_written_reason() {
    let mut judge = Judge::by("reasons.yaml");
    let hello = Sample { stack: "hello", variant: None, path: "hello.yaml", profiles: None, is_imported: false };
    for sample in ALL.into_iter().chain([hello]) {
        judge.look(sample.path, rendered(stack_of(&mut sample.documents())).as_bytes());
    }
    assert!(judge.objects > 300, "the samples have more objects than that");
    judge.verdict();
}

// S11: "Linters on chart and generated output: 0 high; each waiver written with a reason"
#[test]
fn every_finding_in_the_chart_has_a_written_reason() {
    let mut judge = Judge::by("chart.yaml");
    let monitors = "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,replicaCount=2";
    for set in ["replicaCount=1", monitors, "watchNamespace=shop"] {
        let objects = template(&chart(), &["--set", set]).unwrap();
        let of_release = objects.into_iter().filter(|object| object["kind"] != "CustomResourceDefinition");
        let yaml: String =
            of_release.map(|object| format!("---\n{}", serde_saphyr::to_string(&object).unwrap())).collect();
        judge.look(set, yaml.as_bytes());
    }
    assert!(judge.objects > 10, "the chart has more objects than that");
    judge.verdict();
}

/// What kube-score says of each object. It fails where it finds something, which is what is asked for.
fn scored(objects: &[u8]) -> Vec<Value> {
    let args = ["score", "--kubernetes-version", "v1.35", "--all-default-optional", "--output-format", "json", "-"];
    let said = run(&root().join("target/tools/lint"), &args, objects);
    serde_json::from_slice(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&said.stderr)))
}

fn findings_of(object: &Value) -> Vec<Finding> {
    /// The grade of a check that is met.
    const ALL_OK: u64 = 10;
    let name = object["object_meta"]["name"].as_str().unwrap();
    let checks = object["checks"].as_array().into_iter().flatten();
    let bad = checks.filter(|c| c["skipped"] != true && c["grade"].as_u64().unwrap() < ALL_OK);
    bad.flat_map(|check| {
        let comments: Vec<&Value> = check["comments"].as_array().into_iter().flatten().collect();
        let summaries = if comments.is_empty() {
            vec![""]
        } else {
            comments.iter().map(|c| c["summary"].as_str().unwrap()).collect()
        };
        summaries.into_iter().map(|summary| Finding {
            check: check["check"]["id"].as_str().unwrap().to_owned(),
            summary: summary.to_owned(),
            object: name.to_owned(),
        })
    })
    .collect()
}
