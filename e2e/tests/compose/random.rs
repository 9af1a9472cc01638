//! Cases made up at random: small texts of the grammars that Compose has, and pairs of the written cases on top of each other.

use std::path::Path;

use e2e::dice::Dice;
use serde_json::json;

use super::case::Case;

/// One grammar: the words that texts are made of, and the project that such a text is in.
pub struct Grammar {
    /// What it is.
    pub name: &'static str,
    words: &'static [&'static str],
    longest: u64,
    project: fn(&str) -> String,
}

fn service(key: &str, value: &serde_json::Value) -> String {
    json!({"services": {"web": {"image": "x", key: value}}, "volumes": {"aa": {}}}).to_string()
}

/// The grammars.
pub const GRAMMARS: &[Grammar] = &[
    Grammar {
        name: "variables",
        words: &[
            "$", "{", "}", "A", "E", "_x1", ":-", "-", "?", "+", ":?", ":+", " ", "x", "\n", "$$", "${A", "${E:-",
            "${N:+", "é",
        ],
        longest: 9,
        project: |text| service("labels", &json!({"v": text})),
    },
    Grammar {
        name: "commands",
        words: &["a", "bc", " ", " ", "'", "\"", "\\", "$$", "(", ")", "`", "n", "t", "#", "*", "\t", "é", "''"],
        longest: 10,
        project: |text| service("command", &json!(text)),
    },
    Grammar {
        name: "ports",
        words: &[
            "80",
            "8000",
            ":",
            ":",
            "-",
            "/",
            "tcp",
            "udp",
            "127.0.0.1",
            "[::1]",
            "9",
            "0",
            "x",
            "1-2",
            "5-7",
            "+",
            "65536",
        ],
        longest: 6,
        project: |text| service("ports", &json!([text])),
    },
    Grammar {
        name: "mounts",
        words: &[
            "/", "aa", ":", ":", ".", "..", "~", "ro", "rw", ",", "z", "nocopy", "C", "\\", "shared", " ", "/x/", "é",
        ],
        longest: 6,
        project: |text| service("volumes", &json!([text])),
    },
    Grammar {
        name: "durations",
        words: &[
            "1", "30", ".", "5", "h", "m", "s", "ms", "us", "ns", "d", "w", "-", "+", " ", "0", "y", "µs", "99999999",
        ],
        longest: 6,
        project: |text| service("stop_grace_period", &json!(text)),
    },
    Grammar {
        name: "memory",
        words: &["1", "512", ".", "5", "k", "m", "G", "b", "B", "iB", " ", "-", "t", "x", "0", "p", "1023"],
        longest: 5,
        project: |text| service("mem_limit", &json!(text)),
    },
    Grammar {
        name: "devices",
        words: &["/dev/a", "/dev/b", ":", ":", "r", "rwm", "x=y", "/"],
        longest: 6,
        project: |text| service("devices", &json!([text])),
    },
    Grammar {
        name: "hosts",
        words: &["a", "b.c", "=", ":", "1.2.3.4", "[::1]", "::1", ",", " ", "-"],
        longest: 5,
        project: |text| service("extra_hosts", &json!([text, "a=9.9.9.9"])),
    },
    Grammar {
        name: "scalars",
        words: &[
            "0",
            "1",
            "7",
            "8",
            "_",
            ".",
            "e",
            "E",
            "-",
            "+",
            "x",
            "o",
            "b",
            "a",
            "2026-01-02",
            "T",
            ":",
            "true",
            "Null",
            "~",
            "inf",
            "Z",
        ],
        longest: 5,
        // Unquoted.
        project: |text| format!("services:\n  web:\n    image: x\n    environment:\n      A: {text}\n      B: b\n"),
    },
];

/// `count` projects of a grammar, written below `out`.
pub fn projects(grammar: &Grammar, count: u64, out: &Path) -> Vec<Case> {
    let mut dice = Dice(grammar.name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)));
    let project = |number: u64| {
        let text = words(&mut dice, grammar.words, grammar.longest);
        let name = format!("{} {number}: {text:?}", grammar.name);
        Case::made(name, out.join(number.to_string()), "A=a E=", &[("compose.yaml", &(grammar.project)(&text))])
    };
    (0..count).map(project).collect()
}

/// `count` services with an env file.
pub fn env_files(count: u64, out: &Path) -> Vec<Case> {
    const WORDS: &[&str] = &[
        "A", "B", "C", "=", "=", ":", " ", "\n", "\n", "\"", "'", "$A", "${B:-x}", "${C}", "#", " #", "\\", "\\n",
        "export ", "\t", "\r\n", "x", "\\$", "$$", "é", "[0]", "-", ".", "\\\"", "\\0101", "\u{a0}", "\u{b}",
    ];
    let mut dice = Dice(99);
    let compose = "services: {web: {image: x, env_file: [a.env]}}";
    let case = |number: u64| {
        let text = format!("A=1\n{}\n", words(&mut dice, WORDS, 14));
        Case::made(
            format!("env file {number}: {text:?}"),
            out.join(number.to_string()),
            "C=c",
            &[("compose.yaml", compose), ("a.env", &text)],
        )
    };
    (0..count).map(case).collect()
}

fn words(dice: &mut Dice, words: &[&str], longest: u64) -> String {
    let count = 1 + dice.roll(longest);
    let mut pick = || words[usize::try_from(dice.roll(u64::try_from(words.len()).unwrap())).unwrap()];
    (0..count).map(|_| pick()).collect()
}

/// `count` times one case on top of another, as an override.
pub fn pairs(cases: &[&Case], count: u64, out: &Path) -> Vec<Case> {
    let mut dice = Dice(5);
    let mut pick = || cases[usize::try_from(dice.roll(u64::try_from(cases.len()).unwrap())).unwrap()];
    (0..count).map(|number| Case::over(pick(), pick(), out.join(number.to_string()))).collect()
}
