//! `appstack check`: what stacks take for granted of a cluster.

mod objects;
mod rows;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use self::rows::{Row, State};
use self::trial::{Trial, Verdict};
use super::answer;
use super::look::columns;
use super::run::duration;
use super::server::{Output, Place, connect, words};
use crate::api::AppStack;
use crate::report::{PROOF, Proof};

/// Look at what stacks take for granted of a cluster, or try it out
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    place: Place,
    /// Prove by two short-lived pods whether the cluster enforces NetworkPolicies, and note it on the stacks of the namespace
    #[arg(long)]
    isolation: bool,
    /// Image of those pods; it needs `sh` and `nc` as BusyBox has them
    #[arg(long, value_name = "IMAGE", default_value = "docker.io/library/busybox:1.37")]
    image: String,
    /// Give up after so long
    #[arg(long, value_name = "DURATION", default_value = "6m", value_parser = duration)]
    timeout: Duration,
    /// How it is written
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    output: Output,
}

/// Exit codes without `--isolation`: 0 nothing that every stack needs is missing, 1 something is, 3 no cluster. With it: 0 enforced, 1 not enforced, 2 it could not be told, 3 no cluster, or no right to try it, 130 interrupted.
pub fn run(args: &CheckArgs) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        eprintln!("error: could not start the async runtime");
        return ExitCode::from(3);
    };
    runtime.block_on(async {
        match connect(&args.place).await {
            Ok((client, namespace)) if args.isolation => check(args, client, &namespace).await,
            Ok((client, namespace)) => look(args, &client, &namespace).await,
            Err(code) => code,
        }
    })
}

/// Without making anything.
async fn look(args: &CheckArgs, client: &Client, namespace: &str) -> ExitCode {
    let rows = match tokio::time::timeout(args.timeout, rows::all(client, namespace)).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => {
            eprintln!("error: could not look at the cluster: {}", words(&error, namespace));
            return ExitCode::from(3);
        }
        Err(_) => {
            eprintln!("error: no answer within {:?}; --timeout waits longer", args.timeout);
            return ExitCode::from(124);
        }
    };
    let is_missing = rows.iter().any(|row| row.state == State::Missing);
    let text = match args.output {
        Output::Json => {
            let all = json!({"namespace": namespace, "ok": !is_missing, "checks": rows});
            serde_json::to_string_pretty(&all).map(|text| text + "\n").unwrap_or_default()
        }
        Output::Table => table(&rows),
    };
    let code = answer(&text);
    if code == ExitCode::SUCCESS { ExitCode::from(u8::from(is_missing)) } else { code }
}

/// A line each, the remedy at its end.
fn table(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let fix = row.fix.as_ref().map(|fix| format!("; fix: {fix}")).unwrap_or_default();
        vec![format!("{} {}", row.state.sign(), row.name), format!("{}{fix}", row.says)]
    };
    columns(&rows.iter().map(row).collect::<Vec<_>>()).iter().map(|line| format!("{line}\n")).collect()
}

async fn check(args: &CheckArgs, client: Client, namespace: &str) -> ExitCode {
    let trial = Trial::new(client.clone(), namespace, &args.image, args.timeout);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(args.timeout, trial.run()) => Some(outcome),
        _ = tokio::signal::ctrl_c() => None,
    };
    if let Err(error) = trial.clean_up().await {
        eprintln!(
            "warning: could not remove what was made for the check: {}; `kubectl delete pod,networkpolicy -n {namespace} -l {}` does",
            words(&error, namespace),
            objects::MARK
        );
    }
    let verdict = match outcome {
        None => return ExitCode::from(130),
        Some(Err(_)) => {
            eprintln!("error: not done after {:?}; --timeout gives it longer", args.timeout);
            return ExitCode::from(2);
        }
        Some(Ok(Err(error))) => {
            eprintln!("error: could not check isolation in namespace '{namespace}': {}", words(&error, namespace));
            return ExitCode::from(3);
        }
        Some(Ok(Ok(verdict))) => verdict,
    };
    let enforced = match verdict {
        Verdict::Untold(why) => {
            eprintln!("error: it cannot be told: {why}");
            return ExitCode::from(2);
        }
        Verdict::Enforced => true,
        Verdict::Open(which) => {
            if args.output == Output::Table {
                println!("not enforced: {which}");
            }
            false
        }
    };
    if enforced && args.output == Output::Table {
        println!("enforced: a connection that policies forbid was cut off, on its way in and on its way out");
    }
    let noted = note(client, namespace, enforced).await;
    match args.output {
        Output::Json => println!("{}", json!({"namespace": namespace, "enforced": enforced, "notedOn": noted})),
        Output::Table if noted.is_empty() => println!("no stack in namespace '{namespace}' to note it on"),
        Output::Table => println!("noted on: {}", noted.join(", ")),
    }
    ExitCode::from(u8::from(!enforced))
}

/// Notes the proof on the stacks of the namespace, where the operator finds it. Returns their names.
async fn note(client: Client, namespace: &str, enforced: bool) -> Vec<String> {
    let stacks: Api<AppStack> = Api::namespaced(client, namespace);
    let at = Timestamp::now();
    let params = PatchParams { field_manager: Some("appstack-check".into()), ..PatchParams::default() };
    let noted = async {
        let mut names = Vec::new();
        for stack in stacks.list_metadata(&ListParams::default()).await? {
            let proof = Proof { enforced, at, of: stack.uid().unwrap_or_default() };
            let patch = json!({"metadata": {"annotations": {PROOF: proof.to_string()}}});
            stacks.patch_metadata(&stack.name_any(), &params, &Patch::Merge(&patch)).await?;
            names.push(stack.name_any());
        }
        Ok::<_, kube::Error>(names)
    };
    match noted.await {
        Ok(names) => names,
        Err(error) => {
            eprintln!("warning: could not note it on the stacks: {}", words(&error, namespace));
            Vec::new()
        }
    }
}
