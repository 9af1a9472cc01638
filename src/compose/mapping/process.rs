//! `working_dir`, `stdin_open`, `tty`, `init`, `profiles`, labels and annotations.

use super::hints::is_hint;
use super::{Mapper, Of, code, field};
use crate::api::Service;
use crate::compose::node::Node;

impl<'a> Mapper<'a> {
    /// How the process is started, and what is written on its pods.
    pub(super) fn process(&mut self, of: &Of<'a>, to: &mut Service) {
        if let Some(entry) = of.entry("working_dir") {
            let folder = entry.value.as_text().unwrap_or_default();
            if folder.starts_with('/') {
                to.working_dir = Some(folder.to_owned());
                self.says.mapped(entry, field(of, &self.services, "workingDir"));
            } else if folder.is_empty() {
                self.says.nothing(entry, "it says nothing");
            } else {
                to.working_dir = Some(format!("/{folder}"));
                let message = "it is taken from the root of the container, as Docker does";
                let to = field(of, &self.services, "workingDir");
                self.says.approximated(entry, code::FOLDER, to, message, "write the whole path");
            }
        }
        for (key, name) in [("stdin_open", "stdin"), ("tty", "tty"), ("init", "init")] {
            let Some(entry) = of.entry(key) else { continue };
            let on = entry.value.is_true().then_some(true);
            match key {
                "stdin_open" => to.stdin = on,
                "tty" => to.tty = on,
                _ => to.init = on,
            }
            if key == "init" && on.is_some() {
                let message = "the first process is the pod's own: the program is no longer process 1";
                self.says.approximated(entry, code::INIT, field(of, &self.services, name), message, "");
            }
            self.says.mapped(entry, field(of, &self.services, name));
        }
        if let Some(entry) = of.entry("profiles") {
            let profiles = entry.value.as_list().into_iter().flatten().filter_map(Node::as_text);
            to.profiles = profiles.map(str::to_owned).collect();
            self.says.mapped(entry, field(of, &self.services, "profiles"));
        }
        for key in ["annotations", "labels"] {
            self.notes(of, key, to);
        }
    }

    /// Labels of Compose are notes to other programs, with values of any length: annotations. Both lists say `annotations` wins.
    fn notes(&mut self, of: &Of<'a>, key: &str, to: &mut Service) {
        for (name, entry) in of.node.entries(key).filter(|(name, _)| key != "labels" || !is_hint(name)) {
            let value = entry.value.printed().filter(|_| !entry.value.is_null()).unwrap_or_default();
            if is_annotation(name) {
                to.pod_annotations.entry(name.clone()).or_insert(value);
                self.says.mapped(entry, field(of, &self.services, &format!("podAnnotations.{name}")));
            } else {
                let message = "Kubernetes takes letters, digits, '-', '_' and '.' in the name of an annotation, before it at most one '/'";
                self.says.ignored(entry, code::ANNOTATION, message, "");
            }
        }
    }
}

/// A qualified name of Kubernetes that is not the operator's own.
///
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set>
pub(super) fn is_annotation(name: &str) -> bool {
    let (prefix, local) = name.split_once('/').map_or((None, name), |(prefix, local)| (Some(prefix), local));
    let ends = |text: &str, fits: fn(char) -> bool| text.starts_with(fits) && text.ends_with(fits);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let domain = |prefix: &str| {
        prefix.len() <= 253
            && prefix != crate::api::GROUP
            && prefix.split('.').all(|part| {
                let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                ends(part, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && part.chars().all(|c| lower(c) || c == '-')
            })
    };
    local.len() <= 63
        && ends(local, |c| c.is_ascii_alphanumeric())
        && local.chars().all(plain)
        && prefix.is_none_or(domain)
}
