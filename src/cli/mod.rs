//! The commands of the `appstack` program, one file each.
pub mod backup;
pub mod check;
pub mod compose_schema;
pub mod copy;
pub mod diff;
pub mod document;
pub mod down;
pub mod drawing;
pub mod events;
pub mod exec;
pub mod explain;
mod family;
pub mod field;
pub mod findings;
pub mod graph;
pub mod history;
pub mod import;
mod kept;
pub mod kustomize_config;
pub mod logs;
mod look;
pub mod manifests;
mod pods;
pub mod port_forward;
pub mod ps;
pub mod render;
pub mod restart;
pub mod rollback;
pub mod run;
pub mod scalar;
pub mod scale;
pub mod schema;
mod server;
pub mod source;
mod split;
pub mod status;
mod steering;
pub mod suspend;
mod table;
pub mod tree;
pub mod up;
pub mod validate;
pub mod wait;

use std::io::Write as _;
use std::process::ExitCode;

/// Writes the answer of a command to standard output. A reader that has had enough (`| head`) is no failure.
pub fn answer(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("error: could not write the answer: {error}");
            ExitCode::from(3)
        }
        _ => ExitCode::SUCCESS,
    }
}
