//! A tar as it passes by: checked, counted, and made fit for whoever unpacks it.
//!
//! Only headers are looked at; the bytes of files pass as they are. What is taken out: the entry of the archive's own top folder, whose mode and times a user who is
//! not root may not set on a volume, and the names of owners, since those of the numbers are meant: the same name has another number in another image.

use super::names::Names;

pub(super) const BLOCK: usize = 512;
/// Records about the next entry that are held back: more is passed on as it comes.
const HELD: u64 = 1 << 20;

/// What has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Count {
    /// Entries that are no folders.
    pub(in crate::cli) files: u64,
    /// Of the archive.
    pub(in crate::cli) bytes: u64,
}

#[derive(Debug, Default)]
pub(in crate::cli) struct Archive {
    pub(in crate::cli) count: Count,
    /// Begin of a header that is not whole yet.
    header: Vec<u8>,
    /// Bytes of the present entry that are still to come, with its padding.
    left: u64,
    /// What becomes of them.
    rest: Rest,
    /// Records about the next entry, with their headers.
    held: Vec<u8>,
    /// Where in `held` the text of the last records begins.
    records: Option<usize>,
    /// The size that they say.
    size: Option<u64>,
    zeros: u8,
    begun: bool,
    /// Where names are looked at.
    names: Option<Names>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Pass,
    Hold,
    Drop,
}

impl Archive {
    /// One that may name nothing outside of the folder in which it is unpacked.
    pub(in crate::cli) fn careful() -> Archive {
        Archive { names: Some(Names::default()), ..Archive::default() }
    }

    /// Takes in the next bytes; what is to be passed on is added to `out`. Fails on what is no tar.
    pub(in crate::cli) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.count.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.zeros >= 2 {
                out.extend_from_slice(bytes); // padding to a whole record
                return Ok(());
            }
            if self.left > 0 {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (now, later) = bytes.split_at(take);
                match self.rest {
                    Rest::Pass => out.extend_from_slice(now),
                    Rest::Hold => self.held.extend_from_slice(now),
                    Rest::Drop => {}
                }
                self.left -= take as u64;
                if self.left == 0 {
                    self.read_records();
                }
                bytes = later;
                continue;
            }
            let take = (BLOCK - self.header.len()).min(bytes.len());
            let (now, later) = bytes.split_at(take);
            self.header.extend_from_slice(now);
            bytes = later;
            if self.header.len() == BLOCK {
                let header = std::mem::take(&mut self.header);
                self.entry(header, out)?;
            }
        }
        Ok(())
    }

    /// Whether it came to its end.
    pub(in crate::cli) fn end(&self) -> Result<Count, String> {
        if !self.begun && self.header.is_empty() {
            return Err("there was nothing to read; a tar was expected".into());
        }
        if !self.begun {
            return Err(no_tar(&self.header));
        }
        if self.left > 0 || !self.header.is_empty() || self.zeros == 0 {
            return Err("the archive ends in the middle".into());
        }
        Ok(self.count)
    }

    fn entry(&mut self, mut header: Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        if header.iter().all(|byte| *byte == 0) {
            self.zeros += 1;
            self.begun = true;
            out.append(&mut self.held);
            out.extend(header);
            return Ok(());
        }
        self.zeros = 0;
        let sum = number(field(&header, 148, 8));
        if sum != Some(checksum(&header)) {
            return Err(if self.begun {
                "the archive is damaged: a header is not whole".into()
            } else {
                no_tar(&header)
            });
        }
        self.begun = true;
        let kind = header.get(156).copied().unwrap_or_default();
        let written = number(field(&header, 124, 12)).ok_or("the archive is damaged: an entry without a size")?;
        let about_next = matches!(kind, b'x' | b'L' | b'K');
        let size = if about_next { written } else { self.size.take().unwrap_or(written) };
        let has_content = !matches!(kind, b'1'..=b'6');
        self.left = if has_content { size.div_ceil(BLOCK as u64) * BLOCK as u64 } else { 0 };
        if about_next && self.held.len() as u64 + self.left < HELD {
            self.held.extend(header);
            self.records = (kind == b'x').then_some(self.held.len());
            self.rest = Rest::Hold;
            return Ok(());
        }
        if let Some(names) = &mut self.names {
            names.look_at(&self.held, &header)?;
        }
        let name = name(&header);
        if kind == b'5' && matches!(name.as_str(), "." | "./" | "") {
            self.held.clear();
            self.rest = Rest::Drop;
            return Ok(());
        }
        if !matches!(kind, b'5' | b'g' | b'x' | b'L' | b'K') {
            self.count.files += 1;
        }
        out.append(&mut self.held);
        self.rest = Rest::Pass;
        without_names(&mut header);
        out.extend(header);
        Ok(())
    }

    /// Of records about the next entry, the size counts: it may not fit into the header.
    fn read_records(&mut self) {
        let Some(at) = self.records.take() else { return };
        let text = String::from_utf8_lossy(self.held.get(at..).unwrap_or_default());
        let mut sizes = text.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix("size=")?.parse().ok());
        self.size = sizes.next_back();
    }
}

pub(super) fn field(header: &[u8], at: usize, length: usize) -> &[u8] {
    header.get(at..at + length).unwrap_or_default()
}

/// In octal digits, or, where the first bit is set, as a binary number.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((first, rest)) if first & 0x80 != 0 => {
            let begin = u64::from(first & 0x7f);
            rest.iter().try_fold(begin, |number, byte| number.checked_mul(256)?.checked_add(u64::from(*byte)))
        }
        _ => {
            let text: String = field.iter().map(|byte| char::from(*byte)).take_while(|c| *c != '\0').collect();
            let text = text.trim();
            if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
        }
    }
}

