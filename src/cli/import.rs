//! `appstack import`: Compose files as an AppStack, with a report of every key.

pub(super) mod choose;
mod function;
#[cfg(test)]
mod page_tests;
mod write;

#[cfg(test)]
pub(crate) use page_tests::outcomes;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::drawing::Pen;
use super::findings::Colour;
use super::{answer, field, schema};
use crate::api::PodSecurity;
use crate::compose::files::Disk;
use crate::compose::mapping::choices::Choices;
use crate::compose::mapping::says::{Class, Finding};
use crate::compose::mapping::{self, Carry, Mapped};
use crate::compose::output::{self, report};
use crate::compose::problem::{Problem, Severity, code};
use crate::compose::{Loaded, Options, load, up};
use crate::stack::check;

/// Turn Compose files into an AppStack, the Secrets that go with it, and a report of every key
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    choices: choose::ChoiceArgs,
    /// Write the files into this folder; without it the stack is printed and nothing is written
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write over files of an earlier import
    #[arg(long, requires = "out")]
    overwrite: bool,
    #[command(flatten)]
    called: function::Called,
    /// The namespace; unset: the project's name; empty: none, for those who have one for all they apply
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Write Secrets without their values
    #[arg(long)]
    placeholders: bool,
    /// What is only different, or left out, is a failure too, unless --allow has its code
    #[arg(long)]
    strict: bool,
    /// When to colour
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: Colour,
}

/// Which project.
#[derive(Args, Clone, Debug)]
pub struct ProjectArgs {
    /// A Compose file, `-` for standard input; several are put together. Unset: COMPOSE_FILE, or compose.yaml and its like
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    files: Vec<String>,
    /// A file of variables, instead of .env
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// A profile to switch on; unset: COMPOSE_PROFILES
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// The name of the project, which is that of the stack
    #[arg(long, short, value_name = "NAME")]
    project_name: Option<String>,
    /// The folder that paths are seen from; unset: that of the first file
    #[arg(long, value_name = "DIR")]
    project_directory: Option<String>,
    /// A further folder whose files may be read
    #[arg(long, value_name = "DIR")]
    allow_folder: Vec<String>,
}

impl ProjectArgs {
    /// The files that were named.
    pub(super) fn files(&self) -> &[String] {
        &self.files
    }

    /// What `-` among the files is.
    pub(super) fn standard_input(&self) -> std::io::Result<String> {
        let mut text = String::new();
        if self.files.iter().any(|file| file == "-") {
            std::io::Read::read_to_string(&mut std::io::stdin().lock(), &mut text)?;
        }
        Ok(text)
    }

    fn load(&self, standard_input: String) -> std::io::Result<Loaded> {
        let options = Options {
            folder: std::env::current_dir()?,
            files: self.files.clone(),
            standard_input,
            env_files: self.env_file.clone(),
            profiles: self.profile.clone(),
            project_directory: self.project_directory.clone(),
            name: self.project_name.clone(),
            roots: self.allow_folder.clone(),
            environment: std::env::vars().collect(),
        };
        Ok(load(&Disk, &options))
    }
}

/// A project as a stack.
pub(super) struct Imported {
    pub(super) loaded: Loaded,
    pub(super) mapped: Mapped,
    /// The stack as an object.
    document: Value,
    /// Something of it is refused, or with --strict different.
    pub(super) failed: bool,
}

/// Reads and maps a project, and says on standard error what is wrong with it; the exit code where that is all there is to say.
pub(super) fn read(
    project: &ProjectArgs,
    standard_input: std::io::Result<String>,
    choices: &Choices,
    strict: bool,
    pen: Pen,
) -> Result<Imported, ExitCode> {
    let (loaded, mapped) = mapped(project, standard_input, choices, pen)?;
    let (document, failed) = judged(&loaded, &mapped, choices, strict, pen);
    Ok(Imported { loaded, mapped, document, failed })
}

fn mapped(
    project: &ProjectArgs,
    standard_input: std::io::Result<String>,
    choices: &Choices,
    pen: Pen,
) -> Result<(Loaded, Mapped), ExitCode> {
    std::thread::spawn(schema::prepare);
    let loaded = match standard_input.and_then(|text| project.load(text)) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("error: could not read the project: {error}");
            return Err(ExitCode::from(2));
        }
    };
    eprint!("{}", pen.problems(&loaded.problems, &loaded.sources));
    let Some(mapped) = mapping::map(&loaded, &Disk, choices) else {
        let unread = [code::NO_FILE, code::UNREADABLE, code::OUTSIDE];
        let is_unread = loaded.errors().any(|problem| unread.contains(&problem.code));
        return Err(ExitCode::from(if is_unread { 2 } else { 1 }));
    };
    Ok((loaded, mapped))
}

/// The stack as an object, and whether something of it is refused, which is said on standard error.
fn judged(loaded: &Loaded, mapped: &Mapped, choices: &Choices, strict: bool, pen: Pen) -> (Value, bool) {
    // That a check cannot be seen is said by the mapping, which knows what was chosen.
    let of_up = loaded.project.as_ref().map(up::check).unwrap_or_default();
    let of_up: Vec<Problem> = of_up.into_iter().filter(|problem| problem.code != code::NO_HEALTH_CHECK).collect();
    eprint!("{}", pen.problems(&of_up, &loaded.sources));
    for finding in mapped.findings.iter().filter(|finding| finding.outcome.class == Class::Refused) {
        eprintln!("{}\n", pen.problem(&problem(finding), &loaded.sources));
    }
    let document = output::document(&mapped.stack);
    let invalid = invalid(mapped, &document);
    for message in &invalid {
        eprintln!("error[{}]: {message}\n", mapping::code::INVALID.0);
    }
    let is_different = |finding: &Finding| !choices.allows(finding.outcome.code);
    let refused = mapped.findings.iter().any(|finding| finding.outcome.class == Class::Refused);
    let failed =
        refused || !of_up.is_empty() || !invalid.is_empty() || (strict && mapped.findings.iter().any(is_different));
    (document, failed)
}

