//! The mapping as a whole, on projects in memory.

#![allow(clippy::unwrap_used)] // tests

use std::path::PathBuf;

use serde_json::{Value, json};

use super::says::Class;
use super::*;
use crate::compose::files::Memory;
use crate::compose::{Options, load};

/// A project of these files, mapped with these choices.
pub(super) fn mapped_with(files: &[(&str, &str)], choices: &Choices) -> Mapped {
    let memory: Memory =
        files.iter().map(|(path, text)| (PathBuf::from(format!("/p/{path}")), text.as_bytes().to_vec())).collect();
    let loaded = load(&memory, &Options { folder: "/p".into(), ..Options::default() });
    assert!(loaded.project.is_some(), "{:?}", loaded.problems);
    let mapped = map(&loaded, &memory, choices).unwrap();
    let lost: Vec<_> = mapped.account.unsaid().map(|key| key.path.clone()).collect();
    assert_eq!(lost, Vec::<String>::new(), "keys of which nothing was said");
    mapped
}

/// One Compose file, mapped.
pub(super) fn mapped(text: &str) -> Mapped {
    mapped_with(&[("compose.yaml", text)], &Choices::default())
}

/// One service `a` of these lines, as the stack has it.
pub(super) fn service(lines: &str) -> Value {
    let text = format!("services:\n  a:\n    image: a:1\n{}", indented(lines));
    serde_json::to_value(&mapped(&text).stack.spec.services["a"]).unwrap()
}

/// What was found of one service `a` of these lines: class, code, and the line's path.
pub(super) fn found(lines: &str) -> Vec<(Class, &'static str)> {
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
        let key = mapped.account.keys().iter().find(|key| key.path == path).unwrap_or_else(|| panic!("no {path}"));
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
