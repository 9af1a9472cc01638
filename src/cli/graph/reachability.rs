//! The matrix of who can talk to whom, for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows;
use crate::stack::Stack;
use crate::stack::reachability::{Answer, At, Caller, Entry, Matrix, Target};

const LEGEND: &str = "*  on every port    o  on the ports listed below    -  not at all\n";

/// Callers down, targets across: services by their number in the first column, in as many blocks as `columns` asks for.
pub(super) fn table(stack: &Stack, columns: usize) -> String {
    let matrix = Matrix::of(stack);
    let callers = matrix.callers();
    let targets: Vec<Target<'_>> =
        matrix.targets().into_iter().filter(|to| !matches!(to, Target::Populate(_))).collect();
    let digits = stack.services.len().to_string().len();
    let number: BTreeMap<&str, usize> = stack.services.keys().zip(1..).map(|(name, at)| (name.as_str(), at)).collect();
    let row = |from: &Caller<'_>| match from {
        Caller::Service(name) => format!("{:digits$} {name}", number.get(name).copied().unwrap_or_default()),
        Caller::Populate(volume) => format!("{:digits$} filling of volume {volume}", ""),
        Caller::Shared(network) => format!("{:digits$} others in shared network {network}", ""),
        Caller::Namespace => format!("{:digits$} other pods of the namespace", ""),
        Caller::Cluster => format!("{:digits$} pods of other namespaces", ""),
        Caller::Outside => format!("{:digits$} outside the cluster", ""),
    };
    let head = |to: &Target<'_>| match to {
        Target::Service(name) | Target::Populate(name) => number.get(name).map(ToString::to_string).unwrap_or_default(),
        Target::Internet => "INTERNET".into(),
        Target::Dns => "DNS".into(),
    };
    let names: Vec<String> = callers.iter().map(row).collect();
    let first = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);

    let mut text = format!("{}: who can talk to whom\n\n", stack.name);
    for block in blocks(&targets, |to| head(to).len().max(digits) + 2, columns.saturating_sub(first)) {
        let mut line = format!("{:first$}", "FROM");
        for to in block {
            line.push_str(&format!("  {:>digits$}", head(to)));
        }
        text.push_str(&format!("{}\n", line.trim_end()));
        for (from, name) in callers.iter().zip(&names) {
            let mut line = format!("{name:first$}");
            for to in block {
                let width = head(to).len().max(digits);
                line.push_str(&format!("  {:>width$}", cell(matrix, *from, *to)));
            }
            text.push_str(&format!("{}\n", line.trim_end()));
        }
        text.push('\n');
    }
    text.push_str(LEGEND);
    let open = doors(matrix);
    if open.len() > 1 {
        text.push_str(&format!("\n{}", rows(&open, columns)));
    }
    text
}

/// As many in a row as there is room for, and one at least.
fn blocks<T>(items: &[T], width: impl Fn(&T) -> usize, room: usize) -> Vec<&[T]> {
    let (mut blocks, mut from, mut taken) = (Vec::new(), 0, 0);
    for (at, item) in items.iter().enumerate() {
        let wide = width(item);
        if at > from && taken + wide > room {
            blocks.extend(items.get(from..at));
            (from, taken) = (at, 0);
        }
        taken += wide;
    }
    blocks.extend(items.get(from..));
    blocks
}

/// How much of a target a caller reaches; nothing where nobody asks. A service and itself are two pods of it.
fn cell(matrix: Matrix<'_>, from: Caller<'_>, to: Target<'_>) -> &'static str {
    let answers: Vec<bool> =
        matrix.ports(to).into_iter().filter_map(|at| Some(matrix.answer(from, to, at)?.is_open())).collect();
    match (answers.is_empty(), answers.iter().all(|open| *open), answers.contains(&true)) {
        (true, ..) => "",
        (_, true, _) => "*",
        (_, _, true) => "o",
        _ => "-",
    }
}

/// What is open to more than the members of a service's networks.
fn doors(matrix: Matrix<'_>) -> Vec<Vec<String>> {
    let mut found = vec![["SERVICE", "PORT", "OPEN-TO", "WHY"].map(str::to_owned).to_vec()];
    for to in matrix.targets() {
        let Target::Service(name) = to else { continue };
        for at in matrix.ports(to).into_iter().filter(|at| matches!(at, At::Declared(..))) {
            let open = |from: Caller<'static>| matrix.answer(from, to, at).filter(Answer::is_open);
            let widest = [
                (Caller::Outside, "everyone"),
                (Caller::Cluster, "pods of the cluster"),
                (Caller::Namespace, "pods of the namespace"),
            ];
            let door = widest.into_iter().find_map(|(from, whom)| Some((whom, open(from)?)));
            if let Some((whom, why)) = door {
                found.push(vec![name.to_owned(), at.to_string(), whom.to_owned(), why.to_string()]);
            }
        }
    }
    found
}

/// Every question and its answer. `why` is for people and may be worded better one day; `reason` stays.
pub(super) fn json(stack: &Stack) -> String {
    let answers: Vec<Value> = Matrix::of(stack).entries().map(|entry| line(&entry)).collect();
    format!("{:#}\n", json!({"stack": stack.name, "answers": answers}))
}

fn line(entry: &Entry<'_>) -> Value {
    json!({
        "from": entry.from.to_string(), "to": entry.to.to_string(), "port": entry.at.to_string(),
        "allowed": entry.answer.is_open(), "reason": entry.answer.code(), "why": entry.answer.to_string(),
    })
}

/// The answers of one caller and one target.
pub(super) fn why(stack: &Stack, from: &str, to: &str, as_json: bool) -> Result<String, String> {
    let matrix = Matrix::of(stack);
    let caller = one_of(&matrix.callers(), from, |c| matches!(c, Caller::Service(name) if *name == from))?;
    let target = one_of(&matrix.targets(), to, |t| matches!(t, Target::Service(name) if *name == to))?;
    let entries: Vec<Entry<'_>> = matrix.entries().filter(|entry| entry.from == caller && entry.to == target).collect();
    if entries.is_empty() {
        return Err(format!("what {from} does with {to} is not the stack's to decide"));
    }
    if as_json {
        let answers: Vec<Value> = entries.iter().map(line).collect();
        return Ok(format!("{:#}\n", json!({"stack": stack.name, "answers": answers})));
    }
    let port = |at: At| match at {
        At::Declared(..) => at.to_string(),
        At::Other => "any other".into(),
        At::Any => "any".into(),
    };
    let mut table = vec![["PORT", "ALLOWED", "WHY"].map(str::to_owned).to_vec()];
    table.extend(entries.iter().map(|entry| {
        let allowed = if entry.answer.is_open() { "yes" } else { "no" };
        vec![port(entry.at), allowed.to_owned(), entry.answer.to_string()]
    }));
    Ok(rows(&table, usize::MAX))
}

/// A service by its name, anything by its word.
fn one_of<T: Copy + ToString>(all: &[T], text: &str, is_service: impl Fn(&T) -> bool) -> Result<T, String> {
    let found = all.iter().find(|one| is_service(one)).or_else(|| all.iter().find(|one| one.to_string() == text));
    found.copied().ok_or_else(|| {
        let known: Vec<String> = all.iter().map(ToString::to_string).collect();
        format!("'{text}' is nobody here; there are {}", known.join(", "))
    })
}
