//! `appstack check`: what stacks take for granted of a cluster.

mod objects;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use self::trial::{Trial, Verdict};
use super::run::duration;
use super::server::{Place, connect, words};
use crate::api::AppStack;
use crate::report::{PROOF, Proof};

/// Try out what stacks take for granted of a cluster
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    place: Place,
    /// Prove by two short-lived pods whether the cluster enforces NetworkPolicies, and note it on the stacks of the namespace
    #[arg(long, required = true)]
    isolation: bool,
    /// Image of those pods; it needs `sh` and `nc` as BusyBox has them
    #[arg(long, value_name = "IMAGE", default_value = "docker.io/library/busybox:1.37")]
    image: String,
    /// Give up after so long
    #[arg(long, value_name = "DURATION", default_value = "6m", value_parser = duration)]
    timeout: Duration,
}

/// Exit codes: 0 enforced, 1 not enforced, 2 it could not be told, 3 no cluster, or no right to try it, 130 interrupted.
pub fn run(args: &CheckArgs) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        eprintln!("error: could not start the async runtime");
        return ExitCode::from(3);
    };
    runtime.block_on(async {
        match connect(&args.place).await {
            Ok((client, namespace)) => check(args, client, &namespace).await,
            Err(code) => code,
        }
    })
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
            println!("not enforced: {which}");
            false
        }
    };
    if enforced {
        println!("enforced: a connection that policies forbid was cut off, on its way in and on its way out");
    }
    note(client, namespace, enforced).await;
    ExitCode::from(u8::from(!enforced))
}

/// Notes the proof on the stacks of the namespace, where the operator finds it.
async fn note(client: Client, namespace: &str, enforced: bool) {
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
        Ok(names) if names.is_empty() => println!("no stack in namespace '{namespace}' to note it on"),
        Ok(names) => println!("noted on: {}", names.join(", ")),
        Err(error) => eprintln!("warning: could not note it on the stacks: {}", words(&error, namespace)),
    }
}
