//! Nothing goes in silence: of a project that says nearly everything, each key at each place is taken away, and each key that Compose knows, and
//! one that it does not, is put at each place where a map is. What comes of it is a report with exactly the keys of the files, or an error at
//! the key.

#![allow(clippy::unwrap_used)] // tests

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::code;
use super::says::Class;
use super::silent_project::{FILES, TEXTS};
use crate::compose::account::{Key, Stands};
use crate::compose::files::Memory;
use crate::compose::mapping::choices::Choices;
use crate::compose::mapping::map;
use crate::compose::node::At;
use crate::compose::notes::Settled;
use crate::compose::output::{self, report};
use crate::compose::shapes::{Kind, PROJECT};
use crate::compose::{Loaded, Options, load};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Item(usize),
}

type Path = Vec<Step>;
type Documents = BTreeMap<&'static str, Value>;

/// What is done to a document.
#[derive(Clone, Debug)]
enum Change {
    Delete(&'static str, Path),
    /// The map, the key, its value, and whether the key is one that Compose does not have.
    Add(&'static str, Path, String, Value, bool),
}

fn documents() -> Documents {
    FILES.iter().map(|(name, text)| (*name, serde_saphyr::from_str(text).unwrap())).collect()
}

/// A key is written `name &anchor` or `name !tag`; `MERGE` is `<<`, and a text with a star an alias.
fn name(key: &str) -> &str {
    key.split(' ').next().unwrap_or_default()
}

/// A document as YAML, and where in it the value at `wanted` stands, with its key.
fn written(value: &Value, wanted: Option<&Path>) -> (String, Range<usize>) {
    let (mut text, mut found) = (String::new(), 0..0);
    write(value, &mut Vec::new(), wanted, &mut text, &mut found);
    text.push('\n');
    (text, found)
}

fn write(value: &Value, path: &mut Path, wanted: Option<&Path>, text: &mut String, found: &mut Range<usize>) {
    match value {
        Value::Object(map) => {
            text.push('{');
            // An anchor stands before its aliases.
            let mut map: Vec<_> = map.iter().collect();
            map.sort_by_key(|(key, _)| !key.contains(" &"));
            for (key, value) in map {
                let start = text.len();
                let (name, mark) = key.split_once(' ').unwrap_or((key, ""));
                let name = if name == "MERGE" { "<<".to_owned() } else { json!(name).to_string() };
                *text += &format!("{name}: {mark} ");
                path.push(Step::Key(key.clone()));
                write(value, path, wanted, text, found);
                if wanted == Some(path) {
                    *found = start..text.len();
                }
                path.pop();
                *text += ",\n";
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, value) in items.iter().enumerate() {
                path.push(Step::Item(index));
                write(value, path, wanted, text, found);
                path.pop();
                *text += ", ";
            }
            text.push(']');
        }
        Value::String(alias) if alias.starts_with('*') => *text += &format!("{alias} "),
        other => *text += &other.to_string(),
    }
}

/// The paths of keys and items without any below them, as an account has them. What an anchor brings elsewhere is written once.
fn leaves(value: &Value, path: String, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map.iter().filter(|(key, _)| *key != "MERGE") {
                let key = name(key);
                leaves(value, if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, format!("{path}[{index}]"), found);
            }
        }
        _ if path.is_empty() => {}
        _ => drop(found.insert(path)),
    }
}

fn at<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_object_mut()?.get_mut(key),
        Step::Item(index) => value.as_array_mut()?.get_mut(*index),
    })
}

/// Whether there was anything to change.
fn changed(documents: &mut Documents, change: &Change) -> bool {
    match change {
        Change::Delete(file, path) => {
            let Some((last, above)) = path.split_last() else { return false };
            let Some(value) = documents.get_mut(file).and_then(|value| at(value, above)) else { return false };
            match (last, value) {
                (Step::Key(key), Value::Object(map)) => map.remove(key).is_some(),
                (Step::Item(index), Value::Array(items)) if *index < items.len() => {
                    items.remove(*index);
                    true
                }
                _ => false,
            }
        }
        Change::Add(file, path, key, value, _) => {
            let map = documents.get_mut(file).and_then(|value| at(value, path)).and_then(Value::as_object_mut);
            map.is_some_and(|map| map.insert(key.clone(), value.clone()).is_none())
        }
    }
}

