//! The names under which the program is called: its own, and those by which kubectl finds it as a plugin.
//!
//! kubectl runs `kubectl-appstack` from PATH for `kubectl appstack`, and `kubectl_complete-appstack` for what comes behind it on a line:
//! <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>. Both are links to the program, or copies of it.

use std::borrow::Cow;
use std::path::Path;

use clap::Command;

/// By whom the program was called, which its own name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who types `appstack`.
    Shell,
    /// kubectl, for `kubectl appstack`.
    Kubectl,
    /// kubectl, which asks what fits at the cursor.
    KubectlCompletion,
}

/// Who has called.
pub fn caller() -> Caller {
    let called = std::env::args_os().next().unwrap_or_default();
    of_name(&Path::new(&called).file_stem().unwrap_or_default().to_string_lossy())
}

fn of_name(name: &str) -> Caller {
    match name {
        "kubectl-appstack" => Caller::Kubectl,
        "kubectl_complete-appstack" => Caller::KubectlCompletion,
        _ => Caller::Shell,
    }
}

/// The same text, with what is to be typed as the caller has to type it.
pub fn in_words_of_caller(text: &str) -> Cow<'_, str> {
    if caller() == Caller::Kubectl { Cow::Owned(in_words_of_kubectl(text)) } else { Cow::Borrowed(text) }
}

fn in_words_of_kubectl(text: &str) -> String {
    let mut text = text.to_owned();
    for before in ["`", "next: ", "| ", "  "] {
        text = text.replace(&format!("{before}appstack "), &format!("{before}kubectl appstack "));
    }
    text
}

/// The same command, whose help says `kubectl appstack`, where kubectl has called.
pub fn for_caller(command: Command) -> Command {
    if caller() == Caller::Kubectl { for_kubectl(command) } else { command }
}

fn for_kubectl(command: Command) -> Command {
    let said = |sub: Command| match sub.get_after_help().map(|help| in_words_of_kubectl(&help.to_string())) {
        Some(help) => sub.after_help(help),
        None => sub,
    };
    command.bin_name("kubectl appstack").mut_subcommands(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_who_has_called() {
        for (name, expected) in [
            ("appstack", Caller::Shell),
            ("kubectl-appstack", Caller::Kubectl),
            ("kubectl_complete-appstack", Caller::KubectlCompletion),
            ("", Caller::Shell),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_to_be_typed_begins_with_kubectl_and_nothing_else_is_touched() {
        let said = in_words_of_kubectl(
            "error: `appstack resume shop` first; stack appstack in appstack.dev\nnext: appstack wait shop",
        );
        let expected = "error: `kubectl appstack resume shop` first; stack appstack in appstack.dev\nnext: kubectl appstack wait shop";
        assert_eq!(said, expected);
        let cp = Command::new("cp").after_help("tar -c . | appstack cp - shop/db");
        let mut all = for_kubectl(Command::new("appstack").subcommand(cp));
        let help = all.find_subcommand_mut("cp").unwrap().render_help().to_string();
        assert!(help.contains("| kubectl appstack cp -"), "{help}");
        assert!(all.render_usage().to_string().contains("Usage: kubectl appstack"));
    }
}
