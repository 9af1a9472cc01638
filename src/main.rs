//! The `appstack` program: the operator, and the commands around it.

use std::process::ExitCode;

use appstack::cli::{
    answer, backup, check, compose_schema, copy, diff, down, events, exec, explain, graph, history, import,
    kustomize_config, logs, manifests, port_forward, ps, render, restart, rollback, run, scale, status, suspend, tree,
    up, validate, wait,
};
use appstack::generate;
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
    Diff(diff::DiffArgs),
    Graph(graph::GraphArgs),
    Status(status::StatusArgs),
    Wait(wait::WaitArgs),
    Tree(tree::TreeArgs),
    Events(events::EventsArgs),
    Scale(scale::ScaleArgs),
    Restart(restart::RestartArgs),
    History(history::HistoryArgs),
    Rollback(rollback::RollbackArgs),
    Suspend(suspend::SuspendArgs),
    Resume(suspend::ResumeArgs),
    Ps(ps::PsArgs),
    Logs(logs::LogsArgs),
    Exec(exec::ExecArgs),
    PortForward(port_forward::PortForwardArgs),
    #[command(name = "cp")]
    Copy(copy::CopyArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Up(Box<up::UpArgs>),
    Down(down::DownArgs),
    Import(Box<import::ImportArgs>),
    Check(check::CheckArgs),
    KustomizeConfig(kustomize_config::KustomizeConfigArgs),
    Explain(explain::Args),
    Schema(compose_schema::Args),
    /// Print the CustomResourceDefinition
    Crd,
    /// Print the ClusterRole that the operator needs
    Rbac {
        /// In parts, for the templates of the chart
        #[arg(long, hide = true)]
        chart: bool,
    },
    Manifests(manifests::ManifestsArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Validate(args) => validate::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Tree(args) => tree::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Restart(args) => restart::run(&args),
        Command::History(args) => history::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Suspend(args) => suspend::suspend(&args),
        Command::Resume(args) => suspend::resume(&args),
        Command::Scale(args) => scale::run(&args),
        Command::Ps(args) => ps::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::PortForward(args) => port_forward::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Up(args) => up::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::KustomizeConfig(args) => kustomize_config::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Schema(args) => compose_schema::run(&args),
        Command::Crd => generated(generate::crd_yaml(), "CustomResourceDefinition"),
        Command::Rbac { chart: false } => generated(generate::rbac_yaml(), "ClusterRole"),
        Command::Rbac { chart: true } => generated(generate::chart_rbac_yaml(), "rules"),
        Command::Manifests(args) => generated(args.install().yaml(), "manifests"),
    }
}

fn generated<E: std::fmt::Display>(yaml: Result<String, E>, what: &str) -> ExitCode {
    match yaml {
        Ok(yaml) => answer(&yaml),
        Err(error) => {
            eprintln!("error: could not write the {what}: {error}");
            ExitCode::from(3)
        }
    }
}
