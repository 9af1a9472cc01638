//! The rows B51 to B61 of the list of bad input, for Compose files: what `appstack import` and `up` say of each, with the verdict of the real
//! loader. `e2e/compose/cases` holds both loaders to the same files; `tests/bad_input` has these rows for stacks.

// A test that cannot make its folder has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "compose_input/outcome.rs"]
mod outcome;
#[path = "compose_input/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::path::PathBuf;

use appstack::compose::files::Memory;
use outcome::{Outcome, all_refused, memory, outcome, outcome_of, refused, services, taken};

#[test]
fn b51_a_key_that_compose_does_not_have_is_refused_with_the_nearest() {
    all_refused(&[
        (
            "services:\n  web:\n    imagee: x\n",
            &["error[C0301]", "compose.yaml:3:5", "services.web.imagee", "did you mean 'image'?"],
        ),
        ("servces: {}", &["did you mean 'services'?"]),
        ("services: {web: {image: x, deploy: {replicaz: 1}}}", &["did you mean 'replicas'?"]),
        ("services: {web: {image: x, healthcheck: {tset: [CMD, a]}}}", &["did you mean 'test'?"]),
        ("services: {web: {image: x, ports: [{targte: 80}]}}", &["did you mean 'target'?"]),
        ("services: {web: {image: x}}\nvolumes: {data: {drivr: local}}", &["did you mean 'driver'?"]),
        ("services: {web: {image: x, zzz: 1}}", &["no key 'zzz' here", "begin it with 'x-'"]),
        (
            "services: {web: {image: x, deploy: {resources: {reservations: {devices: [{capabilities: [gpu], cuont: 1}]}}}}}",
            &["services.web.deploy.resources.reservations.devices[0].cuont", "did you mean 'count'?"],
        ),
        ("services: {a b: {image: x}}", &["'a b' cannot be a name"]),
    ]);
    services("services: {web: {image: x, x-mine: {a: 1}}}\nx-own: [1]\n");
}

/// Where the real loader takes an unknown key and forgets it, so do we, and say so.
#[test]
fn b51_a_key_that_compose_forgets_is_warned_of_with_the_nearest() {
    for (texts, words) in [
        (
            &[("compose.yaml", "services: {web: {extends: {service: base, fiel: b.yaml}}, base: {image: x}}")][..],
            &["compose.yaml:1:43", "services.web.extends.fiel", "did you mean 'file'?"][..],
        ),
        (
            &[
                ("compose.yaml", "services: {web: {extends: {file: b.yaml, service: base}}}"),
                ("b.yaml", "services: {base: {extends: {service: root, nope: 1}}, root: {image: x}}"),
            ],
            &["b.yaml:1:44", "there is no key 'nope' here: Compose passes over it"],
        ),
        (
            &[("compose.yaml", "services: {web: {image: x, gpus: [{count: 1}, {cuont: 2}]}}")],
            &["services.web.gpus[1].cuont", "did you mean 'count'?"],
        ),
        (
            &[
                ("compose.yaml", "services: {web: {image: x}}\ninclude: [{path: b.yaml, envfile: e}]"),
                ("b.yaml", "services: {b: {image: x}}"),
            ],
            &["include[0].envfile", "did you mean 'env_file'?"],
        ),
        (
            &[(
                "compose.yaml",
                "services: {web: {image: x, secrets: [s]}}\nsecrets: {s: {external: {name: s, nmae: t}}}",
            )],
            &["secrets.s.external.nmae", "did you mean 'name'?"],
        ),
    ] {
        let Outcome { errors, warnings, mapped, .. } = outcome(texts);
        let mapped = mapped.unwrap_or_else(|| panic!("{texts:?} is refused:\n{errors}"));
        assert!(warnings.contains("warning[C0301]"), "{texts:?}:\n{warnings}");
        for word in words {
            assert!(warnings.contains(word), "{texts:?}: {word} is not in:\n{warnings}");
        }
        assert_eq!(mapped.account.unsaid().count(), 0, "{texts:?}");
    }
    // Keys for others are nobody's mistake.
    let quiet = outcome(&[(
        "compose.yaml",
        "services: {web: {extends: {service: b, x-a: 1}, gpus: [{count: 1, x-b: 2}]}, b: {image: x}}",
    )]);
    assert_eq!((quiet.warnings.as_str(), quiet.mapped.is_some()), ("", true), "{}", quiet.errors);
}

