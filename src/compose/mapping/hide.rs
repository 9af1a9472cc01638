//! Credentials in command lines: everybody who may read pods reads those, so a shell takes them from variables instead.

use std::collections::HashMap;
use std::path::Path;

use super::credentials::{SecretEnv, upper};
use super::env::Becomes;
use super::shell::{self, is_secret};
use super::template::{Credential, Part};
use super::{Mapper, Of, code, secrecy};
use crate::api::{SecretKey, Service};
use crate::compose::interpolate::Filler;
use crate::compose::node::{At, Entry, Node};

/// Words of one command that the API takes.
const MOST_WORDS: usize = 256;

/// The words of a command, with the credentials in them.
type Words = Vec<Vec<Part>>;

/// Commands that are run otherwise than Compose says, for their credentials.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    /// Whether `entrypoint` has all of it.
    no_command: bool,
    exec: Option<Vec<String>>,
    shell: Option<String>,
    steps: Vec<Step>,
}

/// A step of `preStart`.
#[derive(Debug)]
struct Step {
    name: String,
    command: Option<Vec<String>>,
    secret_env: std::collections::BTreeMap<String, SecretKey>,
}

impl Hidden {
    /// Puts the commands in the place of those that were mapped.
    pub(super) fn apply(self, to: &mut Service) {
        if self.entrypoint.is_some() {
            to.entrypoint = self.entrypoint;
        }
        if self.command.is_some() || self.no_command {
            to.command = self.command;
        }
        if let Some(check) = to.healthcheck.as_mut().filter(|check| check.exec.is_some() || check.shell.is_some())
            && (self.exec.is_some() || self.shell.is_some())
        {
            (check.exec, check.shell) = (self.exec, self.shell);
        }
        for step in self.steps {
            let Some(own) = to.pre_start.iter_mut().find(|own| own.name == step.name) else { continue };
            own.env.retain(|name, _| !step.secret_env.contains_key(name));
            own.secret_env.extend(step.secret_env);
            own.command = step.command.or(own.command.take());
        }
    }
}

impl<'a> Mapper<'a> {
    /// Takes credentials out of all command lines of a service; their variables are added to `to`. What has no shell is refused.
    pub(super) fn hide(&mut self, of: &Of<'a>, to: &mut Service) -> Hidden {
        let mut hidden = Hidden::default();
        let test = of.node.get("healthcheck").and_then(|check| check.entry("test"));
        let hooks = ["pre_start", "post_start", "pre_stop"].into_iter().flat_map(|key| of.node.items(key));
        let commands = hooks.filter_map(|hook| hook.entry("command"));
        let all = [of.entry("entrypoint"), of.entry("command"), test].into_iter().flatten().chain(commands);
        if let Some(long) =
            all.into_iter().find(|entry| entry.value.as_list().is_some_and(|words| words.len() > MOST_WORDS))
        {
            let message = format!("a command has at most {MOST_WORDS} words");
            self.says.refused(long, code::INVALID, &message, "put them into a script that the image has");
            return hidden;
        }
        self.hide_command(of, to, &mut hidden);
        self.hide_test(of, to, &mut hidden);
        for (index, hook) in of.node.items("pre_start").iter().enumerate() {
            self.hide_step(of, index, hook, &mut hidden);
        }
        for hook in ["post_start", "pre_stop"].iter().flat_map(|key| of.node.items(key)) {
            let words = hook.entry("command").map(|entry| self.parts_of(of, entry, 0)).unwrap_or_default();
            let own = hook.entries("environment").find(|(name, entry)| {
                let value = entry.value.as_text();
                value.is_some_and(|value| !matches!(self.becomes(name, entry, value), Becomes::Plain))
            });
            if own.is_some() || words.iter().any(|word| is_secret(word)) {
                let help = "set it in the environment of the service, and write [sh, -c, '... \"$$NAME\"']";
                self.says.refused(
                    hook,
                    code::CREDENTIAL_IN_COMMAND,
                    "a credential is in the command line of a hook",
                    help,
                );
            }
        }
        hidden
    }

