//! Every file of `tests/bad_input` gets from `appstack validate` the verdict its header names, in the words it names.
//!
//! `# verdict:` is `accepted`, `refused-by-server` (admission says no, and `validate` too), `refused-by-operator` (admission lets it in; the
//! model does not), or `refused-by-validate` (clients lose it before the server sees it). A live test holds the API server to the same
//! headers. `# grants:` is the level that the operator grants, where it is not `Baseline`. A folder is an update: `old.yaml` is there, `new.yaml` is tried.

// A test that cannot read its corpus has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use appstack::api::PodSecurity;
use appstack::cli::drawing::Pen;
use appstack::cli::findings::{self, Finding, Severity};
use appstack::cli::source::Source;
use appstack::cli::validate;

struct Expected {
    verdict: String,
    field: Option<String>,
    says: Option<String>,
    warns: Option<String>,
    grants: PodSecurity,
}

fn expected(text: &str) -> Expected {
    let header = |name: &str| {
        let mark = format!("# {name}:");
        text.lines()
            .take_while(|line| line.starts_with('#'))
            .find_map(|line| line.strip_prefix(&mark))
            .map(|rest| rest.trim().to_owned())
    };
    assert!(header("row").is_some());
    let grants = header("grants").map(|level| serde_json::from_value(level.into()).unwrap());
    Expected {
        grants: grants.unwrap_or_default(),
        verdict: header("verdict").unwrap(),
        field: header("field"),
        says: header("says"),
        warns: header("warns"),
    }
}

fn read(path: &Path) -> Source {
    Source::parse(&path.to_string_lossy(), std::fs::read(path).unwrap())
}

fn found(path: &Path) -> (Expected, Vec<Finding>) {
    if path.is_dir() {
        let (old, new) = (read(&path.join("old.yaml")), read(&path.join("new.yaml")));
        let expected = expected(&new.text);
        let findings = validate::check_update(&old.documents[0].value(), &new, expected.grants);
        return (expected, findings);
    }
    let source = read(path);
    let expected = expected(&source.text);
    let findings = validate::check(source, expected.grants).findings;
    (expected, findings)
}

/// What differs from the header, if anything.
fn difference(path: &Path) -> Option<String> {
    let (expected, findings) = found(path);
    let errors: Vec<&Finding> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
    let said = |severity: Severity, words: &str| {
        findings.iter().any(|finding| {
            finding.severity == severity
                && finding.message.contains(words)
                && expected.field.as_ref().is_none_or(|field| *field == finding.field)
        })
    };
    let right = match (expected.verdict.as_str(), &expected.says, &expected.warns) {
        ("accepted", None, None) => findings.is_empty(),
        ("accepted", None, Some(words)) => errors.is_empty() && said(Severity::Warning, words),
        ("refused-by-server" | "refused-by-operator" | "refused-by-validate", Some(words), None) => {
            said(Severity::Error, words) && expected.field.is_some()
        }
        _ => return Some("the header makes no sense".into()),
    };
    let lines = findings.iter().map(|f| format!("\n    {:?} {}: {}", f.severity, f.field, f.message));
    (!right).then(|| lines.collect::<Vec<_>>().concat())
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_bad_input_gets_its_verdict_in_words_that_help() {
    let paths = corpus();
    assert!(paths.len() > 650, "only {} files", paths.len());
    let wrong: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            difference(path).map(|what| format!("{}{what}", path.file_name().unwrap().to_string_lossy()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}

/// One mistake, one finding: who reads five messages for one typing error reads none.
#[test]
fn one_mistake_is_said_once() {
    let several: Vec<String> = corpus()
        .iter()
        .filter_map(|path| {
            let (_, findings) = found(path);
            let errors: Vec<String> = findings
                .iter()
                .filter(|f| f.severity == Severity::Error)
                .map(|f| format!("\n    {}: {}", f.field, f.message))
                .collect();
            let name = path.file_name()?.to_string_lossy();
            // A name can be wrong by itself and refer to nothing.
            let meant = ["two-cycles", "null-twice", "imagee-instead", "name-of-no", "capability-lower", "sysctl-name"]
                .iter()
                .any(|several| name.contains(several));
            (errors.len() > 1 && !meant).then(|| format!("{name}{}", errors.concat()))
        })
        .collect();
    assert!(several.is_empty(), "{}", several.join("\n"));
}

/// A byte changed, dropped or doubled anywhere: some verdict, drawn, and no panic.
#[test]
fn damaged_files_get_a_verdict_too() {
    let mut state: u64 = 11;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for path in corpus().iter().filter(|path| path.is_file()) {
        let whole = std::fs::read(path).unwrap();
        let start = whole.windows(10).position(|window| window == b"apiVersion").unwrap();
        if whole.len() > 4096 {
            continue;
        }
        for _ in 0..4 {
            let mut bytes = whole.clone();
            for _ in 0..=random(3) {
                let at = start + random(bytes.len() - start);
                match random(3) {
                    0 => bytes[at] = b"{}[]:,-&*!|>'\"%@#?~<0 \n\t\x00\xff\x1bz"[random(28)],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, bytes[at]),
                }
            }
            let checked = validate::check(Source::parse("damaged", bytes), PodSecurity::Baseline);
            let drawn = findings::text(&checked.source, &checked.findings, checked.candidates, Pen::new(false, 140));
            assert!(!drawn.contains('\u{1b}'));
        }
    }
}
