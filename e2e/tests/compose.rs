//! Our loader of Compose files against the real one (`e2e/compose`), on the cases of `e2e/compose/cases` and on the five stacks.
//!
//! Compared is the verdict of `docker compose config`, and every value that it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests

#[path = "compose/case.rs"]
mod case;
#[path = "compose/printed.rs"]
mod printed;
#[path = "compose/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use appstack::compose::files::Disk;
use appstack::compose::{self, Loaded, schema};
use case::Case;
use e2e::cluster::root;
use serde_json::Value;

/// Cases in which the two differ on purpose: the name, and why. One that no longer differs fails.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "dotenv: the last name alone without a line break",
        "the real loader sets a variable without a name to 'B'; we take the value from the environment, as in any other line",
    ),
    (
        "include: a config from a variable of its own",
        "the real loader checks the included part twice, the second time with the value that it has put in itself",
    ),
    ("include: no path", "the real loader includes nothing without a word; we ask for the path"),
    ("keys: gpus with an unknown key", "the real loader allows the key and forgets it; we keep it, for the report"),
    ("keys: memory as a float", "the real loader takes 1e9 for no limit at all; we take it for what it says"),
    ("keys: pid of nothing", "the real loader crashes"),
    ("keys: pull_refresh_after", "the real loader allows the key and forgets it; we keep it, for the report"),
    (
        "structure: labels with a name that begins as an extension",
        "the real loader takes the label for an extension and prints '#extensions' instead",
    ),
    ("words: a pipe in a hook", "the real loader drops the operator and all after it; we refuse, and propose sh -c"),
    ("words: a redirection", "the same"),
    ("words: a semicolon", "the same"),
    ("words: and", "the same"),
];

/// Words of our refusals of what random texts may hold and nobody writes.
const BOUNDS: &[&str] = &[
    // The real loader lets the number run over, and takes another.
    "is no amount of memory",
    // One line may name 65,536; a project has 20,000.
    "publishes too many ports",
];

