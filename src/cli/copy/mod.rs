//! `appstack cp`: files into a volume and out of it, as a tar through a short-lived pod.

pub(super) mod archive;
pub(super) mod helper;
mod local;
mod names;
pub(super) mod place;
pub(super) mod pod;
pub(super) mod progress;
pub(super) mod transfer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use kube::Api;
use kube::api::ListParams;

use self::helper::{Helper, writers};
use self::place::{End, Place, ends};
use self::pod::{Trouble, needs, with_pods};
use self::transfer::Transfer;
use super::pods;
use super::run::duration;
use super::server::{Asked, Place as Cluster, Which, ask, words};
use super::steering::refuse;
use crate::api::PodSecurity;
use crate::stack::check;

/// Copy files into a volume of a stack, or out of it, through a short-lived pod that mounts it
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A folder's content goes into PATH, a file under its own name if PATH is a folder (ends with a slash, or is left away), else as PATH.
`-` is a tar on standard input or output:  docker run --rm -v db:/v busybox tar -c -C /v . | appstack cp - shop/db

The pod is made like those of the service that mounts the volume, from the service's own image, which must have `sleep`, `tar` and `mkdir`. For one
that has not (distroless, scratch), --image names another, such as busybox:1.37, that the nodes can pull.")]
pub struct CopyArgs {
    /// A file, a folder, `-`, or STACK/VOLUME[:PATH]
    from: String,
    /// The same; exactly one of both is a volume
    to: String,
    #[command(flatten)]
    place: Cluster,
    /// Of the pod that copies [default: that of the service that mounts the volume]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Of a volume of which each pod has its own: the pod's number
    #[arg(long, value_name = "NUMBER")]
    replica: Option<u32>,
    /// Copy in although a pod that may write there runs
    #[arg(long)]
    running: bool,
    /// Take a local folder that is not empty, or replace a local file
    #[arg(long)]
    overwrite: bool,
    /// Of what is copied in, where the pod runs as root [default: the owner of the folder it goes to; of a tar, what it says]
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    owner: Option<(u64, u64)>,
    /// How long the pod may take to start (exit code 124)
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    timeout: Duration,
    /// The pod ends after so long, whatever becomes of this program
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = duration)]
    at_most: Duration,
}

fn owner(text: &str) -> Result<(u64, u64), String> {
    let (user, group) = text.trim().split_once(':').unwrap_or((text.trim(), text.trim()));
    user.parse().ok().zip(group.parse().ok()).ok_or_else(|| "must be two numbers, such as 999:999".into())
}

