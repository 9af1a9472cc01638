//! What an archive names, for one that may come from anybody: nothing outside of the folder in which it is unpacked.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::archive::{BLOCK, field, name, number};

/// The links that were named so far, by a hash of eight bytes each.
#[derive(Debug, Default)]
pub(super) struct Names {
    links: HashSet<u64>,
}

impl Names {
    /// Looks at an entry with the records before it. Fails on an absolute name, on one that climbs by `..`, on one that leads through a link, and on what cannot be judged.
    pub(super) fn look_at(&mut self, records: &[u8], header: &[u8]) -> Result<(), String> {
        let kind = header.get(156).copied().unwrap_or_default();
        if matches!(kind, b'g' | b'x' | b'L' | b'K') {
            return Err("it has records that no backup has".into());
        }
        let said = Said::of(records);
        let name = said.name.unwrap_or_else(|| name(header));
        let link = said.link.unwrap_or_else(|| text(field(header, 157, 100)));
        let parts = inside(&name)?;
        if kind == b'1' {
            inside(&link)?;
        }
        let mut path = String::new();
        for (at, part) in parts.iter().enumerate() {
            path.push('/');
            path.push_str(part);
            let is_last = at + 1 == parts.len();
            if !is_last && !self.links.is_empty() && self.links.contains(&hash(&path)) {
                return Err(format!("it names '{name}', which leads through a link"));
            }
        }
        if kind == b'2' {
            self.links.insert(hash(&path));
        }
        Ok(())
    }
}

/// The parts of a name that stays inside.
fn inside(name: &str) -> Result<Vec<&str>, String> {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if name.starts_with('/') {
        return Err(format!("it names '{name}', which is absolute"));
    }
    if parts.contains(&"..") {
        return Err(format!("it names '{name}', which leads out of the volume"));
    }
    Ok(parts)
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// What records say in place of the header.
#[derive(Default)]
struct Said {
    name: Option<String>,
    link: Option<String>,
}

impl Said {
    fn of(mut records: &[u8]) -> Said {
        let mut said = Said::default();
        while let Some((header, rest)) = records.split_at_checked(BLOCK) {
            let size = number(field(header, 124, 12)).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
            let (content, after) = rest.split_at_checked(size.div_ceil(BLOCK) * BLOCK).unwrap_or((rest, &[]));
            let content = content.get(..size).unwrap_or(content);
            match header.get(156) {
                Some(b'L') => said.name = Some(text(content)),
                Some(b'K') => said.link = Some(text(content)),
                _ => said.read(content),
            }
            records = after;
        }
        said
    }

    /// Records of the form `LENGTH KEY=VALUE`, each with a line's end.
    fn read(&mut self, mut content: &[u8]) {
        while let Some(space) = content.iter().position(|byte| *byte == b' ') {
            let length = std::str::from_utf8(content.get(..space).unwrap_or_default()).unwrap_or_default();
            let Some((record, rest)) = length.parse().ok().and_then(|length| content.split_at_checked(length)) else {
                return;
            };
            let record = String::from_utf8_lossy(record.get(space + 1..).unwrap_or_default()).into_owned();
            match record.trim_end_matches('\n').split_once('=') {
                Some(("path", value)) => self.name = Some(value.to_owned()),
                Some(("linkpath", value)) => self.link = Some(value.to_owned()),
                _ => {}
            }
            content = rest;
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split('\0').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::archive::Archive;

    /// An entry of this kind, name and link as they are.
    fn entry(kind: u8, name: &str, link: &str) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(0);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = [header.as_bytes().as_slice(), content].concat();
        bytes.resize(bytes.len().div_ceil(512) * 512, 0);
        bytes
    }

    fn judged(parts: &[Vec<u8>]) -> Result<(), String> {
        let bytes = [parts.concat(), vec![0; 1024]].concat();
        let mut archive = Archive::careful();
        archive.pass(&bytes, &mut Vec::new())?;
        archive.end().map(|_| ())
    }

    #[test]
    fn names_that_stay_inside_pass() {
        let long = "a/".repeat(90) + "..b";
        judged(&[
            entry(b'5', "./", ""),
            entry(b'0', "./a/..b", ""),
            entry(b'1', "./c", "./a/..b"),
            entry(b'2', "./link", "/etc/passwd"),
            entry(b'2', "./up", "../../elsewhere"),
            entry(b'0', "./linked", ""),
            [record(b'L', format!("{long}\0").as_bytes()), entry(b'0', "a/a", "")].concat(),
        ])
        .unwrap();
    }

    #[test]
    fn names_that_lead_out_are_refused_however_they_are_written() {
        for (parts, says) in [
            (vec![entry(b'0', "/etc/passwd", "")], "'/etc/passwd', which is absolute"),
            (vec![entry(b'0', "./a/../../b", "")], "which leads out of the volume"),
            (vec![entry(b'1', "a", "../b")], "'../b', which leads out"),
            (vec![record(b'L', b"../b\0"), entry(b'0', "fine", "")], "'../b', which leads out"),
            (vec![record(b'x', b"13 path=/x/y\n"), entry(b'0', "fine", "")], "which is absolute"),
            (vec![record(b'x', b"16 path=a/../..\n"), entry(b'0', "fine", "")], "leads out"),
            (vec![record(b'g', b"10 path=/x\n"), entry(b'0', "fine", "")], "records that no backup has"),
            (vec![entry(b'2', "./up", "/etc"), entry(b'0', "up/passwd", "")], "which leads through a link"),
        ] {
            let why = judged(&parts).unwrap_err();
            assert!(why.contains(says), "{why} instead of {says}");
        }
    }
}