#[test]
fn b52_a_key_that_stands_twice_is_refused_with_both_lines() {
    all_refused(&[
        (
            "services:\n  web:\n    image: a\n    tty: true\n    image: b\n",
            &[
                "the key 'image' stands here twice",
                "compose.yaml:5:5",
                "3 |     image: a",
                "5 |     image: b",
                "and here",
            ],
        ),
        ("services:\n  web: {image: a}\n  db: {image: b}\n  web: {image: c}\n", &["the key 'web'", "2 |", "4 |"]),
        // Far apart, each has an excerpt of its own; one run names all of them.
        (
            "services: {web: {image: a, image: b}}\nnetworks: {}\nvolumes: {}\nnetworks: {}\n",
            &["'image'", "'networks'", "4 |"],
        ),
        ("services: {web: {image: a, environment: {A: 1, A: 2}}}", &["the key 'A' stands here twice"]),
    ]);
    // As the real loader has it, the name of a variable may come twice in a list: the last one stands.
    let found = services("services: {web: {image: a, environment: [A=1, A=2]}}");
    assert_eq!(found["web"]["env"]["A"], "2");
}

#[test]
fn b53_anchors_and_merge_keys_are_read() {
    let found = services(
        "x-a: &a {restart: always, environment: &env {A: 1, B: 2}}
services:
  web: {<<: *a, image: x, environment: {<<: *env, B: 3}}
  db: {<<: [{image: y}, *a], command: &words [run, now]}
  job: {image: z, command: *words}
",
    );
    assert_eq!(found["web"]["env"], serde_json::json!({"A": "1", "B": "3"}));
    assert_eq!(found["db"]["env"], serde_json::json!({"A": "1", "B": "2"}));
    assert_eq!(found["job"]["command"], serde_json::json!(["run", "now"]));
}

#[test]
fn b55_marks_and_line_ends_are_read_and_other_bytes_refused_with_their_place() {
    let text = "services:\n  web:\n    image: x\n    environment: [A=b]\n";
    let crlf = text.replace('\n', "\r\n");
    for good in [format!("\u{feff}{text}"), crlf.clone(), format!("\u{feff}{crlf}")] {
        assert_eq!(services(&good), services(text), "{good:?}");
    }
    for (bytes, words) in [
        (&b"services: {web: {image: \xe9}}"[..], &["error[C0103]", "byte 24 (0xe9) is not UTF-8"][..]),
        (b"\xff\xfes\0", &["error[C0103]", "UTF-16"]),
        (
            b"services:\n\tweb: {image: x}\n",
            &["error[C0104]", "compose.yaml:2:", "indent with spaces; YAML takes no tabs"],
        ),
        (b"services:\n  web: {image: 'x\0'}\n", &["error[C0104]", "compose.yaml:2:"]),
    ] {
        let found = outcome_of(Memory::from([("/p/compose.yaml".into(), bytes.to_vec())]), &[]);
        assert!(found.mapped.is_none(), "{bytes:?}");
        for word in words {
            assert!(found.errors.contains(word), "{word} is not in:\n{}", found.errors);
        }
    }
}

#[test]
fn b56_words_have_the_types_of_the_real_loader() {
    let found = services(
        "services: {web: {image: x, tty: on, stdin_open: 'yes', restart: no, mem_limit: 0o14, labels: {since: 2026-01-01},
    environment: {A: no, B: on, C: 0o14, D: 1:30, E: 014, F: 2026-01-01, G: yes, H: 0x1F, I: 1_000, J: 3.10, K: ~, L: 1e3, M: 'no', N: n,
      O: off, P: TRUE, Q: 2026-01-01T10:00:00Z, R: 0b11, S: NULL, T: 08, U: 1e21}}}",
    );
    let wanted = [
        ("A", "no"),
        ("B", "on"),
        ("C", "12"),
        ("D", "1:30"),
        ("E", "12"),
        ("F", "2026-01-01 00:00:00 +0000 UTC"),
        ("G", "yes"),
        ("H", "31"),
        ("I", "1000"),
        ("J", "3.1"),
        ("L", "1000"),
        ("M", "no"),
        ("N", "n"),
        ("O", "off"),
        ("P", "true"),
        ("Q", "2026-01-01 10:00:00 +0000 UTC"),
        ("R", "3"),
        ("T", "8"),
        ("U", "1e+21"),
    ];
    assert_eq!(found["web"]["env"], serde_json::json!(BTreeMap::from(wanted)));
    assert_eq!((&found["web"]["tty"], &found["web"]["stdin"]), (&true.into(), &true.into()), "{found}");
    let ports = services("services: {web: {image: x, ports: [1:30, 22:22]}, no: {image: x}}");
    assert!(ports["web"]["ports"].to_string().contains("30") && ports["no"].is_object(), "{ports}");
    all_refused(&[
        (
            "services: {web: {image: x, environment: {A: .inf}}}",
            &["error[C0302]", "this is no finite number", "in quotes"],
        ),
        ("services: {web: {image: x, labels: {A: -.inf}}}", &["this is no finite number"]),
        ("services: {web: {image: x, environment: {A: .nan}}}", &["this is no finite number"]),
        ("services: {web: {image: 3.10}}", &["services.web.image", "must be a text, not a number"]),
        ("services: {web: {image: 2026-01-01}}", &["services.web.image", "not a date"]),
        ("services: {web: {image: x, user: 0o14}}", &["services.web.user", "must be a text"]),
        ("services: {web: {image: x, restart: false}}", &["services.web.restart", "not true or false"]),
        ("services: {web: {image: x, tty: nein}}", &["'nein' is not true or false"]),
        ("services: {1: {image: x}}", &["the key 1 is no text"]),
    ]);
}

