//! `environment` and `env_file`: plain values, keys of Secrets, and values put together from those.

use super::credentials::{SecretEnv, template_of};
use super::template::{Credential, Part};
use super::{Mapper, Of, code, field, secrecy};
use crate::api::Service;
use crate::compose::node::Entry;

/// Bytes of a value that is written in a stack.
const LONGEST: usize = 32_768;

/// Variables of one service: 256 each that are plain, of Secrets, and put together.
const MOST: usize = 768;

/// What a variable becomes.
pub(super) enum Becomes {
    /// What it is.
    Plain,
    /// A key of a Secret.
    Secret(Credential),
    /// The same of a value that is no credential, or not yet one.
    Open(Credential),
    /// A text with keys of Secrets in it.
    Template(Vec<Part>),
}

impl<'a> Mapper<'a> {
    /// Variables. One without a value, which the project does not set either, is not there.
    pub(super) fn env(&mut self, of: &Of<'a>, to: &mut Service) {
        if let Some(entry) = of.entry("environment").filter(|_| of.node.entries("environment").count() > MOST) {
            let message = format!("a service has at most {MOST} variables");
            return self.says.refused(entry, code::VARIABLE_VALUE, &message, "put them into a file that it reads");
        }
        let mut templates = Vec::new();
        for (name, entry) in of.node.entries("environment") {
            let Some(value) = entry.value.printed().filter(|_| !entry.value.is_null()) else {
                self.says.nothing(entry, "the project does not set it, so the container does not have it");
                continue;
            };
            let is_name =
                (1..=256).contains(&name.len()) && name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
            if !is_name {
                let message = "the name of a variable has printable ASCII characters other than '=', at most 256";
                self.says.ignored(entry, code::VARIABLE_NAME, message, "give it another name");
                continue;
            }
            match self.becomes(name, entry, &value) {
                Becomes::Plain if value.len() > LONGEST || value.contains('\0') => {
                    let message = format!("a value in a stack has at most {LONGEST} bytes, none of them NUL");
                    self.says.refused(
                        entry,
                        code::VARIABLE_VALUE,
                        &message,
                        "mount it as a file: write it under 'configs'",
                    );
                }
                Becomes::Plain => {
                    to.env.insert(name.clone(), value);
                    self.said_variable(of, entry, "env", name);
                }
                Becomes::Secret(credential) => {
                    let from = self.secret_key(&credential, entry.at);
                    to.secret_env.insert(name.clone(), from);
                    self.said_variable(of, entry, "secretEnv", name);
                }
                Becomes::Open(credential) => {
                    to.secret_env.insert(name.clone(), self.open_key(&credential));
                    self.said_variable(of, entry, "secretEnv", name);
                }
                Becomes::Template(parts) => templates.push((name, entry, parts)),
            }
        }
        for (name, entry, parts) in templates {
            let mut env = SecretEnv { to: &mut to.secret_env, node: of.node };
            let mut text = String::new();
            for part in parts {
                match part {
                    Part::Value(credential) => {
                        text += &format!("$({})", self.variable_of(&mut env, &credential, true, entry.at));
                    }
                    Part::Text(part) => text += &part.replace('$', "$$"),
                    Part::Choice(..) => {} // `becomes` makes a Secret of the whole
                }
            }
            to.env_template.insert(name.clone(), text);
            self.said_variable(of, entry, "envTemplate", name);
        }
        self.models(of, to);
    }

    fn said_variable(&mut self, of: &Of<'a>, entry: &'a Entry, kind: &str, name: &str) {
        let to = field(of, &self.services, &format!("{kind}.{name}"));
        if self.is_from_file(entry) {
            self.says.resolved(entry, to, "an env file sets it");
        } else {
            self.says.mapped(entry, to);
        }
    }

    /// Whether an env file sets a variable.
    pub(super) fn is_from_file(&self, entry: &Entry) -> bool {
        self.loaded.sources.get(entry.at.file).is_some_and(|source| !source.is_compose)
    }

    /// What a variable becomes: a credential by its name, by its value, or by the variables of the project in it.
    pub(super) fn becomes(&self, name: &str, entry: &Entry, value: &str) -> Becomes {
        let parts = self.credentials.parts(value, template_of(self.loaded, entry, name), name);
        let whole = |name: String| Credential { name, value: value.to_owned(), may_be_unset: false };
        let is_choice = |part: &Part| matches!(part, Part::Choice(..));
        let is_value = |part: &Part| matches!(part, Part::Value(_));
        let is_empty = |part: &Part| match part {
            Part::Choice(credential, _) | Part::Value(credential) => credential.value.is_empty(),
            Part::Text(_) => true,
        };
        match parts.as_slice() {
            [Part::Value(credential)] => Becomes::Secret(credential.clone()),
            // What stands there only beside a credential: the whole of it goes with that.
            parts if parts.iter().any(is_choice) && parts.iter().all(is_empty) => Becomes::Open(whole(name.to_owned())),
            parts if parts.iter().any(is_choice) => Becomes::Secret(whole(name.to_owned())),
            parts if parts.iter().any(is_value) => Becomes::Template(parts.to_vec()),
            _ if !value.is_empty() && secrecy::is_credential(name, value) => {
                Becomes::Secret(whole(self.credentials.name_of(value, name)))
            }
            _ if self.choices.env_files_secret && self.is_from_file(entry) => Becomes::Open(whole(name.to_owned())),
            _ => Becomes::Plain,
        }
    }
}
