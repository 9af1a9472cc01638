//! `appstack status`: where a stack stands, as a table that may follow it.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};

use super::server::{Asked, Which, ask, is_refused};
use super::table::{Ready, changes, summary, table};
use crate::api::{AppStack, AppStackStatus};

/// Show where each service of a stack stands
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    which: Which,
    /// Follow until interrupted; without a terminal, a line per change
    #[arg(long, short)]
    watch: bool,
    /// Follow until the stack is Ready, then say in which order and how long it took
    #[arg(long)]
    until_ready: bool,
    /// Give up after this many seconds (exit code 124)
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

/// Exit codes: 0 shown (or ready), 1 no such stack or no right to see it, 3 no cluster, 124 not ready in time.
pub fn run(args: &StatusArgs) -> ExitCode {
    ask(
        &args.which,
        "read",
        async |asked| {
            if args.watch || args.until_ready { follow(args, asked).await } else { show(asked).await }
        },
    )
}

async fn show(asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    print!("{}", table(&stack, columns()));
    Ok(ExitCode::SUCCESS)
}

async fn follow(args: &StatusArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let config = watcher::Config::default().fields(&format!("metadata.name={}", asked.name));
    let mut stacks = watcher(asked.api.clone(), config).default_backoff().applied_objects().boxed();
    let terminal = std::io::stdout().is_terminal();
    let (begun, mut lines, mut before) = (Instant::now(), 0, AppStackStatus::default());
    let mut ready = Ready::default();
    let deadline = begun + Duration::from_secs(args.timeout);
    loop {
        let next = if args.until_ready {
            tokio::time::timeout_at(deadline.into(), stacks.next()).await
        } else {
            Ok(stacks.next().await)
        };
        let Ok(next) = next else {
            eprintln!("error: not ready after {} s: {}", args.timeout, before.waiting_on.unwrap_or_default());
            return Ok(ExitCode::from(124));
        };
        let Some(stack) = next else { return Ok(ExitCode::SUCCESS) };
        let stack = match stack {
            Ok(stack) => stack,
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))
                if is_refused(&error) =>
            {
                return Err(error);
            }
            Err(error) => {
                eprintln!("watch interrupted, and taken up again: {error}");
                continue;
            }
        };
        let status = stack.status.clone().unwrap_or_default();
        ready.look(&status, begun.elapsed());
        let mut out = std::io::stdout().lock();
        let text = if terminal {
            let back = if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") };
            let table = table(&stack, columns());
            lines = table.lines().count();
            format!("{back}{table}")
        } else {
            changes(&before, &status)
                .into_iter()
                .map(|line| format!("{:6.1}s  {line}\n", begun.elapsed().as_secs_f64()))
                .collect()
        };
        // A reader that has gone away ends us at the next line.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        if args.until_ready && is_ready(&stack) {
            print!("{}", summary(&ready));
            return Ok(ExitCode::SUCCESS);
        }
        before = status;
    }
}

/// Width of the terminal that standard output is; none if it is none.
fn columns() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| terminal_size::terminal_size().map_or(120, |(width, _)| width.0.into()))
}

fn is_ready(stack: &AppStack) -> bool {
    let status = stack.status.as_ref();
    status.is_some_and(|s| {
        s.observed_generation == stack.metadata.generation
            && s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
    })
}
