//! Files of this machine, into an archive and out of one.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::mpsc;

/// Pieces under way between a thread that reads or writes files and the connection.
const PIECES: usize = 16;
const PIECE: usize = 1 << 16;

/// One end of a pipe from a thread into the async world, or back.
pub(super) struct Pipe<T>(T);

/// Pieces that come, and what is left of the last one.
type Incoming = (mpsc::Receiver<Vec<u8>>, Vec<u8>);

/// For a thread that writes.
pub(super) fn writing() -> (Pipe<mpsc::Sender<Vec<u8>>>, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (Pipe(sender), receiver)
}

/// For a thread that reads.
pub(super) fn reading() -> (mpsc::Sender<Vec<u8>>, Pipe<Incoming>) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (sender, Pipe((receiver, Vec::new())))
}

impl Write for Pipe<mpsc::Sender<Vec<u8>>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Pipe<Incoming> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let (receiver, left) = &mut self.0;
        while left.is_empty() {
            match receiver.blocking_recv() {
                Some(bytes) => *left = bytes,
                None => return Ok(0),
            }
        }
        let count = left.len().min(to.len());
        let rest = left.split_off(count);
        to.get_mut(..count).unwrap_or_default().copy_from_slice(left);
        *left = rest;
        Ok(count)
    }
}

/// Writes what is in a folder, or one file under this name, as an archive whose files belong to `owner`. Links stay links; what is no file, folder or link is left
/// out, and named.
pub(super) fn pack(from: &Path, name: &str, owner: (u64, u64), to: impl Write) -> io::Result<Vec<String>> {
    let mut packing =
        Packing { builder: Builder::new(io::BufWriter::with_capacity(PIECE, to)), owner, left_out: Vec::new() };
    let metadata = fs::metadata(from)?;
    if metadata.is_dir() {
        packing.folder(from, Path::new(""))?;
    } else {
        packing.entry(from, Path::new(name), &metadata)?;
    }
    packing.builder.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?.flush()?;
    Ok(packing.left_out)
}

struct Packing<W: Write> {
    builder: Builder<W>,
    owner: (u64, u64),
    left_out: Vec<String>,
}

impl<W: Write> Packing<W> {
    fn folder(&mut self, folder: &Path, name: &Path) -> io::Result<()> {
        let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for own in names {
            let (path, name) = (folder.join(&own), name.join(&own));
            let metadata = fs::symlink_metadata(&path)?;
            self.entry(&path, &name, &metadata)?;
            if metadata.is_dir() {
                self.folder(&path, &name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &Path, metadata: &Metadata) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_metadata(metadata);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        if metadata.is_dir() {
            return self.builder.append_data(&mut header, name, io::empty());
        }
        if metadata.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            return self.builder.append_link(&mut header, name, fs::read_link(path)?);
        }
        if !metadata.is_file() {
            self.left_out.push(path.to_string_lossy().into_owned());
            return Ok(());
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        self.builder.append_data(&mut header, name, Exactly { file, left: metadata.len() }).map_err(named)
    }
}

/// So many bytes of a file, which may grow or shrink meanwhile: the archive has promised a number.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(to.len());
        let count = self.file.read(to.get_mut(..most).unwrap_or_default())?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Unpacks into a folder, with the modes of the files and as ours; nothing outside of it is touched. `single`: the one file goes to this path instead.
pub(super) fn unpack(from: impl Read, to: &Path, single: bool) -> io::Result<()> {
    let mut archive = Archive::new(from);
    archive.set_preserve_permissions(true);
    if !single {
        fs::create_dir_all(to)?;
        return archive.unpack(to);
    }
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            entry.unpack(to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_folder_comes_back_as_it_went_with_modes_and_links_and_for_its_owner() {
        let base = std::env::temp_dir().join(format!("appstack-copy-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let from = base.join("from");
        fs::create_dir_all(from.join("a/empty")).unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| u8::try_from(at % 253).unwrap()).collect();
        fs::write(from.join("a/file"), &bytes).unwrap();
        fs::write(from.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o750)).unwrap();
        symlink("a/file", from.join("link")).unwrap();
        let (writer, mut pieces) = writing();
        let packing = std::thread::spawn({
            let from = from.clone();
            move || pack(&from, "", (999, 998), writer)
        });
        let (sender, reader) = reading();
        let to = base.join("to");
        let unpacking = std::thread::spawn({
            let to = to.clone();
            move || unpack(reader, &to, false)
        });
        let mut all = Vec::new();
        while let Some(piece) = pieces.blocking_recv() {
            all.extend(&piece);
            sender.blocking_send(piece).unwrap();
        }
        drop(sender);
        assert_eq!(packing.join().unwrap().unwrap(), Vec::<String>::new());
        unpacking.join().unwrap().unwrap();
        assert_eq!(fs::read(to.join("a/file")).unwrap(), bytes);
        assert_eq!(fs::metadata(to.join("run")).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("a/file"));
        assert!(to.join("a/empty").is_dir());
        let owners: Vec<(u64, u64)> = Archive::new(all.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.header().uid().unwrap(), entry.header().gid().unwrap())
            })
            .collect();
        assert!(owners.len() == 5 && owners.iter().all(|owner| *owner == (999, 998)), "{owners:?}");
        // One file, under another name.
        let (mut one, renamed) = (Vec::new(), base.join("renamed"));
        pack(&from.join("a/file"), "x", (0, 0), &mut one).unwrap();
        unpack(one.as_slice(), &renamed, true).unwrap();
        assert_eq!(fs::read(renamed).unwrap(), bytes);
        fs::remove_dir_all(&base).unwrap();
    }
}
