//! `appstack exec`: a command inside a pod of a service.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::process::ExitCode;

use clap::Args;
use futures::SinkExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::ResourceExt;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::pods;
use super::server::{Asked, Which, ask};
use super::steering::refuse;

/// Run a command in a pod of a service: a ready one, the youngest
#[derive(Args, Clone, Debug)]
pub struct ExecArgs {
    #[command(flatten)]
    which: Which,
    /// The service
    service: String,
    /// The command and its arguments; what begins with a dash comes after `--`
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// No terminal, although standard input and output are one
    #[arg(long, short = 'T')]
    no_tty: bool,
    /// This pod [default: the youngest that is ready]
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
    /// This container of the pod [default: the service's own]
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
}

/// Exit codes: that of the command; 1 no such service, or no pod of it runs; 126 the command cannot be run, 127 there is none; 3 no cluster.
pub fn run(args: &ExecArgs) -> ExitCode {
    ask(&args.which, "run a command in", async |asked| exec(args, asked).await)
}

async fn exec(args: &ExecArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let pod = match &args.pod {
        Some(name) => pods::list(asked)
            .await?
            .into_iter()
            .find(|pod| pod.name_any() == *name && pods::service(pod) == Some(args.service.as_str()))
            .ok_or_else(|| format!("{} has no pod {name}; `appstack ps {}` lists them", args.service, asked.name)),
        None => pods::pick(asked, &args.service).await?,
    };
    let pod = match pod {
        Ok(pod) => pod,
        Err(why) => {
            refuse("nothing was run", &[why]);
            return Ok(ExitCode::from(1));
        }
    };
    let tty = !args.no_tty && io::stdin().is_terminal() && io::stdout().is_terminal();
    let container = args.container.clone().unwrap_or_else(|| pods::container(&pod));
    let params = AttachParams { tty, stderr: !tty, ..roomy() }.stdin(true).container(container);
    let mut process = pods::api(asked).exec(&pod.name_any(), &args.command, &params).await?;
    let raw = if tty { Raw::enter() } else { None };
    let status = carry(&mut process, tty).await;
    drop(raw);
    Ok(match status {
        Ok(Some(status)) => ended(&status),
        Ok(None) => {
            eprintln!("error: the connection to pod {} has ended before the command did", pod.name_any());
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    })
}

/// Buffers of a size at which a stream of files is no trickle.
pub(super) fn roomy() -> AttachParams {
    let size = Some(1 << 20);
    AttachParams {
        max_stdin_buf_size: size,
        max_stdout_buf_size: size,
        max_stderr_buf_size: size,
        ..AttachParams::default()
    }
}

/// Carries the three streams until the command has ended and all that it said is written.
async fn carry(process: &mut AttachedProcess, tty: bool) -> io::Result<Option<Status>> {
    let status = process.take_status();
    let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
    if let Some(stdin) = stdin {
        tokio::spawn(feed(stdin));
    }
    if let Some(sizes) = process.terminal_size().filter(|_| tty) {
        tokio::spawn(follow_size(sizes));
    }
    let out = copy(stdout, io::stdout());
    let err = copy(stderr, io::stderr());
    let (out, err) = tokio::join!(out, err);
    out.and(err)?;
    Ok(match status {
        Some(status) => status.await,
        None => None,
    })
}

async fn copy(from: Option<impl AsyncRead + Unpin>, mut to: impl Write) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        to.flush()?; // somebody is looking
    }
}

/// Standard input, read by a thread that nobody waits for: a read that is never answered must not keep the program.
async fn feed(mut stdin: impl AsyncWrite + Unpin) {
    let (sender, mut read) = mpsc::channel::<Vec<u8>>(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match io::stdin().lock().read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) if sender.blocking_send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    while let Some(bytes) = read.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            return; // the command reads no more
        }
    }
    let _ = stdin.shutdown().await; // what is not told is told by the end of the connection
}

async fn follow_size(mut sizes: futures::channel::mpsc::Sender<TerminalSize>) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Some((width, height)) = terminal_size::terminal_size()
            && sizes.send(TerminalSize { width: width.0, height: height.0 }).await.is_err()
        {
            return;
        }
        if changed.recv().await.is_none() {
            return;
        }
    }
}

/// The terminal hands every key on, Ctrl-C included, until this goes.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Raw> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0); // there is nothing else to try
    }
}

/// The exit code of a command, as the kubelet tells it; says what else went wrong.
fn ended(status: &Status) -> ExitCode {
    match outcome(status) {
        Ok(code) => ExitCode::from(code),
        Err((code, why)) => {
            eprintln!("error: {why}");
            ExitCode::from(code)
        }
    }
}

/// The exit code of a command that ran; else one that a shell would give, and why it did not.
pub(super) fn outcome(status: &Status) -> Result<u8, (u8, String)> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let code =
        causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode")).find_map(|cause| cause.message.clone());
    let said = status.message.clone().unwrap_or_default();
    match code.and_then(|code| code.parse::<i64>().ok()) {
        // What runs containers gives these where the program is not there, and says why only in words.
        Some(code) => Ok(u8::try_from(code & 0xff).unwrap_or(1)),
        None if said.contains("not found") || said.contains("no such file") => Err((127, said)),
        None if said.contains("permission denied") => Err((126, said)),
        None => Err((3, said)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_exit_code_of_the_command_is_that_of_the_program() {
        let status = |status: &str, message: &str, code: Option<&str>| -> Status {
            let causes: Vec<Value> = code.iter().map(|code| json!({"reason": "ExitCode", "message": code})).collect();
            serde_json::from_value(json!({"status": status, "message": message, "details": {"causes": causes}}))
                .unwrap()
        };
        assert_eq!(outcome(&status("Success", "", None)), Ok(0));
        assert_eq!(outcome(&status("Failure", "command terminated", Some("42"))), Ok(42));
        assert_eq!(outcome(&status("Failure", "command terminated", Some("137"))), Ok(137));
        let missing = "exec: \"bash\": executable file not found in $PATH";
        assert_eq!(outcome(&status("Failure", missing, None)), Err((127, missing.into())));
        assert_eq!(outcome(&status("Failure", "permission denied", None)).unwrap_err().0, 126);
        assert_eq!(outcome(&status("Failure", "container is gone", None)).unwrap_err().0, 3);
    }

    #[tokio::test]
    async fn every_byte_is_carried() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut got = Vec::new();
        copy(Some(bytes.as_slice()), &mut got).await.unwrap();
        assert_eq!(got, bytes);
    }
}