    fn hide_command(&mut self, of: &Of<'a>, to: &mut Service, hidden: &mut Hidden) {
        let entry = |key: &str| of.entry(key);
        let read = |mapper: &Self, key: &str| entry(key).map(|entry| mapper.parts_of(of, entry, 0)).unwrap_or_default();
        let (entrypoint, command) = (read(self, "entrypoint"), read(self, "command"));
        let first = entrypoint.len();
        let all: Words = entrypoint.into_iter().chain(command).collect();
        let Some(found) = all.iter().position(|word| is_secret(word)) else { return };
        let Some(place) = entry(if found < first { "entrypoint" } else { "command" }) else { return };
        if let Some(at) =
            script_at(&all).filter(|at| all.iter().enumerate().all(|(n, word)| n == *at || !is_secret(word)))
        {
            let script = all.get(at).map(Vec::as_slice).unwrap_or_default();
            let names = self.names(of.node, &mut to.secret_env, &all, place.at);
            let Some(script) = shell::script(script, &|it| called(&names, it)) else {
                return self.refuse_command(place, "its shell script has a here-document", of);
            };
            let mut words: Vec<String> = all.iter().map(|word| super::template::resolved(word)).collect();
            words.get_mut(at).into_iter().for_each(|word| word.clone_from(&script));
            let rest = words.split_off(first);
            hidden.entrypoint = Some(words).filter(|words| !words.is_empty());
            hidden.command = Some(rest).filter(|rest| !rest.is_empty());
            return self.note_command(place, &names);
        }
        let image = known(&to.image);
        let allowed = self.choices.allows(code::CREDENTIAL_IN_COMMAND);
        let has_shell = image.is_some() || runs_shell(of.node);
        let start = if first > 0 { Some(Start::NONE) } else { image };
        let Some(start) = start.filter(|_| has_shell).or(allowed.then_some(Start::NONE)) else {
            let why = if has_shell {
                "what its image starts with is not known"
            } else {
                "nothing is known of a shell in its image"
            };
            return self.refuse_command(place, why, of);
        };
        let names = self.names(of.node, &mut to.secret_env, &all, place.at);
        let prefix = start.program.iter().map(|word| vec![Part::Text((*word).to_owned())]);
        let words: Words = prefix.chain(all).collect();
        let Some(line) = shell::exec(&words, &|it| called(&names, it)) else {
            return self.refuse_command(place, "it cannot be split into words", of);
        };
        let words = sh(line);
        if first > 0 || !start.runs_all {
            hidden.entrypoint = Some(words);
            hidden.no_command = true;
        } else {
            hidden.command = Some(words);
        }
        self.note_command(place, &names);
    }

    fn hide_test(&mut self, of: &Of<'a>, to: &mut Service, hidden: &mut Hidden) {
        let check = of.node.get("healthcheck").filter(|check| !check.get("disable").is_some_and(Node::is_true));
        let Some(place) = check.and_then(|check| check.entry("test")).filter(|entry| !entry.value.is_null()) else {
            return;
        };
        let how = place.value.as_list().and_then(|words| words.first()?.as_text()).unwrap_or_default();
        let words = self.parts_of(of, place, 1);
        if !words.iter().any(|word| is_secret(word)) {
            return;
        }
        let script = if how == "CMD-SHELL" { Some(0) } else { script_at(&words) };
        let names = self.names(of.node, &mut to.secret_env, &words, place.at);
        if let Some(at) = script.filter(|at| words.iter().enumerate().all(|(n, word)| n == *at || !is_secret(word))) {
            let parts = words.get(at).map(Vec::as_slice).unwrap_or_default();
            let Some(script) = shell::script(parts, &|it| called(&names, it)) else {
                return self.refuse_command(place, "its shell script has a here-document", of);
            };
            if how == "CMD-SHELL" {
                hidden.shell = Some(script);
            } else {
                let mut words: Vec<String> = words.iter().map(|word| super::template::resolved(word)).collect();
                words.get_mut(at).into_iter().for_each(|word| word.clone_from(&script));
                hidden.exec = Some(words);
            }
        } else if known(&to.image).is_some() || self.choices.allows(code::CREDENTIAL_IN_COMMAND) {
            let Some(line) = shell::exec(&words, &|it| called(&names, it)) else {
                return self.refuse_command(place, "it cannot be split into words", of);
            };
            hidden.exec = Some(sh(line));
        } else {
            return self.refuse_command(place, "nothing is known of a shell in its image", of);
        }
        self.note_command(place, &names);
    }

