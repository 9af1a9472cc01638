//! The loader as a whole, on files in memory.

#![allow(clippy::unwrap_used)] // tests

use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::account::{Account, Stands};
use super::files::{Disk, Memory};
use super::notes::Settled;
use super::problem::Code;
use super::*;

fn memory(files: &[(&str, &str)]) -> Memory {
    files.iter().map(|(path, text)| (PathBuf::from(format!("/p/{path}")), text.as_bytes().to_vec())).collect()
}

fn options() -> Options {
    Options { folder: "/p".into(), ..Options::default() }
}

fn loaded(files: &[(&str, &str)]) -> Loaded {
    load(&memory(files), &options())
}

fn project(files: &[(&str, &str)]) -> Project {
    let loaded = loaded(files);
    assert_eq!(loaded.errors().collect::<Vec<_>>(), Vec::<&Problem>::new());
    loaded.project.unwrap()
}

/// Errors as `line:column path code`.
fn said(loaded: &Loaded) -> Vec<String> {
    let one = |problem: &Problem| {
        let place = loaded.sources.line_column(problem.at);
        let place = place.map_or("-".to_owned(), |(file, line, column)| {
            format!("{}:{line}:{column}", file.rsplit('/').next().unwrap_or_default())
        });
        format!("{place} {} {}", problem.path, problem.code.0)
    };
    loaded.errors().map(one).collect()
}

fn codes(files: &[(&str, &str)]) -> Vec<Code> {
    loaded(files).errors().map(|problem| problem.code).collect()
}

const RICH: &str = "name: shop
x-common: &common
  restart: always
  environment: &env
    A: 1
services:
  web:
    <<: *common
    image: web:${TAG:-1}
    command: serve --port 80
    ports: ['8080:80', {target: 81}]
    depends_on: [db]
    volumes: ['data:/data', ./conf:/etc/conf:ro]
    environment: {<<: *env, B: 2}
  db:
    extends: {file: base.yaml, service: db}
    healthcheck: {test: [CMD, ok], interval: 5s}
    deploy: {resources: {limits: {memory: 1g}}}
volumes:
  data:
";
const BASE: &str = "services:
  db:
    image: db
    environment: [X=1, Y]
    mem_reservation: 512m
    secrets: [s]
  other:
    image: other
";
const OVERRIDE: &str = "services:
  web:
    image: web:2
    ports: !override ['9090:80']
    environment: [B=3]
  db:
    stop_grace_period: 1m
secrets:
  s: {file: ./s}
";

fn rich() -> [(&'static str, &'static str); 3] {
    [("compose.yaml", RICH), ("base.yaml", BASE), ("compose.override.yaml", OVERRIDE)]
}

