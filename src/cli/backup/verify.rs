//! Whether a file is a whole and sound backup, before anything of it is used.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read, Seek};

use tar::Archive as Tar;
use tokio::sync::mpsc;

use super::bundle::{FORMAT, Id, MANIFEST, Manifest, Sum, VOLUMES, part_name};
use crate::cli::copy::archive::{Archive, Count, packed_by};

/// More than any manifest has.
const LONGEST_MANIFEST: u64 = 16 << 20;

/// Of a file in which the library finds something wrong; its words follow.
const DAMAGED: &str = "it is damaged: ";
/// Of one whose manifest cannot be read; the words of the parser follow.
const NO_MANIFEST: &str = "its manifest is damaged: ";
/// Of a file that is shorter than it says.
const CUT: &str = "it ends in the middle";

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum Unfit {
    /// For what is in it.
    Broken(String),
    /// It cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Unfit {
        match error.kind() {
            _ if error.raw_os_error().is_some() => Unfit::Io(error),
            io::ErrorKind::UnexpectedEof => Unfit::Broken(CUT.into()),
            _ => Unfit::Broken(format!("{DAMAGED}{error}")),
        }
    }
}

fn broken<T>(why: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit::Broken(why.into()))
}

/// Reads the whole file: every volume is there in whole, has the checksum that is written at the end, is an archive itself, and names nothing outside of its volume.
/// `seen` hears how many bytes have passed.
pub(super) fn verify(mut file: impl Read + Seek, seen: impl Fn(u64)) -> Result<Manifest, Unfit> {
    is_tar(&mut file)?;
    let has_ended = Cell::new(false);
    let read = read_all(Watched { inner: file, has_ended: &has_ended }, seen);
    match read {
        // The library has words of its own for an entry that is cut off, by where it is cut.
        Err(Unfit::Broken(why)) if has_ended.get() && [DAMAGED, NO_MANIFEST].iter().any(|at| why.starts_with(at)) => {
            broken(CUT)
        }
        other => other,
    }
}

/// Notes that its end was reached.
struct Watched<'a, R> {
    inner: R,
    has_ended: &'a Cell<bool>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(to)?;
        if count == 0 && !to.is_empty() {
            self.has_ended.set(true);
        }
        Ok(count)
    }
}

fn read_all(file: impl Read, seen: impl Fn(u64)) -> Result<Manifest, Unfit> {
    let mut tar = Tar::new(file);
    let mut found: Vec<Passing> = Vec::new();
    let mut manifest: Option<Manifest> = None;
    let mut passed = 0;
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if manifest.is_some() {
            return broken(format!("'{name}' comes behind its end"));
        }
        if name == MANIFEST {
            let mut text = String::new();
            (&mut entry).take(LONGEST_MANIFEST).read_to_string(&mut text)?;
            manifest = Some(read(&text)?);
            continue;
        }
        let Some(volume) = volume_of(&name) else {
            return broken(format!("'{name}' is nothing that a backup has"));
        };
        if found.last().is_none_or(|last| last.volume != volume) {
            if found.iter().any(|earlier| earlier.volume == volume) {
                return broken(format!("'{name}' is not where it belongs"));
            }
            found.push(Passing::new(volume));
        }
        let Some(last) = found.last_mut() else { continue };
        if name != part_name(&last.volume, last.parts) {
            return broken(format!("'{name}' is not where it belongs: a part is missing"));
        }
        last.part(&mut entry, |bytes| {
            passed += bytes;
            seen(passed);
        })?;
    }
    let Some(manifest) = manifest else {
        return broken("it ends in the middle: the manifest, its last entry, is missing");
    };
    agree(&manifest, found)?;
    Ok(manifest)
}

