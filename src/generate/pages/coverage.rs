//! `docs/compose-coverage.md`: what becomes of every key of Compose. Which keys have which fate is the table of the mapping; what is said of a key in some cases is what
//! the mapping says of the examples in docs/problems.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{anchor, cell, hold, hold_part};
use crate::cli::import::outcomes;
use crate::compose::code::{BOOKS, pages};
use crate::compose::mapping::says::Class;
use crate::compose::mapping::table::{Fate, ROWS};

const HEAD: &str = "\
# What becomes of each key of Compose

<!-- From the table of the mapping; change src/compose/mapping/table.rs and run `make generate`. -->

`appstack import` has an answer for every key, and its report has one for every line of your files. A key that Compose does not have is refused with its line; `x-` keys other than `x-appstack` are passed over.

- **mapped**: the stack has a field that says the same. Codes behind it are for values that become something else, are left out or refused; each leads to its page, which `appstack explain CODE` shows too
- **settled**: read, filled in or put together at import, so that nothing is left to say
- **no meaning**: on a cluster it would say nothing; nobody misses it
- **left out**: nothing in Kubernetes does it; the report says so
- **refused**: it cannot be, or must not go in silence. The service is not written, and the exit code is 1, unless `--allow CODE` goes on without the key

";

/// Sections: title, and how the rows in it begin.
const SECTIONS: [(&str, &[&str]); 5] = [
    ("The project", &["name", "x-appstack"]),
    ("Services", &["services.*."]),
    ("Networks", &["networks.*"]),
    ("Volumes", &["volumes.*"]),
    ("Configs, secrets and models", &["configs.*", "secrets.*", "models.*"]),
];

/// Columns of the table of counts.
const COUNTED: [&str; 6] = ["mapped", "mapped, but for some values", "settled", "no meaning", "left out", "refused"];

/// What is said of a key in some cases: class and code, by row.
type Cases = BTreeMap<&'static str, BTreeSet<(Class, &'static str)>>;

/// The steps of a path such as `services.web.ports[0]`, as rows have them.
fn steps(path: &str) -> Vec<&str> {
    path.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect()
}

/// The longest row that is the key or above it.
fn row(path: &str) -> Option<&'static str> {
    let path = steps(path);
    let fits = |row: &str| {
        let row: Vec<&str> = row.split('.').collect();
        row.len() <= path.len() && row.iter().zip(&path).all(|(step, at)| *step == "*" || step == at)
    };
    ROWS.iter().map(|(row, _)| *row).filter(|row| fits(row)).max_by_key(|row| row.split('.').count())
}

fn cases() -> Cases {
    let mut cases = Cases::new();
    for page in pages() {
        for (path, class, code) in outcomes(&page).into_iter().filter(|(_, class, _)| *class >= Class::Approximated) {
            if let Some(row) = row(&path) {
                cases.entry(row).or_default().insert((class, code));
            }
        }
    }
    cases
}

/// A link to the page of a code.
fn link(code: &str) -> String {
    let files =
        ["loading", "project", "images", "networks", "storage", "resources", "lifecycle", "security", "credentials"];
    let file = BOOKS.iter().zip(files).find(|((codes, _), _)| codes.iter().any(|known| known.0 == code)).unwrap().1;
    let page = pages().find(|page| page.code == code).unwrap();
    format!("[{code}](problems/{file}.md#{})", anchor(&format!("{code}: {}", page.title)))
}

const fn word(class: Class) -> &'static str {
    match class {
        Class::Approximated => "different",
        Class::Ignored => "left out",
        Class::Refused => "refused",
        Class::Mapped | Class::Resolved | Class::Nothing => "",
    }
}