#[test]
fn every_value_keeps_its_place() {
    let loaded = loaded(&rich());
    let project = loaded.project.as_ref().unwrap();
    let place = |path: &[&str]| {
        let (file, line, column) = loaded.sources.line_column(project.root.find(path).unwrap().at).unwrap();
        format!("{}:{line}:{column}", file.rsplit('/').next().unwrap_or_default())
    };
    for (path, written) in [
        (&["services", "web", "image"][..], "compose.override.yaml:3:12"),
        (&["services", "web", "restart"], "compose.yaml:3:12"),
        (&["services", "web", "environment", "A"], "compose.yaml:5:5"),
        (&["services", "web", "environment", "B"], "compose.override.yaml:5:19"),
        (&["services", "db", "mem_reservation"], "base.yaml:5:22"),
        (&["services", "db", "environment", "X"], "base.yaml:4:19"),
        (&["services", "db", "deploy", "resources", "limits", "memory"], "compose.yaml:18:43"),
        (&["services", "db", "stop_grace_period"], "compose.override.yaml:7:24"),
    ] {
        assert_eq!(place(path), written, "{path:?}");
    }
    let port = &project.root.find(&["services", "web", "ports"]).unwrap().as_list().unwrap()[0];
    assert_eq!(loaded.sources.line_column(port.at).unwrap().1, 4);
    assert_eq!(loaded.sources.line_column(port.get("published").unwrap().at).unwrap().2, 23);
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let loaded = loaded(&[
        ("compose.yaml", "services:\n  a:\n    image: ${\n    cpus: x\n"),
        ("compose.override.yaml", "services:\n  a:\n    hostname: ${H:?say it}\n    tty: maybe\n"),
    ]);
    assert_eq!(
        said(&loaded),
        [
            "compose.yaml:3:12 services.a.image C0201",
            "compose.yaml:4:11 services.a.cpus C0508",
            "compose.override.yaml:3:15 services.a.hostname C0202",
            "compose.override.yaml:4:10 services.a.tty C0509",
        ]
    );
    let text = "services:
  a: {image: x, networks: [n], volumes: ['v0:/v'], secrets: [s], depends_on: [b], scale: -1}
  b: {tty: true}
  c: {image: x, depends_on: [d], stop_grace_period: 5s}
  d: {image: x, depends_on: [c]}
";
    let codes: Vec<_> = said(&super::tests::loaded(&[("compose.yaml", text)]));
    assert_eq!(
        codes,
        [
            "compose.yaml:2:28 services.a.networks.n C0603",
            "compose.yaml:2:42 services.a.volumes[0] C0603",
            "compose.yaml:2:62 services.a.secrets[0] C0603",
            "compose.yaml:2:90 services.a.scale C0307",
            "compose.yaml:3:3 services.b C0601",
            "compose.yaml:4:30 services.c.depends_on.d C0607",
        ]
    );
}

#[test]
fn every_key_is_accounted_for() {
    let loaded = loaded(&rich());
    let mut account: Account<&str> = Account::of(&loaded);
    let stands = |path: &str, file: FileNumber| {
        let key = account.keys().iter().find(|key| *key.path == *path && key.at.file == file);
        key.unwrap_or_else(|| panic!("{path} of {file}")).stands
    };
    assert_eq!(stands("services.web.command", 0), Stands::InProject);
    assert_eq!(stands("x-common.restart", 0), Stands::InProject);
    assert!(matches!(stands("services.web.image", 0), Stands::Settled(Settled::Overridden(by)) if by.file == 1));
    assert!(matches!(stands("services.web.ports[0]", 0), Stands::Settled(Settled::Reset(by)) if by.file == 1));
    assert_eq!(stands("services.db.extends.file", 0), Stands::Settled(Settled::Followed));
    assert_eq!(stands("services.other.image", 2), Stands::Settled(Settled::Unused));
    assert_eq!(account.keys().iter().filter(|key| key.stands == Stands::Lost).count(), 0);

    let web = loaded.project.as_ref().unwrap().root.find(&["services", "web"]).unwrap();
    let before = account.unsaid().count();
    account.say_all(web, &"mapped");
    let after: Vec<&str> = account.unsaid().map(|key| &*key.path).collect();
    assert!(before > after.len() && !after.iter().any(|path| path.starts_with("services.web")), "{after:?}");
}

type FileNumber = super::node::FileId;

#[test]
fn nothing_outside_the_project_is_read_unless_it_is_named() {
    let mut files = memory(&[]);
    let put = |files: &mut Memory, path: &str, text: &str| files.insert(path.into(), text.as_bytes().to_vec());
    put(&mut files, "/secret/x", "services: {a: {image: x}}\n");
    for (text, code) in [
        ("services: {a: {extends: {file: ../secret/x, service: a}}}", code::OUTSIDE),
        ("services: {a: {image: x, env_file: /secret/x}}", code::OUTSIDE),
        ("services: {a: {image: x, label_file: ../secret/x}}", code::OUTSIDE),
        ("include: [sub/../../secret/x]", code::OUTSIDE),
        ("include: [{path: a.yaml, env_file: ../secret/x}]", code::OUTSIDE),
        ("include: ['https://example.com/x.yaml']", code::REMOTE),
        ("services: {a: {extends: {file: 'git@github.com:x/y', service: a}}}", code::REMOTE),
    ] {
        put(&mut files, "/p/compose.yaml", text);
        put(&mut files, "/p/a.yaml", "services: {}");
        let found = load(&files, &options());
        assert_eq!(found.errors().map(|problem| problem.code).collect::<Vec<_>>(), [code], "{text}");
        assert!(found.sources.iter().all(|source| !source.name.contains("secret")), "{text}");
    }
    put(&mut files, "/p/compose.yaml", "services: {a: {extends: {file: ../secret/x, service: a}}}");
    let named = Options { roots: vec!["../secret".into()], ..options() };
    assert!(load(&files, &named).project.is_some());
}

