//! Reading files, within bounds: nothing outside the folders that the user named, no more than fits.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use super::node::At;
use super::problem::{Problem, code};

/// Of one file. A Compose file of 1,000 services has about 1 MB.
pub const LARGEST_FILE: u64 = 16 << 20;
/// Of all files of a project together.
const LARGEST_PROJECT: u64 = 64 << 20;
/// Bytes of a path: no system opens a longer one, so there is nothing at it, and no link to follow.
const LONGEST_PATH: usize = 4096;
/// How many.
const MOST_FILES: usize = 2_000;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// Something that is not read: a device, a pipe, a socket.
    Other,
}

/// Where files come from: the disk, or a map in tests.
pub trait Files {
    /// What is at a path, links followed; none if nothing is, or if it cannot be looked at.
    fn kind(&self, path: &Path) -> Option<Kind>;
    /// The first `most` bytes of a file.
    fn read(&self, path: &Path, most: u64) -> std::io::Result<Vec<u8>>;
    /// The path with links followed, if there is something at it.
    fn real(&self, path: &Path) -> Option<PathBuf>;
    /// The names of what is in a folder, sorted; of more than `most` only so many.
    fn list(&self, folder: &Path, most: usize) -> std::io::Result<Vec<String>>;
    /// Whether its owner may run a file.
    fn is_executable(&self, path: &Path) -> bool;
}

/// The files of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<Kind> {
        let found = std::fs::metadata(path).ok()?;
        Some(match found.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            _ => Kind::Other,
        })
    }

    fn read(&self, path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        std::fs::canonicalize(path).ok()
    }

    fn list(&self, folder: &Path, most: usize) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)?.take(most) {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn is_executable(&self, path: &Path) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o100 != 0)
    }
}

/// Files by absolute path, for tests.
pub type Memory = BTreeMap<PathBuf, Vec<u8>>;

impl Files for Memory {
    fn kind(&self, path: &Path) -> Option<Kind> {
        if self.contains_key(path) {
            return Some(Kind::File);
        }
        self.keys().any(|file| file.starts_with(path)).then_some(Kind::Folder)
    }

    fn read(&self, path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
        let file = self.get(path).ok_or(std::io::ErrorKind::NotFound)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(file.len());
        Ok(file.get(..most).unwrap_or_default().to_vec())
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.kind(path).map(|_| path.to_owned())
    }

    fn list(&self, folder: &Path, most: usize) -> std::io::Result<Vec<String>> {
        let below = self.keys().filter_map(|file| file.strip_prefix(folder).ok()?.components().next());
        let mut names: Vec<String> = below.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
        names.dedup();
        names.truncate(most);
        Ok(names)
    }

    /// In memory, what a file begins with tells.
    fn is_executable(&self, path: &Path) -> bool {
        self.get(path).is_some_and(|text| text.starts_with(b"#!"))
    }
}

/// Reads the files of one project.
pub struct Reader<'a> {
    files: &'a dyn Files,
    /// Folders whose files may be read, links followed.
    roots: Vec<PathBuf>,
    read: u64,
    count: usize,
}

impl<'a> Reader<'a> {
    /// A reader that may read nothing yet.
    pub fn new(files: &'a dyn Files) -> Self {
        Reader::within(files, Vec::new())
    }

    /// A reader of these folders and files, which are [`Reader::roots`] of another.
    pub fn within(files: &'a dyn Files, roots: Vec<PathBuf>) -> Self {
        Reader { files, roots, read: 0, count: 0 }
    }