/// `different: C1, C2; refused: C3`.
fn in_cases(cases: Option<&BTreeSet<(Class, &'static str)>>) -> String {
    let mut by_class: BTreeMap<Class, Vec<String>> = BTreeMap::new();
    for (class, code) in cases.into_iter().flatten() {
        by_class.entry(*class).or_default().push(link(code));
    }
    by_class
        .iter()
        .map(|(class, codes)| format!("{}: {}", word(*class), codes.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}

/// What is said of a key: the class, and the rest.
fn said(fate: Fate, cases: Option<&BTreeSet<(Class, &'static str)>>) -> (&'static str, String) {
    let with = |code: &str, why: &str, help: &str| {
        let help = if help.is_empty() { String::new() } else { format!("; {help}") };
        format!("{why}{help} {}", link(code))
    };
    match fate {
        Fate::To(to) => {
            let fields: Vec<String> = to.split(", ").map(field).filter(|field| field != "``").collect();
            let some = in_cases(cases);
            let joint = if some.is_empty() || fields.is_empty() { "" } else { ". In some cases " };
            ("mapped", format!("{}{joint}{some}", fields.join(", ")))
        }
        Fate::Settled(how) => ("settled", how.to_owned()),
        Fate::Nothing(why) => ("no meaning", why.to_owned()),
        Fate::Ignored(code, why, help) => ("left out", with(code.0, why, help)),
        Fate::Refused(code, why, help) => ("refused", with(code.0, why, help)),
    }
}

/// A field of the stack as code, and words about it as they are.
fn field(to: &str) -> String {
    match to.split_once(' ') {
        Some(_) => to.to_owned(),
        None => format!("`{to}`"),
    }
}

fn rows_of(starts: &[&str]) -> impl Iterator<Item = &'static (&'static str, Fate)> {
    ROWS.iter().filter(move |(row, _)| starts.iter().any(|start| row.starts_with(start)))
}

/// A key as it is called in its section: names that people choose are `NAME`.
fn shown(row: &str) -> String {
    let path =
        ["services.*.", "networks.*.", "volumes.*."].iter().find_map(|start| row.strip_prefix(start)).unwrap_or(row);
    let path = path.replace(".*", ".NAME");
    format!("`{path}`")
}

fn page(cases: &Cases) -> String {
    let mut text = HEAD.to_owned();
    for (title, starts) in SECTIONS {
        write!(text, "## {title}\n\n| key | | what becomes of it |\n|---|---|---|\n").unwrap();
        for (row, fate) in rows_of(starts) {
            let (class, rest) = said(*fate, cases.get(row));
            writeln!(text, "| {} | {class} | {} |", shown(row), cell(&rest)).unwrap();
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// How many keys of each section have which fate.
fn counts(cases: &Cases) -> Vec<(&'static str, [usize; 6])> {
    let of = |starts: &[&str]| {
        let mut counts = [0; 6];
        for (row, fate) in rows_of(starts) {
            counts[match fate {
                Fate::To(_) if !cases.contains_key(row) => 0,
                Fate::To(_) => 1,
                Fate::Settled(_) => 2,
                Fate::Nothing(_) => 3,
                Fate::Ignored(..) => 4,
                Fate::Refused(..) => 5,
            }] += 1;
        }
        counts
    };
    SECTIONS.iter().map(|(title, starts)| (*title, of(starts))).collect()
}

fn table(cases: &Cases) -> String {
    let mut text = format!("| keys of | {} |\n|---{}|\n", COUNTED.join(" | "), "|--:".repeat(COUNTED.len()));
    let line = |title: &str, counts: &[usize]| {
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        format!("| {title} | {} |\n", counts.join(" | "))
    };
    let all = counts(cases);
    for (title, counts) in &all {
        text.push_str(&line(&title.to_lowercase(), counts));
    }
    let sums: Vec<usize> =
        (0..COUNTED.len()).map(|column| all.iter().map(|(_, counts)| counts[column]).sum()).collect();
    text + &line("**all**", &sums)
}

#[test]
fn the_page_of_coverage_is_what_the_mapping_does() {
    let cases = cases();
    hold("docs/compose-coverage.md", &page(&cases));
    hold_part("README.md", "coverage", &table(&cases));
}

#[test]
fn every_row_of_the_mapping_is_on_the_page_once() {
    let counted: usize = counts(&Cases::new()).iter().flat_map(|(_, counts)| counts).sum();
    assert_eq!(counted, ROWS.len());
    assert_eq!(row("services.web.ports[0]"), Some("services.*.ports"));
    assert_eq!(row("services.web.networks.front.ipv4_address"), Some("services.*.networks.*.ipv4_address"));
    assert_eq!(row("volumes.data"), Some("volumes.*"));
}

#[test]
fn links_of_the_page_lead_to_headings() {
    for page in pages() {
        let link = link(page.code);
        let file = link.split(['(', '#']).nth(1).unwrap();
        let text = std::fs::read_to_string(super::path(&format!("docs/{file}"))).unwrap();
        assert!(text.contains(&format!("## {}: {}\n", page.code, page.title)), "{link}");
    }
}

#[test]
fn what_is_said_in_some_cases_is_found_by_the_examples() {
    let cases = cases();
    let has = |row: &str, class, code| cases.get(row).is_some_and(|cases| cases.contains(&(class, code)));
    assert!(has("services.*.ports", Class::Approximated, "C1201"), "{cases:?}");
    assert!(cases.len() > 30, "{}", cases.len());
}