#[test]
fn a_link_does_not_lead_out_of_the_project() {
    let folder = std::env::temp_dir().join(format!("appstack-compose-{}", std::process::id()));
    let project = folder.join("project");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::write(folder.join("secret.env"), "A=1").unwrap();
    std::os::unix::fs::symlink(folder.join("secret.env"), project.join("a.env")).unwrap();
    std::fs::write(project.join("compose.yaml"), "services: {a: {image: x, env_file: a.env}}").unwrap();
    let found = load(&Disk, &Options { folder: project, ..Options::default() });
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found.errors().map(|problem| problem.code).collect::<Vec<_>>(), [code::OUTSIDE]);
}

#[test]
fn bombs_are_refused_soon() {
    let bomb = |name: &str, text: String, expected: Code| {
        let started = Instant::now();
        let found = load(&memory(&[("compose.yaml", &text)]), &options());
        let codes: Vec<Code> = found.errors().map(|problem| problem.code).collect();
        assert!(codes.contains(&expected), "{name}: {codes:?}");
        // In a test build, beside others; released it is 100 ms.
        assert!(started.elapsed() < Duration::from_secs(10), "{name}: {:?}", started.elapsed());
    };
    let mut laughs = "x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        laughs.push_str(&format!("x-a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10)));
    }
    bomb("billion laughs", laughs, code::TOO_MUCH);
    bomb("depth", format!("x-a: {}", "[".repeat(10_000)), code::TOO_MUCH);
    bomb("depth of maps", (0..5_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(), code::TOO_MUCH);
    bomb("100 MB", format!("x-a: '{}'", "x".repeat(100 << 20)), code::TOO_LARGE);
    let ports = format!("services: {{a: {{image: x, ports: [{}]}}}}", "'1-65000', ".repeat(1000));
    bomb("ports", ports, code::TOO_MUCH);
    let mut growing = "services:\n  s0: {image: x, cap_add: [a0]}\n".to_owned();
    for n in 1..4000 {
        growing.push_str(&format!("  s{n}: {{extends: s{}, cap_add: [a{n}]}}\n", n - 1));
    }
    bomb("extends that grows", growing, code::TOO_MUCH);
    let mut chain = String::from("services:\n");
    for n in 0..4000 {
        chain.push_str(&format!("  s{n}: {{extends: s{}}}\n", n + 1));
    }
    bomb("extends that is deep", chain + "  s4000: {image: x}\n", code::EXTENDS_CYCLE);
    let resets: String = (0..5000).map(|n| format!("x-{n}: !reset null\n")).collect();
    bomb("tags", resets, code::TOO_MUCH);
    bomb("a variable in a variable", format!("services: {{a: {{image: '{}'}}}}", "${A:-".repeat(5000)), code::TEMPLATE);
}

