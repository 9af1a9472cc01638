//! `configs` and `secrets`, of the project and of services, and files of this computer that go along.

use std::path::Path;

use k8s_openapi::ByteString;

use super::binds::{self, LARGEST_IN_CONFIG};
use super::mounts::Wish;
use super::storage::{Placed, Unfit};
use super::{Mapper, Of, code, made, names};
use crate::api::{Config, Secret, Service};
use crate::compose::node::{Entry, Holds, Node};
use crate::compose::project::Project;

impl<'a> Mapper<'a> {
    /// The configs and secrets that a service names.
    pub(super) fn files_of(&mut self, of: &Of<'a>, to: &mut Service) {
        for (section, base) in [("configs", "/"), ("secrets", "/run/secrets/")] {
            for item in of.node.items(section) {
                self.file_of(of, section, base, item, to);
            }
        }
    }

    fn file_of(&mut self, of: &Of<'a>, section: &'static str, base: &str, item: &'a Node, to: &mut Service) {
        let text = |key: &str| item.get(key).and_then(Node::as_text).unwrap_or_default();
        let source = text("source");
        let target = match text("target") {
            "" => format!("{base}{source}"),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{base}{path}"),
        };
        let Some(placed) = self.declared_file(section, source) else {
            let message = format!("'{source}' of the project's {section} cannot be in the stack");
            return self.says.refused(item, code::WITH_REFUSED, &message, "what is said of it there says why");
        };
        for key in ["uid", "gid"] {
            if let Some(entry) = item.entry(key).filter(|entry| !entry.value.is_null()) {
                let message = "such files belong to root, and to the group of the pod's fsGroup";
                self.says.ignored(entry, code::FILE_OWNER, message, "let 'mode' say who may read it");
            }
        }
        let mode = match item.get("mode").map(|node| &node.holds) {
            Some(Holds::Mode(mode) | Holds::Int(mode)) => Some(mode & 0o777),
            _ => None,
        };
        let written = mode.filter(|mode| *mode != 0o444 || placed.is_executable).map(|mode| format!("{mode:04o}"));
        let wish = Wish { item, target, read_only: true, remarks: Vec::new() };
        let Some(field) = self.put_placed(of, &wish, &placed, written, to) else { return };
        self.says.mapped(item, field);
    }

    /// A config or secret of the project, put into the stack by the first service that names it.
    fn declared_file(&mut self, section: &'static str, name: &'a str) -> Option<Placed> {
        if let Some(known) = self.storage.files.get(&(section, name)) {
            return known.clone();
        }
        let project = self.project;
        let entry = project.root.get(section)?.entry(name)?;
        // What is wrong with it is wrong for all who name it.
        let service = self.says.service.take();
        let placed = self.declare(section, name, entry);
        let to = match &placed {
            Some(Placed { config: Some(config), .. }) => format!("spec.configs.{config}"),
            Some(Placed { secret: Some(secret), .. }) => format!("spec.secrets.{secret}"),
            _ => String::new(),
        };
        if placed.is_some() {
            self.says.mapped(entry, to);
        } else {
            self.says.nothing(entry, "it cannot be in the stack");
        }
        self.says.service = service;
        self.storage.files.insert((section, name), placed.clone());
        placed
    }

    fn declare(&mut self, section: &'static str, name: &str, entry: &'a Entry) -> Option<Placed> {
        let node = &entry.value;
        let given =
            |key: &str| node.entry(key).filter(|entry| !entry.value.is_null() && entry.value.as_text() != Some(""));
        let kind = if section == "configs" { "ConfigMap" } else { "Secret" };
        for key in ["driver", "template_driver"] {
            if let Some(entry) = given(key) {
                let message = format!("a plugin of Swarm would make it; Kubernetes has a {kind}");
                self.says.refused(entry, code::FILE_DRIVER, &message, "make it beforehand, and write external: true");
                return None;
            }
        }
        if let Some(entry) = given("labels") {
            self.says.nothing(entry, "it is no object of its own");
        }
        if let Some(entry) = given("external").filter(|entry| entry.value.is_true()) {
            return Some(self.external_file(section, name, node, entry));
        }
        if let Some(entry) = node.entry("name") {
            self.says.nothing(entry, "the key names it");
        }
        let project = self.project;
        let is_on = || project.used(section).contains(name);
        let bytes = if let Some(entry) = given("file") {
            let path = entry.value.as_text().unwrap_or_default();
            match self.reader.bytes(Path::new(path)) {
                Ok(bytes) => bytes,
                Err(problem) if section == "configs" || is_on() => {
                    self.says.refused(entry, code::NO_FILE, &problem.message, &problem.help);
                    return None;
                }
                Err(problem) => {
                    self.left_empty(entry, name, &problem.message);
                    Vec::new()
                }
            }
        } else if let Some(entry) = given("environment") {
            let variable = entry.value.as_text().unwrap_or_default();
            match Project::variable_of(node) {
                Some(value) if !value.is_empty() || section == "configs" => value.as_bytes().to_vec(),
                None if section == "configs" || is_on() => {
                    let message = format!("the variable {variable} is not set");
                    self.says.refused(entry, code::NO_FILE, &message, "set it, or write it into .env");
                    return None;
                }
                _ => {
                    self.left_empty(entry, name, &format!("the variable {variable} is empty or not set"));
                    Vec::new()
                }
            }
        } else {
            given("content").and_then(|entry| entry.value.printed()).unwrap_or_default().into_bytes()
        };
        let at = given("file").or_else(|| given("environment")).or_else(|| given("content")).unwrap_or(entry);
        let placed = if section == "configs" {
            let label = self.configs.get(name);
            self.add_config(&label, name, &bytes)
        } else {
            self.add_secret(name, &bytes)
        };
        placed.map_err(|unfit| self.says.refused(at, code::UNFIT_FILE, &unfit.message, &unfit.help)).ok()
    }

