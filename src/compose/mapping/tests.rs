//! The mapping as a whole, on projects in memory.

#![allow(clippy::unwrap_used)] // tests

use std::path::PathBuf;

use serde_json::{Value, json};

use super::says::Class;
use super::*;
use crate::compose::files::Memory;
use crate::compose::shapes::{Kind, PROJECT};
use crate::compose::{Loaded, Options, load};

/// A project of these files, mapped with these choices.
pub(crate) fn mapped_with(files: &[(&str, &str)], choices: &Choices) -> Mapped {
    mapped_and_loaded(files, choices).0
}

/// The same, and the project as it was loaded.
pub(crate) fn mapped_and_loaded(files: &[(&str, &str)], choices: &Choices) -> (Mapped, Loaded) {
    let memory: Memory =
        files.iter().map(|(path, text)| (PathBuf::from(format!("/p/{path}")), text.as_bytes().to_vec())).collect();
    let loaded = load(&memory, &Options { folder: "/p".into(), ..Options::default() });
    assert!(loaded.project.is_some(), "{:?}", loaded.problems);
    let mapped = map(&loaded, &memory, choices).unwrap();
    let lost: Vec<&str> = mapped.account.unsaid().map(|key| &*key.path).collect();
    assert_eq!(lost, Vec::<&str>::new(), "keys of which nothing was said");
    (mapped, loaded)
}

/// One Compose file, mapped.
pub(crate) fn mapped(text: &str) -> Mapped {
    mapped_with(&[("compose.yaml", text)], &Choices::default())
}

/// One service `a` of these lines, as the stack has it.
pub(crate) fn service(lines: &str) -> Value {
    let text = format!("services:\n  a:\n    image: a:1\n{}", indented(lines));
    serde_json::to_value(&mapped(&text).stack.spec.services["a"]).unwrap()
}

/// What was found of one service `a` of these lines: class, code, and the line's path.
pub(crate) fn found(lines: &str) -> Vec<(Class, &'static str)> {
    let text = format!("services:\n  a:\n    image: a:1\n{}", indented(lines));
    mapped(&text).findings.iter().map(|finding| (finding.outcome.class, finding.outcome.code.0)).collect()
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn every_key_with_one_fate_is_said_by_the_table() {
    let text = "name: shop
x-top: {a: [1, {b: 2}]}
services:
  a:
    image: a:1
    x-mine: {c: 1}
    mac_address: 02:42:ac:11:65:43
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
    logging: {driver: json-file, options: {max-size: 10m}}
    blkio_config: {weight: 300, weight_device: [{path: /dev/sda, weight: 400}]}
";
    let mapped = mapped(text);
    let class = |path: &str| {
        let key = mapped.account.keys().iter().find(|key| *key.path == *path).unwrap_or_else(|| panic!("no {path}"));
        mapped.account.said(key).iter().map(|outcome| (outcome.class, outcome.code)).collect::<Vec<_>>()
    };
    assert_eq!(class("name"), [(Class::Resolved, code::RESOLVED)]);
    assert_eq!(class("x-top.a[1].b"), [(Class::Nothing, code::NOTHING)]);
    assert_eq!(class("services.a.x-mine.c"), [(Class::Nothing, code::NOTHING)]);
    assert_eq!(class("services.a.mac_address"), [(Class::Ignored, code::NETWORK_DETAIL)]);
    assert_eq!(class("services.a.ulimits.nofile.hard"), [(Class::Ignored, code::NODE_LIMIT)]);
    assert_eq!(class("services.a.logging.options.max-size"), [(Class::Nothing, code::NOTHING)]);
    assert_eq!(class("services.a.blkio_config.weight_device[0].weight"), [(Class::Ignored, code::NODE_LIMIT)]);
    assert_eq!(mapped.stack.metadata.name.as_deref(), Some("shop"));
    assert_eq!(mapped.findings.len(), 3, "{:?}", mapped.findings);
}

#[test]
fn a_key_of_which_nothing_was_said_refuses_its_service() {
    // `cgroup` has a row; a key without one is what a newer Compose would bring.
    assert_eq!(service("command: [a, b]")["command"], json!(["a", "b"]));
    assert_eq!(found("cpu_rt_period: 1\n"), [(Class::Refused, code::REAL_TIME.0)]);
}

/// A value of a type, as JSON, which YAML reads too.
pub(super) fn sample(kind: Kind) -> Value {
    match kind {
        Kind::Any | Kind::Text | Kind::Texts | Kind::Words | Kind::Command | Kind::Test => json!("x"),
        Kind::Bool => json!(true),
        Kind::Int | Kind::UInt(_) | Kind::Count | Kind::Limit | Kind::Float => json!(1),
        Kind::Bytes => json!("64m"),
        Kind::Duration => json!("5s"),
        Kind::Pairs | Kind::Variables => json!({"k": "v"}),
        Kind::Repeated => json!({"k": ["v"]}),
        Kind::Hosts => json!({"h": "10.0.0.1"}),
        Kind::Mode => json!("0440"),
        Kind::Object(keys) => {
            Value::Object(keys.iter().map(|(key, kind)| ((*key).to_owned(), sample(*kind))).collect())
        }
        Kind::List(kind) => json!([sample(*kind)]),
        Kind::Map(kind) => json!({"k": sample(*kind)}),
    }
}

/// Every path of keys down to the leaves, each as a value that has that leaf alone.
pub(super) fn each(kind: Kind, found: &mut Vec<Value>, wrap: &dyn Fn(Value) -> Value) {
    match kind {
        Kind::Object(keys) => {
            for (key, kind) in keys {
                each(*kind, found, &|inner| wrap(json!({*key: inner})));
            }
        }
        Kind::List(kind) => each(*kind, found, &|inner| wrap(json!([inner]))),
        Kind::Map(kind) => each(*kind, found, &|inner| wrap(json!({"k": inner}))),
        leaf => found.push(wrap(sample(leaf))),
    }
}

pub(super) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if into.len() == 1 && from.len() == 1 => {
            for value in from {
                merge(&mut into[0], value);
            }
        }
        (into, from) => *into = from,
    }
}