#[test]
fn variables_do_not_grow_without_end() {
    let mut env = "A0=xxxxxxxxxx\n".to_owned();
    (1..30).for_each(|n| env.push_str(&format!("A{n}={}\n", format!("$A{}", n - 1).repeat(10))));
    assert_eq!(codes(&[("compose.yaml", "services: {a: {image: x}}"), (".env", &env)]), [code::ENV_FILE]);
    let long = format!("A={}", "x".repeat(900 << 10));
    let values: String = (0..200).map(|n| format!("x-{n}: $A\n")).collect();
    assert!(codes(&[("compose.yaml", &values), (".env", &long)]).contains(&code::TOO_MUCH));
    let services: String = (0..200).map(|n| format!("  s{n}: {{image: x, env_file: a.env}}\n")).collect();
    let files = [("compose.yaml", format!("services:\n{services}")), ("a.env", long)];
    assert!(codes(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]).contains(&code::TOO_MUCH));
}

#[test]
fn paths_and_problems_are_of_bounded_length() {
    let key = "k".repeat(900);
    let text: String = (0..5000).map(|n| format!("  x{n}: '${{'\n")).collect();
    let found = loaded(&[("compose.yaml", &format!("x-{key}:\n{text}"))]);
    assert_eq!(found.problems.len(), 1000);
    assert!(found.problems.iter().all(|problem| problem.path.len() < 300));
    assert!(found.project.is_none());
}

#[test]
fn circles_of_files_end() {
    let include = |of: &str| format!("include: [{of}]\nservices: {{a: {{image: x}}}}\n");
    assert_eq!(
        codes(&[("compose.yaml", &include("b.yaml")), ("b.yaml", &include("compose.yaml"))]),
        [code::INCLUDE_CYCLE]
    );
    // Each file includes the next one twice: 2^n.
    let twice: Vec<(String, String)> =
        (0..40).map(|n| (format!("f{n}.yaml"), include(&format!("f{0}.yaml, f{0}.yaml", n + 1)))).collect();
    let mut files: Vec<(&str, &str)> = twice.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("compose.yaml", &twice[0].1));
    files.push(("f40.yaml", "services: {a: {image: x}}"));
    assert_eq!(codes(&files), [code::TOO_LARGE]);
    let extends = |file: &str, of: &str| format!("services: {{a: {{extends: {{file: {file}, service: {of}}}}}}}");
    let files = [("compose.yaml", extends("b.yaml", "a")), ("b.yaml", extends("compose.yaml", "a"))];
    assert_eq!(codes(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]), [code::EXTENDS_CYCLE]);
}

#[test]
fn what_only_up_refuses_is_told_apart() {
    let project = project(&[(
        "compose.yaml",
        "services:
  a: {image: x, depends_on: {b: {condition: service_healthy}, c: {condition: service_healthy}, d: {condition: service_healthy}}, ports: ['80:80']}
  b: {image: x, healthcheck: {interval: 5s, start_interval: 1s}}
  c: {image: x, healthcheck: {test: [NONE]}, ports: ['127.0.0.1:80:80', '80:81', '90-91:82']}
  d: {image: x, healthcheck: {test: ok}}
",
    )]);
    let found: Vec<_> = up::check(&project).into_iter().map(|problem| (problem.code, problem.path)).collect();
    let on = |code, path: &str| (code, path.to_owned());
    assert_eq!(
        found,
        [
            on(code::NO_HEALTH_CHECK, "services.a.depends_on.b.condition"),
            on(code::NO_HEALTH_CHECK, "services.a.depends_on.c.condition"),
            on(code::START_INTERVAL, "services.b.healthcheck.start_interval"),
            on(code::HOST_PORT, "services.c.ports[1]"),
        ]
    );
}

#[test]
fn services_that_are_off_stay_with_what_they_use() {
    let text =
        "services: {a: {image: x}, b: {image: x, profiles: [p], volumes: ['v1:/v'], env_file: none}}\nvolumes: {v1: }";
    let project = project(&[("compose.yaml", text)]);
    assert!(project.is_on("a") && !project.is_on("b"));
    assert!(project.used("volumes").is_empty());
    assert!(project.root.find(&["volumes", "v1"]).is_some());
    assert_eq!(project::uses(project.root.find(&["services", "b"]).unwrap(), "volumes"), ["v1"]);
}

