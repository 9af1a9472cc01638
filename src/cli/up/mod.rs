//! `appstack up`: a Compose project, or a stack, into the cluster, and followed until it stands.

mod apply;
mod follow;
mod given;
pub(super) mod reach;
mod take_up;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use self::apply::{Did, Item, MANAGER, Orphan};
use self::given::Given;
use self::reach::{INSTALL, Reach};
use super::answer;
use super::findings::Colour;
use super::import::{ProjectArgs, carry_line, choose::ChoiceArgs};
use super::run::duration;
use super::server::{Asked, Place, Which, ask};
use super::steering::{DryRun, from_git, refuse};
use crate::api::{AppStack, AppStackSpec};

/// Bring up a Compose project as a stack: import, apply and follow it until it is ready
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Files that are manifests, such as `-f appstack.yaml`, are applied as they are: one AppStack with its Namespace, Secrets and ConfigMaps.
Without -n, a Compose project goes into a namespace of its name, which is made where it is missing.")]
#[allow(clippy::struct_excessive_bools)] // switches of a command line
pub struct UpArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    choices: ChoiceArgs,
    #[command(flatten)]
    place: Place,
    /// What is only different, or left out, is a failure too, unless --allow has its code
    #[arg(long)]
    strict: bool,
    /// Apply, and do not follow
    #[arg(long, short)]
    detach: bool,
    /// Delete Secrets and ConfigMaps that an earlier `up` made and that are not in the files any more
    #[arg(long)]
    remove_orphans: bool,
    /// Take over what others have set to something else
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    dry_run: DryRun,
    /// Give up following after so long (exit code 124); the rollout goes on
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
    /// When to colour
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: Colour,
}

/// How far it is, should somebody interrupt it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    /// Not to be left halfway: who uses a changed Secret must hear of it.
    Applying,
    /// Applying, and then no more.
    Ending,
    Following,
}

/// Exit codes: 0 ready (with -d: applied), 1 refused and nothing was applied, or it will not be ready, 2 the files cannot be read, 3 no cluster,
/// 124 not ready in time, 130 interrupted.
pub fn run(args: &UpArgs) -> ExitCode {
    let given = match given::read(args) {
        Ok(given) => given,
        Err(code) => return code,
    };
    let mut place = args.place.clone();
    place.namespace = given.namespace.clone().or(place.namespace);
    let which = Which { name: given.stack.name_any(), place };
    ask(&which, "bring up", async |asked| {
        let phase = Cell::new(Phase::Before);
        let mut up = std::pin::pin!(up(args, &given, asked, &phase));
        loop {
            tokio::select! {
                code = &mut up => {
                    if phase.get() != Phase::Ending {
                        return code;
                    }
                    code?;
                }
                _ = tokio::signal::ctrl_c() => {
                    if phase.get() == Phase::Applying {
                        phase.set(Phase::Ending);
                        continue;
                    }
                }
            }
            eprintln!("{}", interrupted(asked, phase.get()));
            return Ok(ExitCode::from(130));
        }
    })
}

fn interrupted(asked: &Asked, phase: Phase) -> String {
    let Asked { name, namespace, .. } = asked;
    match phase {
        Phase::Before => "interrupted; nothing was applied".to_owned(),
        _ => format!(
            "interrupted; stack '{name}' stays, and its rollout goes on: `appstack wait {name} -n {namespace}` follows it, `appstack down {name} -n {namespace}` takes it down"
        ),
    }
}

