//! kube-score over what the samples become: no finding without a written reason (`e2e/lint/reasons.yaml`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use e2e::cluster::root;
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

// "kube-linter, or an equal, over all samples' rendered objects: no finding without a written reason."
#[test]
fn every_finding_in_the_samples_has_a_written_reason() {
    let built = Command::new(root().join("e2e/go-tool.sh"))
        .args(["lint", "github.com/zegl/kube-score/cmd/kube-score"])
        .status();
    assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh lint failed: it needs Go");
    let reasons: Vec<Reason> =
        serde_saphyr::from_str(&std::fs::read_to_string(root().join("e2e/lint/reasons.yaml")).unwrap()).unwrap();
    assert!(reasons.iter().all(|r| !r.why.is_empty()));

    let mut used = vec![0; reasons.len()];
    let mut new: BTreeMap<Finding, Vec<&str>> = BTreeMap::new();
    let (mut objects, mut findings) = (0, 0);
    let hello = Sample { stack: "hello", variant: None, path: "hello.yaml", profiles: None, is_imported: false };
    for sample in ALL.into_iter().chain([hello]) {
        let rendered = rendered(stack_of(&mut sample.documents()));
        for object in scored(rendered.as_bytes()) {
            objects += 1;
            for finding in findings_of(&object) {
                findings += 1;
                match reasons.iter().position(|reason| reason.is_for(&finding)) {
                    Some(n) => used[n] += 1,
                    None => new.entry(finding).or_default().push(sample.path),
                }
            }
        }
    }
    println!("{} samples, {objects} objects, {findings} findings:", ALL.len() + 1);
    for (reason, count) in reasons.iter().zip(&used) {
        println!("  {count:>4}x {} {}", reason.check, reason.summary.as_deref().unwrap_or_default());
    }
    assert!(objects > 300, "the samples have more objects than that");
    assert!(new.is_empty(), "findings without a reason in e2e/lint/reasons.yaml: {new:#?}");
    let idle: Vec<&Reason> = reasons.iter().zip(&used).filter(|(_, count)| **count == 0).map(|(r, _)| r).collect();
    assert!(idle.is_empty(), "nothing is found for these any more, take them out: {idle:#?}");
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
