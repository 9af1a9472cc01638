//! What became of every key of a project, for programs and for people.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::lines::Lines;
use crate::compose::Loaded;
use crate::compose::account::{Key, Stands};
use crate::compose::mapping::Mapped;
use crate::compose::mapping::says::{Class, Finding, Outcome};
use crate::compose::node::At;
use crate::compose::notes::Settled;
use crate::compose::problem::Sources;

/// How many keys there are of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// The stack says the same.
    pub mapped: usize,
    /// Settled at import.
    pub resolved: usize,
    /// No meaning in a cluster.
    pub nothing: usize,
    /// The stack says something like it.
    pub approximated: usize,
    /// Left out.
    pub ignored: usize,
    /// Refused.
    pub refused: usize,
}

impl Score {
    fn add(&mut self, class: Class) {
        *match class {
            Class::Mapped => &mut self.mapped,
            Class::Resolved => &mut self.resolved,
            Class::Nothing => &mut self.nothing,
            Class::Approximated => &mut self.approximated,
            Class::Ignored => &mut self.ignored,
            Class::Refused => &mut self.refused,
        } += 1;
    }

    /// All keys.
    pub fn keys(self) -> usize {
        self.mapped + self.resolved + self.nothing + self.approximated + self.ignored + self.refused
    }
}

/// What became of one key.
struct Row<'a> {
    key: &'a Key,
    class: Class,
    outcome: Option<&'a Outcome>,
    how: &'static str,
}

fn rows(mapped: &Mapped) -> impl Iterator<Item = Row<'_>> {
    mapped.account.keys().iter().map(|key| {
        if let Stands::Settled(how) = key.stands {
            return Row { key, class: Class::Resolved, outcome: None, how: words(how) };
        }
        let outcome = mapped.account.said(key).iter().max_by_key(|outcome| outcome.class).map(AsRef::as_ref);
        Row { key, class: outcome.map_or(Class::Refused, |outcome| outcome.class), outcome, how: "" }
    })
}

fn words(how: Settled) -> &'static str {
    match how {
        Settled::Overridden(_) => "a later file or line says otherwise",
        Settled::Reset(_) => "!reset takes it away",
        Settled::TookAway => "it takes away what earlier files say",
        Settled::Same(_) => "it stands elsewhere as well",
        Settled::Followed => "what it names is in the project",
        Settled::Nothing => "it says nothing",
        Settled::Unused => "it belongs to a service that nobody extends",
    }
}

/// How many keys there are of each class.
pub fn score(mapped: &Mapped) -> Score {
    let mut score = Score::default();
    rows(mapped).for_each(|row| score.add(row.class));
    score
}

/// The report for programs: every key with its place, class, code, and what became of it.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    stack: Option<&'a str>,
    services: usize,
    score: Scores,
    findings: Vec<Found<'a>>,
    carry: Vec<Carried<'a>>,
    keys: Vec<Told<'a>>,
}

#[derive(Debug, Serialize)]
struct Scores {
    keys: usize,
    #[serde(flatten)]
    of: Score,
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    class: &'static str,
    code: &'static str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
}

#[derive(Debug, Serialize)]
struct Carried<'a> {
    from: &'a str,
    volume: &'a str,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    path: &'a str,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    to: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
}

/// Makes the report for programs.
pub fn report<'a>(mapped: &'a Mapped, loaded: &'a Loaded) -> Report<'a> {
    let places = Places::of(loaded);
    let told = |row: Row<'a>| {
        let place = places.line_column(row.key.at);
        let (code, to, message, help) = match row.outcome {
            Some(said) => (said.code.0, said.to.as_str(), said.message.as_str(), said.help.as_str()),
            None => ("", "", row.how, ""),
        };
        Told {
            path: &row.key.path,
            class: name(row.class),
            file: place.map(|(file, ..)| file),
            line: place.map(|(_, line, _)| line),
            column: place.map(|(.., column)| column),
            code,
            to,
            message,
            help,
        }
    };
    let found = |finding: &'a Finding| Found {
        class: name(finding.outcome.class),
        code: finding.outcome.code.0,
        at: places.at(finding),
        service: finding.service.as_deref(),
        message: &finding.outcome.message,
        help: &finding.outcome.help,
    };
    let of = score(mapped);
    Report {
        stack: mapped.stack.metadata.name.as_deref(),
        services: mapped.stack.spec.services.len(),
        score: Scores { keys: of.keys(), of },
        findings: mapped.findings.iter().map(found).collect(),
        carry: mapped.carries.iter().map(|carry| Carried { from: &carry.from, volume: &carry.volume }).collect(),
        keys: rows(mapped).map(told).collect(),
    }
}