async fn up(args: &UpArgs, given: &Given, asked: &Asked, phase: &Cell<Phase>) -> kube::Result<ExitCode> {
    let reach = reach::operator(&asked.client, &asked.namespace).await?;
    if let Reach::None(why) = &reach {
        eprintln!("error: {why}; nothing was applied. This makes it so, and keeps running:\n  {INSTALL}");
        return Ok(ExitCode::from(1));
    }
    let (makes_namespace, mut items) = match plan(given, asked).await? {
        Ok(plan) => plan,
        Err(why) => return Ok(no(&[why])),
    };
    if !makes_namespace && !args.dry_run.asks_no_one() {
        let mut against = Vec::new();
        for item in &mut items {
            match item.try_out(&asked.namespace, args.force_conflicts).await? {
                Ok(notes) => notes.iter().for_each(|note| eprintln!("note: {note}")),
                Err(lines) => against.extend(lines),
            }
        }
        if !against.is_empty() {
            return Ok(no(&against));
        }
    }
    let orphans = apply::orphans(&asked.client, &asked.namespace, &asked.name, &items).await;
    if args.dry_run.is_dry() {
        return dry(args, asked, makes_namespace, &items, &orphans).await;
    }
    if stack_is_new(&items) {
        let stuck = reach::without_class(&asked.client, &given.stack).await;
        if !stuck.is_empty() {
            let all = stuck.join(", ");
            eprintln!("note: no StorageClass of this cluster is the default, so these volumes wait for one: {all}");
        }
    }
    phase.set(Phase::Applying);
    let live = items.last().and_then(|stack| typed(stack.live.as_ref()));
    let applied = apply_all(asked, makes_namespace, &items).await?;
    notes(given, asked, live.as_ref(), &applied);
    take_up::restart(asked, live.is_some(), &applied).await?;
    if phase.get() == Phase::Ending {
        return Ok(ExitCode::SUCCESS);
    }
    phase.set(Phase::Following);
    let code = if !args.detach && applied.stack.spec.suspend != Some(true) {
        follow::follow(asked, args.timeout, &reach).await?
    } else {
        eprintln!("next: appstack wait {} -n {}", asked.name, asked.namespace);
        ExitCode::SUCCESS
    };
    left_over(args, &orphans, code == ExitCode::SUCCESS).await?;
    let had = live.map(|live| live.spec.volumes).unwrap_or_default();
    for carry in given.carries.iter().filter(|carry| !had.contains_key(&carry.volume)) {
        eprintln!("next: {}", carry_line(carry, &asked.name, &asked.namespace));
    }
    Ok(code)
}

fn no(against: &[String]) -> ExitCode {
    refuse("nothing was applied", against);
    if against.iter().any(|line| line.contains(" has set ")) {
        eprintln!("  --force-conflicts takes over what others have set");
    }
    ExitCode::from(1)
}

/// Whether the namespace is to be made, and the objects with the stack as the last; or why it cannot be.
async fn plan(given: &Given, asked: &Asked) -> kube::Result<Result<(bool, Vec<Item>), String>> {
    let namespaces: Api<Namespace> = Api::all(asked.client.clone());
    let is_there = match namespaces.get_opt(&asked.namespace).await {
        // Who may not look has a place to work in.
        Err(kube::Error::Api(status)) if status.code == 403 => true,
        found => found?.is_some(),
    };
    if !is_there && !given.makes_namespace {
        return Ok(Err(format!(
            "there is no namespace '{0}'; `kubectl create namespace {0}` makes it",
            asked.namespace
        )));
    }
    let mut items = Vec::new();
    for object in &given.objects {
        items.push(Item::of(&asked.client, &asked.namespace, object.clone(), Some(&asked.name)).await?);
    }
    let mut stack = serde_json::to_value(&given.stack).unwrap_or_default();
    if let Some(stack) = stack.as_object_mut() {
        stack.remove("status");
    }
    let stack = Item::of(&asked.client, &asked.namespace, stack, None).await?;
    if stack.live.as_ref().is_some_and(|live| live.metadata.deletion_timestamp.is_some()) {
        return Ok(Err(format!(
            "stack '{0}' is being deleted; `appstack wait {0} -n {1} --for deleted` first",
            asked.name, asked.namespace
        )));
    }
    items.push(stack);
    Ok(Ok((!is_there, items)))
}

fn stack_is_new(items: &[Item]) -> bool {
    items.last().is_some_and(|stack| stack.live.is_none())
}

