//! What a shell offers behind the cursor: commands and flags from the program itself, stacks, services and namespaces from the cluster.
//!
//! A shell asks through a variable of the environment (`appstack completion SHELL` prints what makes it ask), kubectl by calling a program of its own name on PATH,
//! `kubectl_complete-appstack`, with the words of the line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use clap_complete::env::{CompleteEnv, Shells};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::run::client;
use crate::api::AppStack;

/// Variable by which a shell asks.
const VARIABLE: &str = "_APPSTACK_COMPLETE";
/// Whoever presses a key waits for so long at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// What kubectl takes as "nothing but these": <https://pkg.go.dev/github.com/spf13/cobra#ShellCompDirective>.
const NO_FILES: u8 = 4;
/// "The word goes on".
const NO_SPACE: u8 = 2;

/// Answers a shell that asks, and ends the program then.
pub fn for_shell(command: fn() -> Command) {
    CompleteEnv::with_factory(move || with_names(command())).var(VARIABLE).complete();
}

/// What makes a shell ask. None for a shell that is not known.
pub fn registration(shell: &str, command: &Command) -> Option<std::io::Result<String>> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell)?;
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    let written = completer.write_registration(VARIABLE, &name, &name, &name, &mut text);
    Some(written.map(|()| String::from_utf8_lossy(&text).into_owned()))
}

/// The names of the shells that are known.
pub fn shells() -> Vec<&'static str> {
    Shells::builtins().names().collect()
}

/// Answers kubectl, which hands over the words behind `kubectl appstack`, the one at the cursor last: a line per word that fits, then what kubectl is to do with them.
pub fn for_kubectl(command: fn() -> Command, words: Vec<OsString>) -> String {
    let mut command = with_names(command());
    let words: Vec<OsString> = std::iter::once(OsString::from(command.get_name())).chain(words).collect();
    let at = words.len() - 1;
    let found = complete(&mut command, words, at, std::env::current_dir().ok().as_deref()).unwrap_or_default();
    let (mut text, mut goes_on) = (String::new(), false);
    for one in found.iter().filter(|one| !one.is_hide_set()) {
        let value = one.get_value().to_string_lossy();
        goes_on |= value.ends_with(['/', '=']);
        let help = one.get_help().map(|help| help.to_string().lines().next().unwrap_or_default().to_owned());
        text += &value;
        text += &help.filter(|help| !help.is_empty()).map(|help| format!("\t{help}")).unwrap_or_default();
        text.push('\n');
    }
    text + &format!(":{}\n", if goes_on { NO_FILES | NO_SPACE } else { NO_FILES })
}

/// The same command, whose words for stacks, services and namespaces the cluster knows.
fn with_names(command: Command) -> Command {
    command.mut_subcommands(|sub| sub.mut_args(named))
}

fn named(arg: Arg) -> Arg {
    let value = arg.get_value_names().unwrap_or_default().first().map(ToString::to_string);
    let candidates = match (arg.get_id().as_str(), value.as_deref().unwrap_or_default()) {
        ("name", "" | "NAME") => ArgValueCandidates::new(stacks),
        ("service" | "services", _) | (_, "SERVICE") => ArgValueCandidates::new(services),
        ("namespace", _) => ArgValueCandidates::new(namespaces),
        _ => return arg,
    };
    arg.add(candidates)
}

/// Asks the cluster that the line is about. Nothing where it does not answer at once: a shell has no place for errors.
fn asked<T: Default>(question: impl AsyncFnOnce(Client, String) -> kube::Result<T>) -> T {
    let said = Said::of(std::env::args());
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return T::default() };
    let answer = async {
        let client = client(said.context).await.ok()?;
        let namespace = said.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        question(client, namespace).await.ok()
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await.ok().flatten() }).unwrap_or_default()
}

fn stacks() -> Vec<CompletionCandidate> {
    asked(async |client, namespace| {
        let api: Api<AppStack> = Api::namespaced(client, &namespace);
        Ok(candidates(api.list_metadata(&ListParams::default()).await?.iter().map(ResourceExt::name_any)))
    })
}

/// Of the stack that the line names; of all, where it names none.
fn services() -> Vec<CompletionCandidate> {
    let words: BTreeSet<String> = std::env::args().skip(1).collect();
    asked(async |client, namespace| {
        let stacks = Api::<AppStack>::namespaced(client, &namespace).list(&ListParams::default()).await?.items;
        let is_named = stacks.iter().any(|stack| words.contains(&stack.name_any()));
        let meant = stacks.iter().filter(|stack| !is_named || words.contains(&stack.name_any()));
        Ok(candidates(meant.flat_map(|stack| stack.spec.services.keys().cloned())))
    })
}

fn namespaces() -> Vec<CompletionCandidate> {
    asked(async |client, _| {
        let api: Api<Namespace> = Api::all(client);
        Ok(candidates(api.list_metadata(&ListParams::default()).await?.iter().map(ResourceExt::name_any)))
    })
}

fn candidates(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    names.collect::<BTreeSet<_>>().into_iter().map(CompletionCandidate::new).collect()
}

/// What the line says of where to look.
#[derive(Debug, Default, PartialEq)]
struct Said {
    namespace: Option<String>,
    context: Option<String>,
}

impl Said {
    fn of(words: impl Iterator<Item = String>) -> Said {
        let mut said = Said::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let (flag, value) =
                word.split_once('=').map_or((word.as_str(), None), |(flag, v)| (flag, Some(v.to_owned())));
            let place = match flag {
                "-n" | "--namespace" => &mut said.namespace,
                "--context" => &mut said.context,
                _ => continue,
            };
            *place = value.or_else(|| words.peek().cloned()).filter(|value| !value.is_empty());
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_that_the_line_names_is_asked() {
        let of = |line: &str| Said::of(line.split(' ').map(str::to_owned));
        let said = |namespace: Option<&str>, context: Option<&str>| Said {
            namespace: namespace.map(str::to_owned),
            context: context.map(str::to_owned),
        };
        assert_eq!(of("appstack status sh"), said(None, None));
        assert_eq!(of("appstack status -n team sh"), said(Some("team"), None));
        assert_eq!(of("appstack status --namespace=team --context prod s"), said(Some("team"), Some("prod")));
        assert_eq!(of("appstack status -n"), said(None, None));
    }
}
