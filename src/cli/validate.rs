//! `appstack validate FILE...`: what the API server and the operator would say, without either.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::document::{self, Sort};
use super::findings::{self, Colour, Finding, Severity, escaped};
use super::source::{LARGEST_FILE, Source};
use crate::api::{AppStack, PodSecurity};

/// Check AppStack files offline: the schema and rules of the CRD, and every reference between services.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// YAML files; `-` reads standard input. Documents of other kinds are skipped.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Let warnings fail too.
    #[arg(long)]
    pub strict: bool,
    /// The highest Pod Security level that the operator grants: `Restricted`, `Baseline` or `Privileged`.
    #[arg(long, value_name = "LEVEL", default_value = "Baseline", value_parser = level)]
    pub max_pod_security: PodSecurity,
    /// How findings are shown.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// When to colour.
    #[arg(long, value_enum, default_value_t)]
    pub color: Colour,
}

/// How findings are shown.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// With an excerpt of the file each.
    #[default]
    Text,
    /// A list of objects with file, line, column, field, message and severity.
    Json,
}

/// A file and everything that was found in it.
#[derive(Debug)]
pub struct Checked {
    /// The file.
    pub source: Source,
    /// By place.
    pub findings: Vec<Finding>,
    /// Stacks with nothing wrong.
    pub stacks: Vec<AppStack>,
    /// How many documents are AppStacks, right or wrong.
    pub candidates: usize,
    /// What was not looked at, for people.
    pub notes: Vec<String>,
}

impl Checked {
    /// Whether anything in it would be refused.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Exit code of a "no".
const FINDINGS: u8 = 1;
/// Exit code where there is no answer: unreadable input or wrong usage.
const UNREADABLE: u8 = 2;

/// Runs the command. 0: valid; 1: not; 2: a file cannot be read, or none holds an AppStack.
pub fn run(args: &Args) -> ExitCode {
    let mut checked = Vec::new();
    let mut unreadable = false;
    for (file, outcome) in validate(&args.files, args.max_pod_security) {
        match outcome {
            Ok(file) => checked.push(file),
            Err(error) => {
                unreadable = true;
                eprintln!("error: {}: {error}", escaped(&file.to_string_lossy()));
            }
        }
    }
    checked.iter().flat_map(|file| &file.notes).for_each(|note| eprintln!("note: {note}"));
    let text = match args.output {
        Output::Json => {
            let files: Vec<_> = checked.iter().map(|file| (&file.source, file.findings.as_slice())).collect();
            findings::json(&files) + "\n"
        }
        Output::Text => {
            let pen = args.color.pen(&io::stdout());
            checked.iter().map(|file| findings::text(&file.source, &file.findings, file.candidates, pen)).collect()
        }
    };
    if io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::from(UNREADABLE);
    }
    let failed = |finding: &Finding| args.strict || finding.severity == Severity::Error;
    if unreadable {
        ExitCode::from(UNREADABLE)
    } else if checked.iter().flat_map(|file| &file.findings).any(failed) {
        ExitCode::from(FINDINGS)
    } else if checked.iter().all(|file| file.candidates == 0) {
        eprintln!("error: there is no AppStack to validate");
        ExitCode::from(UNREADABLE)
    } else {
        ExitCode::SUCCESS
    }
}

/// Each file with what was found in it, or why it cannot be read.
pub fn validate(files: &[PathBuf], max_pod_security: PodSecurity) -> Vec<(PathBuf, io::Result<Checked>)> {
    files.iter().map(|file| (file.clone(), read(file).map(|source| check(source, max_pod_security)))).collect()
}

