//! A stack that was applied, until it is ready or waiting alone does not help.

use std::cell::Cell;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::reach::{INSTALL, Reach};
use crate::cli::server::Asked;
use crate::cli::status::Story;
use crate::cli::wait::until_ready_seen;
use crate::stack::requests::is_answered;

/// An operator answers within a moment.
const PATIENCE: Duration = Duration::from_secs(15);

/// Shows how the stack goes on, as `appstack status --watch` does, and ends as `appstack wait` does.
pub(super) async fn follow(asked: &Asked, timeout: Duration, reach: &Reach) -> kube::Result<ExitCode> {
    let mut story = Story::new();
    let answered = Cell::new(*reach == Reach::Answers);
    let see = |stack: &crate::api::AppStack| {
        answered.set(answered.get() || is_answered(stack));
        let mut out = std::io::stdout().lock();
        // Whoever listens no more is told the end by the exit code.
        let _ = out.write_all(story.tell(stack).as_bytes()).and_then(|()| out.flush());
    };
    let doubt = async {
        tokio::time::sleep(PATIENCE).await;
        if !answered.get() {
            eprintln!("note: no operator has looked at it so far. If none runs, this starts one:\n  {INSTALL}");
        }
        std::future::pending::<()>().await;
    };
    let code = tokio::select! {
        code = until_ready_seen(asked, timeout, see) => code?,
        () = doubt => ExitCode::from(3),
    };
    if code != ExitCode::SUCCESS {
        let of = format!("{} -n {}", asked.name, asked.namespace);
        eprintln!("next:\n  appstack tree {of}\n  appstack events {of}\n  appstack logs {of}");
    }
    Ok(code)
}