/// Imports. 0: done; 1: something is refused, or with --strict different; 2: the files cannot be read; 3: the output cannot be written.
pub fn run(args: &ImportArgs) -> ExitCode {
    if args.called.function {
        return function::run();
    }
    if args.out.is_some() && args.namespace.as_deref() == Some("") {
        eprintln!("error: --namespace is empty, and what --out writes has a namespace");
        return ExitCode::from(2);
    }
    let pen = args.color.pen(&std::io::stderr());
    let choices = args.choices.choices();
    let (loaded, mapped) = match mapped(&args.project, args.project.standard_input(), &choices, pen) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let namespace = args.namespace.clone().or_else(|| mapped.stack.metadata.name.clone()).unwrap_or_default();
    let (failed, written) = std::thread::scope(|scope| {
        // What became of the keys is known before the stack is checked.
        let reports = args.out.is_some().then(|| scope.spawn(|| output::reports(&mapped, &loaded)));
        let (document, failed) = judged(&loaded, &mapped, &choices, args.strict, pen);
        let reports =
            || reports.map_or(Ok(Vec::new()), |made| made.join().map_err(|_| "the reports failed".to_owned())?);
        (failed, write::to(args, &mapped, document, &loaded, &namespace, reports))
    });
    match written {
        Ok(Some(stack)) => drop(answer(&stack)),
        Ok(None) => {}
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(3);
        }
    }
    eprint!("{}", summary(args, &mapped, &loaded, &namespace));
    // The process ends now: to give back this memory piece by piece would take longer than to write the files.
    std::mem::forget((loaded, mapped));
    ExitCode::from(u8::from(failed))
}

/// A finding as it is drawn.
fn problem(finding: &Finding) -> Problem {
    let said = &finding.outcome;
    let severity = if said.class == Class::Refused { Severity::Error } else { Severity::Warning };
    let path = finding.service.as_ref().map(|service| format!("services.{service}")).unwrap_or_default();
    let (message, help) = (said.message.clone(), said.help.clone());
    Problem { code: said.code, severity, at: finding.at, other: None, path, message, help }
}

/// Messages about a stack that is not valid.
const MOST_FAULTS: usize = 20;

/// What the API server or the operator would not take of the stack.
fn invalid(mapped: &Mapped, document: &Value) -> Vec<String> {
    if mapped.stack.spec.services.is_empty() {
        return vec!["no service is left, and a stack has at least one".to_owned()];
    }
    std::thread::scope(|scope| {
        let of_stack = scope.spawn(|| check(&mapped.stack, PodSecurity::Privileged).err());
        let violations = schema::check(document).into_iter().map(|violation| {
            let field = field::written(&violation.field, &schema::STRICT);
            format!("the stack is not valid: {field}: {}", violation.message)
        });
        let mut faults: Vec<String> = violations.take(MOST_FAULTS).collect();
        // Where the schema has something to say, the rest follows from that.
        if faults.is_empty() {
            let problems = of_stack.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let problems = problems.iter().flat_map(|problems| &problems.all);
            faults.extend(problems.map(|problem| format!("the stack is not valid: {problem}")));
        }
        faults
    })
}

/// Lines on the terminal; the report has the rest.
const MOST_LINES: usize = 5;

/// The score, and the worst of what differs; `rest` says where the rest of that is.
pub(super) fn differences(mapped: &Mapped, loaded: &Loaded, rest: &str) -> Vec<String> {
    let stack = mapped.stack.metadata.name.as_deref().unwrap_or_default();
    let mut lines = vec![format!("{stack}: {}", report::line(report::score(mapped)))];
    let mut different: Vec<&Finding> =
        mapped.findings.iter().filter(|finding| finding.outcome.class != Class::Refused).collect();
    different.sort_by_key(|finding| std::cmp::Reverse(finding.outcome.class));
    for finding in different.iter().take(MOST_LINES) {
        let service = finding.service.as_ref().map(|service| format!(" {service}:")).unwrap_or_default();
        let said = &finding.outcome;
        lines.push(format!("  {} {}{service} {}", report::at(finding, loaded), said.code.0, said.message));
    }
    if different.len() > MOST_LINES {
        lines.push(format!("  and {} more, {rest}", different.len() - MOST_LINES));
    }
    lines
}

fn summary(args: &ImportArgs, mapped: &Mapped, loaded: &Loaded, namespace: &str) -> String {
    let stack = mapped.stack.metadata.name.as_deref().unwrap_or_default();
    let mut lines = differences(mapped, loaded, "in the report");
    if let Some(out) = &args.out {
        let out = out.display();
        lines.push(format!("Wrote {out}. Next:"));
        lines.push(format!("  read {out}/{}", output::REPORT_TEXT));
        lines.push(format!("  kubectl apply --server-side -k {out}"));
        lines.push(format!("  appstack status {stack} -n {namespace}"));
        lines.extend(mapped.carries.iter().map(|carry| format!("  {}", carry_line(carry, stack, namespace))));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The command that carries the data of a folder into the volume that replaces it.
pub(super) fn carry_line(carry: &Carry, stack: &str, namespace: &str) -> String {
    let from = shlex::try_quote(&carry.from).unwrap_or_default();
    format!("appstack cp -n {namespace} {from} {stack}/{}", carry.volume)
}
