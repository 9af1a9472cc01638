//! Files that mean harm, or were meant for something else: bounded time and memory, a clear error, nothing read that nobody named.

#![allow(clippy::unwrap_used)] // tests

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::files::{Disk, Memory};
use super::mapping::choices::Choices;
use super::mapping::map;
use super::output::report;
use super::problem::code;
use super::*;

fn options(folder: &Path) -> Options {
    Options { folder: folder.to_owned(), ..Options::default() }
}

fn memory(files: &[(&str, &[u8])]) -> Memory {
    files.iter().map(|(name, bytes)| (Path::new("/p").join(name), bytes.to_vec())).collect()
}

/// Codes and messages of the errors.
fn said(files: &dyn Files, options: &Options) -> Vec<(&'static str, String)> {
    load(files, options).errors().map(|problem| (problem.code.0, problem.message.clone())).collect()
}

fn first(text: &[u8]) -> (&'static str, String) {
    said(&memory(&[("compose.yaml", text)]), &options(Path::new("/p"))).into_iter().next().unwrap_or_default()
}

/// Maps what was loaded and writes all of it: whatever it is, that comes to an end.
pub(super) fn mapped(found: &Loaded, files: &dyn Files) {
    let Some(mapped) = map(found, files, &Choices::default()) else { return };
    let lost: Vec<&str> = mapped.account.unsaid().map(|key| &*key.path).collect();
    assert_eq!(lost, Vec::<&str>::new(), "keys of which nothing was said");
    let fault = mapped.findings.iter().find(|finding| finding.outcome.code == mapping::code::LOST);
    assert!(fault.is_none(), "{fault:?}");
    let written = output::files(&mapped, output::document(&mapped.stack), found, "shop", false).unwrap();
    assert!(!written.is_empty());
    assert!(!report::json(&mapped, found).unwrap().is_empty() && !report::text(&mapped, found).is_empty());
}

/// An empty folder of this test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("appstack-hostile-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path.canonicalize().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn pipes_devices_sockets_and_folders_are_not_read() {
    let folder = Folder::new("kinds");
    let at = |name: &str| folder.0.join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let began = Instant::now();
    for (name, wanted) in [("pipe", "is no file"), ("socket", "is no file"), ("folder", "is a folder")] {
        for text in [
            format!("services: {{a: {{image: x, env_file: {name}}}}}"),
            format!("services: {{a: {{image: x, label_file: {name}}}}}"),
            format!("services: {{a: {{extends: {{file: {name}, service: a}}}}}}"),
            format!("include: [{name}]"),
            format!("include: [{{path: other.yaml, env_file: {name}}}]"),
        ] {
            std::fs::write(at("compose.yaml"), &text).unwrap();
            std::fs::write(at("other.yaml"), "services: {}").unwrap();
            let said = said(&Disk, &options(&folder.0));
            assert!(
                said.iter().any(|(code, message)| *code == "C0101" && message.contains(wanted)),
                "{text}: {said:?}"
            );
        }
        let named = Options { files: vec![name.into()], ..options(&folder.0) };
        assert!(said(&Disk, &named)[0].1.contains(wanted), "{name}");
        std::fs::write(at("compose.yaml"), "services: {a: {image: x}}").unwrap();
        let env = Options { env_files: vec![name.into()], ..options(&folder.0) };
        assert!(said(&Disk, &env)[0].1.contains(wanted), "{name}");
    }
    std::fs::write(at("compose.yaml"), "services: {a: {image: x, env_file: zero}}").unwrap();
    assert_eq!(said(&Disk, &options(&folder.0))[0].0, code::OUTSIDE.0);
    let named = Options { files: vec!["/dev/zero".into()], ..options(&folder.0) };
    assert!(said(&Disk, &named)[0].1.contains("is no file"));
    assert!(began.elapsed() < Duration::from_secs(30), "something waited: {:?}", began.elapsed());
}

