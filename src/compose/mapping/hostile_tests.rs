//! Projects that mean harm, mapped and written: bounded time, an outcome for every key, nothing read that nobody named.

#![allow(clippy::unwrap_used)] // tests

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::choices::Choices;
use super::says::Class;
use super::tests::{each, merge};
use super::{Mapped, code, map};
use crate::compose::files::{Files, Kind, Memory};
use crate::compose::hostile_tests::mapped;
use crate::compose::shapes::{self, PROJECT};
use crate::compose::{Options, load};

fn options() -> Options {
    Options { folder: "/p".into(), ..Options::default() }
}

/// Loads, maps and writes; how long that took, tests being slow as they are.
fn play(files: &[(&str, String)]) -> (Option<Mapped>, Duration) {
    let memory: Memory =
        files.iter().map(|(name, text)| (Path::new("/p").join(name), text.clone().into_bytes())).collect();
    let began = Instant::now();
    let loaded = load(&memory, &options());
    assert!(loaded.project.is_some(), "{:?}", loaded.problems.first());
    mapped(&loaded, &memory);
    let took = began.elapsed();
    (map(&loaded, &memory, &Choices::default()), took)
}

/// What would take minutes if the work grew with the square of what is written.
#[test]
fn much_of_one_thing_takes_no_longer_than_much_of_many() {
    let services = |count: usize, of: &dyn Fn(usize) -> String| {
        (0..count).fold("services:\n".to_owned(), |mut text, n| {
            let _ = writeln!(text, "  s{n}: {}", of(n));
            text
        })
    };
    let names = "s1 s2 s1:80 host=s3 ".repeat(12_000);
    let config =
        format!("{}configs: {{c: {{file: ./c}}}}\n", services(600, &|_| "{image: 'a:1', configs: [c]}".into()));
    let passwords = services(4000, &|n| format!("{{image: 'a:1', environment: {{DB_PASSWORD: correct-horse-{n}}}}}"));
    let chain = services(300, &|n| {
        let from = if n < 299 { format!("volumes_from: [s{}]", n + 1) } else { String::new() };
        format!("{{image: 'a:1', volumes: ['v{n}:/v{n}'], {from}}}")
    });
    let volumes: String = (0..300).fold("volumes:\n".to_owned(), |text, n| text + &format!("  v{n}: {{}}\n"));
    let ports: Vec<String> = (0..600).map(|n| format!("'{}-{}'", n * 100 + 1, n * 100 + 100)).collect();
    let urls: Vec<String> = (0..20_000).map(|n| format!("V{n}: 'x://u:correct-horse-{n}@h/'")).collect();
    let words: Vec<String> = (0..20_000).map(|n| format!("--password, correct-horse-{n}")).collect();
    let dials: String = (1..40_000).fold(String::new(), |text, port| text + &format!("s:{port} "));
    let cases: [(&str, Vec<(&str, String)>); 8] = [
        ("one config of many names", vec![("compose.yaml", config), ("c", names)]),
        ("a password each", vec![("compose.yaml", passwords)]),
        ("volumes from one another", vec![("compose.yaml", chain + &volumes)]),
        (
            "ports",
            vec![("compose.yaml", services(1, &|_| format!("{{image: 'a:1', expose: [{}]}}", ports.join(", "))))],
        ),
        (
            "variables",
            vec![("compose.yaml", services(1, &|_| format!("{{image: 'a:1', environment: {{{}}}}}", urls.join(", "))))],
        ),
        (
            "words",
            vec![("compose.yaml", services(1, &|_| format!("{{image: 'redis:7', command: [{}]}}", words.join(", "))))],
        ),
        (
            "names",
            vec![(
                "compose.yaml",
                services(4000, &|n| format!("{{image: 'a:1', hostname: h{n}, environment: {{H: 'http://h{n}'}}}}")),
            )],
        ),
        (
            "dials",
            vec![
                (
                    "compose.yaml",
                    "services: {s: {image: 'a:1'}, t: {image: 'a:1', configs: [c]}}\nconfigs: {c: {file: ./c}}\n"
                        .into(),
                ),
                ("c", dials.chars().take(250_000).collect()),
            ],
        ),
    ];
    for (name, files) in cases {
        let (_, took) = play(&files);
        assert!(took < Duration::from_secs(120), "{name}: {took:?}");
    }
}

