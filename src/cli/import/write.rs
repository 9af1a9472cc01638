//! The files on the disk: Secrets for their owner alone, nothing written over that was not asked for.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use super::ImportArgs;
use crate::compose::Loaded;
use crate::compose::mapping::Mapped;
use crate::compose::output::{self, File};

/// Writes the files and the reports; without a folder nothing is written, and the stack is the answer.
pub(super) fn to(
    args: &ImportArgs,
    mapped: &Mapped,
    document: Value,
    loaded: &Loaded,
    namespace: &str,
    reports: impl FnOnce() -> Result<Vec<File>, String>,
) -> Result<Option<String>, String> {
    let mut files = output::files(mapped, document, loaded, namespace, args.placeholders)
        .map_err(|error| format!("the output is no YAML: {error}"))?;
    let Some(folder) = &args.out else {
        let stack = files.into_iter().find(|file| file.name == output::STACK);
        return Ok(stack.map(|file| file.text));
    };
    files.extend(reports()?);
    let there: Vec<&str> = files.iter().map(|file| file.name).filter(|name| folder.join(name).exists()).collect();
    if !there.is_empty() && !args.overwrite {
        let all = there.join(", ");
        return Err(format!("{} has {all} already: --overwrite writes over them", folder.display()));
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    for file in &files {
        let path = folder.join(file.name);
        put(&path, file).map_err(|error| format!("could not write {}: {error}", path.display()))?;
    }
    Ok(None)
}

/// Beside the file first: who reads it sees the old text or the new one.
fn put(path: &Path, file: &File) -> std::io::Result<()> {
    let beside = path.with_extension("part");
    let mut options = std::fs::OpenOptions::new();
    // One that a run left behind may be open to others.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if file.is_secret { 0o600 } else { 0o644 });
    options.open(&beside)?.write_all(file.text.as_bytes())?;
    std::fs::rename(&beside, path)
}