/// Whether it begins as a tar does; goes back to the begin.
fn is_tar(file: &mut (impl Read + Seek)) -> Result<(), Unfit> {
    let mut begin = Vec::new();
    file.by_ref().take(512).read_to_end(&mut begin)?;
    file.rewind()?;
    if Archive::default().pass(&begin, &mut Vec::new()).is_err() || begin.len() < 512 {
        return broken(match packed_by(&begin) {
            Some((name, with)) => format!("it is packed by {name}: `{with} FILE > OTHER` first"),
            None => "it is no tar".to_owned(),
        });
    }
    Ok(())
}

fn read(text: &str) -> Result<Manifest, Unfit> {
    let manifest = serde_json::from_str::<serde_json::Value>(text)
        .map_err(|error| Unfit::Broken(format!("{NO_MANIFEST}{error}")))?;
    match manifest["format"].as_str() {
        Some(FORMAT) => {}
        Some(other) => return broken(format!("its format is {other}, and this program reads {FORMAT}")),
        None => return broken("its manifest does not say which format it has"),
    }
    serde_json::from_value(manifest).map_err(|error| Unfit::Broken(format!("{NO_MANIFEST}{error}")))
}

/// The volume that a part belongs to.
fn volume_of(name: &str) -> Option<Id> {
    name.strip_prefix(VOLUMES)?.rsplit_once('/')?.0.parse().ok()
}

fn agree(manifest: &Manifest, found: Vec<Passing>) -> Result<(), Unfit> {
    let names: BTreeSet<&Id> = manifest.volumes.iter().map(|kept| &kept.volume).collect();
    if names.len() != manifest.volumes.len() {
        return broken("its manifest names a volume twice");
    }
    if let Some(more) = found.iter().find(|volume| !names.contains(&volume.volume)) {
        return broken(format!("volume {} is not in its manifest", more.volume));
    }
    let mut found = found.into_iter();
    for kept in &manifest.volumes {
        let Some(passing) = found.next().filter(|passing| passing.volume == kept.volume) else {
            return broken(format!("volume {} of its manifest is missing, or elsewhere", kept.volume));
        };
        let (count, sha256) = passing.end()?;
        if sha256 != kept.sha256 || count != (Count { files: kept.files, bytes: kept.bytes }) {
            return broken(format!("volume {} is damaged: its checksum is not that of the manifest", kept.volume));
        }
    }
    Ok(())
}

/// A volume as it passes by.
struct Passing {
    volume: Id,
    parts: u64,
    archive: Archive,
    sum: Sum,
}

impl Passing {
    fn new(volume: Id) -> Passing {
        Passing { volume, parts: 0, archive: Archive::careful(), sum: Sum::new() }
    }

    fn part(&mut self, from: &mut impl Read, mut seen: impl FnMut(u64)) -> Result<(), Unfit> {
        let (mut buffer, mut out) = (vec![0; 1 << 16], Vec::new());
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                self.parts += 1;
                return Ok(());
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            self.sum.add(bytes);
            self.archive.pass(bytes, &mut out).map_err(|why| self.named(&why))?;
            out.clear();
            seen(count as u64);
        }
    }

    fn named(&self, why: &str) -> Unfit {
        Unfit::Broken(format!("volume {}: {why}", self.volume))
    }

    fn end(self) -> Result<(Count, String), Unfit> {
        let count = self.archive.end().map_err(|why| self.named(&why))?;
        Ok((count, self.sum.end()))
    }
}

/// Sends the archive of a volume on. Returns its checksum, which says whether it is still what was verified; stops early where nobody takes it any more.
pub(super) fn feed(file: impl Read + Seek, volume: &Id, to: &mpsc::Sender<Vec<u8>>) -> Result<String, Unfit> {
    let mut tar = Tar::new(file);
    let mut sum = Sum::new();
    for entry in tar.entries_with_seek()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if volume_of(&name).as_ref() != Some(volume) {
            continue;
        }
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = entry.read(&mut buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            sum.add(bytes);
            if count == 0 {
                break;
            }
            if to.blocking_send(bytes.to_vec()).is_err() {
                return Ok(sum.end());
            }
        }
    }
    Ok(sum.end())
}
