//! `appstack restore`: a backup, once it is known to be whole, into volumes that are empty.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::sync::mpsc;

use super::bundle::{Id, Kept, Manifest};
use super::verify::{Unfit, feed, verify};
use super::volumes::{Chosen, choose};
use super::{PodArgs, claims, in_the_way, place, read, told, users};
use crate::cli::copy::archive::Count;
use crate::cli::copy::pod::{Trouble, with_pods};
use crate::cli::copy::progress::{Progress, amount};
use crate::cli::copy::transfer::Transfer;
use crate::cli::pods;
use crate::cli::server::{Asked, Which, ask};

/// Put what `appstack backup` has written back into the volumes of a stack
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The whole file is read and checked before anything is written. A volume must be empty, or --overwrite empties it first: afterwards it holds what was in the
backup and nothing else.")]
pub struct RestoreArgs {
    #[command(flatten)]
    which: Which,
    /// The file
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Only this volume of it, or VOLUME/NUMBER where each pod has its own; as often as needed [default: all in the file]
    #[arg(long = "volume", value_name = "VOLUME")]
    volumes: Vec<Id>,
    /// Empty volumes that are not empty: what is in them is lost
    #[arg(long)]
    overwrite: bool,
    /// Check the file, the volumes and who writes to them, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pod: PodArgs,
}

/// Exit codes: 0 restored, 1 refused (a damaged file, a volume that is not empty, or is in use), or it went wrong inside a pod, 2 wrong usage or no such file,
/// 3 no cluster, 124 a pod did not start in time, 130 interrupted. The pods are removed in each of these cases.
pub fn run(args: &RestoreArgs) -> ExitCode {
    if args.from.as_os_str() == "-" {
        eprintln!(
            "error: --from: a file is read twice, so that nothing of a damaged one is written; save standard input to one first"
        );
        return ExitCode::from(2);
    }
    if let Err(error) = open(&args.from) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    ask(&args.which, "restore", async |asked| {
        let outcome = restore(args, asked).await;
        Ok(outcome.unwrap_or_else(|trouble| told(&trouble, "not restored", asked, args.pod.timeout)))
    })
}

fn open(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(named)?;
    if file.metadata().map_err(named)?.is_dir() {
        return Err(io::Error::other(format!("{}: is a folder, not a backup", path.display())));
    }
    Ok(file)
}

