//! The Secrets that are made beside the stack. Values never show in messages.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use super::{MadeSecret, Mapper, names};
use crate::api::{AppStackSpec, Secret};
use crate::child::digest::Digest;
use crate::compose::node::Node;

/// What the API server lets a Secret hold.
///
/// <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>
pub(super) const LARGEST: usize = 1 << 20;

/// What went where, so that it is found again without a search.
#[derive(Default)]
pub(super) struct Kept {
    /// Secret and key, by the key that was wanted and the value.
    places: HashMap<(String, Vec<u8>), (String, String)>,
    /// The number that the next value of a wanted key may have, by Secret and that key.
    next: HashMap<(String, String), usize>,
    /// Bytes of each Secret.
    sizes: HashMap<String, usize>,
    /// Names of Secrets that the project says are there already.
    external: Option<BTreeSet<String>>,
}

impl Mapper<'_> {
    /// Puts `value` into the project's Secret, as `key` or, where that has another value already, as `key-2` and so on. Answers which secret of
    /// `spec.secrets` has it, under which key. One value that comes twice under one key is there once.
    ///
    /// There is one Secret, called like the stack, until it is full; then a second one. A value of more than [`LARGEST`] bytes fits in none:
    /// whoever calls looks at that first.
    pub(super) fn secret_entry(&mut self, key: &str, value: &[u8]) -> (String, String) {
        let key = secret_key(key);
        let wanted = (key.clone(), value.to_vec());
        if let Some(place) = self.kept.places.get(&wanted) {
            return place.clone();
        }
        let place = self.new_entry(&key, value);
        self.kept.places.insert(wanted, place.clone());
        place
    }

    fn new_entry(&mut self, key: &str, value: &[u8]) -> (String, String) {
        let stack = names::label(&self.project.name);
        let mut number = 1;
        loop {
            let name = self.generated(&numbered(&stack, number, 40));
            let made = self
                .made
                .entry(name.clone())
                .or_insert_with(|| MadeSecret { name: name.clone(), data: BTreeMap::new() });
            let size = self.kept.sizes.entry(name.clone()).or_default();
            let next = self.kept.next.entry((name.clone(), key.to_owned())).or_insert(1);
            let mut candidates = (*next..).map(|number| (number, numbered(key, number, 253)));
            let is_free = |key: &String| made.data.get(key).is_none_or(|other| other == value);
            let (tried, free) = candidates.find(|(_, key)| is_free(key)).unwrap_or_default();
            let is_there = made.data.contains_key(&free);
            if is_there || made.data.is_empty() || *size + free.len() + value.len() <= LARGEST {
                if !is_there {
                    *size += free.len() + value.len();
                }
                *next = tried + 1;
                made.data.insert(free.clone(), value.to_vec());
                return (name, free);
            }
            number += 1;
        }
    }

    /// Makes a Secret of its own of files that are mounted as a folder; its name in `spec.secrets`. The same files twice are one Secret.
    pub(super) fn secret_folder(&mut self, name: &str, files: BTreeMap<String, Vec<u8>>) -> String {
        let wanted = format!("{}-{}", names::label(&self.project.name), names::label(name));
        for number in 1.. {
            let name = numbered(&wanted, number, 40);
            let is_external = self.is_external(&name);
            match self.made.get(&name) {
                Some(made) if made.data != files => {}
                Some(_) => return name,
                None if is_external => {}
                None => {
                    let size = files.iter().map(|(key, value)| key.len() + value.len()).sum();
                    self.kept.sizes.insert(name.clone(), size);
                    self.made.insert(name.clone(), MadeSecret { name: name.clone(), data: files });
                    return self.generated(&name);
                }
            }
        }
        wanted
    }

    /// The name in `spec.secrets` of the Secret `name` that is made, which is declared there.
    fn generated(&mut self, name: &str) -> String {
        if self.made.contains_key(name) && self.spec.secrets.contains_key(name) {
            return name.to_owned();
        }
        let name = if self.is_external(name) { numbered(&format!("{name}-generated"), 1, 40) } else { name.to_owned() };
        let secret = Secret { secret_name: name.clone(), key: None };
        self.spec.secrets.entry(name.clone()).or_insert(secret);
        name
    }

    /// Whether a secret of the project that exists already has this name.
    fn is_external(&mut self, name: &str) -> bool {
        if self.storage.secrets.contains(name) {
            return true;
        }
        let (project, secrets) = (self.project, &self.secrets);
        let external = self.kept.external.get_or_insert_with(|| {
            let all = project.root.entries("secrets");
            let external = all.filter(|(_, entry)| entry.value.get("external").is_some_and(Node::is_true));
            external.map(|(name, _)| secrets.get(name)).collect()
        });
        external.contains(name)
    }
}