/// How many times as many random cases as usual: `COMPOSE_RANDOM=10`.
fn times() -> u64 {
    std::env::var("COMPOSE_RANDOM").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// What the real loader says of `cases`.
fn asked(cases: &[Case]) -> Vec<Value> {
    let mut program = Command::new(tool()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let text: String = cases.iter().map(|case| format!("{}\n", case.request())).collect();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(text.as_bytes()).unwrap());
        program.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "the real loader failed: {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tool() -> PathBuf {
    let built = Command::new(root().join("e2e/go-tool.sh")).arg("compose").status();
    assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh compose failed: it needs Go");
    root().join("target/tools/compose")
}

fn ours(case: &Case) -> Loaded {
    compose::load(&Disk, &case.options())
}

/// How the two differ in a case; none if they agree.
fn difference(case: &Case, theirs: &Value) -> Option<String> {
    let ours = ours(case);
    let said = || -> String {
        let one = |p: &compose::problem::Problem| format!("{} {}: {}", p.code.0, p.path, p.message);
        ours.errors().map(one).collect::<Vec<_>>().join("; ")
    };
    match (&ours.project, theirs["error"].as_str()) {
        (None, Some(_)) => None,
        (None, None) => Some(format!("we refuse it: {}", said())),
        (Some(_), Some(error)) => Some(format!("the real loader refuses it: {error}")),
        (Some(project), None) => {
            let mut found = Vec::new();
            printed::compare(&printed::project(project), &theirs["project"], "", &mut found);
            let off: BTreeSet<&str> =
                theirs["off"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let our_off: BTreeSet<&str> =
                project.services().map(|(name, _)| name.as_str()).filter(|name| !project.is_on(name)).collect();
            if off != our_off {
                found.push(format!("off: ours {our_off:?}, theirs {off:?}"));
            }
            (!found.is_empty()).then(|| found.join("\n    "))
        }
    }
}

/// Fails with all that is not explained, and with explanations that nothing needs.
fn judge(cases: &[Case], explained: &[(&str, &str)]) {
    let answers = asked(cases);
    assert_eq!(answers.len(), cases.len());
    let mut differ: BTreeMap<&str, String> = BTreeMap::new();
    let mut refused = 0;
    for (case, theirs) in cases.iter().zip(&answers) {
        refused += usize::from(theirs["error"].is_string());
        let how = difference(case, theirs);
        if let Some(how) = how.filter(|how| !(explained.is_empty() && BOUNDS.iter().any(|words| how.contains(words)))) {
            differ.insert(&case.name, how);
        }
    }
    let unexplained: Vec<String> = differ
        .iter()
        .filter(|(name, _)| !explained.iter().any(|(explained, _)| explained == *name))
        .map(|(name, how)| format!("{name}:\n    {how}"))
        .collect();
    let unused: Vec<&str> = explained.iter().map(|(name, _)| *name).filter(|name| !differ.contains_key(name)).collect();
    println!(
        "{} projects: {} accepted, {refused} refused; {} explained differences, {} unexplained",
        cases.len(),
        cases.len() - refused,
        differ.len() - unexplained.len(),
        unexplained.len()
    );
    assert!(unexplained.is_empty(), "{} unexplained differences:\n{}", unexplained.len(), unexplained.join("\n"));
    assert!(unused.is_empty(), "these no longer differ: {unused:?}");
}

#[test]
fn our_loader_agrees_with_the_real_one() {
    let cases = case::all(&root().join("e2e/compose/cases"), &root().join("target/compose-cases"));
    assert!(cases.len() >= 200, "{} cases", cases.len());
    judge(&cases, DIFFERENCES);
}

/// Texts of every grammar, made up at random.
#[test]
fn random_texts_are_read_as_the_real_loader_reads_them() {
    let out = root().join("target/compose-random");
    let _ = std::fs::remove_dir_all(&out);
    let mut cases: Vec<Case> =
        random::GRAMMARS.iter().flat_map(|g| random::projects(g, 200 * times(), &out.join(g.name))).collect();
    cases.extend(random::env_files(700 * times(), &out.join("env")));
    judge(&cases, &[]);
}

/// Cases on top of each other.
#[test]
fn random_pairs_of_cases_merge_as_the_real_loader_merges_them() {
    let out = root().join("target/compose-pairs");
    let _ = std::fs::remove_dir_all(&out);
    let all = case::all(&root().join("e2e/compose/cases"), &out.join("cases"));
    let fit = |case: &&Case| {
        let explained = DIFFERENCES.iter().any(|(name, _)| *name == case.name);
        !explained && case.is_plain() && ours(case).project.is_some()
    };
    let fit: Vec<&Case> = all.iter().filter(fit).collect();
    judge(&random::pairs(&fit, 800 * times(), &out.join("pairs")), &[]);
}

#[test]
fn the_five_stacks_load_as_the_real_loader_loads_them() {
    judge(&case::stacks(&root().join("e2e/stacks"), &root().join("target/compose-stacks")), &[]);
}

/// Each of the keys that a service can have is in some case, in each form that the schema allows.
#[test]
fn every_service_key_is_tried_in_each_of_its_forms() {
    let schema: Value = serde_json::from_str(schema::SCHEMA).unwrap();
    let keys = schema.pointer("/$defs/service/properties").unwrap().as_object().unwrap();
    assert_eq!(keys.len(), 93, "the schema has other keys now");
    let cases = case::all(&root().join("e2e/compose/cases"), &root().join("target/compose-keys"));
    let texts: Vec<&String> = cases.iter().flat_map(Case::texts).collect();
    let mut tried: BTreeSet<(String, &str)> = BTreeSet::new();
    for text in texts {
        let Ok(document) = serde_saphyr::from_str::<Value>(text) else { continue };
        for service in document["services"].as_object().into_iter().flat_map(|services| services.values()) {
            for (key, value) in service.as_object().into_iter().flatten() {
                let form = match value {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    _ => "scalar",
                };
                tried.insert((key.clone(), form));
            }
        }
    }
    let mut missing = Vec::new();
    for (key, kind) in keys {
        for form in forms(kind, &schema) {
            if !tried.contains(&(key.clone(), form)) {
                missing.push(format!("{key} as {form}"));
            }
        }
    }
    assert!(missing.is_empty(), "no case has {missing:?}");
}

fn forms(kind: &Value, schema: &Value) -> BTreeSet<&'static str> {
    if let Some(name) = kind["$ref"].as_str() {
        return forms(schema.pointer(name.trim_start_matches('#')).unwrap(), schema);
    }
    if let Some(several) = kind["oneOf"].as_array() {
        return several.iter().flat_map(|kind| forms(kind, schema)).collect();
    }
    let types = match &kind["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let form = |kind: &Value| match kind.as_str() {
        Some("object") => Some("object"),
        Some("array") => Some("array"),
        Some("null") => None,
        _ => Some("scalar"),
    };
    types.iter().filter_map(form).collect()
}

#[test]
fn our_copy_of_the_schema_is_the_real_loaders() {
    let output = Command::new(tool()).arg("schema").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), schema::SCHEMA);
}

/// No case loses a key: it is in the project, or the loader says what became of it.
#[test]
fn no_key_of_any_case_is_lost() {
    use appstack::compose::account::{Account, Stands};

    let cases = case::all(&root().join("e2e/compose/cases"), &root().join("target/compose-account"));
    let mut lost = Vec::new();
    let mut keys = 0;
    for case in &cases {
        let loaded = ours(case);
        if loaded.project.is_none() {
            continue;
        }
        let account: Account<()> = Account::of(&loaded);
        keys += account.keys().len();
        let of_case = account.keys().iter().filter(|key| key.stands == Stands::Lost);
        lost.extend(of_case.map(|key| format!("{}: {}", case.name, key.path)));
    }
    println!("{keys} keys, {} lost", lost.len());
    assert!(lost.is_empty(), "{} of {keys} keys are lost:\n{}", lost.len(), lost.join("\n"));
}
