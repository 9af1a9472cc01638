use std::fmt::Write;

use serde_json::json;

use super::super::field;
use super::*;

fn parse(text: &str) -> Source {
    Source::parse("f.yaml", text.as_bytes().to_vec())
}

fn said(text: &str) -> String {
    parse(text).flaws.iter().map(|flaw| flaw.message.as_str()).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_part_has_its_place() {
    let text =
        "# note\nspec:\n  services:\n    db:\n      image: a b\n      command: [x, 'y z']\n      dependsOn: {}\n";
    let source = parse(text);
    let document = &source.documents[0];
    let value = document.value();
    assert_eq!(
        value,
        json!({"spec": {"services": {"db": {"image": "a b", "command": ["x", "y z"], "dependsOn": {}}}}})
    );
    for (path, there, line_column) in [
        ("spec.services[db].image", "a b", (5, 14)),
        ("spec.services[db]", "db", (4, 5)),
        ("spec.services[db].command[1]", "'y z'", (6, 20)),
        ("spec.services[db].command[7]", "command", (6, 7)),
        ("spec.services[db].dependsOn[x].condition", "dependsOn", (7, 7)),
        ("spec.nothing.here", "spec", (2, 1)),
        ("", "spec", (2, 1)),
    ] {
        let at = document.place(&field::parse(path, &value));
        assert_eq!((&text[at.clone()], source.line_column(at.start)), (there, line_column), "{path}");
    }
}

#[test]
fn documents_are_told_apart_and_empty_ones_left_out() {
    let source = parse("---\n# nothing\n---\na: 1\n---\nb: 2\n...\n");
    assert_eq!(source.documents.iter().map(Document::value).collect::<Vec<_>>(), [json!({"a": 1}), json!({"b": 2})]);
    assert!(parse("").documents.is_empty());
    assert_eq!(parse("\u{feff}a: 1\r\nb: 'x'\r\n").documents[0].value(), json!({"a": 1, "b": "x"}));
}

#[test]
fn nulls_are_found_wherever_they_are() {
    let source = parse("a:\n  db:\n  x: ~\n  w: null\n  z: 'null'\nlist:\n  -\n  - {k: }\n");
    let fields: Vec<String> =
        source.documents[0].nulls().iter().map(|steps| field::written(steps, &json!({}))).collect();
    assert_eq!(fields, ["a.db", "a.x", "a.w", "list[0]", "list[1].k"]);
}

#[test]
fn both_places_of_a_duplicate_key_are_known_and_the_last_one_counts() {
    let source = parse("a: 1\nb: 2\na: 3\n");
    assert_eq!(source.documents[0].value(), json!({"a": 3, "b": 2}));
    let flaw = &source.flaws[0];
    assert!(flaw.message.contains("'a' stands here twice"));
    assert_eq!((flaw.at.clone(), flaw.other.clone()), (10..11, Some(0..1)));
    assert_eq!(parse("1: a\n'1': b\n").flaws.len(), 1);
}

#[test]
fn anchors_and_merges_are_resolved() {
    let source = parse("base: &b {x: 1, w: 2}\none: {<<: *b, w: 3}\ntwo: {<<: [*b, {z: 4}]}\nsame: *b\n");
    assert_eq!(
        source.documents[0].value(),
        json!({"base": {"x": 1, "w": 2}, "one": {"x": 1, "w": 3}, "two": {"x": 1, "w": 2, "z": 4}, "same": {"x": 1, "w": 2}})
    );
    assert!(said("<<: 3\n").contains("takes a map"));
    assert!(said("a: *nothing\n").contains("is not YAML"));
    assert!(!said("a: &a [*a]\n").is_empty());
}

#[test]
fn what_is_too_much_is_refused_and_not_built() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        let below = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(bomb, "a{n}: &a{n} [{below}]").unwrap();
    }
    let start = std::time::Instant::now();
    assert!(said(&bomb).contains("aliases"));
    assert!(start.elapsed() < std::time::Duration::from_secs(1));
    assert!(!said(&"[".repeat(10_000)).is_empty());
    assert!(said(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).contains("64 deep"));
    let deep: Vec<String> = (0..300).map(|n| format!("{}k:\n", " ".repeat(n))).collect();
    assert!(!said(&deep.concat()).is_empty());
    let keys: Vec<String> = (0..2000).map(|n| format!("k{n}: x")).collect();
    let merges = format!("a: &a {{{}}}\nb: {{<<: [{}]}}\n", keys.join(", "), vec!["*a"; 2000].join(", "));
    assert!(said(&merges).contains("merged"));
    assert!(Source::parse("f", vec![b' '; LARGEST_FILE + 1]).flaws[0].message.contains("larger than"));
}

#[test]
fn what_is_not_yaml_is_said_with_its_place() {
    let place = |text: &str| {
        let source = parse(text);
        source.line_column(source.flaws[0].at.start)
    };
    assert_eq!(place("a:\n\tb: 1\n").0, 2);
    assert_eq!(place("a: [1\nb: 2\n").0, 2);
    assert_eq!(Source::parse("f", b"a: \xff\n".to_vec()).flaws[0].message, "byte 3 (0xff) is not UTF-8");
    assert!(!said("a: b\u{0}c\n").is_empty());
    assert!(said("a: .inf\n").contains("quotes"));
    assert!(said("? [a]\n: b\n").contains("single word"));
    assert!(said("a: !thing x\n").contains("tag"));
}

#[test]
fn any_bytes_are_read_or_refused() {
    // A small generator instead of a fuzzer: the alphabet is what YAML gives a meaning to.
    let alphabet: Vec<char> = "ab:- \n\t[]{},&*!|>'\"%@`#?~<0.\u{0}\u{85}\u{2028}é".chars().collect();
    let mut state: u64 = 7;
    for _ in 0..4000 {
        let mut text = String::new();
        for _ in 0..24 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        let source = parse(&text);
        for flaw in &source.flaws {
            source.line_column(flaw.at.start);
        }
        for document in &source.documents {
            document.nulls();
            document.value();
        }
    }
}

#[test]
fn a_key_that_clients_read_as_another_is_named() {
    assert!(said("env:\n  y: 1\n").contains("'y' as 'true'"));
    assert!(said("0777: 1\n").contains("'511'"));
    assert_eq!(said("80: 1\n'y': y\ntrue: 1\n"), "");
}