#[test]
fn b57_circles_missing_files_and_what_lies_outside_are_refused_and_nothing_of_it_is_read() {
    let main = |text: &'static str| ("compose.yaml", text);
    let extends = "services: {web: {image: x, extends: {file: FILE, service: a}}}";
    refused(&[main("services: {a: {extends: b}, b: {extends: a}}")], &["error[C0403]", "in a circle", "a -> b -> a"]);
    refused(
        &[
            main("services: {a: {extends: {file: b.yaml, service: b}}}"),
            ("b.yaml", "services: {b: {extends: {file: compose.yaml, service: a}}}"),
        ],
        &["error[C0403]", "in a circle"],
    );
    refused(
        &[main("include: [b.yaml]"), ("b.yaml", "include: [c.yaml]"), ("c.yaml", "include: [b.yaml]")],
        &["error[C0404]", "files include each other in a circle", "b.yaml -> /p/c.yaml -> /p/b.yaml"],
    );
    refused(&[main("include: [compose.yaml]")], &["error[C0404]"]);
    for (keys, file, code) in [
        (extends, "none.yaml", "C0101"),
        ("include: [FILE]", "none.yaml", "C0101"),
        ("services: {web: {image: x, env_file: FILE}}", "none.env", "C0101"),
        (extends, "../secret/x.yaml", "C0110"),
        (extends, "/secret/x.yaml", "C0110"),
        ("include: [FILE]", "../secret/x.yaml", "C0110"),
        ("include: [{path: b.yaml, env_file: FILE}]", "/secret/x.yaml", "C0110"),
        ("services: {web: {image: x, env_file: FILE}}", "../secret/x.yaml", "C0110"),
        ("services: {web: {image: x, label_file: FILE}}", "a/../../secret/x.yaml", "C0110"),
        (extends, "https://example.com/x.yaml", "C0111"),
        ("include: [FILE]", "https://example.com/x.yaml", "C0111"),
        ("include: ['FILE']", "oci://registry.example/x", "C0111"),
        ("include: ['FILE']", "git@github.com:a/b.git", "C0111"),
    ] {
        let text = keys.replace("FILE", file);
        let mut files = memory(&[("compose.yaml", &text), ("b.yaml", "services: {b: {image: x}}")]);
        files.insert("/secret/x.yaml".into(), b"services: {a: {image: hunter2}}".to_vec());
        let found = outcome_of(files, &[]);
        assert!(found.mapped.is_none() && found.errors.contains(code), "{text}: {}", found.errors);
        assert!(
            found.errors.contains("compose.yaml:1:") && !found.errors.contains("hunter2"),
            "{text}: {}",
            found.errors
        );
        let outside: Vec<_> = found.read.iter().filter(|path| !path.starts_with("/p")).collect();
        assert_eq!(outside, Vec::<&PathBuf>::new(), "{text}");
    }
}

#[test]
fn b58_a_required_dependency_that_profiles_switch_off_is_refused_and_another_left_out() {
    let text = |depends: &str| {
        format!("services: {{web: {{image: x, depends_on: {depends}}}, db: {{image: y, profiles: [full]}}}}")
    };
    refused(&[("compose.yaml", &text("[db]"))], &["services.web.depends_on", "'db'", "profile"]);
    refused(&[("compose.yaml", &text("{db: {condition: service_started, required: true}}"))], &["'db'"]);
    services(&text("{db: {condition: service_started, required: false}}"));
    let on = outcome_of(memory(&[("compose.yaml", &text("[db]"))]), &["full"]);
    let stack = on.mapped.unwrap_or_else(|| panic!("{}", on.errors)).stack.spec;
    assert_eq!(stack.services["web"].depends_on.keys().collect::<Vec<_>>(), ["db"]);
    // What a service that is off depends on is nobody's concern.
    services(
        "services: {web: {image: x}, db: {image: y, profiles: [full], depends_on: [cache]}, cache: {image: z, profiles: [other]}}",
    );
}