/// The files, and where in which of them stands what was added.
fn files<'d>(documents: &'d Documents, change: Option<&Change>) -> (Memory, Option<(&'d str, Range<usize>)>) {
    let (mut memory, mut place) = (Memory::new(), None);
    for (name, text) in TEXTS {
        memory.insert(PathBuf::from(format!("/p/{name}")), text.as_bytes().to_vec());
    }
    for (name, value) in documents {
        let wanted = match change {
            Some(Change::Add(file, path, key, _, _)) if file == name => {
                Some([path.clone(), vec![Step::Key(key.clone())]].concat())
            }
            _ => None,
        };
        let (text, found) = written(value, wanted.as_ref());
        place = place.or(wanted.map(|_| (*name, found)));
        memory.insert(PathBuf::from(format!("/p/{name}")), text.into_bytes());
    }
    (memory, place)
}

/// What is wrong with what comes of the documents: nothing, if each of their keys is in the report, or an error is said, at the key that was
/// added.
fn fault(documents: &Documents, change: Option<&Change>) -> Option<String> {
    let (memory, place) = files(documents, change);
    let options = Options { folder: "/p".into(), ..Options::default() };
    let loaded = load(&memory, &options);
    let is_unknown = matches!(change, Some(Change::Add(_, _, _, _, true)));
    if loaded.project.is_none() {
        return wrong_error(&loaded, place, is_unknown);
    }
    let unknown = place.filter(|_| is_unknown);
    report_fault(documents, &loaded, &memory, unknown)
}

/// An error must be there, and one at the place of what was added.
fn wrong_error(loaded: &Loaded, place: Option<(&str, Range<usize>)>, is_unknown: bool) -> Option<String> {
    let errors: Vec<_> = loaded.errors().collect();
    if errors.is_empty() || errors.iter().any(|error| error.message.is_empty()) {
        return Some("it is refused without a word".to_owned());
    }
    let (file, range) = place?;
    let is_there = |at: At| {
        let name = loaded.sources.get(at.file).map(|source| source.name.as_str()).unwrap_or_default();
        let bytes = at.bytes();
        name == format!("/p/{file}") && at.is_written() && bytes.start < range.end && range.start < bytes.end
    };
    let is_fit = |code: &str| !is_unknown || code == crate::compose::code::UNKNOWN_KEY.0;
    let told =
        errors.iter().any(|error| is_fit(error.code.0) && (is_there(error.at) || error.other.is_some_and(is_there)));
    (!told).then(|| format!("no error is at the key: {errors:?}"))
}

/// Each key of the files must be in the report, with what became of it, and whatever people should see among the findings.
/// A key that Compose does not have and the loader takes, in a service that nobody extends, says nothing.
fn report_fault(
    documents: &Documents,
    loaded: &Loaded,
    memory: &Memory,
    unknown: Option<(&str, Range<usize>)>,
) -> Option<String> {
    let mapped = map(loaded, memory, &Choices::default())?;
    if let Some(key) = mapped.account.unsaid().next() {
        return Some(format!("nothing is said of {}", key.path));
    }
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for key in mapped.account.keys() {
        let file = loaded.sources.get(key.at.file).map(|source| source.name.as_str()).unwrap_or_default();
        found.entry(file.trim_start_matches("/p/")).or_default().insert(key.path.to_string());
        if key.stands == Stands::Lost {
            return Some(format!("{} is lost", key.path));
        }
    }
    if let Some(finding) = mapped.findings.iter().find(|finding| finding.outcome.code == code::LOST) {
        return Some(format!("{finding:?}"));
    }
    for (file, value) in documents.iter().filter(|(file, _)| found.contains_key(*file)) {
        let mut wanted = BTreeSet::new();
        leaves(value, String::new(), &mut wanted);
        let got = found.get(file)?;
        // Of what an anchor names and an alias repeats one path is in the report.
        let end = |path: &str| path.rsplit('.').take(2).collect::<Vec<_>>().join(".");
        let anchored = |path: &&String| {
            path.starts_with("x-common.")
                && got.iter().any(|other| end(other).starts_with(path.rsplit('.').next().unwrap_or_default()))
        };
        let lost: Vec<&String> = wanted.difference(got).filter(|path| !anchored(path)).collect();
        if !lost.is_empty() {
            return Some(format!("{file}: the report does not have {lost:?}"));
        }
    }
    if let Some((file, range)) = unknown {
        let is_there = |at: At| {
            let name = loaded.sources.get(at.file).map(|source| source.name.as_str()).unwrap_or_default();
            name == format!("/p/{file}") && range.contains(&at.bytes().start)
        };
        let mut keys = mapped.account.keys().iter().filter(|key| is_there(key.at));
        let settled = |stands: Stands| matches!(stands, Stands::Settled(_));
        let is_mapped = |key: &&Key| {
            !settled(key.stands) && mapped.account.said(key).iter().all(|said| said.class < Class::Nothing)
        };
        if let Some(key) = keys.clone().find(is_mapped) {
            return Some(format!("{}, which Compose does not have, is mapped", key.path));
        }
        let is_unused = |key: &Key| key.stands == Stands::Settled(Settled::Unused);
        if !loaded.problems.iter().any(|problem| is_there(problem.at)) && !keys.all(is_unused) {
            return Some("nobody says that Compose does not have the key".to_owned());
        }
    }
    for key in mapped.account.keys() {
        for said in mapped
            .account
            .said(key)
            .iter()
            .filter(|said| said.class > Class::Nothing && key.stands == Stands::InProject)
        {
            if said.message.is_empty() || !mapped.findings.iter().any(|finding| finding.outcome == *said) {
                return Some(format!("{}: {} is no finding", key.path, said.code.0));
            }
        }
    }
    let rows = serde_json::to_value(report::report(&mapped, loaded)).ok()?;
    if rows["keys"].as_array().map(Vec::len) != Some(mapped.account.keys().len()) {
        return Some("the written report has other keys".to_owned());
    }
    output::files(&mapped, output::document(&mapped.stack), loaded, "shop", false)
        .err()
        .map(|error| format!("it cannot be written: {error}"))
}

/// Every key and item of a value.
fn places(value: &Value, path: &mut Path, found: &mut Vec<Path>) {
    let mut below = |step: Step, value: &Value| {
        path.push(step);
        found.push(path.clone());
        places(value, path, found);
        path.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| below(Step::Key(key.clone()), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| below(Step::Item(index), value)),
        _ => {}
    }
}

/// Every map of a value, and what Compose takes there; none where it takes anything.
fn maps(value: &Value, kind: Option<Kind>, path: &mut Path, found: &mut Vec<(Path, Option<Kind>)>) {
    match value {
        Value::Object(map) => {
            found.push((path.clone(), kind));
            for (key, value) in map {
                let below = match kind {
                    Some(Kind::Object(keys)) => keys.iter().find(|(own, _)| *own == name(key)).map(|(_, kind)| *kind),
                    Some(Kind::Map(kind)) => Some(*kind),
                    _ => None,
                };
                path.push(Step::Key(key.clone()));
                maps(value, below, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            let below = if let Some(Kind::List(kind)) = kind { Some(*kind) } else { None };
            for (index, value) in items.iter().enumerate() {
                path.push(Step::Item(index));
                maps(value, below, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Words where a key takes no others.
fn sample(key: &str, kind: Kind) -> Value {
    match key {
        "condition" => json!("on-failure"),
        "restart" if matches!(kind, Kind::Text) => json!("on-failure"),
        "network_mode" | "ipc" | "pid" => json!("host"),
        "pull_policy" => json!("always"),
        "order" => json!("stop-first"),
        "failure_action" => json!("continue"),
        "endpoint_mode" => json!("dnsrr"),
        "protocol" => json!("udp"),
        "action" => json!("rebuild"),
        "mode" if matches!(kind, Kind::Text) => json!("host"),
        "env_file" => json!("plain.env"),
        "volumes_from" | "links" => json!(["db"]),
        "extends" => json!({"service": "db"}),
        "depends_on" => json!({"db": {"condition": "service_started"}}),
        "driver" => json!("other"),
        "provider" => json!({"type": "x"}),
        _ => match kind {
            Kind::Object(keys) => keys.iter().map(|(key, kind)| ((*key).to_owned(), sample(key, *kind))).collect(),
            Kind::List(kind) => json!([sample("", *kind)]),
            Kind::Map(kind) => json!({"zz": sample("", *kind)}),
            other => super::tests::sample(other),
        },
    }
}

/// Everything that is added somewhere. Of alike places, such as services, the first has all keys that Compose knows; the second half of them.
fn additions() -> Vec<Change> {
    let mut all = Vec::new();
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    for (file, document) in documents() {
        let mut found = Vec::new();
        maps(&document, Some(PROJECT), &mut Vec::new(), &mut found);
        for (path, kind) in found {
            let mut add = |key: &str, value: Value, is_unknown: bool| {
                all.push(Change::Add(file, path.clone(), key.to_owned(), value, is_unknown));
            };
            match kind {
                Some(Kind::Object(keys)) => {
                    let same = alike.entry(format!("{kind:?}")).or_default();
                    *same += 1;
                    for (key, kind) in keys.iter().filter(|_| *same <= 2) {
                        add(key, sample(key, *kind), false);
                    }
                    add("zz_unknown", json!({"a": [1]}), true);
                    add("x-zz", json!({"a": [1, {"b": null}]}), false);
                    for (key, value) in [("x-appstack", json!({"zz": 1})), ("version", json!("3"))] {
                        add(key, value, false);
                    }
                }
                Some(Kind::Map(kind)) => add("zz", sample("", *kind), false),
                _ => add("zz", json!("zz"), false),
            }
        }
    }
    all
}

fn deletions() -> Vec<Change> {
    let mut all = Vec::new();
    for (file, document) in documents() {
        let mut found = Vec::new();
        places(&document, &mut Vec::new(), &mut found);
        all.extend(found.into_iter().map(|path| Change::Delete(file, path)));
    }
    all
}

/// Plays each change, on all processors.
fn play(changes: &[Change]) {
    let documents = documents();
    let one = |change: &Change| {
        let mut documents = documents.clone();
        if !changed(&mut documents, change) {
            return None;
        }
        Some(
            fault(&documents, Some(change))
                .map(|fault| format!("{change:?}\n  {}", fault.chars().take(600).collect::<String>())),
        )
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let played: Vec<Option<String>> = std::thread::scope(|scope| {
        let parts = changes.chunks(changes.len().div_ceil(threads));
        let parts: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().filter_map(one).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let faults: Vec<&String> = played.iter().flatten().collect();
    assert!(played.len() > 300, "{}", played.len());
    let some = faults.iter().take(20).map(|fault| fault.as_str()).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} of {}:\n{some}", faults.len(), played.len());
}

#[test]
fn the_project_as_it_is_has_all_of_its_keys_in_the_report() {
    let (memory, _) = files(&documents(), None);
    let loaded = load(&memory, &Options { folder: "/p".into(), ..Options::default() });
    assert_eq!(loaded.errors().map(|problem| &problem.message).collect::<Vec<_>>(), Vec::<&String>::new());
    let mapped = map(&loaded, &memory, &Choices::default()).unwrap();
    assert!(mapped.account.keys().len() > 330, "{}", mapped.account.keys().len());
    assert_eq!(mapped.stack.spec.services.keys().collect::<Vec<_>>(), ["db", "off", "once", "part", "web"]);
    assert_eq!(fault(&documents(), None), None);
}

#[test]
fn a_key_that_goes_takes_nothing_else_out_of_the_report() {
    play(&deletions());
}

#[test]
fn a_key_that_comes_is_in_the_report_or_an_error_at_its_place() {
    play(&additions());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_changes_at_once_are_told_as_well(picks in prop::collection::vec(any::<prop::sample::Index>(), 2..8)) {
        let all: Vec<Change> = deletions().into_iter().chain(additions()).collect();
        let mut documents = documents();
        let changes: Vec<&Change> = picks.iter().map(|pick| &all[pick.index(all.len())]).collect();
        for change in &changes {
            changed(&mut documents, change);
        }
        prop_assert_eq!(fault(&documents, None), None, "{:?}", changes);
    }
}
