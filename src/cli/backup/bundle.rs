//! The file that a backup is: a tar with the archive of each volume, in parts whose size is known before they are written, and what was written at its end.
//!
//! Parts, since the size of a volume's archive is known only once it has passed, and standard output cannot be gone back in. Any tar puts them together again:
//! `tar -xOf FILE volumes/data | tar -x`.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::str::FromStr;

use k8s_openapi::jiff::Timestamp;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tar::{Builder, Header};
use tokio::sync::mpsc;

/// Which form of the file this program writes, and the only one that it reads.
pub(super) const FORMAT: &str = "appstack.dev/backup-v1";
/// Where the volumes are in the file.
pub(super) const VOLUMES: &str = "volumes/";
/// The last entry of the file: without it, the file is not whole.
pub(super) const MANIFEST: &str = "manifest.json";
/// What is held in memory at a time.
const PART: usize = 4 << 20;

/// A volume, or the one of a pod where each has its own: `data`, `data/0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Id {
    pub(super) volume: String,
    pub(super) replica: Option<u32>,
}

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replica {
            Some(number) => write!(f, "{}/{number}", self.volume),
            None => write!(f, "{}", self.volume),
        }
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        let (volume, number) = text.split_once('/').map_or((text, None), |(volume, number)| (volume, Some(number)));
        let is_name =
            !volume.is_empty() && volume.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let replica = number.map(str::parse).transpose().ok();
        match replica.filter(|_| is_name) {
            Some(replica) => Ok(Id { volume: volume.to_owned(), replica }),
            None => Err("must be the name of a volume, or NAME/NUMBER where each pod has its own".into()),
        }
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Id, String> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.to_string()
    }
}

/// What is in the file, as its last entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    /// [`FORMAT`].
    pub(super) format: String,
    /// Version of the program that wrote it.
    pub(super) program: String,
    pub(super) stack: String,
    pub(super) namespace: String,
    /// When it was begun.
    pub(super) date: Timestamp,
    /// In the order of the file.
    pub(super) volumes: Vec<Kept>,
    /// What of the stack's files is not in it, and why.
    pub(super) skipped: Vec<String>,
}

/// A volume in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    pub(super) volume: Id,
    /// The claim that it came from.
    pub(super) claim: String,
    /// Entries that are no folders.
    pub(super) files: u64,
    /// Of its archive.
    pub(super) bytes: u64,
    /// Of its archive, in hexadecimal digits.
    pub(super) sha256: String,
}

/// A checksum under way.
pub(super) struct Sum(Context);

impl Sum {
    pub(super) fn new() -> Sum {
        Sum(Context::new(&SHA256))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal digits.
    pub(super) fn end(self) -> String {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The file as it is written.
pub(super) struct Bundle<W: Write> {
    builder: Builder<W>,
    date: Timestamp,
}

impl<W: Write> Bundle<W> {
    pub(super) fn new(to: W, date: Timestamp) -> Bundle<W> {
        Bundle { builder: Builder::new(to), date }
    }

    /// Takes the archive of a volume as it comes. Returns how many bytes it had, and their checksum.
    pub(super) fn take(&mut self, volume: &Id, mut pieces: mpsc::Receiver<Vec<u8>>) -> io::Result<(u64, String)> {
        let (mut sum, mut part, mut number, mut bytes) = (Sum::new(), Vec::with_capacity(PART), 0_u64, 0);
        while let Some(piece) = pieces.blocking_recv() {
            sum.add(&piece);
            bytes += piece.len() as u64;
            let mut rest = piece.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(PART - part.len()));
                part.extend_from_slice(now);
                rest = later;
                if part.len() == PART {
                    self.entry(&part_name(volume, number), &part)?;
                    part.clear();
                    number += 1;
                }
            }
        }
        if !part.is_empty() {
            self.entry(&part_name(volume, number), &part)?;
        }
        Ok((bytes, sum.end()))
    }

    /// Ends the file. Nothing was written of it before that anybody would take for a backup.
    pub(super) fn end(mut self, manifest: &Manifest) -> io::Result<W> {
        let mut text = serde_json::to_vec_pretty(manifest)?;
        text.push(b'\n');
        self.entry(MANIFEST, &text)?;
        let mut out = self.builder.into_inner()?;
        out.flush()?;
        Ok(out)
    }

    fn entry(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.date.as_second()).unwrap_or_default());
        self.builder.append_data(&mut header, name, content)
    }
}

/// The name of a part in the file.
pub(super) fn part_name(volume: &Id, number: u64) -> String {
    format!("{VOLUMES}{volume}/{number:08}")
}
