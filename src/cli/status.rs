//! `appstack status`: where a stack stands, as a table that may follow it.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;

use super::answer;
use super::look::Look;
use super::server::{Asked, Output, Which, ask};
use super::table::{Ready, changes, json, summary, table};
use crate::api::{AppStack, AppStackStatus};
use crate::stack::requests::is_answered;

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
    /// How it is shown; followed as json, it is a line per change
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Exit codes: 0 shown (or ready), 1 no such stack or no right to see it, 3 no cluster, 124 not ready in time.
pub fn run(args: &StatusArgs) -> ExitCode {
    ask(&args.which, "read", async |asked| {
        if args.watch || args.until_ready { follow(args, asked).await } else { show(args, asked).await }
    })
}

async fn show(args: &StatusArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let text = match args.output {
        Output::Table => table(&stack, Look::of_stdout(), Timestamp::now()),
        Output::Json => format!("{:#}\n", json(&stack)),
    };
    Ok(answer(&text))
}

async fn follow(args: &StatusArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let mut stacks = asked.follow();
    let mut story = Story::new();
    let deadline = story.begun + Duration::from_secs(args.timeout);
    loop {
        let next = if args.until_ready {
            tokio::time::timeout_at(deadline.into(), stacks.next()).await
        } else {
            Ok(stacks.next().await)
        };
        let Ok(next) = next else {
            eprintln!("error: not ready after {} s: {}", args.timeout, story.before.waiting_on.unwrap_or_default());
            return Ok(ExitCode::from(124));
        };
        let Some(next) = next else { return Ok(ExitCode::SUCCESS) };
        let Some(stack) = next? else { continue };
        let told = story.tell(&stack);
        let text = if args.output == Output::Json { format!("{}\n", json(&stack)) } else { told };
        let mut out = std::io::stdout().lock();
        // A reader that has gone away ends us at the next line.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        if args.until_ready && is_ready(&stack) {
            if args.output == Output::Table {
                print!("{}", story.summary());
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// A stack as it goes on: on a terminal a table that is drawn again in place, else a line per change.
#[derive(Debug)]
pub(super) struct Story {
    look: Look,
    begun: Instant,
    lines: usize,
    before: AppStackStatus,
    ready: Ready,
}

impl Story {
    pub(super) fn new() -> Story {
        let (before, ready) = (AppStackStatus::default(), Ready::default());
        Story { look: Look::of_stdout(), begun: Instant::now(), lines: 0, before, ready }
    }

    /// What there is to show of the stack as it is now.
    pub(super) fn tell(&mut self, stack: &AppStack) -> String {
        let status = stack.status.clone().unwrap_or_default();
        self.ready.look(&status, self.begun.elapsed());
        let text = if self.look.columns.is_some() {
            let back = if self.lines == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.lines) };
            let table = table(stack, self.look, Timestamp::now());
            self.lines = table.lines().count();
            format!("{back}{table}")
        } else {
            let line = |line| format!("{:6.1}s  {line}\n", self.begun.elapsed().as_secs_f64());
            changes(&self.before, &status).into_iter().map(line).collect()
        };
        self.before = status;
        text
    }

    fn summary(&self) -> String {
        summary(&self.ready)
    }
}

pub(super) fn is_ready(stack: &AppStack) -> bool {
    let is_true = |status: &AppStackStatus| status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    is_answered(stack) && stack.status.as_ref().is_some_and(is_true)
}
