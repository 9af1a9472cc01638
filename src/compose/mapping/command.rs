//! `command` and `entrypoint`.

use super::{Mapper, Of, code, field};
use crate::api::Service;
use crate::compose::node::Node;

impl<'a> Mapper<'a> {
    /// What is run. An empty list means "unset" to Kubernetes, so it is never written.
    pub(super) fn command(&mut self, of: &Of<'a>, to: &mut Service) {
        let entrypoint = of.entry("entrypoint").map(|entry| (entry, texts(&entry.value)));
        let command = of.entry("command").map(|entry| (entry, texts(&entry.value)));
        let cleared = entrypoint.as_ref().is_some_and(|(_, words)| words.is_empty());
        if let Some((entry, words)) = command {
            let name = if cleared { "entrypoint" } else { "command" };
            if !words.is_empty() {
                *(if cleared { &mut to.entrypoint } else { &mut to.command }) = Some(words);
                self.says.mapped(entry, field(of, &self.services, name));
            } else if cleared {
                let help = "write the program that is to run";
                self.says.refused(
                    entry,
                    code::EMPTY_COMMAND,
                    "with neither entrypoint nor command nothing would run",
                    help,
                );
            } else if entrypoint.is_some() {
                self.says.mapped(entry, field(of, &self.services, "command"));
            } else {
                let message = "Kubernetes takes an empty command for none at all, and runs the image's";
                self.says.refused(entry, code::EMPTY_COMMAND, message, "write the entrypoint too");
            }
        } else if let Some((entry, _)) = &entrypoint
            && cleared
        {
            let help = "write the program that is to run as the command";
            self.says.refused(
                *entry,
                code::EMPTY_COMMAND,
                "with neither entrypoint nor command nothing would run",
                help,
            );
        }
        if let Some((entry, words)) = entrypoint {
            if !words.is_empty() {
                to.entrypoint = Some(words);
            }
            self.says.mapped(entry, field(of, &self.services, "entrypoint"));
        }
    }
}

/// The texts of a list.
pub(super) fn texts(node: &Node) -> Vec<String> {
    node.as_list().into_iter().flatten().filter_map(Node::printed).collect()
}