/// About how long a key of the report is: the text of thousands is not to be moved time and again as it grows.
const KEY_BYTES: usize = 256;

/// The report for programs as the text of a file: a line for each key and each finding.
///
/// # Errors
/// If it cannot be written as JSON, which nothing in it prevents.
pub fn json(mapped: &Mapped, loaded: &Loaded) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(mapped.account.keys().len() * KEY_BYTES);
    report(mapped, loaded).serialize(&mut serde_json::Serializer::with_formatter(&mut text, Lines::default()))?;
    text.push(b'\n');
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// A class in a word.
pub fn name(class: Class) -> &'static str {
    match class {
        Class::Mapped => "mapped",
        Class::Resolved => "resolved",
        Class::Nothing => "nothing",
        Class::Approximated => "approximated",
        Class::Ignored => "ignored",
        Class::Refused => "refused",
    }
}

/// Places with the paths of their files as seen from the project's folder.
pub(super) struct Places<'a> {
    sources: &'a Sources,
    /// The paths, by the number of the file.
    files: Vec<&'a str>,
}

impl<'a> Places<'a> {
    pub(super) fn of(loaded: &'a Loaded) -> Places<'a> {
        let folder = loaded.project.as_ref().map(|project| project.folder.as_path());
        let short = |file: &'a str| folder.and_then(|folder| Path::new(file).strip_prefix(folder).ok()?.to_str());
        let files = loaded.sources.iter().map(|source| short(&source.name).unwrap_or(&source.name)).collect();
        Places { sources: &loaded.sources, files }
    }

    /// The file of a place; none of what no file says.
    pub(super) fn file(&self, at: At) -> Option<&'a str> {
        self.files.get(usize::try_from(at.file).ok()?).copied()
    }

    fn line_column(&self, at: At) -> Option<(&'a str, usize, usize)> {
        let (_, line, column) = self.sources.line_column(at)?;
        Some((self.file(at)?, line, column))
    }

    /// `compose.yaml:3:5`.
    fn at(&self, finding: &Finding) -> String {
        match self.line_column(finding.at) {
            Some((file, line, column)) => format!("{file}:{line}:{column}"),
            None => finding.service.clone().unwrap_or_default(),
        }
    }
}

/// `compose.yaml:3:5`.
pub fn at(finding: &Finding, loaded: &Loaded) -> String {
    Places::of(loaded).at(finding)
}

/// The report for people: what is refused, left out and different, then every key in a table.
pub fn text(mapped: &Mapped, loaded: &Loaded) -> String {
    let stack = mapped.stack.metadata.name.as_deref().unwrap_or_default();
    let places = Places::of(loaded);
    let mut text = format!("# {stack}: what became of its Compose files\n\n{}\n", line(score(mapped)));
    for (class, title) in [
        (Class::Refused, "Refused: its service is not written"),
        (Class::Ignored, "Left out"),
        (Class::Approximated, "Different"),
    ] {
        let mut found = mapped.findings.iter().filter(|finding| finding.outcome.class == class).peekable();
        if found.peek().is_none() {
            continue;
        }
        let _ = write!(text, "\n## {title}\n\n");
        for finding in found {
            let said = &finding.outcome;
            let service = finding.service.as_ref().map(|service| format!(" `{service}`")).unwrap_or_default();
            let help = if said.help.is_empty() { String::new() } else { format!(" — {}", said.help) };
            let _ = writeln!(text, "- {} {}{service}: {}{help}", said.code.0, places.at(finding), said.message);
        }
    }
    if !mapped.carries.is_empty() {
        text += "\n## Data to carry in\n\n";
        for carry in &mapped.carries {
            let _ = writeln!(text, "    appstack cp {} {stack}/{}", carry.from, carry.volume);
        }
    }
    text += "\n## Every key\n\n| key | class | becomes |\n|---|---|---|\n";
    for row in rows(mapped) {
        let to = row.outcome.map_or(row.how, |said| if said.to.is_empty() { &said.message } else { &said.to });
        text.extend(["| `", &*row.key.path, "` | ", name(row.class), " | "]);
        for (number, part) in to.split('|').enumerate() {
            text.extend([if number > 0 { "\\|" } else { "" }, part]);
        }
        text.push_str(" |\n");
    }
    text
}

/// The score in a line.
pub fn line(score: Score) -> String {
    format!(
        "{} keys: {} mapped, {} settled here, {} without meaning on a cluster, {} different, {} left out, {} refused",
        score.keys(),
        score.mapped,
        score.resolved,
        score.nothing,
        score.approximated,
        score.ignored,
        score.refused
    )
}