#[test]
fn b59_documents_are_merged_and_what_is_no_map_is_refused() {
    let found = services("services: {web: {image: a, tty: true}}\n---\nservices: {web: {image: b}}\n");
    assert_eq!((&found["web"]["image"], &found["web"]["tty"]), (&"b".into(), &true.into()));
    all_refused(&[
        ("", &["there is nothing in the Compose file"]),
        ("# only a comment\n", &["there is nothing in the Compose file"]),
        ("- web\n- db\n", &["error[C0108]", "a Compose file is a map with 'services', not a list", "compose.yaml:1:1"]),
        ("hello", &["not a text"]),
        ("---\n...\n", &["not nothing (null)"]),
        ("services: {web: {image: a}}\n---\n- x\n", &["compose.yaml:3:1", "not a list"]),
        ("services: {web: {image: a}}\n---\n", &["not nothing (null)"]),
        ("services: [web]\n", &["services", "must be a map, not a list"]),
    ]);
}

#[test]
fn b60_pairs_that_contradict_each_other_are_refused_with_both_places() {
    let limits = |key: &str, section: &str, name: &str, one: &str, other: &str| {
        format!(
            "services:\n  web:\n    image: x\n    {key}: {one}\n    deploy: {{resources: {{{section}: {{{name}: {other}}}}}}}\n"
        )
    };
    for (key, section, name, one, other, same) in [
        ("mem_limit", "limits", "memory", "1g", "2g", "1024m"),
        ("mem_reservation", "reservations", "memory", "1g", "2g", "1048576k"),
        ("cpus", "limits", "cpus", "1", "'2'", "'1.0'"),
        ("pids_limit", "limits", "pids", "5", "6", "5"),
    ] {
        let text = limits(key, section, name, one, other);
        refused(&[("compose.yaml", &text)], &[key, &format!("deploy.resources.{section}.{name}"), "4 |", "5 |"]);
        let agree = outcome(&[("compose.yaml", &limits(key, section, name, one, same))]);
        assert!(agree.mapped.is_some(), "{key}: {}", agree.errors);
    }
    all_refused(&[
        (
            "services:\n  web:\n    image: x\n    scale: 2\n    deploy: {replicas: 3}\n",
            &["scale", "deploy.replicas", "4 |", "5 |"],
        ),
        ("services: {web: {image: x, container_name: mine, scale: 2}}", &["container_name"]),
        ("services: {web: {image: x, container_name: mine, deploy: {replicas: 2}}}", &["container_name"]),
        ("services: {web: {image: x, container_name: mine}, db: {image: y, container_name: mine}}", &["'mine'"]),
        (
            "services: {web: {image: x, network_mode: host, networks: [a]}}\nnetworks: {a: }",
            &["network_mode", "networks"],
        ),
    ]);
    let agree = services(
        "services: {web: {image: x, scale: 2, deploy: {replicas: 2}}, db: {image: y, container_name: mine, deploy: {replicas: 1}}}",
    );
    assert_eq!(agree["web"]["replicas"], 2);
}

#[test]
fn b61_reset_and_override_take_away_what_is_extended() {
    let base = "base: {image: x, command: [c], environment: {A: 1, B: 1}, ports: ['80'], labels: {k: v}, tty: true}";
    let of = |keys: &str| services(&format!("services: {{web: {{extends: base, {keys}}}, {base}}}"))["web"].clone();
    let whole = of("hostname: h");
    assert_eq!(whole["env"], serde_json::json!({"A": "1", "B": "1"}));
    assert_eq!(
        (whole["ports"].as_object().map(serde_json::Map::len), &whole["tty"]),
        (Some(1), &true.into()),
        "{whole}"
    );
    let without = of("ports: !reset [], command: !reset null, environment: !reset {}, tty: !reset true");
    for key in ["ports", "command", "env", "tty"] {
        assert!(without.get(key).is_none(), "{key}: {without}");
    }
    let over = of("ports: !override ['81:81'], environment: !override {B: 2}");
    assert_eq!(over["env"], serde_json::json!({"B": "2"}));
    assert!(over["ports"].to_string().contains("81") && !over["ports"].to_string().contains("80"), "{over}");

    // Of another file, and of what that extends.
    let other = taken(&[
        (
            "compose.yaml",
            "services: {web: {extends: {file: b.yaml, service: base}, environment: !reset {}, ports: !override ['81:81']}}",
        ),
        (
            "b.yaml",
            "services: {base: {extends: root, tty: !reset true}, root: {image: x, environment: {A: 1}, ports: ['80:80'], tty: true}}",
        ),
    ]);
    assert!(other["web"].get("env").is_none() && other["web"].get("tty").is_none(), "{other}");
    assert!(!other["web"]["ports"].to_string().contains("80"), "{other}");
    assert_eq!(
        services("services: {web: !reset {image: y}, base: {image: x}}").as_object().map(serde_json::Map::len),
        Some(1)
    );
    all_refused(&[(
        &format!("services: {{web: {{extends: base, image: !reset null}}, {base}}}"),
        &["services.web", "image"],
    )]);
}
