//! `appstack completion` and `appstack man`: what shells and `man` read.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};

use super::{answer, complete};

/// Print what makes a shell complete commands, flags, and names of stacks and services
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
  bash         source <(appstack completion bash)                  in ~/.bashrc
  zsh          source <(appstack completion zsh)                   in ~/.zshrc, behind compinit
  fish         appstack completion fish | source                   in ~/.config/fish/config.fish
  powershell   appstack completion powershell | Out-String | Invoke-Expression
  elvish       eval (appstack completion elvish | slurp)

`kubectl appstack`: this program under the names kubectl-appstack and kubectl_complete-appstack on PATH, as links or copies.")]
pub struct CompletionArgs {
    #[arg(value_name = "SHELL", value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

/// Exit codes: 0, 2 for a shell that is not known, 3 where it cannot be written.
pub fn run(args: &CompletionArgs, command: &Command) -> ExitCode {
    match complete::registration(&args.shell, command) {
        Some(Ok(text)) => answer(&text),
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
        None => {
            eprintln!("error: no such shell; there are: {}", complete::shells().join(", "));
            ExitCode::from(2)
        }
    }
}

/// Write the manual pages, one for each command: appstack.1, appstack-up.1, ...
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// The folder, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Exit codes: 0, 3 where they cannot be written.
pub fn man(args: &ManArgs, command: Command) -> ExitCode {
    let written = std::fs::create_dir_all(&args.out).and_then(|()| clap_mangen::generate_to(command, &args.out));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", args.out.display());
            ExitCode::from(3)
        }
    }
}
