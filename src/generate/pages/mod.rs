//! Pages and tables of the documentation that come from the code. They are no part of the program: tests compare them with what is kept, and
//! `make generate` writes them anew.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests

mod coverage;
mod reference;
mod rights;

use std::path::PathBuf;

fn path(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/")).join(file)
}

/// Fails unless the file holds the text; writes it where golden files are to be written.
fn hold(file: &str, text: &str) {
    let kept = std::fs::read_to_string(path(file)).unwrap_or_default();
    if kept == text {
        return;
    }
    assert!(std::env::var_os("UPDATE_GOLDEN").is_some(), "{file} is not what the code says: make generate");
    std::fs::write(path(file), text).unwrap();
}

/// The same for the part of a file between the lines `<!-- NAME -->` and `<!-- /NAME -->`.
fn hold_part(file: &str, name: &str, part: &str) {
    let kept = std::fs::read_to_string(path(file)).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = kept.split_once(&begin).unwrap_or_else(|| panic!("{file} has no line {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has no line {end}"));
    hold(file, &format!("{before}{begin}{part}{end}{after}"));
}

/// What a page calls a heading in its address, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A text that is not Markdown, as Markdown; what stands in single quotes is code. An apostrophe is no quote: it stands in a word.
fn plain(text: &str) -> String {
    let (mut all, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('\'') {
        all.push_str(&marked(before));
        let opens = all.is_empty() || all.ends_with([' ', '(']);
        if let Some((quoted, next)) = after.split_once('\'').filter(|_| opens) {
            all.push_str(&format!("`{quoted}`"));
            rest = next;
        } else {
            all.push('\'');
            rest = after;
        }
    }
    all + &marked(rest)
}

fn marked(text: &str) -> String {
    text.replace('*', "\\*").replace('<', "&lt;").replace('_', "\\_")
}

#[test]
fn a_quoted_word_becomes_code_and_an_apostrophe_stays() {
    assert_eq!(plain("a service may join 'default', or"), "a service may join `default`, or");
    assert_eq!(plain("'a' and '-'"), "`a` and `-`");
    assert_eq!(plain("the service's own, '*.' before it"), "the service's own, `*.` before it");
    assert_eq!(plain("of the service's ports"), "of the service's ports");
    assert_eq!(anchor("`spec.services.NAME`"), "specservicesname");
    assert_eq!(anchor("C1201: A port on the loopback address"), "c1201-a-port-on-the-loopback-address");
}
