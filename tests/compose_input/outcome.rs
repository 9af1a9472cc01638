//! What becomes of projects that are in memory.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use appstack::cli::drawing::Pen;
use appstack::compose::files::{Files, Kind, Memory};
use appstack::compose::mapping::choices::Choices;
use appstack::compose::mapping::{Mapped, map};
use appstack::compose::problem::{Problem, Severity};
use appstack::compose::{Options, load, up};

/// The files of a project in `/p`, by their names.
type Texts<'t> = [(&'t str, &'t str)];

/// What reads a project, and what of it was read.
struct Watched {
    files: Memory,
    read: RefCell<Vec<PathBuf>>,
}

impl Files for Watched {
    fn kind(&self, path: &Path) -> Option<Kind> {
        self.files.kind(path)
    }

    fn read(&self, path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
        self.read.borrow_mut().push(path.to_owned());
        self.files.read(path, most)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.files.real(path)
    }

    fn list(&self, folder: &Path, most: usize) -> std::io::Result<Vec<String>> {
        self.files.list(folder, most)
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.files.is_executable(path)
    }
}

/// What became of a project.
pub struct Outcome {
    /// Errors, then warnings, as they are drawn on the terminal.
    pub errors: String,
    pub warnings: String,
    /// None if it was refused.
    pub mapped: Option<Mapped>,
    /// The files that were read, links followed.
    pub read: Vec<PathBuf>,
}

pub fn outcome_of(files: Memory, profiles: &[&str]) -> Outcome {
    let watched = Watched { files, read: RefCell::default() };
    let profiles = profiles.iter().map(|profile| (*profile).to_owned()).collect();
    let loaded = load(&watched, &Options { folder: "/p".into(), profiles, ..Options::default() });
    let of_up = loaded.project.as_ref().map(up::check).unwrap_or_default();
    let of = |severity: Severity| -> String {
        let found: Vec<Problem> =
            loaded.problems.iter().chain(&of_up).filter(|it| it.severity == severity).cloned().collect();
        Pen::new(false, 140).problems(&found, &loaded.sources)
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let mapped = map(&loaded, &watched, &Choices::default()).filter(|_| errors.is_empty());
    Outcome { errors, warnings, mapped, read: watched.read.into_inner() }
}

pub fn memory(texts: &Texts<'_>) -> Memory {
    texts.iter().map(|(name, text)| (Path::new("/p").join(name), text.as_bytes().to_vec())).collect()
}

pub fn outcome(texts: &Texts<'_>) -> Outcome {
    outcome_of(memory(texts), &[])
}

/// The project is refused, in words that have these in them.
pub fn refused(texts: &Texts<'_>, words: &[&str]) {
    let Outcome { errors, mapped, .. } = outcome(texts);
    assert!(mapped.is_none(), "{texts:?} is taken");
    let missing: Vec<&&str> = words.iter().filter(|word| !errors.contains(**word)).collect();
    assert!(missing.is_empty(), "{texts:?}: {missing:?} is not in:\n{errors}");
}

/// The same of one file.
pub fn all_refused(cases: &[(&str, &[&str])]) {
    for (text, words) in cases {
        refused(&[("compose.yaml", text)], words);
    }
}

/// The project is taken: the services of its stack, as JSON.
pub fn taken(texts: &Texts<'_>) -> serde_json::Value {
    let Outcome { errors, mapped, .. } = outcome(texts);
    let mapped = mapped.unwrap_or_else(|| panic!("{texts:?} is refused:\n{errors}"));
    serde_json::to_value(&mapped.stack.spec.services).unwrap()
}

pub fn services(text: &str) -> serde_json::Value {
    taken(&[("compose.yaml", text)])
}