#[test]
fn variables_of_env_files_know_their_line() {
    let loaded = loaded(&[
        ("compose.yaml", "services: {a: {image: x, env_file: [a.env], environment: {B: own}}}"),
        ("a.env", "# c\nA=1\nB=2\n"),
    ]);
    let project = loaded.project.as_ref().unwrap();
    let at = project.root.find(&["services", "a", "environment", "A"]).unwrap().at;
    assert_eq!(loaded.sources.line_column(at), Some(("/p/a.env", 2, 1)));
}

#[test]
fn standard_input_is_a_file() {
    let options = Options { files: vec!["-".into()], standard_input: "services: {a: {image: x}}".into(), ..options() };
    assert!(load(&Memory::new(), &options).project.is_some());
}

const KEYS: [&str; 34] = [
    "services",
    "web",
    "db",
    "image",
    "build",
    "ports",
    "volumes",
    "networks",
    "environment",
    "env_file",
    "extends",
    "include",
    "depends_on",
    "deploy",
    "resources",
    "limits",
    "memory",
    "healthcheck",
    "test",
    "interval",
    "secrets",
    "configs",
    "file",
    "service",
    "command",
    "ulimits",
    "nofile",
    "extra_hosts",
    "labels",
    "target",
    "type",
    "source",
    "external",
    "name",
];

fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let word = prop_oneof![
        prop::sample::select(&KEYS[..]).prop_map(|key| json!(key)),
        prop::sample::select(vec![
            "80:80",
            "1-9:1-9",
            "${A:-b}",
            "${",
            "$$",
            "1.5g",
            "30s",
            "a=b",
            "./x:/y:ro",
            "bind",
            "volume",
            "compose.yaml",
            "b.yaml",
            "service:web",
            "CMD",
            "true",
            "-1",
            "::",
            "é",
            "\u{0}",
            "a b 'c",
            "",
        ])
        .prop_map(|word| json!(word)),
        any::<i32>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|value| json!(value)),
        Just(Value::Null),
        (-5.0..1e10_f64).prop_map(|number| json!(number)),
    ];
    word.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(&KEYS[..]), inner), 0..6).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), env in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut files = memory(&[]);
        files.insert("/p/compose.yaml".into(), bytes);
        files.insert("/p/.env".into(), env);
        load(&files, &options());
    }

    #[test]
    fn random_structures_do_no_harm(web in value(), db in value(), rest in value(), over in value()) {
        let base = serde_json::json!({"services": {"web": web, "db": db}, "networks": rest, "volumes": rest, "secrets": rest});
        let mut files = memory(&[]);
        files.insert("/p/compose.yaml".into(), base.to_string().into_bytes());
        files.insert("/p/b.yaml".into(), serde_json::json!({"services": {"web": over}}).to_string().into_bytes());
        files.insert("/p/compose.override.yaml".into(), serde_json::json!({"services": {"web": over, "db": rest}}).to_string().into_bytes());
        let found = load(&files, &options());
        if let Some(project) = &found.project {
            up::check(project);
        } else {
            prop_assert!(found.errors().next().is_some(), "refused without a reason");
        }
    }

    #[test]
    fn no_key_is_lost_whatever_line_is_taken_out(gone in prop::collection::vec(0usize..60, 0..6)) {
        let without = |text: &str, from: usize| -> String {
            let lines = text.lines().enumerate().filter(|(number, _)| !gone.contains(&(number + from)));
            lines.map(|(_, line)| format!("{line}\n")).collect()
        };
        let (main, base, over) = (without(RICH, 0), without(BASE, 25), without(OVERRIDE, 40));
        let found = loaded(&[("compose.yaml", &main), ("base.yaml", &base), ("compose.override.yaml", &over)]);
        if found.project.is_some() {
            let account: Account<()> = Account::of(&found);
            let lost: Vec<_> = account.keys().iter().filter(|key| key.stands == Stands::Lost).collect();
            prop_assert!(lost.is_empty(), "{lost:?}");
        }
    }
}
