//! `appstack kustomize-config`: what kustomize needs to know of a stack that somebody wrote by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::answer;
use super::validate::load_stack;
use crate::api::PodSecurity;
use crate::compose::output::kustomize_config;

/// Print the kustomizeconfig.yaml of a stack, by which `images:`, name prefixes and generated names of kustomize reach it
///
/// List it under `configurations:` of the kustomization.yaml that has the stack, and print it anew when services, secrets, configs or volumes come or go.
#[derive(Args, Clone, Debug)]
pub struct KustomizeConfigArgs {
    /// An AppStack as YAML; `-` reads standard input
    file: PathBuf,
}

/// Exit codes: 0 printed, 1 the stack has errors, 2 there is no stack to be read, or more than one.
pub fn run(args: &KustomizeConfigArgs) -> ExitCode {
    // What a cluster allows is not asked here.
    let stack = match load_stack(&args.file, PodSecurity::Privileged) {
        Ok(stack) => stack,
        Err(not_loaded) => return not_loaded.report(),
    };
    match kustomize_config(&stack.spec) {
        Ok(text) => answer(&text),
        Err(error) => {
            eprintln!("error: could not write the configuration for kustomize: {error}");
            ExitCode::from(3)
        }
    }
}
