//! The `appstack` program: the operator, and the commands around it.

use std::process::ExitCode;

use appstack::cli::{answer, render, run, status, validate};
use clap::{Parser, Subcommand};

/// AppStack: a Compose project that Kubernetes keeps true
#[derive(Parser)]
#[command(name = "appstack", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(alias = "controller")]
    Run(Box<run::RunArgs>),
    Validate(validate::Args),
    Render(render::RenderArgs),
    Status(status::StatusArgs),
    /// Print the CustomResourceDefinition
    Crd,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Validate(args) => validate::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Crd => match appstack::generate::crd_yaml() {
            Ok(yaml) => answer(&yaml),
            Err(error) => {
                eprintln!("error: could not write the CustomResourceDefinition: {error}");
                ExitCode::from(3)
            }
        },
    }
}
