//! The credentials of a project: which of its variables are, and which texts have one in them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::finder::{Finder, SHORTEST};
use super::template::{self, Credential, Part};
use super::{Mapper, code, secrecy};
use crate::api::SecretKey;
use crate::compose::Loaded;
use crate::compose::interpolate::Variables;
use crate::compose::node::{At, Entry, Node};
use crate::compose::project::Project;

/// What is known of the credentials of a project.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// Variables of the project whose names do not say it: values of variables of containers that do, and of secrets.
    variables: HashSet<String>,
    /// What a value is called that is a credential somewhere: one password has one name.
    known: HashMap<String, String>,
    finder: Finder,
    found: Vec<String>,
    /// Words that stand all over the project: names of services, users, databases.
    words: HashSet<String>,
    /// Entries of Secrets of which something was said.
    told: BTreeSet<String>,
    /// Entries of Secrets, by name and key, that are no credentials.
    pub(super) plain: BTreeSet<(String, String)>,
}

impl Credentials {
    /// Looks through a project.
    pub(super) fn of(project: &Project, loaded: &Loaded) -> Credentials {
        let mut all = Credentials::default();
        let mut literals: Vec<(String, String)> = Vec::new();
        all.words.insert(project.name.clone());
        for (name, service) in project.services() {
            all.words.insert(name.clone());
            let hooks = ["pre_start", "post_start", "pre_stop"].into_iter().flat_map(|key| service.value.items(key));
            for (name, entry) in [&service.value].into_iter().chain(hooks).flat_map(|node| node.entries("environment"))
            {
                let Some(value) = entry.value.as_text() else { continue };
                let upper = name.to_ascii_uppercase();
                if ["USER", "USERNAME", "DB", "DATABASE", "_NAME"].iter().any(|end| upper.ends_with(end)) {
                    all.words.insert(value.to_owned());
                }
                if !secrecy::is_credential(name, value) {
                    continue;
                }
                match template_of(loaded, entry, name) {
                    Some((template, _)) => all.variables.extend(single(template)),
                    None => literals.push((value.to_owned(), name.clone())),
                }
            }
        }
        let secrets =
            project.root.entries("secrets").filter_map(|(_, entry)| entry.value.get("environment")?.as_text());
        all.variables.extend(secrets.map(str::to_owned));
        let variables = project.environment.iter().filter(|(name, value)| all.is_credential(name, value));
        let variables: Vec<_> = variables.map(|(name, value)| (value.clone(), name.clone())).collect();
        for (value, name) in variables.into_iter().chain(literals) {
            if !all.is_common(&value) {
                all.known.entry(value).or_insert(name);
            }
        }
        let mut values: Vec<(&String, &String)> = all.known.iter().collect();
        values.sort_unstable();
        all.found = values.iter().map(|(_, name)| (*name).clone()).collect();
        all.finder = Finder::of(values.into_iter().map(|(value, _)| value.clone()));
        all
    }

    fn is_credential(&self, name: &str, value: &str) -> bool {
        self.variables.contains(name) || secrecy::is_credential(name, value)
    }

    /// Whether a value is a word that stands in a project anyway, so that it cannot be told from the same word elsewhere.
    pub(super) fn is_common(&self, value: &str) -> bool {
        secrecy::is_common(value) || self.words.contains(value)
    }

    /// What a credential is called: as the same value elsewhere, or `name`.
    pub(super) fn name_of(&self, value: &str, name: &str) -> String {
        self.known.get(value).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// The parts of a text that was `template`, and of it as a literal: passwords of URLs, and values that are credentials elsewhere.
    /// `base` is what credentials without a name are called after.
    pub(super) fn parts(&self, text: &str, template: Option<(&str, &Variables)>, base: &str) -> Vec<Part> {
        let read = template.and_then(|(template, variables)| {
            let is_credential = |name: &str| {
                let value = variables.get(name).map_or("", String::as_str);
                self.is_credential(name, value)
            };
            template::parts(template, variables, &is_credential).filter(|parts| template::resolved(parts) == text)
        });
        let mut parts = Vec::new();
        for part in read.unwrap_or_else(|| vec![Part::Text(text.to_owned())]) {
            match part {
                Part::Text(text) => self.literal(&text, base, &mut parts),
                part => parts.push(part),
            }
        }
        template::merged(parts)
    }

    fn literal(&self, text: &str, base: &str, parts: &mut Vec<Part>) {
        let credential =
            |value: &str, name: String| Part::Value(Credential { name, value: value.to_owned(), may_be_unset: false });
        if let Some(name) = self.finder.whole(text).and_then(|number| self.found.get(number)) {
            return parts.push(credential(text, name.clone()));
        }
        let mut from = 0;
        for inside in secrecy::inside(text) {
            let (Some(before), Some(value)) = (text.get(from..inside.start), text.get(inside.start..inside.end)) else {
                continue;
            };
            self.find(before, parts);
            parts.push(credential(value, self.name_of(value, &format!("{}_{}", stem(base), upper(inside.word)))));
            from = inside.end;
        }
        self.find(text.get(from..).unwrap_or_default(), parts);
    }

    fn find(&self, text: &str, parts: &mut Vec<Part>) {
        let mut rest = text;
        while rest.len() >= SHORTEST
            && let Some((start, end, number)) = self.finder.first(rest)
            && let (Some(before), Some(value), Some(after)) = (rest.get(..start), rest.get(start..end), rest.get(end..))
        {
            let name = self.found.get(number).cloned().unwrap_or_default();
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(Credential { name, value: value.to_owned(), may_be_unset: false }));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
    }
}

/// How the value of a variable of a container stands in the file.
pub(super) fn template_of<'l>(loaded: &'l Loaded, entry: &Entry, name: &str) -> Option<(&'l str, &'l Variables)> {
    let (text, variables) = loaded.template(entry.value.at).or_else(|| loaded.template(entry.at))?;
    // Of an item of a list it is all of `NAME=VALUE`.
    let is_item = entry.at == entry.value.at;
    let text =
        if is_item { text.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).unwrap_or(text) } else { text };
    Some((text, variables))
}

