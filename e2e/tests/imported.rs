//! The five stacks from their Compose files: nothing is refused but what cannot be on a cluster, and the objects mean what those of the
//! samples mean, but for the differences that `e2e/stacks/differences.yaml` gives a reason for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

#[path = "imported/again.rs"]
mod again;
#[path = "imported/base.rs"]
mod base;
#[path = "imported/kustomize.rs"]
mod kustomize;

use std::collections::BTreeSet;

use e2e::cluster::root;
use e2e::imported::{import, options, scratch};
use e2e::meaning::{Difference, differences, meaning};
use e2e::samples::{ALL, Sample, rendered, stack_of};
use e2e::space::documents;
use serde::Deserialize;
use serde_json::Value;

/// Why import and sample differ somewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// The stacks, with a variant after a `/`; unset: all.
    stacks: Option<BTreeSet<String>>,
    /// Places, in which `*` stands for anything.
    at: Vec<String>,
    /// Who alone has something there; unset: both may.
    only: Option<Side>,
    why: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Import,
    Sample,
}

impl Reason {
    fn is_for(&self, sample: &str, difference: &Difference) -> Option<usize> {
        let has = match self.only {
            None => true,
            Some(Side::Import) => difference.second.is_none(),
            Some(Side::Sample) => difference.first.is_none(),
        };
        let here = has && self.stacks.as_ref().is_none_or(|stacks| stacks.contains(sample));
        self.at.iter().position(|pattern| here && fits(pattern, &difference.at))
    }
}

/// Whether a text is a pattern, in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| fits(rest, &tail[at..]))
        }),
    }
}

fn label(sample: Sample) -> String {
    sample.variant.map_or_else(|| sample.stack.to_owned(), |variant| format!("{}/{variant}", sample.stack))
}

#[test]
fn imported_stacks_mean_what_the_samples_mean_but_for_stated_differences() {
    let text = std::fs::read_to_string(root().join("e2e/stacks/differences.yaml")).unwrap();
    let reasons: Vec<Reason> = serde_saphyr::from_str(&text).unwrap();
    let mut used: Vec<Vec<usize>> = reasons.iter().map(|reason| vec![0; reason.at.len()]).collect();
    let (mut new, mut objects, mut stated) = (Vec::new(), 0, 0);
    for sample in ALL {
        let of = |sample: Sample| {
            let mut found = sample.documents();
            let objects = documents(&rendered(stack_of(&mut found)));
            meaning(&objects, &found)
        };
        let (ours, written) = (of(sample.imported()), of(sample));
        objects += ours.len();
        for difference in differences(&ours, &written) {
            let reason = reasons
                .iter()
                .enumerate()
                .find_map(|(n, reason)| Some((n, reason.is_for(&label(sample), &difference)?)));
            match reason {
                Some((n, at)) => {
                    used[n][at] += 1;
                    stated += 1;
                }
                None => new.push(line(sample, &difference)),
            }
        }
    }
    println!("{} stacks, {objects} imported objects, {stated} differences from the samples:", ALL.len());
    for (reason, used) in reasons.iter().zip(&used) {
        println!("  {:>4}x {}", used.iter().sum::<usize>(), reason.why);
    }
    assert!(objects > 300, "the stacks have more objects than that");
    assert!(new.is_empty(), "differences without a reason in e2e/stacks/differences.yaml:\n{}", new.join("\n"));
    for (reason, used) in reasons.iter().zip(&used) {
        assert!(!reason.why.is_empty());
        let idle: Vec<&String> =
            reason.at.iter().zip(used).filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
        assert!(idle.is_empty(), "nothing differs there any more, take it out: {idle:?}");
    }
}

fn line(sample: Sample, difference: &Difference) -> String {
    let short = |value: &Option<Value>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), |value| value.to_string().chars().take(100).collect())
    };
    let (imported, written) = (short(&difference.first), short(&difference.second));
    format!("{}: {}\n    imported {imported}\n    sample   {written}", label(sample), difference.at)
}

#[test]
fn nothing_of_the_stacks_is_refused_but_what_cannot_be_on_a_cluster() {
    let of_nodes = BTreeSet::from(["cadvisor".to_owned(), "node-exporter".to_owned()]);
    let more = ["mac", "platform", "redis"].map(|variant| ("soundforge", Some(variant)));
    for (stack, variant) in ALL.into_iter().map(|sample| (sample.stack, sample.variant)).chain(more) {
        let out = scratch(&format!("refused-{stack}-{}", variant.unwrap_or("base")));
        let report = |options: &[&str]| -> (bool, Vec<Value>) {
            let said = import(stack, variant, options, &out);
            let report = std::fs::read_to_string(out.join("import-report.json"))
                .unwrap_or_else(|_| panic!("{stack}, {variant:?}: {}", String::from_utf8_lossy(&said.stderr)));
            let report: Value = serde_json::from_str(&report).unwrap();
            let keys = report["findings"].as_array().into_iter().flatten().filter(|found| found["class"] == "refused");
            (said.status.success(), keys.cloned().collect())
        };
        let options = options(stack, variant);
        assert_eq!(report(&options), (true, Vec::new()), "{stack}, {variant:?}");
        // Parts of the computer, where nobody has said that those of the node are meant.
        let careful: Vec<&str> =
            options.into_iter().filter(|option| !["--allow", "hostpath"].contains(option)).collect();
        let (_, refused) = report(&careful);
        let services: BTreeSet<String> =
            refused.iter().map(|found| found["service"].as_str().unwrap_or_default().to_owned()).collect();
        assert!(refused.iter().all(|found| found["code"] == "C1301"), "{stack}, {variant:?}: {refused:?}");
        let expected = stack == "soundforge" && variant != Some("redis");
        assert_eq!(services, if expected { of_nodes.clone() } else { BTreeSet::new() }, "{stack}, {variant:?}");
    }
}
