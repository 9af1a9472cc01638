//! The last look at the stack: nothing in it is the value of a Secret.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finder::{Finder, SHORTEST};
use super::says::{Class, Outcome};
use super::texts::mounted;
use super::{Mapper, code};
use crate::compose::node::At;

/// A field that has a value of a Secret in it.
struct Leak {
    path: Vec<String>,
}

impl Mapper<'_> {
    /// Refuses services whose fields, or the configs they use, are or hold a value of a Secret that is made. Values that stand in a project
    /// anyway (`postgres`, the names of services and users) are passed over: as passwords they are worth nothing, and are said to be.
    pub(super) fn leaks(&mut self) {
        let mut values = BTreeSet::new();
        for (name, made) in &self.made {
            for (key, value) in &made.data {
                let plain = self.credentials.plain.contains(&(name.clone(), key.clone()));
                let Some(value) = std::str::from_utf8(value).ok().map(str::trim).filter(|_| !plain) else { continue };
                if !self.credentials.is_common(value) {
                    values.insert(value.to_owned());
                }
            }
        }
        if values.is_empty() {
            return;
        }
        let finder = Finder::of(values);
        let mut leaks = Vec::new();
        if let Ok(spec) = serde_json::to_value(&self.spec) {
            look(&spec, &finder, &mut vec!["spec".to_owned()], &mut leaks);
        }
        for leak in leaks {
            self.leaked(&leak.path);
        }
    }

    fn leaked(&mut self, path: &[String]) {
        let field = path.join(".");
        let section = path.get(1).map(String::as_str);
        let Some(label) = path.get(2) else { return };
        let mut users: Vec<(&String, At)> = Vec::new();
        for (name, entry) in self.project.services() {
            let own = self.services.get(name);
            let Some(service) = self.spec.services.get(&own) else { continue };
            match section {
                Some("services") if own == *label => {
                    let variable = path.get(4).filter(|_| path.get(3).is_some_and(|key| key.starts_with("env")));
                    let at = variable.and_then(|variable| Some(entry.value.get("environment")?.entry(variable)?.at));
                    users.push((name, at.filter(|at| at.is_written()).unwrap_or(entry.at)));
                }
                Some("configs") => {
                    let mut mounts = service.mounts.iter();
                    let mount = mounts.find(|(_, mount)| mount.config.as_ref() == Some(label));
                    let from = service.env_from.iter().any(|from| from.config.as_ref() == Some(label));
                    if let Some(at) = mount.map(|(path, _)| mounted(&entry.value, path)).or(from.then_some(None)) {
                        users.push((name, at.unwrap_or(entry.at)));
                    }
                }
                _ => {}
            }
        }
        if section == Some("configs") && !self.choices.allows(code::LEAKED) {
            self.spec.configs.remove(label);
        }
        let message = format!("{field} is or holds a value that is in a Secret");
        let help = match section {
            Some("configs") => {
                "write the file under 'secrets' instead, or let the program read the value from a variable"
            }
            _ => {
                "take it from a variable that is called like a credential, or choose a password that stands nowhere else"
            }
        };
        if users.is_empty() {
            self.say_leak(None, At::NOWHERE, &message, help);
        }
        for (name, at) in users {
            self.say_leak(Some(name.clone()), at, &message, help);
        }
    }

    fn say_leak(&mut self, service: Option<String>, at: At, message: &str, help: &str) {
        let class = if self.choices.allows(code::LEAKED) { Class::Ignored } else { Class::Refused };
        let (message, help) = (message.to_owned(), help.to_owned());
        self.says.found(service, at, Outcome { class, code: code::LEAKED, to: String::new(), message, help });
    }
}

/// Strings of the stack that are or hold a value.
fn look(value: &Value, finder: &Finder, path: &mut Vec<String>, leaks: &mut Vec<Leak>) {
    match value {
        Value::String(text)
            if finder.whole(text.trim()).is_some() || (text.len() >= SHORTEST && finder.first(text).is_some()) =>
        {
            leaks.push(Leak { path: path.clone() });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                look(item, finder, path, leaks);
                path.pop();
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                if !is_reference(path, key) {
                    path.push(key.clone());
                    look(value, finder, path, leaks);
                    path.pop();
                }
            }
        }
        _ => {}
    }
}

/// Names of Secrets and of their keys.
fn is_reference(path: &[String], key: &str) -> bool {
    match path.len() {
        1 => key == "secrets",
        3 => key == "secretEnv",
        5 => key == "secretEnv" && path.get(3).is_some_and(|field| field == "preStart"),
        _ => false,
    }
}
