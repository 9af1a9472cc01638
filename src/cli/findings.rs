//! What was found in a file, and how it is shown.

use std::io::IsTerminal;

use serde::Serialize;

pub use super::drawing::escaped;
use super::drawing::{Drawing, Pen, Spot};
use super::source::{Place, Source};
pub use crate::compose::problem::Severity;

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// As the API server writes it; empty where it is about the file.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// Where in the file.
    pub at: Place,
    /// Where its other half is, as with two equal keys.
    pub other: Option<Place>,
}

/// A finding with its place in numbers: the shape of `-o json`.
#[derive(Debug, Serialize)]
struct Row<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    field: &'a str,
    message: &'a str,
    severity: Severity,
}

/// When to colour.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set; CLICOLOR_FORCE colours everywhere.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether to colour what goes to `stream`.
    pub fn wanted(self, stream: &impl IsTerminal) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if set("NO_COLOR") => false,
            Colour::Auto => set("CLICOLOR_FORCE") || stream.is_terminal(),
        }
    }

    /// How to draw on `stream`.
    pub fn pen(self, stream: &impl IsTerminal) -> Pen {
        Pen::of(self.wanted(stream), stream)
    }
}

/// The findings with an excerpt of the file each, and one line that counts them.
pub fn text(source: &Source, findings: &[Finding], stacks: usize, pen: Pen) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&drawn(source, finding, pen));
        text.push_str("\n\n");
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (problems, warnings) = (count(Severity::Error), count(Severity::Warning));
    let outcome = match (problems, warnings) {
        (0, 0) if stacks == 0 => "no AppStack in it".to_owned(),
        (0, 0) => "valid".to_owned(),
        (0, _) => format!("valid, {}", plural(warnings, "warning")),
        (_, 0) => plural(problems, "problem"),
        _ => format!("{}, {}", plural(problems, "problem"), plural(warnings, "warning")),
    };
    text + &escaped(&source.name) + ": " + &outcome + "\n"
}

fn drawn(source: &Source, finding: &Finding, pen: Pen) -> String {
    let spot = |at: &Place| {
        let Source { name: file, text, lines, .. } = source;
        Spot { file, text, lines, at: at.clone(), is_shown: true }
    };
    pen.draw(&Drawing {
        severity: finding.severity,
        code: None,
        message: &finding.message,
        label: &finding.field,
        at: Some(spot(&finding.at)),
        other: finding.other.as_ref().map(spot),
        help: "",
    })
}

/// The findings as rows of `-o json`.
pub fn json(checked: &[(&Source, &[Finding])]) -> String {
    let rows: Vec<Row<'_>> = checked
        .iter()
        .flat_map(|(source, findings)| findings.iter().map(move |finding| (source, finding)))
        .map(|(source, finding)| {
            let (line, column) = source.line_column(finding.at.start);
            let Finding { severity, field, message, .. } = finding;
            Row { file: &source.name, line, column, field, message, severity: *severity }
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(at: Place, field: &str, message: &str) -> Finding {
        Finding { severity: Severity::Error, field: field.into(), message: message.into(), at, other: None }
    }

    #[test]
    fn a_finding_is_drawn_under_its_line() {
        let source = Source::parse("f.yaml", b"a: 1\nb: [x,\n  y]\n".to_vec());
        assert_eq!(
            text(&source, &[finding(3..4, "a", "must be 2")], 1, Pen::new(false, 140)),
            "error: must be 2\n --> f.yaml:1:4\n  |\n1 | a: 1\n  |    ^ a\n\nf.yaml: 1 problem\n"
        );
        let drawn = text(&source, &[finding(8..17, "b", "of many lines")], 1, Pen::new(false, 140));
        assert!(drawn.contains("2 | b: [x,\n  |    ^^^ b"), "{drawn}");
        assert_eq!(text(&source, &[], 1, Pen::new(false, 140)), "f.yaml: valid\n");
    }

    #[test]
    fn places_out_of_the_text_do_no_harm() {
        let source = Source::parse("f.yaml", "é\u{1b}[31m: ü".as_bytes().to_vec());
        for at in [0..99, 50..60, 1..2, Place { start: 2, end: 1 }, 0..0] {
            let drawn = text(&source, &[finding(at, "\u{1b}[31m", "\u{7}\n")], 1, Pen::new(false, 140));
            assert!(!drawn.contains(['\u{1b}', '\u{7}']), "{drawn:?}");
        }
        text(&Source::parse("", Vec::new()), &[finding(0..0, "", "empty")], 0, Pen::new(true, 140));
    }

    #[test]
    fn rows_name_line_and_column() {
        let source = Source::parse("f.yaml", b"a: 1\nb: 2\n".to_vec());
        let rows: serde_json::Value = serde_json::from_str(&json(&[(&source, &[finding(8..9, "b", "no")])])).unwrap();
        let row = serde_json::json!({"file": "f.yaml", "line": 2, "column": 4, "field": "b", "message": "no", "severity": "error"});
        assert_eq!(rows, serde_json::json!([row]));
    }
}