#[test]
fn links_that_lead_round_or_nowhere_are_named() {
    let folder = Folder::new("links");
    let project = folder.0.join("project");
    let at = |name: &str| project.join(name);
    std::fs::create_dir(&project).unwrap();
    std::fs::write(folder.0.join("x.env"), "A=1").unwrap();
    std::os::unix::fs::symlink(at("round"), at("round")).unwrap();
    std::os::unix::fs::symlink(at("nothing"), at("nowhere")).unwrap();
    std::os::unix::fs::symlink("..", at("up")).unwrap();
    for (name, wanted) in
        [("round", "C0101"), ("nowhere", "C0101"), ("up/x.env", "C0110"), ("../../../../../etc/passwd", "C0110")]
    {
        std::fs::write(at("compose.yaml"), format!("services: {{a: {{image: x, env_file: {name}}}}}")).unwrap();
        assert_eq!(said(&Disk, &options(&project))[0].0, wanted, "{name}");
    }
}

#[test]
fn a_bind_mount_config_or_secret_reads_nothing() {
    let text = "services: {a: {image: x, volumes: ['/etc:/x', '../..:/y'], configs: [c], secrets: [s]}}
configs: {c: {file: /etc/passwd}}
secrets: {s: {file: ../../etc/shadow}}";
    let found = load(&memory(&[("compose.yaml", text.as_bytes())]), &options(Path::new("/p")));
    assert!(found.project.is_some());
    assert_eq!(found.sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["/p/compose.yaml"]);
}

#[test]
fn other_encodings_are_named_and_marks_and_line_ends_read() {
    let text = "services:\n  a:\n    image: x\n";
    let utf16 = |bytes: fn(u16) -> [u8; 2]| {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect::<Vec<u8>>()
    };
    for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        assert_eq!(first(&bytes), ("C0103", "/p/compose.yaml is UTF-16".to_owned()));
    }
    assert_eq!(first(b"services: {a: {image: \xe9}}").1, "/p/compose.yaml: byte 22 (0xe9) is not UTF-8");
    // UTF-16 without a mark, and NUL bytes.
    assert_eq!(first(&utf16(u16::to_le_bytes)[2..]).0, "C0104");
    assert_eq!(first(b"services: {a: {image: 'x\0'}}").0, "C0104");
    assert_eq!(first(b"services:\n\ta: {image: x}\n").0, "C0104");
    for good in
        [format!("\u{feff}{text}"), text.replace('\n', "\r\n"), format!("\u{feff}{}", text.replace('\n', "\r\n"))]
    {
        assert_eq!(first(good.as_bytes()), ("", String::new()), "{good:?}");
    }
    let env = "\u{feff}A=1\r\nB='two'\r\nexport C=\"x\\ty\"\r\n# no\r\nD: 4\r\n";
    let compose = b"services: {a: {image: x, env_file: e}}";
    let found = load(&memory(&[("compose.yaml", compose), ("e", env.as_bytes())]), &options(Path::new("/p")));
    let project = found.project.unwrap();
    let value = |name: &str| project.root.find(&["services", "a", "environment", name]).unwrap().as_text().unwrap();
    assert_eq!(["A", "B", "C", "D"].map(value), ["1", "two", "x\ty", "4"]);
    for bad in [&b"\xff\xfeA\0=\x001\0"[..], b"A=\xe9"] {
        let said = said(&memory(&[("compose.yaml", compose), ("e", bad)]), &options(Path::new("/p")));
        assert_eq!(said[0].0, "C0103");
    }
}