#[test]
fn of_every_key_of_compose_something_is_said() {
    let Kind::Object(top) = PROJECT else { panic!("a project is a map") };
    let mut all = Vec::new();
    for (section, kind) in top {
        each(*kind, &mut all, &|inner| json!({*section: inner}));
    }
    // What other keys must be there for the key to be taken.
    let frames = [
        json!({"services": {"k": {"image": "k:1"}}}),
        json!({"services": {"k": {"image": "k:1", "volumes": [{"type": "volume", "source": "k", "target": "/k"}]}}, "volumes": {"k": {}}}),
        json!({"services": {"k": {"image": "k:1", "volumes": [{"type": "bind", "source": "./k", "target": "/k"}]}}}),
        json!({"services": {"k": {"image": "k:1", "ports": [{"target": 80}], "networks": {"k": {}}}}, "networks": {"k": {}}}),
        json!({"services": {"k": {"image": "k:1", "configs": [{"source": "k"}], "secrets": [{"source": "k"}]}}, "configs": {"k": {"content": "k"}}, "secrets": {"k": {"file": "./k"}}}),
        json!({"services": {"k": {"image": "k:1", "healthcheck": {"test": "x", "start_period": "1s"}, "pre_start": [{"command": "x"}], "post_start": [{"command": "x"}], "pre_stop": [{"command": "x"}]}}}),
        json!({"services": {"k": {"image": "k:1", "devices": [{"source": "/dev/x"}], "gpus": [{"capabilities": ["gpu"]}], "deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}}}}),
    ];
    let (mut mapped_keys, mut refused) = (0, Vec::new());
    for wanted in all {
        let taken = frames.iter().find_map(|frame| {
            let mut project = frame.clone();
            merge(&mut project, wanted.clone());
            let memory: Memory =
                [("compose.yaml", project.to_string()), ("k", "k".to_owned()), ("x", "A=b".to_owned())]
                    .into_iter()
                    .map(|(path, text)| (PathBuf::from(format!("/p/{path}")), text.into_bytes()))
                    .collect();
            let loaded = load(&memory, &Options { folder: "/p".into(), ..Options::default() });
            map(&loaded, &memory, &Choices::default())
        });
        let Some(mapped) = taken else {
            refused.push(wanted.to_string());
            continue;
        };
        mapped_keys += 1;
        let unsaid: Vec<&str> = mapped.account.unsaid().map(|key| &*key.path).collect();
        assert_eq!(unsaid, Vec::<&str>::new(), "{wanted}");
        let lost = mapped.findings.iter().any(|finding| finding.outcome.code == code::LOST);
        assert!(!lost, "{wanted}: {:?}", mapped.findings);
    }
    // Words that a key must be one of, such as `deploy.mode`, are no sample texts: the tables beside the code have them.
    assert!(mapped_keys > 200, "{mapped_keys} taken, {}: {refused:#?}", refused.len());
}