    /// A secret without a value yet, of services that are off.
    fn left_empty(&mut self, entry: &'a Entry, name: &str, why: &str) {
        let message = format!("{why}, so the Secret's key '{}' is empty", made::secret_key(name));
        let to = format!("spec.secrets.{}", names::label(&self.project.name));
        self.says.approximated(
            entry,
            code::NO_FILE,
            to,
            &message,
            "fill it in before a service that reads it is started",
        );
    }

    /// A ConfigMap or Secret that is in the namespace already.
    fn external_file(&mut self, section: &'static str, name: &str, node: &'a Node, entry: &'a Entry) -> Placed {
        let written = node.get("name").and_then(Node::as_text).filter(|name| !name.is_empty()).unwrap_or(name);
        let object = names::label(written);
        let key = if binds::is_key(written) { written.to_owned() } else { object.clone() };
        let (kind, label) = match section {
            "configs" => ("ConfigMap", self.configs.get(name)),
            _ => ("Secret", self.secrets.get(name)),
        };
        let message = format!("the {kind} '{object}' has to be in the namespace, with an entry '{key}'");
        let command = if kind == "Secret" { "secret generic" } else { "configmap" };
        let help = format!("kubectl create {command} {object} --from-file={key}=FILE");
        self.says.approximated(entry, code::NO_FILE, format!("spec.{section}.{label}"), &message, &help);
        if section == "configs" {
            let config = Config { config_map_name: Some(object), key: Some(key), ..Config::default() };
            self.spec.configs.insert(label.clone(), config);
            return Placed { config: Some(label), secret: None, key: None, is_executable: false };
        }
        self.spec.secrets.insert(label.clone(), Secret { secret_name: object, key: Some(key) });
        Placed { config: None, secret: Some(label), key: None, is_executable: false }
    }

    /// A file that a service binds, as a config or in a Secret.
    pub(super) fn placed_file(&mut self, source: &Path, read_only: bool) -> Result<Placed, Unfit> {
        if let Some(known) = self.storage.placed.get(source) {
            return known.clone();
        }
        let placed = self.place_file(source, read_only);
        self.storage.placed.insert(source.to_owned(), placed.clone());
        placed
    }

    fn place_file(&mut self, source: &Path, read_only: bool) -> Result<Placed, Unfit> {
        let bytes =
            self.reader.bytes(source).map_err(|problem| Unfit { message: problem.message, help: problem.help })?;
        let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_executable = self.reader.is_executable(source);
        if is_credential(&name, &bytes) {
            return self.add_secret(&name, &bytes).map(|placed| Placed { is_executable, ..placed });
        }
        if !read_only && !is_text(&bytes) && bytes.len() <= LARGEST_IN_CONFIG {
            let message = format!("{} is no text, and the container may write to it: a database?", self.shown(source));
            let help =
                "bind the folder that it is in, which becomes a volume, or write :ro if it is only read".to_owned();
            return Err(Unfit { message, help });
        }
        let taken = |name: &str| self.configs.has(name) || self.spec.configs.contains_key(name);
        let label = self.named_after(source, 1, taken);
        self.add_config(&label, &name, &bytes).map(|placed| Placed { is_executable, ..placed })
    }

    /// A folder of files that a service binds, as a config or a Secret of its own.
    pub(super) fn placed_folder(&mut self, source: &Path) -> Result<Placed, Unfit> {
        if let Some(known) = self.storage.placed.get(source) {
            return known.clone();
        }
        let placed = self.place_folder(source);
        self.storage.placed.insert(source.to_owned(), placed.clone());
        placed
    }

