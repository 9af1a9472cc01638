//! `appstack backup` and `appstack restore`: what is in the volumes of a stack, as one file.

mod bundle;
mod restore;
mod target;
#[cfg(test)]
mod tests;
mod verify;
mod volumes;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;

pub use self::restore::{RestoreArgs, run as restore};

use self::bundle::{Bundle, FORMAT, Id, Kept, Manifest};
use self::target::Target;
use self::volumes::{Chosen, Making, choose, skipped};
use super::answer;
use super::copy::helper::writers;
use super::copy::place::Place;
use super::copy::pod::{Trouble, with_pods};
use super::copy::progress::amount;
use super::copy::transfer::Transfer;
use super::pods;
use super::run::duration;
use super::server::{Asked, Which, ask, is_refused, words};
use super::steering::refuse;
use crate::api::{AppStack, PodSecurity};
use crate::stack::{Stack, check};

/// Write what is in the volumes of a stack to one file, with checksums
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The file is a tar: the archive of each volume in parts, and a manifest with their checksums at the end. `appstack restore` reads it; without that program,
`tar -xOf FILE volumes/data | tar -x` unpacks volume data.

The pods are made like those of the services that mount the volumes, from their own images, which must have `sleep`, `tar`, `ls` and `sh`. For one that has not
(distroless, scratch), --image names another, such as busybox:1.37, that the nodes can pull.")]
pub struct BackupArgs {
    #[command(flatten)]
    which: Which,
    /// This volume, or VOLUME/NUMBER where each pod has its own; as often as needed [default: all that have a claim]
    #[arg(long = "volume", value_name = "VOLUME")]
    volumes: Vec<Id>,
    /// The file, a folder for one of the default name, or `-` for standard output [default: STACK-DATE.tar]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Go ahead although pods that may write there run: what they write meanwhile may be torn
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    pod: PodArgs,
}

/// Of the pods through which volumes are reached.
#[derive(Args, Clone, Debug)]
pub struct PodArgs {
    /// Of the pods that reach the volumes [default: those of the services that mount them]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// How long these pods may take to start (exit code 124)
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    timeout: Duration,
    /// They end after so long, whatever becomes of this program
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = duration)]
    at_most: Duration,
}

impl PodArgs {
    fn making<'a>(&'a self, purpose: &'a str) -> Making<'a> {
        Making { image: self.image.as_deref(), seconds: self.at_most.as_secs().max(60), purpose }
    }
}

/// Exit codes: 0 written, 1 refused, or it went wrong inside a pod, 2 wrong usage, 3 no cluster or a file that cannot be written, 124 a pod did not start in time,
/// 130 interrupted. No pod and no part of a file is left in any of these cases.
pub fn run(args: &BackupArgs) -> ExitCode {
    if args.to.as_ref().is_some_and(|to| to.as_os_str() == "-") && io::IsTerminal::is_terminal(&io::stdout()) {
        eprintln!("error: --to -: standard output is a terminal; send it elsewhere, as by `> FILE`");
        return ExitCode::from(2);
    }
    ask(&args.which, "back up", async |asked| {
        let outcome = backup(args, asked).await;
        Ok(outcome.unwrap_or_else(|trouble| told(&trouble, "not backed up", asked, args.pod.timeout)))
    })
}

async fn backup(args: &BackupArgs, asked: &Asked) -> Result<ExitCode, Trouble> {
    let date = Timestamp::now();
    let target = Target::of(args.to.as_deref(), &asked.name, date, args.force).map_err(Trouble::No)?;
    let (written, stack) = read(asked).await?;
    let mut chosen = choose(&stack, &claims(asked).await?, &args.volumes, args.pod.making("backup"))
        .map_err(|all| Trouble::No(all.join("\n  ")))?;
    if chosen.is_empty() {
        return Err(Trouble::No("the stack has no volume with a claim: there is nothing to back up".into()));
    }
    for one in &mut chosen {
        one.helper = one.helper.clone().reading();
    }
    let meanwhile = users(asked, &chosen).await?;
    if !args.running && !meanwhile.is_empty() {
        return Err(Trouble::No(in_the_way(asked, &chosen, &meanwhile, "; --running goes ahead all the same")));
    }
    if !meanwhile.is_empty() {
        eprintln!("note: {} may write meanwhile", meanwhile.join(", "));
    }
    let skipped = skipped(&written, &stack, &chosen);
    if !skipped.is_empty() {
        eprintln!("note: not in it: {}", skipped.join(", "));
    }
    let mut manifest = Manifest {
        format: FORMAT.into(),
        program: env!("CARGO_PKG_VERSION").into(),
        stack: asked.name.clone(),
        namespace: asked.namespace.clone(),
        date,
        volumes: Vec::new(),
        skipped,
    };
    let api = pods::api(asked);
    let helpers: Vec<_> = chosen.iter().map(|one| &one.helper).collect();
    let (out, unfinished) = target.open()?;
    with_pods(&api, &helpers, args.pod.timeout, async |names| {
        let mut bundle = Bundle::new(out, date);
        for (one, pod) in chosen.iter().zip(names) {
            let kept;
            (bundle, kept) = volume(&api, pod, one, asked, bundle).await?;
            manifest.volumes.push(kept);
        }
        let writes_now = users(asked, &chosen).await?;
        if !args.running && !writes_now.is_empty() {
            let why = format!("{} has begun to write meanwhile, so what was read may be torn", writes_now.join(", "));
            return Err(Trouble::No(why));
        }
        let ending = tokio::task::spawn_blocking(move || bundle.end(&manifest)?.done());
        Ok(ending.await.map_err(|error| Trouble::Io(error.to_string()))??)
    })
    .await?;
    Ok(match unfinished.finish()? {
        Some(file) => answer(&format!("{}\n", file.display())),
        None => ExitCode::SUCCESS,
    })
}