    /// The folders and files that may be read, links followed.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// A path with links followed, if it may be read. What is read is what was looked at, even if a link is put elsewhere meanwhile.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let real = self.real(&clean(path));
        self.roots.iter().any(|root| real.starts_with(root)).then_some(real)
    }

    /// A path with the links of what there is of it followed.
    fn real(&self, path: &Path) -> PathBuf {
        let near = Some(path).filter(|path| path.as_os_str().len() <= LONGEST_PATH);
        for above in near.into_iter().flat_map(Path::ancestors) {
            if let (Some(real), Ok(rest)) = (self.files.real(above), path.strip_prefix(above)) {
                return if above == path { real } else { real.join(rest) };
            }
        }
        path.to_owned()
    }

    /// The names of what is in a folder, at most so many; none if it may not be read or there are more.
    pub fn list(&self, folder: &Path, most: usize) -> Option<Vec<String>> {
        self.files.list(&self.inside(folder)?, most + 1).ok().filter(|names| names.len() <= most)
    }

    /// Whether a file that may be read is a program.
    pub fn is_executable(&self, path: &Path) -> bool {
        self.inside(path).is_some_and(|real| self.files.is_executable(&real))
    }

    /// What `path` leads to.
    pub fn kind(&self, path: &Path) -> Option<Kind> {
        self.files.kind(path)
    }

    /// Lets files of `folder` (or that one file) be read.
    pub fn allow(&mut self, folder: &Path) {
        self.roots.push(self.files.real(folder).unwrap_or_else(|| clean(folder)));
    }

    /// The text of a file, without a byte order mark.
    pub fn text(&mut self, path: &Path) -> Result<String, Problem> {
        let bytes = self.bytes(path)?;
        let name = path.display();
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let bad = error.as_bytes().get(good).copied().unwrap_or_default();
            let message = match error.as_bytes() {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => format!("{name} is UTF-16"),
                _ => format!("{name}: byte {good} ({bad:#04x}) is not UTF-8"),
            };
            Problem::error(code::NOT_UTF8, At::NOWHERE, message).help("save the file as UTF-8")
        })?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// The bytes of a file.
    pub fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, Problem> {
        let name = path.display();
        let problem = |code, message: String| Err(Problem::error(code, At::NOWHERE, message));
        let Some(real) = self.inside(path) else {
            let problem = Problem::error(code::OUTSIDE, At::NOWHERE, format!("{name} lies outside the project folder"));
            return Err(problem.help("move it into the project folder, or name its folder by --allow-folder"));
        };
        match self.files.kind(&real) {
            None => return problem(code::UNREADABLE, format!("there is no file {name}")),
            Some(Kind::Folder) => return problem(code::UNREADABLE, format!("{name} is a folder")),
            Some(Kind::Other) => return problem(code::UNREADABLE, format!("{name} is no file")),
            Some(Kind::File) => {}
        }
        self.count += 1;
        if self.count > MOST_FILES {
            return problem(code::TOO_LARGE, format!("the project reads more than {MOST_FILES} files"));
        }
        let bytes = match self.files.read(&real, LARGEST_FILE + 1) {
            Ok(bytes) => bytes,
            Err(error) => return problem(code::UNREADABLE, format!("{name} cannot be read: {error}")),
        };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.read = self.read.saturating_add(size);
        if size > LARGEST_FILE {
            return problem(code::TOO_LARGE, format!("{name} is larger than {} MiB", LARGEST_FILE >> 20));
        }
        if self.read > LARGEST_PROJECT {
            return problem(
                code::TOO_LARGE,
                format!("the files of the project are together larger than {} MiB", LARGEST_PROJECT >> 20),
            );
        }
        Ok(bytes)
    }
}

/// A path without `.`, `..` and doubled separators, by its words alone.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(cleaned.components().next_back(), Some(Component::Normal(_))) => {
                cleaned.pop();
            }
            Component::ParentDir if cleaned.has_root() => {}
            part => cleaned.push(part),
        }
    }
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}

/// `path` seen from `folder`, cleaned.
pub fn join(folder: &Path, path: &str) -> PathBuf {
    clean(&folder.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_words() {
        for (path, cleaned) in
            [("/a/./b/../c//d/", "/a/c/d"), ("../x", "../x"), ("/..", "/"), ("a/..", "."), ("a/../../b", "../b")]
        {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned), "{path}");
        }
    }

    #[test]
    fn nothing_outside_the_named_folders_is_read() {
        let files: Memory = [("/p/a", "x"), ("/etc/passwd", "secret"), ("/pp/a", "y")]
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .into();
        let mut reader = Reader::new(&files);
        reader.allow(Path::new("/p"));
        assert_eq!(reader.text(Path::new("/p/a")).unwrap(), "x");
        for path in ["/etc/passwd", "/pp/a", "/p/../etc/passwd"] {
            assert_eq!(reader.text(Path::new(path)).unwrap_err().code, code::OUTSIDE, "{path}");
        }
        assert_eq!(reader.text(Path::new("/p")).unwrap_err().message, "/p is a folder");
    }

    #[test]
    fn a_large_file_is_refused_and_not_read_whole() {
        struct Endless;
        impl Files for Endless {
            fn kind(&self, _: &Path) -> Option<Kind> {
                Some(Kind::File)
            }
            fn read(&self, _: &Path, most: u64) -> std::io::Result<Vec<u8>> {
                Ok(vec![b'x'; usize::try_from(most).unwrap()])
            }
            fn real(&self, path: &Path) -> Option<PathBuf> {
                Some(path.to_owned())
            }
            fn list(&self, _: &Path, _: usize) -> std::io::Result<Vec<String>> {
                Ok(Vec::new())
            }
            fn is_executable(&self, _: &Path) -> bool {
                false
            }
        }
        let mut reader = Reader::new(&Endless);
        reader.allow(Path::new("/"));
        assert_eq!(reader.text(Path::new("/x")).unwrap_err().message, "/x is larger than 16 MiB");
    }
}
