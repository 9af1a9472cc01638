//! `appstack tree`: a stack, its services in the order of the rollout, and what each is made of.

pub(super) mod leaf;
mod picture;

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;

use super::look::Look;
use super::server::{Asked, Which, ask};
use super::{answer, family};
use crate::child::Kind;

/// What a service is made of, as far as it may be in trouble.
const SHOWN: [Kind; 9] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::Pod,
    Kind::Claim,
    Kind::ConfigMap,
    Kind::HttpRoute,
    Kind::Ingress,
];

/// Show a stack with its services, workloads, pods and volumes: what waits on what, since when, and why
#[derive(Args, Clone, Debug)]
pub struct TreeArgs {
    #[command(flatten)]
    which: Which,
}

/// Exit codes: 0 shown, 1 no such stack or no right to see it, 3 no cluster.
pub fn run(args: &TreeArgs) -> ExitCode {
    ask(&args.which, "read", async |asked| tree(asked).await)
}

async fn tree(asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let objects = family::objects(asked, &SHOWN).await?;
    let leaves: Vec<leaf::Leaf> = objects
        .into_iter()
        .filter_map(|(kind, object)| leaf::Leaf::of(kind, serde_json::to_value(object).ok()?))
        .collect();
    Ok(answer(&picture::picture(&stack, &leaves, Look::of_stdout(), Timestamp::now())))
}

#[cfg(test)]
mod tests;