/// One volume into the file.
async fn volume<W: Write + Send + 'static>(
    api: &Api<Pod>,
    pod: &str,
    one: &Chosen,
    asked: &Asked,
    mut bundle: Bundle<W>,
) -> Result<(Bundle<W>, Kept), Trouble> {
    let place = place(asked, &one.id);
    let transfer = Transfer { api, pod, helper: &one.helper, place: &place, owner: None, of: None };
    let (sender, pieces) = mpsc::channel(16);
    let id = one.id.clone();
    let writing = tokio::task::spawn_blocking(move || bundle.take(&id, pieces).map(|sum| (bundle, sum)));
    let received = transfer.whole(sender).await;
    let written = writing.await.map_err(|error| Trouble::Io(error.to_string()))?;
    // A file that cannot be written is why nobody took the rest.
    let (bundle, (bytes, sha256)) = written?;
    let count = received.map_err(|trouble| trouble.of(&one.id.to_string()))?;
    let count = super::copy::archive::Count { bytes, ..count };
    eprintln!("{}: {}", one.id, amount(count));
    Ok((bundle, Kept { volume: one.id.clone(), claim: one.helper.claim.clone(), files: count.files, bytes, sha256 }))
}

/// The top folder of a volume.
fn place(asked: &Asked, id: &Id) -> Place {
    Place { stack: asked.name.clone(), volume: id.to_string(), path: String::new(), is_folder: true }
}

/// The stack as it is written, and its model.
async fn read(asked: &Asked) -> Result<(AppStack, Stack), Trouble> {
    let Some(mut written) = asked.api.get_opt(&asked.name).await? else {
        return Err(Trouble::No(format!(
            "no AppStack '{}' in namespace '{}'; -n names another",
            asked.name, asked.namespace
        )));
    };
    written.metadata.namespace = Some(asked.namespace.clone());
    let stack = check(&written, PodSecurity::Privileged).map_err(|problems| {
        Trouble::No(problems.all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))
    })?;
    Ok((written, stack))
}

async fn claims(asked: &Asked) -> kube::Result<BTreeSet<String>> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(asked.client.clone(), &asked.namespace);
    Ok(api.list_metadata(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect())
}

/// Pods that may write to one of these volumes now.
async fn users(asked: &Asked, chosen: &[Chosen]) -> kube::Result<Vec<String>> {
    let all = pods::api(asked).list(&ListParams::default()).await?.items;
    let found: BTreeSet<String> = chosen.iter().flat_map(|one| writers(&one.helper.claim, &all)).collect();
    Ok(found.into_iter().collect())
}

/// Who is in the way, and what stops them.
fn in_the_way(asked: &Asked, chosen: &[Chosen], users: &[String], or: &str) -> String {
    let services: BTreeSet<String> = chosen.iter().map(|one| format!("{}=0", one.helper.service)).collect();
    let services = services.into_iter().collect::<Vec<_>>().join(" ");
    format!(
        "{} may write there meanwhile; `appstack scale {} {services}` stops what writes{or}",
        users.join(", "),
        asked.name
    )
}

/// Says what went wrong. Returns the exit code.
fn told(trouble: &Trouble, nothing: &str, asked: &Asked, timeout: Duration) -> ExitCode {
    let name = &asked.name;
    let (code, why) = match trouble {
        Trouble::No(why) => {
            refuse(nothing, std::slice::from_ref(why));
            return ExitCode::from(1);
        }
        Trouble::Late(why) => (124, format!("a pod that reaches a volume has not started after {timeout:?}: {why}")),
        Trouble::Io(why) => (3, format!("{name}: {why}")),
        Trouble::Interrupted => {
            eprintln!("interrupted; {nothing}");
            return ExitCode::from(130);
        }
        Trouble::Server(error) => {
            (if is_refused(error) { 1 } else { 3 }, format!("{name}: {}", words(error, &asked.namespace)))
        }
    };
    eprintln!("error: {why}");
    ExitCode::from(code)
}
