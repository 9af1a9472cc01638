//! One stream of files, into the helper or out of it.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachedProcess;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::archive::{Archive, BLOCK, Count};
use super::helper::{CONTAINER, Helper, MOUNT};
use super::place::Place;
use super::progress::{Progress, amount};
use super::{Trouble, local, needs};
use crate::cli::exec::{outcome, roomy};

/// Longest word of a program in the pod that is repeated.
const WORDS: usize = 2000;
/// At the top of some file systems; it is theirs, and root's.
const LOST_AND_FOUND: &str = "lost+found";

pub(in crate::cli) struct Transfer<'a> {
    pub(in crate::cli) api: &'a Api<Pod>,
    pub(in crate::cli) pod: &'a str,
    pub(in crate::cli) helper: &'a Helper,
    pub(in crate::cli) place: &'a Place,
    pub(in crate::cli) owner: Option<(u64, u64)>,
    /// How much will pass, where that is known.
    pub(in crate::cli) of: Option<u64>,
}

impl Transfer<'_> {
    /// A tar on standard input.
    pub(super) async fn take_in(&self) -> Result<String, Trouble> {
        let (sender, pieces) = mpsc::channel(16);
        // A thread that nobody waits for: a read that is never answered must not keep the program.
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = io::stdin().lock().read(&mut buffer) {
                if sender.blocking_send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                    return;
                }
            }
        });
        let folder = self.folder(&self.place.path).await?;
        let count = self.send(pieces, &folder).await?;
        Ok(said("into", self.place, count))
    }

    /// A file or folder of this machine.
    pub(super) async fn pack(&self, from: PathBuf) -> Result<String, Trouble> {
        let path = self.place.path.as_str();
        let own = from.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let (folder, name) = match path.rsplit_once('/') {
            _ if from.is_dir() || self.place.is_folder => (path, own),
            Some((folder, name)) => (folder, name.to_owned()),
            None => ("", path.to_owned()),
        };
        let folder = self.folder(folder).await?;
        let owner = match self.owner {
            Some(owner) => owner,
            None => self.owner_of(&folder).await?,
        };
        let (writer, pieces) = local::writing();
        let packing = tokio::task::spawn_blocking(move || local::pack(&from, &name, owner, writer));
        let sent = self.send(pieces, &folder).await;
        let packed = packing.await.map_err(|error| Trouble::Io(error.to_string()))?;
        // What went wrong first is the cause of the other.
        let left_out = match (packed, sent.is_err()) {
            (Err(error), false) => return Err(error.into()),
            (Err(error), true) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            (Err(_), true) => Vec::new(),
            (Ok(left_out), _) => left_out,
        };
        let count = sent?;
        for path in left_out {
            eprintln!("note: left out, since it is no file, folder or link: {path}");
        }
        Ok(said("into", self.place, count))
    }

    /// A tar on standard output.
    pub(super) async fn give_out(&self) -> Result<String, Trouble> {
        let (writer, mut pieces) = mpsc::channel::<Vec<u8>>(16);
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(piece) = pieces.blocking_recv() {
                io::stdout().lock().write_all(&piece)?;
            }
            io::stdout().lock().flush()
        });
        let is_file = self.is_file().await?;
        let received = self.receive(writer, is_file).await;
        writing.await.map_err(|error| Trouble::Io(error.to_string()))??;
        Ok(said("out of", self.place, received?))
    }

    /// Into a file or folder of this machine.
    pub(super) async fn unpack(&self, to: PathBuf, overwrite: bool) -> Result<String, Trouble> {
        let is_file = self.is_file().await?;
        let is_full = match std::fs::read_dir(&to) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => to.exists(),
        };
        if is_full && !overwrite {
            let what = if to.is_dir() { "is not empty" } else { "is there already" };
            return Err(Trouble::No(format!("{} {what}; --overwrite replaces what has the same name", to.display())));
        }
        let (sender, reader) = local::reading();
        let unpacking = tokio::task::spawn_blocking(move || local::unpack(reader, &to, is_file));
        let received = self.receive(sender, is_file).await;
        let unpacked = unpacking.await.map_err(|error| Trouble::Io(error.to_string()))?;
        match (received, unpacked) {
            (Err(Trouble::Io(_)) | Ok(_), Err(error)) => Err(error.into()),
            (received, _) => Ok(said("out of", self.place, received?)),
        }
    }

    /// The folder in the helper, made where it is missing.
    async fn folder(&self, path: &str) -> Result<String, Trouble> {
        if path.is_empty() {
            return Ok(MOUNT.to_owned());
        }
        let folder = format!("{MOUNT}/{path}");
        self.run(&["mkdir", "-p", &folder]).await?;
        Ok(folder)
    }

    /// Whose a folder is; root's where the image cannot tell.
    async fn owner_of(&self, folder: &str) -> Result<(u64, u64), Trouble> {
        match self.run(&["stat", "-c", "%u:%g", folder]).await {
            Ok(said) => Ok(super::owner(&said).unwrap_or((0, 0))),
            Err(Trouble::No(_)) => Ok((0, 0)),
            Err(other) => Err(other),
        }
    }

    async fn is_file(&self) -> Result<bool, Trouble> {
        if self.place.path.is_empty() {
            return Ok(false);
        }
        let path = format!("{MOUNT}/{}", self.place.path);
        if self.run(&["ls", "-d", &format!("{path}/.")]).await.is_ok() {
            return Ok(false);
        }
        match self.run(&["ls", "-d", &path]).await {
            Ok(_) => Ok(true),
            Err(Trouble::No(_)) => Err(Trouble::No(format!("there is no {} in the volume", self.place.path))),
            Err(other) => Err(other),
        }
    }

    async fn begin(&self, command: &[&str], stdin: bool) -> kube::Result<AttachedProcess> {
        self.api.exec(self.pod, command.to_vec(), &roomy().container(CONTAINER).stdin(stdin)).await
    }

    /// What a program in the pod prints.
    async fn run(&self, command: &[&str]) -> Result<String, Trouble> {
        let mut process = self.begin(command, false).await?;
        let status = process.take_status();
        let (out, err) = tokio::join!(text(process.stdout()), text(process.stderr()));
        self.ended(command, status, &err).await?;
        Ok(out)
    }

    /// Feeds an archive to `tar` in the helper.
    async fn send(&self, mut pieces: mpsc::Receiver<Vec<u8>>, folder: &str) -> Result<Count, Trouble> {
        // Modes as in the archive, whatever the pod's umask is.
        let command = ["tar", "-x", "-p", "-f", "-", "-C", folder];
        let mut process = self.begin(&command, true).await?;
        let status = process.take_status();
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let feed = async {
            let (mut archive, mut out) = (Archive::default(), Vec::new());
            let progress = Progress::start(&self.place.volume, self.of);
            let mut stdin = stdin;
            while let Some(piece) = pieces.recv().await {
                archive.pass(&piece, &mut out)?;
                progress.is_at(archive.count);
                if let Some(to) = stdin.as_mut()
                    && to.write_all(&out).await.is_err()
                {
                    stdin = None; // it reads no more, and says why; the archive is not whole then
                    pieces.close();
                }
                out.clear();
            }
            if let Some(mut stdin) = stdin {
                let count = archive.end()?;
                let _ = stdin.shutdown().await;
                return Ok(count);
            }
            Ok(archive.count)
        };
        // Words of tar are read meanwhile, or it would wait for a reader; they are not waited for where what it has is not the whole.
        let words = async { tokio::join!(text(stdout), text(stderr)) };
        tokio::pin!(feed, words);
        let mut said = None;
        let sent: Result<Count, String> = tokio::select! {
            sent = &mut feed => sent,
            both = &mut words => {
                said = Some(both);
                feed.await
            }
        };
        let count = match sent {
            Ok(count) => count,
            Err(why) => {
                process.abort();
                return Err(Trouble::No(why));
            }
        };
        let (_, err) = match said {
            Some(both) => both,
            None => words.await,
        };
        self.ended(&command, status, &err).await?;
        Ok(count)
    }

    /// Takes an archive from `tar` in the helper.
    async fn receive(&self, to: mpsc::Sender<Vec<u8>>, is_file: bool) -> Result<Count, Trouble> {
        let path = self.place.path.as_str();
        let (folder, name) = match path.rsplit_once('/') {
            _ if !is_file => (path, "."),
            Some((folder, name)) => (folder, name),
            None => ("", path),
        };
        let (folder, name) =
            (format!("{MOUNT}/{folder}"), if name == "." { name.to_owned() } else { format!("./{name}") });
        self.take(&["tar", "-c", "-f", "-", "-C", &folder, &name], to).await
    }

    /// All that is in the volume, into `to`: what is sent there is the archive, and the count is of that.
    pub(in crate::cli) async fn whole(&self, to: mpsc::Sender<Vec<u8>>) -> Result<Count, Trouble> {
        match self.run(&["ls", "-d", &format!("{MOUNT}/{LOST_AND_FOUND}")]).await {
            Ok(_) => {}
            Err(Trouble::No(_)) => return self.take(&["tar", "-c", "-f", "-", "-C", MOUNT, "."], to).await,
            Err(other) => return Err(other),
        }
        // Only root may read that one, and not every `tar` can leave something out. It is not there alone, or there would be nothing to name.
        if self.contents().await?.is_empty() {
            let empty = vec![0; 2 * BLOCK];
            let bytes = empty.len() as u64;
            let sent = to.send(empty).await;
            return sent.map(|()| Count { files: 0, bytes }).map_err(|_| Trouble::Io("nobody takes the files".into()));
        }
        let each = format!(
            "cd {MOUNT} && for f in * .[!.]* ..?*; do [ \"$f\" = {LOST_AND_FOUND} ] || {{ [ ! -e \"$f\" ] && [ ! -L \"$f\" ]; }} || set -- \"$@\" \"./$f\"; done; exec tar -c -f - \"$@\""
        );
        self.take(&["sh", "-c", &each, "tar"], to).await
    }

    /// An archive into the volume's own folder.
    pub(in crate::cli) async fn fill(&self, pieces: mpsc::Receiver<Vec<u8>>) -> Result<Count, Trouble> {
        self.send(pieces, MOUNT).await
    }

    /// Some of what is in the volume, but for what its file system keeps there; nothing where it is empty.
    pub(in crate::cli) async fn contents(&self) -> Result<Vec<String>, Trouble> {
        let listed = self.run(&["ls", "-A", MOUNT]).await?;
        Ok(listed.lines().filter(|name| *name != LOST_AND_FOUND).map(str::to_owned).collect())
    }

    /// Deletes what is in the volume.
    pub(in crate::cli) async fn clear(&self) -> Result<(), Trouble> {
        let each = format!(
            "cd {MOUNT} && for f in * .[!.]* ..?*; do [ \"$f\" = {LOST_AND_FOUND} ] || rm -rf -- \"$f\" || exit 1; done"
        );
        self.run(&["sh", "-c", &each]).await.map(|_| ())
    }

    /// Takes an archive from this `tar` in the helper.
    async fn take(&self, command: &[&str], to: mpsc::Sender<Vec<u8>>) -> Result<Count, Trouble> {
        let mut process = self.begin(command, false).await?;
        let status = process.take_status();
        let stderr = text(process.stderr());
        let stdout = process.stdout();
        let take = async {
            let mut archive = Archive::default();
            let progress = Progress::start(&self.place.volume, self.of);
            let Some(mut stdout) = stdout else { return Ok(Count::default()) };
            let mut buffer = vec![0; 1 << 16];
            loop {
                let count = stdout.read(&mut buffer).await.map_err(|error| Trouble::Io(error.to_string()))?;
                if count == 0 {
                    return archive.end().map_err(Trouble::Io);
                }
                let mut out = Vec::new();
                archive.pass(buffer.get(..count).unwrap_or_default(), &mut out).map_err(Trouble::Io)?;
                progress.is_at(archive.count);
                if to.send(out).await.is_err() {
                    process.abort();
                    return Err(Trouble::Io("nobody takes the files any more".into()));
                }
            }
        };
        let (taken, err) = tokio::join!(take, stderr);
        drop(to);
        match taken {
            // Where tar itself has failed, that is why.
            Err(Trouble::Io(why)) => match self.ended(command, status, &err).await {
                Err(Trouble::No(said)) => Err(Trouble::No(said)),
                _ => Err(Trouble::Io(why)),
            },
            Err(other) => Err(other),
            Ok(count) => {
                self.ended(command, status, &err).await?;
                Ok(count)
            }
        }
    }

    async fn ended(
        &self,
        command: &[&str],
        status: Option<impl Future<Output = Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Status>>>,
        said: &str,
    ) -> Result<(), Trouble> {
        let program = command.first().copied().unwrap_or_default();
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let Some(status) = status else {
            return Err(Trouble::Io(format!("the connection to the pod has ended before `{program}` did")));
        };
        let said: String = said.trim().chars().take(WORDS).collect();
        match outcome(&status) {
            Ok(0) => Ok(()),
            Ok(126 | 127) | Err((126 | 127, _)) => Err(Trouble::No(needs(&self.helper.image, program))),
            Ok(code) => Err(Trouble::No(format!("`{}` in the pod ended with {code}: {said}", command.join(" ")))),
            Err((_, why)) => Err(Trouble::Io(why)),
        }
    }
}

async fn text(from: Option<impl AsyncRead + Unpin>) -> String {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 4096]);
    let Some(mut from) = from else { return String::new() };
    // A broken connection is told by the status that does not come.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if all.len() < WORDS * 4 {
            all.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn said(way: &str, place: &Place, count: Count) -> String {
    let path = if place.path.is_empty() { String::new() } else { format!(":{}", place.path) };
    format!("copied {}, {way} {}/{}{path}", amount(count), place.stack, place.volume)
}