#[test]
fn what_is_too_much_of_one_thing_is_refused_by_name() {
    let one =
        |lines: String| play(&[("compose.yaml", format!("services:\n  a: {{image: 'a:1', {lines}}}\n"))]).0.unwrap();
    let many = |count: usize, of: &dyn Fn(usize) -> String| (0..count).map(of).collect::<Vec<_>>().join(", ");
    for (lines, code) in [
        (format!("environment: {{{}}}", many(800, &|n| format!("V{n}: x"))), code::VARIABLE_VALUE),
        (format!("command: [{}]", many(300, &|n| format!("w{n}"))), code::INVALID),
        (format!("expose: [{}]", many(10, &|n| format!("'{}-{}'", n * 100 + 1, n * 100 + 100))), code::EXPOSE),
    ] {
        let mapped = one(lines);
        let refused = mapped.findings.iter().find(|finding| finding.outcome.class == Class::Refused).unwrap();
        assert_eq!(refused.outcome.code, code);
        assert!(mapped.stack.spec.services.is_empty());
    }
}

/// Files that remember which were asked for.
struct Watched<'m> {
    files: &'m Memory,
    read: std::cell::RefCell<Vec<PathBuf>>,
}

impl Files for Watched<'_> {
    fn kind(&self, path: &Path) -> Option<Kind> {
        self.files.kind(path)
    }

    fn read(&self, path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
        self.read.borrow_mut().push(path.to_owned());
        self.files.read(path, most)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.files.real(path)
    }

    fn list(&self, folder: &Path, most: usize) -> std::io::Result<Vec<String>> {
        self.read.borrow_mut().push(folder.to_owned());
        self.files.list(folder, most)
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.files.is_executable(path)
    }
}

#[test]
fn the_mapping_reads_no_file_outside_the_project() {
    let text = "services:
  a:
    image: a:1
    volumes: ['/out/x.conf:/x.conf:ro', '../y.conf:/y.conf:ro', './in.conf:/in.conf:ro', '/out:/out:ro', '../..:/up:ro']
    configs: [far, near]
    secrets: [key]
configs: {far: {file: /out/x.conf}, near: {file: ./in.conf}}
secrets: {key: {file: ../../out/key}}
";
    let memory: Memory = [
        ("/p/q/compose.yaml", text),
        ("/p/q/in.conf", "in"),
        ("/out/x.conf", "hunter2"),
        ("/p/y.conf", "hunter2"),
        ("/out/key", "hunter2"),
    ]
    .into_iter()
    .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
    .collect();
    let files = Watched { files: &memory, read: std::cell::RefCell::default() };
    let loaded = load(&files, &Options { folder: "/p/q".into(), ..Options::default() });
    let mapped = map(&loaded, &files, &Choices::default()).unwrap();
    let outside: Vec<PathBuf> = files.read.borrow().iter().filter(|path| !path.starts_with("/p/q")).cloned().collect();
    assert_eq!(outside, Vec::<PathBuf>::new());
    assert!(files.read.borrow().iter().any(|path| path.ends_with("in.conf")));
    assert!(!format!("{:?}{:?}", mapped.stack, mapped.findings).contains("hunter2"));
    let named = Options { roots: vec!["/out".into()], folder: "/p/q".into(), ..Options::default() };
    let loaded = load(&files, &named);
    map(&loaded, &files, &Choices::default()).unwrap();
    assert!(files.read.borrow().iter().any(|path| path == Path::new("/out/x.conf")), "what is named is read");
}

/// Random projects that the schema takes: any keys with values of their types, on services and sections with the same names.
fn leaves() -> Vec<Value> {
    let shapes::Kind::Object(top) = PROJECT else { panic!("a project is a map") };
    let mut all = Vec::new();
    for (section, kind) in top {
        each(*kind, &mut all, &|inner| json!({*section: inner}));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_projects_of_valid_keys_are_mapped_and_written(picks in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3), 1..14)) {
        let all = leaves();
        let mut project = json!({
            "services": {"k": {"image": "k:1"}, "b": {"image": "b:1", "environment": {"U": "http://k:80"}}, "C_c": {"image": "c:1"}},
            "networks": {"k": {}}, "volumes": {"k": {}}, "configs": {"k": {"content": "k"}}, "secrets": {"k": {"file": "./k"}},
        });
        for (pick, to) in picks {
            let mut leaf = all[pick.index(all.len())].clone();
            if let (Some(service), 1..) = (leaf.pointer("/services/k").cloned(), to) {
                leaf = json!({"services": {(if to == 1 { "b" } else { "C_c" }): service}});
            }
            let mut tried = project.clone();
            merge(&mut tried, leaf);
            // One that the loader refuses tells nothing of the mapping: it is left out.
            let memory: Memory = [("/p/compose.yaml", tried.to_string()), ("/p/k", "k".to_owned()), ("/p/x", "A=b".to_owned())]
                .into_iter()
                .map(|(path, text)| (PathBuf::from(path), text.into_bytes()))
                .collect();
            let loaded = load(&memory, &options());
            if loaded.project.is_some() {
                mapped(&loaded, &memory);
                project = tried;
            }
        }
    }
}