/// Exit codes: 0 copied, 1 refused, or it went wrong inside the pod, 2 wrong usage, 3 no cluster or a file that cannot be read or written, 124 the pod did not
/// start in time, 130 interrupted. The pod is removed in each of these cases.
pub fn run(args: &CopyArgs) -> ExitCode {
    let (from, to) = match ends(&args.from, &args.to, |path| Path::new(path).exists()) {
        Ok(ends) => ends,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    let (place, other, inwards) = match (from, to) {
        (End::Volume(place), other) => (place, other, false),
        (other, End::Volume(place)) => (place, other, true),
        _ => return ExitCode::from(2),
    };
    if let (End::Local(path), true) = (&other, inwards)
        && !path.exists()
    {
        eprintln!("error: {}: there is no such file or folder", path.display());
        return ExitCode::from(2);
    }
    let which = Which { name: place.stack.clone(), place: args.place.clone() };
    ask(&which, "copy files of", async |asked| Ok(copy(args, asked, &place, &other, inwards).await))
}

async fn copy(args: &CopyArgs, asked: &Asked, place: &Place, other: &End, inwards: bool) -> ExitCode {
    let outcome = match prepare(args, asked, place, inwards).await {
        Ok(helper) => through(args, asked, &helper, place, other, inwards).await,
        Err(trouble) => Err(trouble),
    };
    let name = format!("{}/{}", place.stack, place.volume);
    match outcome {
        Ok(said) => {
            eprintln!("{said}");
            ExitCode::SUCCESS
        }
        Err(Trouble::No(why)) => {
            refuse(if inwards { "not copied in" } else { "not copied out" }, &[why]);
            ExitCode::from(1)
        }
        Err(Trouble::Late(why)) => {
            eprintln!("error: the pod that copies has not started after {:?}: {why}", args.timeout);
            ExitCode::from(124)
        }
        Err(Trouble::Io(why)) => {
            eprintln!("error: {name}: {why}");
            ExitCode::from(3)
        }
        Err(Trouble::Interrupted) => {
            eprintln!("interrupted; what was copied until then stays");
            ExitCode::from(130)
        }
        Err(Trouble::Server(error)) => {
            eprintln!("error: {name}: {}", words(&error, &asked.namespace));
            ExitCode::from(3)
        }
    }
}

/// What the helper is made from, once nothing stands in the way.
async fn prepare(args: &CopyArgs, asked: &Asked, place: &Place, inwards: bool) -> Result<Helper, Trouble> {
    let Some(mut written) = asked.api.get_opt(&asked.name).await? else {
        return Err(Trouble::No(format!(
            "no AppStack '{}' in namespace '{}'; -n names another",
            asked.name, asked.namespace
        )));
    };
    written.metadata.namespace = Some(asked.namespace.clone());
    let stack = check(&written, PodSecurity::Privileged)
        .map_err(|problems| Trouble::No(problems.all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let seconds = args.at_most.as_secs().max(60);
    let helper =
        Helper::of(&stack, &place.volume, args.replica, args.image.as_deref(), seconds).map_err(Trouble::No)?;
    let claims: Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
        Api::namespaced(asked.client.clone(), &asked.namespace);
    if claims.get_opt(&helper.claim).await?.is_none() {
        return Err(Trouble::No(format!(
            "claim {} is not there yet; apply the stack first (`stopped: true` starts nothing of it)",
            helper.claim
        )));
    }
    let all = pods::api(asked).list(&ListParams::default()).await?.items;
    let writers = writers(&helper.claim, &all);
    if inwards && !writers.is_empty() && !args.running {
        return Err(Trouble::No(format!(
            "{} may write there meanwhile; `appstack scale {} {}=0` stops it, --running copies all the same",
            writers.join(", "),
            asked.name,
            helper.service
        )));
    }
    if !writers.is_empty() {
        eprintln!("note: {} may write there meanwhile", writers.join(", "));
    }
    Ok(helper)
}

/// Copies through a helper, which goes in any case.
async fn through(
    args: &CopyArgs,
    asked: &Asked,
    helper: &Helper,
    place: &Place,
    other: &End,
    inwards: bool,
) -> Result<String, Trouble> {
    let api = pods::api(asked);
    let work = async |names: &[String]| {
        let name = names.first().map(String::as_str).unwrap_or_default();
        let transfer = Transfer { api: &api, pod: name, helper, place, owner: args.owner, of: None };
        match (inwards, other) {
            (true, End::Local(path)) => transfer.pack(path.clone()).await,
            (true, _) => transfer.take_in().await,
            (false, End::Local(path)) => transfer.unpack(target(place, path), args.overwrite).await,
            (false, _) => transfer.give_out().await,
        }
    };
    with_pods(&api, &[helper], args.timeout, work).await
}

/// Where a file of the volume goes to: under its own name into a folder.
fn target(place: &Place, path: &Path) -> PathBuf {
    let is_folder = path.is_dir() || path.to_string_lossy().ends_with('/');
    match place.path.rsplit('/').next() {
        Some(name) if !place.is_folder && is_folder && !name.is_empty() => path.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers_or_one_for_both() {
        assert_eq!((owner("999:998"), owner("70\n")), (Ok((999, 998)), Ok((70, 70))));
        assert!(owner("postgres").is_err() && owner("1:").is_err());
    }

    #[test]
    fn a_file_goes_into_a_folder_under_its_own_name() {
        let place =
            |path: &str, is_folder| Place { stack: "s".into(), volume: "v".into(), path: path.into(), is_folder };
        assert_eq!(target(&place("etc/app.conf", false), Path::new("out/")), Path::new("out/app.conf"));
        assert_eq!(target(&place("etc/app.conf", false), Path::new("mine.conf")), Path::new("mine.conf"));
        assert_eq!(target(&place("", true), Path::new("out/")), Path::new("out/"));
    }
}