/// Everything that is wrong with a file, or doubtful.
pub fn check(source: Source, max_pod_security: PodSecurity) -> Checked {
    let mut checked = Checked { findings: Vec::new(), stacks: Vec::new(), candidates: 0, notes: Vec::new(), source };
    for flaw in &checked.source.flaws {
        let (message, at, other) = (flaw.message.clone(), flaw.at.clone(), flaw.other.clone());
        checked.findings.push(Finding { severity: Severity::Error, field: String::new(), message, at, other });
    }
    for document in &checked.source.documents {
        if let Sort::Other(what) = document::sort(&document.value()) {
            let (line, _) = checked.source.line_column(document.place(&[]).start);
            checked.notes.push(escaped(&format!("{}:{line}: skipped, no AppStack: {what}", checked.source.name)));
            continue;
        }
        let (stack, findings) = document::check(document, None, max_pod_security);
        checked.candidates += 1;
        checked.stacks.extend(stack);
        checked.findings.extend(findings);
    }
    checked.findings.sort_by_key(|finding| finding.at.start);
    checked
}

/// What is wrong with changing `old` into the only document of `new`: the rules over both, beside everything else.
pub fn check_update(old: &Value, new: &Source, max_pod_security: PodSecurity) -> Vec<Finding> {
    new.documents.iter().flat_map(|document| document::check(document, Some(old), max_pod_security).1).collect()
}

/// Why there is no stack to go on with.
#[derive(Debug)]
pub enum NotLoaded {
    /// The file cannot be read, or holds no stack or several.
    Unreadable(String),
    /// It has errors.
    Invalid(Box<Checked>),
}

impl NotLoaded {
    /// Says it on stderr; the exit code is that of `validate`.
    pub fn report(&self) -> ExitCode {
        match self {
            NotLoaded::Unreadable(why) => {
                eprintln!("error: {why}");
                ExitCode::from(UNREADABLE)
            }
            NotLoaded::Invalid(checked) => {
                let pen = Colour::Auto.pen(&io::stderr());
                eprint!("{}", findings::text(&checked.source, &checked.findings, checked.candidates, pen));
                ExitCode::from(FINDINGS)
            }
        }
    }
}

/// The one stack of a file (`-`: standard input), validated; warnings do not stop it.
pub fn load_stack(path: &Path, max_pod_security: PodSecurity) -> Result<AppStack, NotLoaded> {
    let name = escaped(&path.to_string_lossy());
    let source = read(path).map_err(|error| NotLoaded::Unreadable(format!("{name}: {error}")))?;
    let mut checked = check(source, max_pod_security);
    if checked.has_errors() {
        return Err(NotLoaded::Invalid(Box::new(checked)));
    }
    match (checked.stacks.pop(), checked.stacks.is_empty()) {
        (Some(stack), true) => Ok(stack),
        (None, _) => Err(NotLoaded::Unreadable(format!("{name}: there is no AppStack in it"))),
        (Some(_), false) => Err(NotLoaded::Unreadable(format!("{name}: there is more than one AppStack in it"))),
    }
}

/// A byte more than a source may have: a device or a pipe may be endless.
const MOST_READ: u64 = LARGEST_FILE as u64 + 1;

fn read(path: &Path) -> io::Result<Source> {
    let mut bytes = Vec::new();
    let name = if path == Path::new("-") {
        io::stdin().lock().take(MOST_READ).read_to_end(&mut bytes)?;
        "standard input".into()
    } else {
        std::fs::File::open(path)?.take(MOST_READ).read_to_end(&mut bytes)?;
        path.to_string_lossy()
    };
    Ok(Source::parse(&name, bytes))
}

/// A Pod Security level, as flags spell it.
pub(super) fn level(word: &str) -> Result<PodSecurity, String> {
    serde_json::from_value(Value::String(word.to_owned()))
        .map_err(|_| "must be Restricted, Baseline or Privileged".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused_and_not_read_to_its_end() {
        let checked = validate(&[PathBuf::from("/dev/zero")], PodSecurity::Baseline).remove(0).1.unwrap();
        assert_eq!(checked.findings[0].message, "is larger than 32 MiB");
    }
}
