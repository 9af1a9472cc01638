//! The pages of outcomes: each example gives its code, and others only where the page names them; what to write instead gives it no more.

#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Parser as _;

use super::{ImportArgs, invalid};
use crate::compose::account::Key;
use crate::compose::code::tests::{files, halves};
use crate::compose::code::{BOOKS, Page, pages};
use crate::compose::files::Memory;
use crate::compose::mapping::says::Class;
use crate::compose::mapping::{code, map};
use crate::compose::output;
use crate::compose::{Options, load, up};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: ImportArgs,
}

/// The command line of a text, if it has one.
fn command(text: &str) -> Option<ImportArgs> {
    let line = text.split("```sh\n").nth(1)?.lines().next()?;
    let words = line.strip_prefix("appstack ").unwrap().split(' ');
    Some(Line::try_parse_from(words).unwrap().args)
}

/// The codes that are said of the files, and those that are only in the report.
fn said(files: &Memory, args: Option<&ImportArgs>) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let profiles = args.map(|args| args.project.profile.clone()).unwrap_or_default();
    let choices = args.map(|args| args.choices.choices()).unwrap_or_default();
    let loaded = load(files, &Options { folder: PathBuf::from("/p"), profiles, ..Options::default() });
    let mut said: BTreeSet<&str> = loaded.problems.iter().map(|problem| problem.code.0).collect();
    let later = loaded.project.as_ref().map(up::check).unwrap_or_default();
    said.extend(later.iter().map(|problem| problem.code.0).filter(|it| *it != crate::compose::code::NO_HEALTH_CHECK.0));
    let Some(mapped) = map(&loaded, files, &choices) else { return (said, BTreeSet::new()) };
    said.extend(mapped.findings.iter().map(|finding| finding.outcome.code.0));
    let all = mapped.account.keys().iter().flat_map(|key| mapped.account.said(key)).map(|outcome| outcome.code.0);
    let mut all: BTreeSet<&str> = all.collect();
    if !invalid(&mapped, &output::document(&mapped.stack)).is_empty() {
        all.insert(code::INVALID.0);
    }
    (said, all)
}

/// What becomes of the keys of an example: path, class, code.
pub(crate) fn outcomes(page: &Page) -> Vec<(String, Class, &'static str)> {
    let wrong = halves(page).0;
    let (files, args) = (files(wrong), command(wrong));
    let profiles = args.as_ref().map(|args| args.project.profile.clone()).unwrap_or_default();
    let choices = args.map(|args| args.choices.choices()).unwrap_or_default();
    let loaded = load(&files, &Options { folder: PathBuf::from("/p"), profiles, ..Options::default() });
    let Some(mapped) = map(&loaded, &files, &choices) else { return Vec::new() };
    let of = |key: &Key| {
        let said = mapped.account.said(key).iter();
        said.map(|outcome| (key.path.to_string(), outcome.class, outcome.code.0)).collect::<Vec<_>>()
    };
    mapped.account.keys().iter().flat_map(of).collect()
}

fn check(page: &Page) {
    let named: BTreeSet<&str> = pages().map(|other| other.code).filter(|code| page.text.contains(code)).collect();
    let (wrong, right) = halves(page);
    let (mut written, args) = (files(wrong), command(wrong));
    if written.is_empty() {
        assert_eq!(page.code, code::LOST.0, "a page has an example");
        return;
    }
    let (found, all) = said(&written, args.as_ref());
    assert!(found.contains(page.code) || all.contains(page.code), "{}: {found:?}", page.code);
    let others: Vec<_> = found.iter().filter(|code| **code != page.code && !named.contains(*code)).collect();
    assert_eq!(others, Vec::<&&str>::new(), "{}: the page does not name them", page.code);
    let (instead, args) = (files(right), command(right).or(args));
    if instead.is_empty() && command(right).is_none() {
        return;
    }
    written.extend(instead);
    let (found, all) = said(&written, args.as_ref());
    assert!(!found.contains(page.code) && !all.contains(page.code), "{}: {found:?}", page.code);
    let others: Vec<_> = found.iter().filter(|code| !named.contains(*code)).collect();
    assert_eq!(others, Vec::<&&str>::new(), "{}: what to write instead", page.code);
}

#[test]
fn examples_give_their_code_and_what_to_write_instead_does_not() {
    let outcomes: BTreeSet<&str> =
        BOOKS.iter().skip(1).flat_map(|(codes, _)| codes.iter().map(|code| code.0)).collect();
    assert!(outcomes.len() > 90, "{}", outcomes.len());
    pages().filter(|page| outcomes.contains(page.code)).for_each(|page| check(&page));
}
