//! What is wrong with a project, where, and what to write instead.

pub use super::code::{self, Code};
use super::node::{At, FileId};
use crate::yaml::Lines;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is refused.
    Error,
    /// Legal, and maybe not meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// Where it is written; [`At::NOWHERE`] where it is about a file that is not there.
    pub at: At,
    /// Where its other half is: the first of two keys.
    pub other: Option<At>,
    /// The YAML path, as `services.web.ports[0]`; empty where it is about a file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    /// An error without a path yet.
    pub fn error(code: Code, at: At, message: impl Into<String>) -> Problem {
        let (message, severity) = (message.into(), Severity::Error);
        Problem { code, severity, at, other: None, path: String::new(), message, help: String::new() }
    }

    /// A warning without a path yet.
    pub fn warning(code: Code, at: At, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(code, at, message) }
    }

    /// The same, at a path.
    #[must_use]
    pub fn on(mut self, path: impl std::fmt::Display) -> Problem {
        self.path = path.to_string();
        self
    }

    /// The same, with what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = help.into();
        self
    }

    /// The same, with the place of its other half.
    #[must_use]
    pub fn and(mut self, other: At) -> Problem {
        self.other = Some(other).filter(|at| at.is_written());
        self
    }
}

/// What stops a step of the loader: its problems are in the list already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told;

/// The texts of all files that were read, for excerpts and for line and column.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: String,
    /// Whether it is a Compose file; others are env files and the like.
    pub is_compose: bool,
    lines: Lines,
}

impl Source {
    /// Its lines.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl Sources {
    /// Adds a Compose file.
    pub fn add(&mut self, name: String, text: String) -> FileId {
        self.push(Source { name, text, is_compose: true, lines: Lines::default() })
    }

    /// Adds a file that a Compose file names.
    pub fn add_data(&mut self, name: String, text: String) -> FileId {
        self.push(Source { name, text, is_compose: false, lines: Lines::default() })
    }

    fn push(&mut self, source: Source) -> FileId {
        self.0.push(source);
        FileId::try_from(self.0.len() - 1).unwrap_or(FileId::MAX)
    }

    /// A file by number.
    pub fn get(&self, file: FileId) -> Option<&Source> {
        self.0.get(usize::try_from(file).ok()?)
    }

    /// All files, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// File, line and column (both from 1, columns in characters) of a place.
    pub fn line_column(&self, at: At) -> Option<(&str, usize, usize)> {
        let source = self.get(at.file)?;
        let (line, column) = source.lines.place(&source.text, at.bytes().start);
        Some((&source.name, line, column))
    }
}