/// Sum of all bytes, those of the sum itself as spaces.
fn checksum(header: &[u8]) -> u64 {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) };
    header.iter().enumerate().map(byte).sum()
}

pub(super) fn name(header: &[u8]) -> String {
    let text = |field: &[u8]| -> String { field.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect() };
    let name = text(field(header, 0, 100));
    let is_posix = field(header, 257, 6) == b"ustar\0";
    let prefix = if is_posix { text(field(header, 345, 155)) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn without_names(header: &mut [u8]) {
    if field(header, 257, 5) != b"ustar" {
        return;
    }
    header.iter_mut().skip(265).take(64).for_each(|byte| *byte = 0);
    let sum = format!("{:06o}\0 ", checksum(header));
    header.iter_mut().skip(148).zip(sum.bytes()).for_each(|(byte, digit)| *byte = digit);
}

fn no_tar(begin: &[u8]) -> String {
    match packed_by(begin) {
        Some((name, with)) => {
            format!("this is packed by {name}, and no plain tar: `{with} FILE | appstack cp - ...`")
        }
        None => "this is no tar".into(),
    }
}

/// By what it is packed, going by how it begins, and what unpacks it.
pub(in crate::cli) fn packed_by(begin: &[u8]) -> Option<(&'static str, &'static str)> {
    let packed = [
        (&b"\x1f\x8b"[..], "gzip", "zcat"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
        (b"\xfd7zXZ", "xz", "xzcat"),
        (b"BZh", "bzip2", "bzcat"),
    ];
    packed.iter().find(|(magic, ..)| begin.starts_with(magic)).map(|(_, name, with)| (*name, *with))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names an entry as it is, which the library would put into better words.
    fn named(header: &mut tar::Header, name: &str) {
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
    }

    /// An archive with the top folder, a file of 600 bytes under a long name, and a link.
    fn sample() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let header = |kind: tar::EntryType, size: u64| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o640);
            header.set_uid(999);
            header.set_username("postgres").unwrap();
            header.set_size(size);
            header
        };
        let mut top = header(tar::EntryType::Directory, 0);
        named(&mut top, "./");
        builder.append(&top, std::io::empty()).unwrap();
        let long = "x/".repeat(80) + "file";
        builder.append_data(&mut header(tar::EntryType::Regular, 600), &long, &[7_u8; 600][..]).unwrap();
        builder.append_link(&mut header(tar::EntryType::Symlink, 0), "link", "x").unwrap();
        builder.into_inner().unwrap()
    }

    fn passed(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Count), String> {
        let (mut archive, mut out) = (Archive::default(), Vec::new());
        for chunk in bytes.chunks(step) {
            archive.pass(chunk, &mut out)?;
        }
        let count = archive.end()?;
        Ok((out, count))
    }

    #[test]
    fn files_pass_as_they_are_and_the_top_folder_does_not_however_the_bytes_come() {
        let bytes = sample();
        let whole = passed(&bytes, bytes.len()).unwrap();
        assert_eq!(whole.1, Count { files: 2, bytes: bytes.len() as u64 });
        for step in [1, 7, 511, 512, 513, 4096] {
            assert_eq!(passed(&bytes, step).unwrap(), whole, "{step} bytes at a time");
        }
        let mut read = tar::Archive::new(whole.0.as_slice());
        let entries: Vec<(String, u64, u64, String)> = read
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.header().username().unwrap().unwrap_or_default().to_owned();
                (
                    entry.path().unwrap().to_string_lossy().into_owned(),
                    entry.size(),
                    entry.header().uid().unwrap(),
                    name,
                )
            })
            .collect();
        let expected = [("x/".repeat(80) + "file", 600, 999, String::new()), ("link".into(), 0, 999, String::new())];
        assert_eq!(entries, expected);
    }

    #[test]
    fn a_size_in_records_counts_and_records_of_the_top_folder_go_with_it() {
        let record = |kind: u8, name: &str, content: &[u8], size: u64| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::new(kind));
            header.set_size(size);
            named(&mut header, name);
            let mut bytes = header.as_bytes().to_vec();
            bytes.extend(content);
            bytes.resize(bytes.len().div_ceil(BLOCK) * BLOCK, 0);
            bytes
        };
        let times = b"20 mtime=1700000000\n";
        let size = b"12 size=600\n";
        let bytes = [
            record(b'x', "records", times, times.len() as u64),
            record(b'5', "./", b"", 0),
            record(b'x', "records", size, size.len() as u64),
            record(b'0', "big", &[0; 600], 0), // the size does not fit into its header
            record(b'0', "next", b"n", 1),
            vec![0; 2 * BLOCK],
        ]
        .concat();
        let (out, count) = passed(&bytes, 100).unwrap();
        assert_eq!((count.files, out.len()), (2, bytes.len() - 3 * BLOCK));
    }

    #[test]
    fn what_is_no_whole_tar_is_told_from_one() {
        let bytes = sample();
        let why = |bytes: &[u8]| passed(bytes, 1000).unwrap_err();
        assert_eq!(why(b""), "there was nothing to read; a tar was expected");
        assert_eq!(why(b"hello"), "this is no tar");
        assert_eq!(why(&[b'x'; 2000]), "this is no tar");
        assert!(why(&[&b"\x1f\x8b"[..], &[9; 2000]].concat()).contains("zcat FILE | appstack cp"));
        assert_eq!(why(&bytes[..1500]), "the archive ends in the middle");
        assert_eq!(why(&bytes[..bytes.len() - 1024]), "the archive ends in the middle");
        let mut damaged = bytes.clone();
        damaged[512 + 148] ^= 1;
        assert!(why(&damaged).starts_with("the archive is damaged"));
        assert!(passed(&[0; 1024], 512).is_ok(), "one with nothing in it");
    }
}