    fn hide_step(&mut self, of: &Of<'a>, index: usize, hook: &'a Node, hidden: &mut Hidden) {
        let mut step = Step {
            name: format!("step-{}", index + 1),
            command: None,
            secret_env: std::collections::BTreeMap::default(),
        };
        for (name, entry) in hook.entries("environment") {
            let Some(value) = entry.value.as_text() else { continue };
            let from = match self.becomes(name, entry, value) {
                Becomes::Plain => continue,
                Becomes::Secret(credential) => self.secret_key(&credential, entry.at),
                Becomes::Open(value) => self.open_key(&value),
                // A step has no templates.
                Becomes::Template(_) => {
                    let whole = Credential { name: name.clone(), value: value.to_owned(), may_be_unset: false };
                    self.secret_key(&whole, entry.at)
                }
            };
            step.secret_env.insert(name.clone(), from);
        }
        if let Some(place) = hook.entry("command") {
            let words = self.parts_of(of, place, 0);
            if words.iter().any(|word| is_secret(word)) {
                let image = hook.get("image").and_then(Node::as_text).unwrap_or_default();
                let names = self.names(hook, &mut step.secret_env, &words, place.at);
                let script = script_at(&words)
                    .filter(|at| words.iter().enumerate().all(|(n, word)| n == *at || !is_secret(word)));
                let line = match script.and_then(|at| words.get(at)) {
                    Some(parts) => shell::script(parts, &|it| called(&names, it)),
                    None if known(image).is_none() && !self.choices.allows(code::CREDENTIAL_IN_COMMAND) => None,
                    None => shell::exec(&words, &|it| called(&names, it)),
                };
                let Some(line) = line else {
                    return self.refuse_command(place, "nothing is known of a shell in its image", of);
                };
                step.command = Some(sh(line));
                self.note_command(place, &names);
            }
        }
        if step.command.is_some() || !step.secret_env.is_empty() {
            hidden.steps.push(step);
        }
    }

    /// The words of a command from the one numbered `from`, with what is a credential in them.
    fn parts_of(&self, of: &Of<'a>, entry: &'a Entry, from: usize) -> Words {
        let base = upper(of.name);
        let items = entry.value.as_list().unwrap_or_default();
        // A command that is one text is split: all of its words are where it is.
        let is_text =
            !items.is_empty() && items.iter().all(|item| item.at == entry.value.at) && entry.value.at.is_written();
        let of_check = from > 0;
        let mut words: Words = match self.loaded.template(entry.value.at).filter(|_| is_text && !of_check) {
            Some((template, variables)) => {
                let lookup = |name: &str| variables.get(name).cloned();
                let whole = Filler::new(&lookup).fill(template).unwrap_or_default();
                let parts = self.credentials.parts(&whole, Some((template, variables)), &base);
                match shell::split(&parts) {
                    Some(words) => words,
                    None => return vec![parts],
                }
            }
            None => {
                let word = |item: &Node| {
                    let text = item.as_text().unwrap_or_default();
                    let template = self.loaded.template(item.at).filter(|_| !is_text || of_check);
                    self.credentials.parts(text, template, &base)
                };
                items.iter().skip(from).map(word).collect()
            }
        };
        let mut option: Option<String> = None;
        for word in &mut words {
            let Some(text) = only_text(word) else {
                option = None;
                continue;
            };
            let is_value = !text.is_empty() && !text.starts_with(['-', '$']) && secrecy::can_be(&text);
            if let Some(option) = option.take().filter(|_| is_value) {
                let name = self.credentials.name_of(&text, &format!("{base}_{}", upper(&option)));
                *word = vec![Part::Value(Credential { name, value: text, may_be_unset: false })];
            } else {
                let is_option = text.starts_with('-') && !text.contains(['=', ' ']);
                let named = text.trim_start_matches('-').to_owned();
                let known = matches!(named.as_str(), "requirepass" | "masterauth");
                option = (is_option && (known || secrecy::is_credential_name(&named))).then_some(named);
            }
        }
        words
    }

    /// What the variables are called in which a container has the credentials of these words.
    fn names(
        &mut self,
        node: &Node,
        to: &mut std::collections::BTreeMap<String, SecretKey>,
        words: &Words,
        at: At,
    ) -> HashMap<(String, String), String> {
        let mut all = Vec::new();
        for word in words {
            credentials(word, &mut all);
        }
        let mut env = SecretEnv { to, node };
        let mut names = HashMap::new();
        for credential in all {
            let name = self.variable_of(&mut env, &credential, false, at);
            names.insert((credential.name, credential.value), name);
        }
        names
    }

    fn refuse_command(&mut self, place: &'a Entry, why: &str, of: &Of<'a>) {
        let message = format!("a credential is in a command line, which everybody reads who may read pods, and {why}");
        let help = format!(
            "set it in 'environment', and write [sh, -c, 'exec ... \"$$NAME\"']; --allow {} takes it that the image of '{}' has sh, and nothing to start with",
            code::CREDENTIAL_IN_COMMAND.0,
            of.name
        );
        self.says.refused(place, code::CREDENTIAL_IN_COMMAND, &message, &help);
    }

