//! Where a backup goes: to a file that appears under its name only when it is whole, or to standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;

/// Where it shall go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    File { path: PathBuf, force: bool },
}

/// The name of a file by stack and time: `shop-2026-11-21T2315Z.tar`.
pub(super) fn dated(stack: &str, date: Timestamp) -> String {
    format!("{stack}-{}.tar", date.strftime("%Y-%m-%dT%H%MZ"))
}

impl Target {
    /// Refuses a file that is there already, unless told.
    pub(super) fn of(to: Option<&Path>, stack: &str, date: Timestamp, force: bool) -> Result<Target, String> {
        let path = match to {
            Some(path) if path.as_os_str() == "-" => return Ok(Target::Stdout),
            Some(path) if path.is_dir() => path.join(dated(stack, date)),
            Some(path) => path.to_owned(),
            None => dated(stack, date).into(),
        };
        if path.exists() && !force {
            return Err(there_already(&path));
        }
        Ok(Target::File { path, force })
    }

    /// Opens it: what is written to, and what gives it its name. Only the owner may read a file: volumes have secrets in them.
    pub(super) fn open(self) -> io::Result<(Out, Unfinished)> {
        let Target::File { path, force } = self else {
            return Ok((Out::Stdout(io::stdout()), Unfinished(None)));
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", part.display()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(named)?;
        Ok((Out::File(BufWriter::with_capacity(1 << 20, file)), Unfinished(Some(Names { part, path, force }))))
    }
}

fn there_already(path: &Path) -> String {
    format!("{} is there already; --force replaces it", path.display())
}

/// Where bytes go.
pub(super) enum Out {
    Stdout(io::Stdout),
    File(BufWriter<File>),
}

impl Out {
    /// All is written, and the disk has it.
    pub(super) fn done(mut self) -> io::Result<()> {
        self.flush()?;
        if let Out::File(file) = &self { file.get_ref().sync_all() } else { Ok(()) }
    }
}

struct Names {
    part: PathBuf,
    path: PathBuf,
    force: bool,
}

/// A file that goes away unless it is finished; nothing, for standard output.
pub(super) struct Unfinished(Option<Names>);

impl Unfinished {
    /// Gives the file its name. Returns that.
    pub(super) fn finish(self) -> io::Result<Option<PathBuf>> {
        let Some(names) = &self.0 else { return Ok(None) };
        if names.force {
            fs::rename(&names.part, &names.path)?;
            return Ok(Some(names.path.clone()));
        }
        // Unlike a renaming, it never takes the place of a file that has come meanwhile.
        match fs::hard_link(&names.part, &names.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(io::Error::new(error.kind(), there_already(&names.path)));
            }
            Err(_) if !names.path.exists() => fs::rename(&names.part, &names.path)?, // a file system without such links
            other => other?,
        }
        Ok(Some(names.path.clone()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(names) = &self.0 {
            let _ = fs::remove_file(&names.part); // it has another name by now where it was finished
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stdout(out) => out.write(bytes),
            Out::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Stdout(out) => out.flush(),
            Out::File(file) => file.flush(),
        }
    }
}