/// The Secrets; with hashes, each has one of what is in it in its name, and the stack has these names.
pub(super) fn named(made: BTreeMap<String, MadeSecret>, hashes: bool, spec: &mut AppStackSpec) -> Vec<MadeSecret> {
    let mut made: Vec<MadeSecret> = made.into_values().collect();
    for secret in made.iter_mut().filter(|_| hashes) {
        let name = format!("{}-{}", secret.name, Digest::of(&json!(secret.data)).hex8());
        for named in spec.secrets.values_mut().filter(|named| named.secret_name == secret.name) {
            named.secret_name.clone_from(&name);
        }
        secret.name = name;
    }
    made
}

/// A name as the key of a Secret, in the spelling of such keys: `POSTGRES_PASSWORD` is `postgres-password`.
pub(super) fn secret_key(name: &str) -> String {
    names::label(name).chars().take(240).collect()
}

/// The name, or the name and its number from 2 on, at most so long.
fn numbered(name: &str, number: usize, most: usize) -> String {
    let suffix = if number == 1 { String::new() } else { format!("-{number}") };
    let name: String = name.chars().take(most.saturating_sub(suffix.len())).collect();
    format!("{}{suffix}", name.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::super::choices::Choices;
    use super::*;
    use crate::compose::files::Memory;
    use crate::compose::{Options, load};

    fn with(text: &str, check: impl Fn(&mut Mapper<'_>)) {
        let files = Memory::from([("/p/compose.yaml".into(), text.as_bytes().to_vec())]);
        let loaded = load(&files, &Options { folder: "/p".into(), ..Options::default() });
        let choices = Choices::default();
        let mut mapper = Mapper::new(loaded.project.as_ref().unwrap(), &loaded, &files, &choices);
        check(&mut mapper);
    }

    #[test]
    fn another_value_is_another_name_where_that_is_asked() {
        let of = |password: &str, secret_hash| {
            let text =
                format!("name: shop\nservices: {{a: {{image: 'a:1', environment: {{PASSWORD: {password}}}}}}}\n");
            let choices = Choices { secret_hash, ..Choices::default() };
            let mapped = super::super::tests::mapped_with(&[("compose.yaml", &text)], &choices);
            assert_eq!(mapped.secrets[0].name, mapped.stack.spec.secrets["shop"].secret_name);
            assert_eq!(mapped.stack.spec.services["a"].secret_env["PASSWORD"].secret, "shop");
            mapped.secrets[0].name.clone()
        };
        assert_eq!(of("hunter2", false), "shop");
        assert_eq!(of("hunter2", true), of("hunter2", true));
        assert_ne!(of("hunter2", true), of("hunter3", true));
        assert!(of("hunter2", true).starts_with("shop-"));
    }

    const SHOP: &str = "name: shop\nservices: {a: {image: a:1}}\n";

    #[test]
    fn one_secret_takes_the_values_of_the_project_each_once() {
        with(SHOP, |mapper| {
            let place = |secret: &str, key: &str| (secret.to_owned(), key.to_owned());
            assert_eq!(mapper.secret_entry("DB_PASSWORD", b"x"), place("shop", "db-password"));
            assert_eq!(mapper.secret_entry("db_password", b"x"), place("shop", "db-password"));
            assert_eq!(mapper.secret_entry("DB_PASSWORD", b"y"), place("shop", "db-password-2"));
            assert_eq!(mapper.secret_entry("DB_PASSWORD", b"z"), place("shop", "db-password-3"));
            assert_eq!(mapper.secret_entry("DB_PASSWORD", b"y"), place("shop", "db-password-2"));
            assert_eq!(mapper.spec.secrets["shop"].secret_name, "shop");
            assert_eq!(mapper.made["shop"].data.len(), 3);
        });
    }

    #[test]
    fn a_full_secret_gets_a_second_one() {
        with(SHOP, |mapper| {
            let large = vec![b'x'; LARGEST - 10];
            assert_eq!(mapper.secret_entry("a", &large).0, "shop");
            assert_eq!(mapper.secret_entry("b", b"0123456789").0, "shop-2");
            assert_eq!(mapper.secret_entry("c", b"01").0, "shop");
        });
    }

    #[test]
    fn a_secret_that_exists_keeps_its_name() {
        let text = format!("{SHOP}secrets: {{shop: {{external: true}}}}\n");
        with(&text, |mapper| assert_eq!(mapper.secret_entry("a", b"x").0, "shop-generated"));
    }

    #[test]
    fn a_folder_is_a_secret_of_its_own() {
        with(SHOP, |mapper| {
            let files = |text: &str| BTreeMap::from([("tls.key".to_owned(), text.as_bytes().to_vec())]);
            assert_eq!(mapper.secret_folder("certs", files("x")), "shop-certs");
            assert_eq!(mapper.secret_folder("certs", files("x")), "shop-certs");
            assert_eq!(mapper.secret_folder("certs", files("y")), "shop-certs-2");
            assert_eq!(mapper.spec.secrets["shop-certs-2"].secret_name, "shop-certs-2");
        });
    }
}