    fn note_command(&mut self, place: &'a Entry, names: &HashMap<(String, String), String>) {
        let mut names: Vec<&str> = names.values().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let message = format!(
            "a shell takes {} from the Secret when it starts: everybody who may read pods reads their command lines",
            names.join(", ")
        );
        self.says.noted(place.at, code::CREDENTIAL_IN_COMMAND, &message, "");
    }
}

fn called(names: &HashMap<(String, String), String>, credential: &Credential) -> String {
    let key = (credential.name.clone(), credential.value.clone());
    names.get(&key).cloned().unwrap_or_else(|| credential.name.clone())
}

fn credentials(parts: &[Part], all: &mut Vec<Credential>) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Value(credential) => all.push(credential.clone()),
            Part::Choice(credential, then) => {
                all.push(credential.clone());
                credentials(then, all);
            }
        }
    }
}

fn sh(line: String) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), line]
}

/// The text of a word without credentials.
fn only_text(word: &[Part]) -> Option<String> {
    match word {
        [Part::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

/// Which word is the script of `sh -c SCRIPT`.
fn script_at(words: &Words) -> Option<usize> {
    let texts: Vec<Option<String>> = words.iter().map(|word| only_text(word)).collect();
    let program = texts.first()?.as_deref()?.rsplit('/').next()?.to_owned();
    if !matches!(program.as_str(), "sh" | "bash" | "ash" | "dash") {
        return None;
    }
    let options = texts.iter().skip(1).take_while(|text| text.as_deref().is_some_and(|text| text.starts_with('-')));
    let options: Vec<&str> = options.filter_map(Option::as_deref).collect();
    let ends = options.last().is_some_and(|last| last.ends_with('c') && !last.starts_with("--"));
    ends.then_some(options.len() + 1).filter(|at| *at < words.len())
}

/// Whether the image of a service has a shell: its check or its program is run by one.
fn runs_shell(service: &Node) -> bool {
    let first = |key: &str| service.items(key).first().and_then(Node::as_text);
    let test = service.get("healthcheck").and_then(|check| check.items("test").first()?.as_text());
    test == Some("CMD-SHELL")
        || first("entrypoint").is_some_and(|program| Path::new(program).extension().is_some_and(|end| end == "sh"))
}

/// What an image starts with, if it has a shell.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// The words before the command.
    program: &'static [&'static str],
    /// Whether that runs whatever program it is given.
    runs_all: bool,
}

impl Start {
    const NONE: Start = Start { program: &[], runs_all: true };
}

/// Images whose entrypoint does its work (owner of the data, user) for some programs and runs all others: a shell has to go through it again.
const SCRIPTS: [&str; 14] = [
    "postgres",
    "postgis/postgis",
    "pgvector/pgvector",
    "timescale/timescaledb",
    "mysql",
    "mariadb",
    "redis",
    "valkey/valkey",
    "mongo",
    "rabbitmq",
    "memcached",
    "node",
    "wordpress",
    "cassandra",
];
/// Images that start with nothing.
const BARE: [&str; 16] = [
    "alpine",
    "busybox",
    "debian",
    "ubuntu",
    "python",
    "ruby",
    "golang",
    "rust",
    "httpd",
    "caddy",
    "perl",
    "fedora",
    "bash",
    "amazonlinux",
    "rockylinux",
    "buildpack-deps",
];

/// What is known of how an image starts; none of one that has no shell, or of which nothing is known.
fn known(image: &str) -> Option<Start> {
    let image = image.split('@').next().unwrap_or_default();
    let image = ["docker.io/", "index.docker.io/"].iter().find_map(|host| image.strip_prefix(host)).unwrap_or(image);
    let image = image.strip_prefix("library/").unwrap_or(image);
    let name = image.split(':').next().unwrap_or_default();
    match name {
        name if SCRIPTS.contains(&name) => Some(Start { program: &["docker-entrypoint.sh"], runs_all: true }),
        name if BARE.contains(&name) => Some(Start::NONE),
        "php" => Some(Start { program: &["docker-php-entrypoint"], runs_all: true }),
        "nginx" => Some(Start { program: &["/docker-entrypoint.sh"], runs_all: true }),
        "minio/minio" => Some(Start { program: &["/usr/bin/docker-entrypoint.sh"], runs_all: true }),
        "grafana/grafana" | "grafana/grafana-oss" | "grafana/grafana-enterprise" => {
            Some(Start { program: &["/run.sh"], runs_all: false })
        }
        "prom/prometheus" => Some(Start { program: &["/bin/prometheus"], runs_all: false }),
        "prom/alertmanager" => Some(Start { program: &["/bin/alertmanager"], runs_all: false }),
        _ => None,
    }
}
