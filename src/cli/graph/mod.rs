//! `appstack graph`: how a stack hangs together, without a cluster.

mod dependencies;
mod reachability;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::answer;
use super::validate::load_stack;
use crate::api::PodSecurity;
use crate::stack::{Stack, check};

/// Show who waits for whom, networks and volumes; or, with --reachability, who can talk to whom
#[derive(Args, Clone, Debug)]
pub struct GraphArgs {
    /// An AppStack as YAML; `-` reads standard input
    file: PathBuf,
    /// Who can talk to whom, on which ports
    #[arg(long)]
    reachability: bool,
    /// Why a caller reaches a target, or does not, on each port; each is a service, or a word from the json output such as `outside` or `internet`
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"])]
    why: Option<Vec<String>>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How a graph is shown.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// A picture that GitHub draws; dependencies only.
    Mermaid,
    /// A picture for Graphviz; dependencies only.
    Dot,
}

/// Where the width of the terminal is not known.
const COLUMNS: usize = 120;

/// Exit codes: 0 shown, 1 no valid stack, 2 unreadable or wrong usage.
pub fn run(args: &GraphArgs) -> ExitCode {
    // A picture asks nothing of a cluster, so any level will do.
    let stack = match load_stack(&args.file, PodSecurity::Privileged) {
        Ok(written) => check(&written, PodSecurity::Privileged),
        Err(not_loaded) => return not_loaded.report(),
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(problems) => {
            problems.all.iter().for_each(|problem| eprintln!("error: {problem}"));
            return ExitCode::from(1);
        }
    };
    match shown(&stack, args, columns()) {
        Ok(text) => answer(&text),
        Err(wrong) => {
            eprintln!("error: {wrong}");
            ExitCode::from(2)
        }
    }
}

fn shown(stack: &Stack, args: &GraphArgs, columns: usize) -> Result<String, String> {
    match (&args.why, args.reachability, args.output) {
        (Some(_), _, Output::Mermaid | Output::Dot) | (None, true, Output::Mermaid | Output::Dot) => {
            Err("reachability is shown as table or json".into())
        }
        (Some(ends), ..) => {
            let [from, to] = ends.as_slice() else { return Err("--why takes FROM and TO".into()) };
            reachability::why(stack, from, to, args.output == Output::Json)
        }
        (None, true, Output::Json) => Ok(reachability::json(stack)),
        (None, true, Output::Table) => Ok(reachability::table(stack, columns)),
        (None, false, Output::Json) => Ok(dependencies::json(stack)),
        (None, false, Output::Table) => Ok(dependencies::table(stack, columns)),
        (None, false, Output::Mermaid) => Ok(dependencies::mermaid(stack)),
        (None, false, Output::Dot) => Ok(dependencies::dot(stack)),
    }
}

fn columns() -> usize {
    let width = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    width.map_or(COLUMNS, |(width, _)| width.0.into())
}

/// Rows in kubectl's style. The last cell is a list, broken between its items where a line would be longer than `columns`.
fn rows(rows: &[Vec<String>], columns: usize) -> String {
    let cells = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..cells.saturating_sub(1)).map(|at| width(at).unwrap_or(0)).collect();
    let before: usize = widths.iter().map(|width| width + 3).sum();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}   "));
        }
        let mut at = before;
        let items = row.last().map(|cell| cell.split(", ")).into_iter().flatten();
        for (number, item) in items.enumerate() {
            // With the comma that may follow it.
            let long = item.chars().count() + 1;
            if number > 0 && at.saturating_add(2 + long) > columns {
                text.push_str(&format!(",\n{:before$}", ""));
                at = before;
            } else if number > 0 {
                text.push_str(", ");
                at += 2;
            }
            text.push_str(item);
            at += long - 1;
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
