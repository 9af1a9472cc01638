//! Names of Compose as names of Kubernetes: DNS labels, each thing its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::child::digest::Digest;

/// Labels for the names of one kind of thing.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    of: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Labels {
    /// Labels of at most `most` characters for all `names`. A name that is a label stays; others are made one, with four hex digits of the
    /// name after it where two names would meet or it would be too long.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>, most: usize, fits: impl Fn(&str) -> bool) -> Labels {
        let names: Vec<&str> = names.into_iter().collect();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut of = BTreeMap::new();
        for name in &names {
            if is_label(name, most) && fits(name) {
                taken.insert((*name).to_owned());
                of.insert((*name).to_owned(), (*name).to_owned());
            }
        }
        for name in names {
            if of.contains_key(name) {
                continue;
            }
            let mut label = label(name);
            if label.len() > most || taken.contains(&label) || !fits(&label) {
                let mut room = most.saturating_sub(5);
                while !label.is_char_boundary(room.min(label.len())) {
                    room -= 1;
                }
                label.truncate(room);
                label = format!("{}-{}", label.trim_end_matches('-'), digits(name));
            }
            taken.insert(label.clone());
            of.insert(name.to_owned(), label);
        }
        Labels { of, taken }
    }

    /// The label of a name; the name made a label, if nothing is called that.
    pub fn get(&self, name: &str) -> String {
        self.of.get(name).cloned().unwrap_or_else(|| label(name))
    }

    /// Whether a name has this label.
    pub fn has(&self, label: &str) -> bool {
        self.taken.contains(label)
    }

    /// Names that became others.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.of.iter().filter(|(name, label)| name != label).map(|(name, label)| (name.as_str(), label.as_str()))
    }
}

/// Lower case letters, digits and hyphens, from a letter to a letter or digit.
pub fn is_label(name: &str, most: usize) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= most
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(plain)
        && name.chars().all(|c| plain(c) || c == '-')
}

/// A text made a label, however long: lower case, everything else a hyphen.
pub fn label(text: &str) -> String {
    let mapped: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    let mut label = String::with_capacity(mapped.len());
    for c in mapped.trim_matches('-').chars() {
        if c != '-' || !label.ends_with('-') {
            label.push(c);
        }
    }
    if label.starts_with(|c: char| c.is_ascii_lowercase()) {
        label
    } else {
        format!("x{}{label}", if label.is_empty() { "" } else { "-" })
    }
}

/// Four hex digits of a text.
pub(super) fn digits(text: &str) -> String {
    Digest::of(&json!(text)).hex8().chars().take(4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_and_other_names_become_labels_of_their_own() {
        let names = ["web", "Web", "my_db", "my.db", "9lives", "_", "a-published"];
        let labels = Labels::of(names, 40, |label| !label.ends_with("-published"));
        let got: Vec<String> = names.iter().map(|name| labels.get(name)).collect();
        assert_eq!(got[0], "web");
        assert!(got[1].starts_with("web-") && got[1].len() == 8, "{got:?}");
        assert_eq!(got[2], "my-db");
        assert!(got[3].starts_with("my-db-"), "{got:?}");
        assert_eq!(got[4], "x-9lives");
        assert_eq!(got[5], "x");
        assert!(got[6].starts_with("a-published-"), "{got:?}");
        assert_eq!(labels.changed().count(), 6);
        let long = "a".repeat(80);
        let labels = Labels::of([long.as_str()], 40, |_| true);
        assert_eq!(labels.get(&long).len(), 40);
    }
}