#[test]
fn bombs_of_merges_anchors_and_keys_are_refused() {
    let keys: Vec<String> = (0..2000).map(|n| format!("k{n}: x")).collect();
    let merges = format!("x-a: &a {{{}}}\nx-b: {{<<: [{}]}}\n", keys.join(", "), vec!["*a"; 2000].join(", "));
    assert_eq!(first(merges.as_bytes()).0, "C0106");
    // Each level keeps all that is below it, for aliases that never come.
    let anchors = format!(
        "x: {}[{}]{}",
        (0..90).map(|n| format!("&a{n} [")).collect::<String>(),
        "1,".repeat(100_000),
        "]".repeat(90)
    );
    assert_eq!(first(anchors.as_bytes()).0, "C0106");
    let key = format!("x-a: &a {}\nx-b: [{}]\n", "k".repeat(1 << 20), vec!["*a"; 100].join(", "));
    assert_eq!(first(key.as_bytes()).0, "C0106");
    let long = format!("services: {{a: {{image: x, {}: 1}}}}", "k".repeat(1 << 20));
    assert!(first(long.as_bytes()).1.len() < 2 << 20);
}

/// Deep paths under long keys: each of very many values has one.
#[test]
fn accounts_stay_small() {
    let deep: String = (1..=90).map(|n| format!("{}{}:\n", " ".repeat(n), "k".repeat(150))).collect();
    let text = format!("x-a:\n{deep}{}", format!("{}- 1\n", " ".repeat(91)).repeat(20_001));
    let found = load(
        &memory(&[("compose.yaml", format!("{text}services: {{a: {{image: x}}}}\n").as_bytes())]),
        &options(Path::new("/p")),
    );
    let account: account::Account<()> = account::Account::of(&found);
    assert!(account.keys().len() > 20_000);
    assert!(account.keys().iter().all(|key| key.path.len() < 700));
}

/// What a variable holds may be a secret, and a message is not where it belongs.
#[test]
fn no_message_has_what_a_variable_brought_in() {
    const SECRET: &str = "hunter2 | x";
    let keys: serde_json::Value = serde_json::from_str(schema::SCHEMA).unwrap();
    let keys = keys.pointer("/$defs/service/properties").and_then(serde_json::Value::as_object).unwrap();
    let mut refused = 0;
    for key in keys.keys() {
        for value in [
            "$S",
            "['a', 'x${S}']",
            "{a: '${S:-x}', target: $S, source: $S, path: $S}",
            "[{a: $S, target: $S, path: $S}]",
        ] {
            let text = format!("services: {{a: {{image: x, {key}: {value}}}}}");
            let mut options = options(Path::new("/p"));
            options.environment.insert("S".into(), SECRET.into());
            let found = load(&memory(&[("compose.yaml", text.as_bytes())]), &options);
            refused += found.problems.len();
            let leaks = found.problems.iter().filter(|problem| format!("{problem:?}").contains("hunter2"));
            assert_eq!(leaks.map(|problem| &problem.message).collect::<Vec<_>>(), Vec::<&String>::new(), "{text}");
        }
    }
    assert!(refused > 100, "{refused}");
    for (text, secret) in
        [("ports: ['80/$S']", "HUNTER2"), ("ports: ['$S']", "hunter2:80:90"), ("volumes: ['/$S']", "hunter2::x")]
    {
        let mut options = options(Path::new("/p"));
        options.environment.insert("S".into(), secret.into());
        let text = format!("services: {{a: {{image: x, {text}}}}}");
        let said = said(&memory(&[("compose.yaml", text.as_bytes())]), &options);
        assert!(!said.is_empty() && !format!("{said:?}").to_lowercase().contains("hunter2"), "{said:?}");
    }
    let env = b"-----BEGIN KEY-----\nhunter2 and more\n";
    let files = memory(&[("compose.yaml", b"services: {a: {image: x, env_file: e}}"), ("e", env)]);
    assert!(!format!("{:?}", said(&files, &options(Path::new("/p")))).contains("hunter2"));
}