/// What would become of it.
async fn dry(
    args: &UpArgs,
    asked: &Asked,
    makes_namespace: bool,
    items: &[Item],
    orphans: &[Orphan],
) -> kube::Result<ExitCode> {
    let mut text = String::new();
    if makes_namespace {
        text.push_str(&format!("Namespace {}: would be created\n", asked.namespace));
    }
    for item in items {
        let said = match (&item.live, makes_namespace || !args.dry_run.asks_server()) {
            (None, true) => "would be created",
            (Some(_), true) => "would be applied",
            _ => match item.would().await? {
                Did::Created => "would be created",
                Did::Changed => "would be changed",
                Did::Nothing => "unchanged",
            },
        };
        text.push_str(&format!("{}: {said}\n", item.words()));
    }
    for orphan in orphans {
        let said = if args.remove_orphans { "would be deleted" } else { "is left over; --remove-orphans deletes it" };
        text.push_str(&format!("{}: {said}\n", orphan.words()));
    }
    let code = answer(&text);
    eprintln!("note: nothing was changed{}", args.dry_run.word());
    Ok(code)
}

/// What has come of applying.
struct Applied {
    /// The stack as it is now.
    stack: AppStack,
    /// Secrets and ConfigMaps in which something else is now.
    other_data: BTreeSet<(String, String)>,
}

async fn apply_all(asked: &Asked, makes_namespace: bool, items: &[Item]) -> kube::Result<Applied> {
    if makes_namespace {
        let namespaces: Api<Namespace> = Api::all(asked.client.clone());
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": asked.namespace}});
        namespaces.patch(&asked.namespace, &PatchParams::apply(MANAGER), &Patch::Apply(&object)).await?;
        println!("Namespace {}: created", asked.namespace);
    }
    let mut applied =
        Applied { stack: AppStack::new(&asked.name, AppStackSpec::default()), other_data: BTreeSet::new() };
    for item in items {
        let (did, now) = item.apply().await?;
        println!("{}: {}", item.words(), did.word());
        if item.kind == "AppStack" {
            applied.stack = typed(Some(&now)).unwrap_or(applied.stack);
        } else if item.has_other_data(&now) {
            applied.other_data.insert((item.kind.clone(), item.name.clone()));
        }
    }
    Ok(applied)
}

fn typed(object: Option<&kube::api::DynamicObject>) -> Option<AppStack> {
    serde_json::from_value(serde_json::to_value(object?).ok()?).ok()
}

/// What somebody may not expect.
fn notes(given: &Given, asked: &Asked, live: Option<&AppStack>, applied: &Applied) {
    if let Some(git) = live.and_then(from_git) {
        eprintln!("note: {git} keeps this stack as Git has it, and puts it back");
    }
    let (now, wanted) = (&applied.stack.spec.services, &given.stack.spec.services);
    let others: Vec<&str> = now.keys().filter(|name| !wanted.contains_key(*name)).map(String::as_str).collect();
    if !others.is_empty() {
        eprintln!(
            "note: services that somebody else has put into stack '{}' stay in it: {}",
            asked.name,
            others.join(", ")
        );
    }
    if applied.stack.spec.suspend == Some(true) {
        eprintln!("note: spec.suspend: nothing of this happens before `appstack resume {}`", asked.name);
    }
}

/// Says what is left over, or deletes it: only once nothing runs any more that was made with it.
async fn left_over(args: &UpArgs, orphans: &[Orphan], is_done: bool) -> kube::Result<()> {
    let all = orphans.iter().map(Orphan::words).collect::<Vec<_>>().join(", ");
    if orphans.is_empty() {
        return Ok(());
    }
    if !args.remove_orphans {
        eprintln!(
            "note: an earlier `up` made these, and the files have them no more: {all}; --remove-orphans deletes them"
        );
    } else if is_done {
        for orphan in orphans {
            orphan.delete().await?;
            println!("{}: deleted", orphan.words());
        }
    } else {
        eprintln!(
            "note: these stay until the stack is ready: {all}; `appstack up --remove-orphans` once more deletes them"
        );
    }
    Ok(())
}

/// What `up` has made for a stack that is gone, in a line; nothing where the caller may not see it.
pub(super) async fn left_by(asked: &Asked) -> Option<String> {
    let left = apply::marked(&asked.client, &asked.namespace, &asked.name).await;
    let names: Vec<String> = left.iter().map(Orphan::words).collect();
    (!names.is_empty()).then(|| {
        format!(
            "kept, as `appstack up` made it: {}; `kubectl delete secret,configmap -n {} -l {}={}` deletes it",
            names.join(", "),
            asked.namespace,
            apply::MADE_FOR,
            asked.name
        )
    })
}