async fn restore(args: &RestoreArgs, asked: &Asked) -> Result<ExitCode, Trouble> {
    let manifest = verified(&args.from).await?;
    eprintln!(
        "{}: stack {} of namespace {}, {}: whole, and as it was written",
        args.from.display(),
        manifest.stack,
        manifest.namespace,
        manifest.date
    );
    let wanted = wanted(&manifest, &args.volumes).map_err(Trouble::No)?;
    if wanted.is_empty() {
        return Err(Trouble::No(format!("{}: there is no volume in it", args.from.display())));
    }
    let (_, stack) = read(asked).await?;
    let ids: Vec<Id> = wanted.iter().map(|kept| kept.volume.clone()).collect();
    let chosen = choose(&stack, &claims(asked).await?, &ids, args.pod.making("restore"))
        .map_err(|all| Trouble::No(all.join("\n  ")))?;
    let users = users(asked, &chosen).await?;
    if !users.is_empty() {
        return Err(Trouble::No(in_the_way(asked, &chosen, &users, "")));
    }
    let api = pods::api(asked);
    let helpers: Vec<_> = chosen.iter().map(|one| &one.helper).collect();
    let state = RefCell::new(State::default());
    let work = Work { args, asked, api: &api, state: &state };
    let outcome = with_pods(&api, &helpers, args.pod.timeout, async |names| {
        let mut full = Vec::new();
        for (one, pod) in chosen.iter().zip(names) {
            full.extend(work.is_full(one, pod).await?);
        }
        if !full.is_empty() && !args.overwrite {
            full.push("--overwrite deletes what is in them".into());
            return Err(Trouble::No(full.join("\n  ")));
        }
        for (one, pod) in chosen.iter().zip(names) {
            let Some(kept) = wanted.iter().find(|kept| kept.volume == one.id) else { continue };
            if args.dry_run {
                eprintln!("{} would be restored: {} (dry run)", one.id, amount(count(kept)));
                continue;
            }
            work.volume(one, pod, kept).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
    .await;
    // Told here, since an interruption leaves no time for it there.
    let state = state.into_inner();
    if let Some(torn) = state.under_way {
        let done =
            if state.done.is_empty() { String::new() } else { format!("; restored before: {}", state.done.join(", ")) };
        eprintln!("volume {torn} is not whole now: run this again with --overwrite{done}");
    }
    outcome
}

fn count(kept: &Kept) -> Count {
    Count { files: kept.files, bytes: kept.bytes }
}

/// Those of the file that are asked for.
pub(super) fn wanted(manifest: &Manifest, asked: &[Id]) -> Result<Vec<Kept>, String> {
    let is_meant =
        |kept: &Kept, id: &Id| kept.volume == *id || (id.replica.is_none() && kept.volume.volume == id.volume);
    if let Some(none) = asked.iter().find(|id| manifest.volumes.iter().all(|kept| !is_meant(kept, id))) {
        let all: Vec<String> = manifest.volumes.iter().map(|kept| kept.volume.to_string()).collect();
        return Err(format!("volume {none} is not in the file; there are: {}", all.join(", ")));
    }
    let is_wanted = |kept: &&Kept| asked.is_empty() || asked.iter().any(|id| is_meant(kept, id));
    Ok(manifest.volumes.iter().filter(is_wanted).cloned().collect())
}

/// Reads all of the file.
async fn verified(path: &Path) -> Result<Manifest, Trouble> {
    let file = open(path)?;
    let progress = Progress::start("checking the file", Some(file.metadata()?.len()));
    let reading = tokio::task::spawn_blocking(move || {
        let file = io::BufReader::with_capacity(1 << 20, file);
        verify(file, |bytes| progress.is_at(Count { files: 0, bytes }))
    });
    let read = tokio::select! {
        read = reading => read.map_err(|error| Trouble::Io(error.to_string()))?,
        _ = tokio::signal::ctrl_c() => return Err(Trouble::Interrupted),
    };
    read.map_err(|unfit| unfit_of(path, unfit))
}

fn unfit_of(path: &Path, unfit: Unfit) -> Trouble {
    match unfit {
        Unfit::Broken(why) => Trouble::No(format!("{}: {why}; nothing was written", path.display())),
        Unfit::Io(error) => Trouble::Io(format!("{}: {error}", path.display())),
    }
}

/// How far it is.
#[derive(Default)]
struct State {
    /// The volume that is written to.
    under_way: Option<String>,
    done: Vec<String>,
}

struct Work<'a> {
    args: &'a RestoreArgs,
    asked: &'a Asked,
    api: &'a Api<Pod>,
    state: &'a RefCell<State>,
}

impl Work<'_> {
    async fn is_full(&self, one: &Chosen, pod: &str) -> Result<Option<String>, Trouble> {
        let place = place(self.asked, &one.id);
        let transfer = Transfer { api: self.api, pod, helper: &one.helper, place: &place, owner: None, of: None };
        let found = transfer.contents().await.map_err(|trouble| trouble.of(&one.id.to_string()))?;
        let some = found.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if found.len() > 3 { ", ..." } else { "" };
        Ok((!found.is_empty()).then(|| format!("volume {} is not empty: {some}{more}", one.id)))
    }

    /// One volume: it is under way until it is whole.
    async fn volume(&self, one: &Chosen, pod: &str, kept: &Kept) -> Result<(), Trouble> {
        let name = one.id.to_string();
        let place = place(self.asked, &one.id);
        let of = Some(kept.bytes);
        let transfer = Transfer { api: self.api, pod, helper: &one.helper, place: &place, owner: None, of };
        let file = open(&self.args.from)?;
        self.state.borrow_mut().under_way = Some(name.clone());
        if self.args.overwrite {
            transfer.clear().await.map_err(|trouble| trouble.of(&name))?;
        }
        let (sender, pieces) = mpsc::channel(16);
        let id = one.id.clone();
        let reading =
            tokio::task::spawn_blocking(move || feed(io::BufReader::with_capacity(1 << 20, file), &id, &sender));
        let filled = transfer.fill(pieces).await;
        let read = reading.await.map_err(|error| Trouble::Io(error.to_string()))?;
        let count = filled.map_err(|trouble| trouble.of(&name))?;
        let sum = read.map_err(|unfit| match unfit {
            Unfit::Broken(why) => Trouble::No(format!("{}: {why}", self.args.from.display())),
            Unfit::Io(error) => Trouble::Io(format!("{}: {error}", self.args.from.display())),
        })?;
        if sum != kept.sha256 {
            return Err(Trouble::No(format!("{}: was changed while it was read", self.args.from.display())));
        }
        eprintln!("{name} is restored: {}", amount(count));
        let mut state = self.state.borrow_mut();
        state.under_way = None;
        state.done.push(name);
        Ok(())
    }
}
