//! What is wrong with a project, where, and what to write instead.

use super::node::{At, FileId};

/// What kind of problem it is: a stable word, for `--allow` and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

/// The codes: 01 files and YAML, 02 variables, 03 structure, 04 files put together, 05 values, 06 consistency, 07 what only `up` refuses.
pub mod code {
    use super::Code;

    /// A file is not there or cannot be read.
    pub const UNREADABLE: Code = Code("C0101");
    /// A file, or all of them, is larger than the loader reads.
    pub const TOO_LARGE: Code = Code("C0102");
    /// Bytes that are no UTF-8.
    pub const NOT_UTF8: Code = Code("C0103");
    /// Not YAML.
    pub const SYNTAX: Code = Code("C0104");
    /// A key stands twice in one map.
    pub const DUPLICATE_KEY: Code = Code("C0105");
    /// Nested too deep, or too much once its aliases are expanded.
    pub const TOO_MUCH: Code = Code("C0106");
    /// A key that is no text.
    pub const KEY: Code = Code("C0107");
    /// A document that is no map.
    pub const NOT_A_MAP: Code = Code("C0108");
    /// Nothing in it.
    pub const EMPTY: Code = Code("C0109");
    /// A file outside the project folder that nobody named on the command line.
    pub const OUTSIDE: Code = Code("C0110");
    /// A file on the network.
    pub const REMOTE: Code = Code("C0111");
    /// No Compose file was found.
    pub const NO_FILE: Code = Code("C0112");
    /// The project has no name, or a wrong one.
    pub const PROJECT_NAME: Code = Code("C0113");

    /// `${` and no variable.
    pub const TEMPLATE: Code = Code("C0201");
    /// `${NAME:?}` without a value.
    pub const VARIABLE_REQUIRED: Code = Code("C0202");
    /// A variable that is not set and has no default (warning).
    pub const VARIABLE_UNSET: Code = Code("C0203");
    /// A line of an env file.
    pub const ENV_FILE: Code = Code("C0204");
    /// `format` of an env file.
    pub const ENV_FORMAT: Code = Code("C0205");

    /// A key that Compose does not have.
    pub const UNKNOWN_KEY: Code = Code("C0301");
    /// A value of another type.
    pub const TYPE: Code = Code("C0302");
    /// A key that must be there.
    pub const MISSING: Code = Code("C0303");
    /// A word that is none of those allowed.
    pub const WORD: Code = Code("C0304");
    /// A text of another form.
    pub const FORM: Code = Code("C0305");
    /// An item that stands in the list twice.
    pub const TWICE: Code = Code("C0306");
    /// A number out of bounds.
    pub const BOUNDS: Code = Code("C0307");
    /// `version` (warning).
    pub const VERSION: Code = Code("C0308");

    /// A value that cannot be merged onto an earlier one.
    pub const MERGE: Code = Code("C0401");
    /// `extends` of a service that is not there.
    pub const EXTENDS: Code = Code("C0402");
    /// `extends` in a circle.
    pub const EXTENDS_CYCLE: Code = Code("C0403");
    /// `include` in a circle.
    pub const INCLUDE_CYCLE: Code = Code("C0404");

    /// A port.
    pub const PORT: Code = Code("C0501");
    /// A mount.
    pub const MOUNT: Code = Code("C0502");
    /// A device.
    pub const DEVICE: Code = Code("C0503");
    /// A duration.
    pub const DURATION: Code = Code("C0504");
    /// An amount of memory.
    pub const BYTES: Code = Code("C0505");
    /// A command line whose quotes or parentheses do not fit.
    pub const COMMAND: Code = Code("C0506");
    /// A command line that ends at an operator of the shell.
    pub const COMMAND_CUT: Code = Code("C0507");
    /// A number.
    pub const NUMBER: Code = Code("C0508");
    /// A truth value.
    pub const BOOLEAN: Code = Code("C0509");
    /// `yes`, `no`, `on`, `off` for a truth value (warning).
    pub const OLD_BOOLEAN: Code = Code("C0510");
    /// An entry of `extra_hosts`.
    pub const HOST: Code = Code("C0511");
    /// `name=value`.
    pub const PAIR: Code = Code("C0512");
    /// A float or date where a text is meant, printed otherwise than written (warning).
    pub const RESPELT: Code = Code("C0513");

    /// Neither `image` nor `build` nor `provider`.
    pub const NO_IMAGE: Code = Code("C0601");
    /// Two keys that exclude each other.
    pub const EXCLUSIVE: Code = Code("C0602");
    /// A name that nothing has.
    pub const UNDEFINED: Code = Code("C0603");
    /// Two keys that must say the same.
    pub const DISAGREE: Code = Code("C0604");
    /// One target mounted twice.
    pub const MOUNTED_TWICE: Code = Code("C0605");
    /// A config or secret without a source.
    pub const NO_SOURCE: Code = Code("C0606");
    /// Services that wait for each other.
    pub const CYCLE: Code = Code("C0607");
    /// `container_name` on more than one container.
    pub const CONTAINER_NAME: Code = Code("C0608");
    /// A service that is off by its profiles and needed by one that is on.
    pub const OFF: Code = Code("C0609");

    /// `start_interval` without `start_period`.
    pub const START_INTERVAL: Code = Code("C0701");
    /// `service_healthy` on a service without a health check.
    pub const NO_HEALTH_CHECK: Code = Code("C0702");
    /// One host port twice.
    pub const HOST_PORT: Code = Code("C0703");
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Compose refuses it.
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
}

impl Sources {
    /// Adds a Compose file.
    pub fn add(&mut self, name: String, text: String) -> FileId {
        self.push(Source { name, text, is_compose: true })
    }

    /// Adds a file that a Compose file names.
    pub fn add_data(&mut self, name: String, text: String) -> FileId {
        self.push(Source { name, text, is_compose: false })
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
        let mut end = usize::try_from(at.start).unwrap_or(usize::MAX).min(source.text.len());
        while !source.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = source.text.get(..end).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((&source.name, before.matches('\n').count() + 1, column))
    }
}