/// Each key of a service with a long text, alone, in a list and in a map.
#[test]
fn what_a_long_text_takes_does_not_grow_with_its_square() {
    let keys: serde_json::Value = serde_json::from_str(schema::SCHEMA).unwrap();
    let keys = keys.pointer("/$defs/service/properties").and_then(serde_json::Value::as_object).unwrap();
    for word in ["x", "/a:", "$A,"] {
        let long = format!("'{}'", word.repeat((64 << 10) / word.len()));
        for key in keys.keys() {
            for value in ["LONG", "[LONG]", "{a: LONG}"] {
                let text = format!("services: {{a: {{image: x, {key}: {}}}}}", value.replace("LONG", &long));
                let began = Instant::now();
                let files = memory(&[("compose.yaml", text.as_bytes())]);
                mapped(&load(&files, &options(Path::new("/p"))), &files);
                assert!(began.elapsed() < Duration::from_secs(10), "{key}: {value} of {word}");
            }
        }
    }
}

/// Random cases; `make fuzz-compose` plays more.
fn cases() -> u32 {
    std::env::var("COMPOSE_FUZZ").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

const SOUND: &str = "name: shop
x-common: &common
  restart: always
  environment: &env {A: 1, B: \"${A:-b}\"}
services:
  web:
    <<: *common
    image: web:${TAG:-1}
    command: serve --port 80 'a b'
    ports: ['8080:80', {target: 81}, \"127.0.0.1:1-3:1-3/udp\"]
    depends_on: {db: {condition: service_healthy}}
    volumes: ['data:/data', ./conf:/etc/conf:ro]
    environment: {<<: *env, C: 0x1F}
    env_file: [e, {path: none, required: false}]
    deploy: {resources: {limits: {memory: 1.5g, cpus: '0.5'}}}
  db:
    extends: {file: base.yaml, service: db}
    healthcheck: {test: [CMD, ok], interval: 1m30s}
    labels: !override [a=b]
    ulimits: {nofile: {soft: 1, hard: 2}}
volumes:
  data:
include: [{path: part.yaml, env_file: e}]
";

/// What changes a text: at a place of it, something goes, comes, or stands twice.
fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, &'static str, usize)>> {
    let words = prop::sample::select(vec![
        "\n",
        " ",
        "  ",
        "\t",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&x ",
        "*env",
        "<<: ",
        "!reset ",
        "!override ",
        "!!str ",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "?",
        "${",
        "$$",
        "${A:-",
        "}",
        "0",
        "-1",
        "1e9",
        ".inf",
        "~",
        "null",
        "\u{0}",
        "\u{85}",
        "\u{feff}",
        "é",
        "\r",
        "services:",
        "x-y",
        "/../",
        "https://",
        "../",
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, words, 1usize..40), 1..6)
}

fn mutated(text: &str, mutations: &[(prop::sample::Index, u8, &'static str, usize)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, how, word, length) in mutations {
        let at = place.index(bytes.len() + 1);
        let end = (at + length).min(bytes.len());
        match how {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, word.bytes())),
            _ => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_do_no_harm(main in mutations(), base in mutations(), env in mutations()) {
        let base_text = "services: {db: {image: db, environment: [X=1, Y], labels: {c: d}}, o: {image: o}}\n";
        let env_text = "A=1\nexport B='x y'\nC=\"${A}\\n${D:-d}\"\n# c\nE: f\nG\n";
        let files = memory(&[
            ("compose.yaml", &mutated(SOUND, &main)),
            ("base.yaml", &mutated(base_text, &base)),
            ("part.yaml", &mutated("services: {p: {image: p}}\n", &base)),
            ("e", &mutated(env_text, &env)),
            (".env", &mutated(env_text, &base)),
        ]);
        let began = Instant::now();
        let found = load(&files, &options(Path::new("/p")));
        match &found.project {
            Some(project) => drop(up::check(project)),
            None => prop_assert!(found.errors().next().is_some(), "refused without a reason"),
        }
        let account: account::Account<()> = account::Account::of(&found);
        if found.project.is_some() {
            prop_assert!(account.unsaid().all(|key| key.stands != account::Stands::Lost), "{:?}", account.keys());
        }
        for problem in &found.problems {
            found.sources.line_column(problem.at);
        }
        mapped(&found, &files);
        prop_assert!(began.elapsed() < Duration::from_secs(20));
    }
}