    fn place_folder(&mut self, source: &Path) -> Result<Placed, Unfit> {
        let Some(folder) = self.small_folder(source) else {
            let message = format!("{} is no flat folder of small files", self.shown(source));
            let help =
                "a config takes at most 64 files of at most 256 KiB each and 1 MiB together; take a volume".to_owned();
            return Err(Unfit { message, help });
        };
        let is_executable = folder.is_executable;
        if folder.files.iter().any(|(name, bytes)| is_credential(name, bytes)) {
            let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let secret = self.secret_folder(&name, folder.files.clone());
            return Ok(Placed { config: None, secret: Some(secret), key: None, is_executable });
        }
        let taken = |name: &str| self.configs.has(name) || self.spec.configs.contains_key(name);
        let label = self.named_after(source, 2, taken);
        self.count(folder.files.values().map(Vec::len).sum())?;
        let mut config = Config::default();
        for (name, bytes) in &folder.files {
            match text(bytes) {
                Some(text) => config.data.insert(name.clone(), text.to_owned()),
                None => config.binary_data.insert(name.clone(), base64(bytes)),
            };
        }
        self.spec.configs.insert(label.clone(), config);
        Ok(Placed { config: Some(label), secret: None, key: None, is_executable })
    }

    /// Adds a config of one file.
    fn add_config(&mut self, label: &str, file: &str, bytes: &[u8]) -> Result<Placed, Unfit> {
        if bytes.len() > LARGEST_IN_CONFIG {
            let message = format!("'{file}' has {} KiB, and a file of a config at most 256", bytes.len() / 1024);
            let help = "put it into the image, or into a volume with appstack cp".to_owned();
            return Err(Unfit { message, help });
        }
        self.count(bytes.len())?;
        let mut config = Config::default();
        let mut key = None;
        if let Some(text) = text(bytes) {
            config.content = Some(text.to_owned());
        } else {
            let name = if binds::is_key(file) { file.to_owned() } else { label.to_owned() };
            config.binary_data.insert(name.clone(), base64(bytes));
            key = Some(name);
        }
        self.spec.configs.insert(label.to_owned(), config);
        Ok(Placed { config: Some(label.to_owned()), secret: None, key, is_executable: false })
    }

    fn add_secret(&mut self, name: &str, bytes: &[u8]) -> Result<Placed, Unfit> {
        if bytes.len() > made::LARGEST - 512 {
            let message = format!("'{name}' is larger than a Secret may be, 1 MiB");
            return Err(Unfit { message, help: "put it into a volume with appstack cp".to_owned() });
        }
        let (secret, key) = self.secret_entry(name, bytes);
        Ok(Placed { config: None, secret: Some(secret), key: Some(key), is_executable: false })
    }

    /// Counts what is in configs: all of them are in one object, which a cluster keeps up to about 1.5 MiB.
    fn count(&mut self, bytes: usize) -> Result<(), Unfit> {
        if self.storage.config_bytes + bytes > made::LARGEST {
            let message = "with it, the configs of the stack would be larger than 1 MiB together".to_owned();
            let help = "put large files into the image, or into a volume with appstack cp".to_owned();
            return Err(Unfit { message, help });
        }
        self.storage.config_bytes += bytes;
        Ok(())
    }
}

/// A text, if it is one.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn is_text(bytes: &[u8]) -> bool {
    text(bytes).is_some()
}

fn base64(bytes: &[u8]) -> String {
    let encoded = serde_json::to_value(ByteString(bytes.to_vec())).unwrap_or_default();
    encoded.as_str().unwrap_or_default().to_owned()
}

/// Whether a file is a credential, by its name or because there is a private key in it.
fn is_credential(name: &str, bytes: &[u8]) -> bool {
    const WORDS: [&str; 8] = ["password", "passwd", "secret", "credential", "token", "htpasswd", "private", "apikey"];
    const ENDINGS: [&str; 7] = ["key", "p12", "pfx", "jks", "keystore", "ppk", "kdbx"];
    const NAMES: [&str; 8] = [".env", ".pgpass", ".netrc", ".npmrc", "id_rsa", "id_ed25519", "id_ecdsa", "kubeconfig"];
    let name = name.to_ascii_lowercase();
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name.as_str(), ""));
    // Code and settings may be about passwords without having any.
    let is_code = ["js", "ts", "py", "sql", "sh", "html", "css", "go", "rb", "php", "md", "lua"].contains(&ending);
    (!is_code && WORDS.iter().any(|word| plain.contains(word)))
        || ENDINGS.contains(&ending)
        || NAMES.contains(&name.as_str())
        || stem == ".env"
        || text(bytes).is_some_and(|text| text.contains("PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_by_name_and_by_what_is_in_them() {
        for name in [
            "tls.key",
            "db_password.txt",
            ".env",
            ".env.production",
            "api_key",
            "id_rsa",
            "secrets.yml",
            "client_secret.json",
            ".htpasswd",
        ] {
            assert!(is_credential(name, b"x"), "{name}");
        }
        for name in
            ["nginx.conf", "init.sql", "reset-password.html", "keys.yml", "ca.crt", "monkey.txt", "environment.yml"]
        {
            assert!(!is_credential(name, b"x"), "{name}");
        }
        assert!(is_credential("server.pem", b"-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(!is_credential("server.pem", b"-----BEGIN CERTIFICATE-----\n"));
    }

    #[test]
    fn bytes_are_base64_on_one_line() {
        assert_eq!(base64(b"\0\xff"), "AP8=");
        assert_eq!(base64(&[0; 200]).lines().count(), 1);
    }
}