/// The variable that a template is, with whatever default.
fn single(template: &str) -> Option<String> {
    use crate::compose::interpolate::{braced, name};
    let after = template.strip_prefix('$')?;
    if let Some(inside) = after.strip_prefix('{') {
        let braced = braced(inside).ok()?;
        return (braced.rest.is_empty() && !braced.operator.ends_with('+')).then(|| braced.name.to_owned());
    }
    let name = name(after);
    (!name.is_empty() && name.len() == after.len()).then(|| name.to_owned())
}

/// The name of a variable without its last word, where that says that it is an address.
fn stem(name: &str) -> String {
    let upper = upper(name);
    let ends = ["_URL", "_URI", "_DSN", "_CONNECTION_STRING", "_CONNECTION", "_ADDR", "_ENDPOINT", "_STRING"];
    ends.iter().find_map(|end| upper.strip_suffix(end)).unwrap_or(&upper).to_owned()
}

/// A text as the name of a variable that every shell takes.
pub(super) fn upper(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("X_{name}") }
}

/// The variables of a container that come from Secrets, while they are put together.
pub(super) struct SecretEnv<'e> {
    /// The variables.
    pub to: &'e mut std::collections::BTreeMap<String, SecretKey>,
    /// Whose `environment` has names that are taken.
    pub node: &'e Node,
}

impl Mapper<'_> {
    /// The key that a credential is under.
    pub(super) fn secret_key(&mut self, credential: &Credential, at: At) -> SecretKey {
        let (secret, key) = self.secret_entry(&credential.name, credential.value.as_bytes());
        if self.credentials.told.insert(format!("{secret}/{key}")) {
            let name = &credential.name;
            let place = format!("the key {key} of the Secret {secret}");
            if credential.value.is_empty() {
                let message =
                    format!("{name} is a credential and has no value now: {place} is empty, as it is in Compose");
                self.says.noted(at, code::OPTIONAL_CREDENTIAL, &message, "set it in .env, or later in the Secret");
            } else if secrecy::is_placeholder(&credential.value) {
                let message = format!("{name} looks like a placeholder: {place} has it");
                self.says.noted(
                    at,
                    code::CREDENTIAL,
                    &message,
                    "write the real one into the Secret before the first start",
                );
            } else if self.credentials.is_common(&credential.value) {
                let message = format!(
                    "{name} is a word that anybody tries, or that stands elsewhere in the project: {place} has it"
                );
                self.says.noted(
                    at,
                    code::CREDENTIAL,
                    &message,
                    "choose another one before strangers can reach the service",
                );
            }
        }
        SecretKey { secret, key: Some(key), optional: credential.may_be_unset.then_some(true) }
    }

    /// The key of a value that is no credential, or not yet one: it may stand elsewhere as well.
    pub(super) fn open_key(&mut self, value: &Credential) -> SecretKey {
        let (secret, key) = self.secret_entry(&value.name, value.value.as_bytes());
        self.credentials.plain.insert((secret.clone(), key.clone()));
        SecretKey { secret, key: Some(key), optional: None }
    }

    /// The variable of a container that has a credential; one is added if none has. `always`: it is there also where the Secret has no such key.
    pub(super) fn variable_of(
        &mut self,
        env: &mut SecretEnv<'_>,
        credential: &Credential,
        always: bool,
        at: At,
    ) -> String {
        let mut from = self.secret_key(credential, at);
        if always {
            from.optional = None;
        }
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let same = |other: &SecretKey| other.secret == from.secret && other.key == from.key;
        if let Some((name, own)) = env.to.iter_mut().find(|(name, own)| is_name(name) && same(own)) {
            if always {
                own.optional = None;
            }
            return name.clone();
        }
        let wanted = if is_name(&credential.name) && !credential.name.starts_with(|c: char| c.is_ascii_digit()) {
            credential.name.clone()
        } else {
            upper(&credential.name)
        };
        let is_free = |name: &String| {
            !env.to.contains_key(name) && env.node.get("environment").and_then(|own| own.entry(name)).is_none()
        };
        let mut names = (1..).map(|number| if number == 1 { wanted.clone() } else { format!("{wanted}_{number}") });
        let name = names.find(is_free).unwrap_or_default();
        env.to.insert(name.clone(), from);
        name
    }
}
