//! `env_file` and `label_file`: their variables among a service's own.

use std::path::Path;

use super::dotenv::{self, Places};
use super::interpolate::Variables;
use super::model::Loader;
use super::node::{At, Entry, FileId, Holds, Map, Node};
use super::problem::{Problem, code};

impl Loader<'_> {
    /// Adds what the files of a service set; what the service itself sets wins. Files that cannot be read are noted.
    pub(super) fn files_of(&mut self, name: &str, service: &mut Node, environment: &Variables) {
        let own = of_map(service.get("environment"));
        if service.get("env_file").is_some() {
            let mut found = own.clone();
            let mut places = Vec::new();
            // A file's `$NAME` is looked up in the project, then in the service, then in the files so far.
            let lookup = |name: &str| environment.get(name).or_else(|| own.get(name)).cloned();
            for (index, file) in service.items("env_file").iter().enumerate() {
                let path = format!("services.{name}.env_file[{index}]");
                if let Some(these) = self.env_file(file, &path, &mut found, &lookup) {
                    places.push(these);
                }
            }
            self.set(service, "environment", found, &places);
        }
        if service.get("label_file").is_some() {
            let mut labels = Variables::new();
            let mut places = Vec::new();
            for (index, file) in service.items("label_file").iter().enumerate() {
                let path = format!("services.{name}.label_file[{index}]");
                let Some(name) = file.as_text() else { continue };
                let before = labels.clone();
                let lookup = |name: &str| before.get(name).cloned();
                let these = self.variables_of(Path::new(name), file.at, &path, &mut labels, &lookup, false);
                places.extend(these);
            }
            self.set(service, "labels", labels, &places);
        }
    }

    fn env_file(
        &mut self,
        file: &Node,
        path: &str,
        found: &mut Variables,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(FileId, Places)> {
        let named = file.get("path")?;
        let name = Path::new(named.as_text()?);
        let optional = file.get("required").is_some_and(|required| required.holds == Holds::Bool(false));
        if optional && self.reader.kind(name).is_none() {
            return None;
        }
        let raw = match file.get("format").and_then(Node::as_text) {
            None | Some("") => false,
            Some("raw") => true,
            Some(other) => {
                let at = file.get("format").map_or(named.at, |format| format.at);
                let problem = Problem::error(code::ENV_FORMAT, at, format!("there is no format '{other}'"));
                self.notes.say(problem.on(format!("{path}.format")).help("write 'raw', or leave it out"));
                return None;
            }
        };
        self.variables_of(name, named.at, path, found, lookup, raw)
    }

    fn variables_of(
        &mut self,
        name: &Path,
        from: At,
        path: &str,
        found: &mut Variables,
        lookup: &dyn Fn(&str) -> Option<String>,
        raw: bool,
    ) -> Option<(FileId, Places)> {
        let file = match self.data(name) {
            Ok(file) => file,
            Err(problem) => {
                self.notes.say(Problem { at: from, ..problem.on(path) });
                return None;
            }
        };
        let parse = if raw { dotenv::parse_raw } else { dotenv::parse };
        let parsed = parse(self.data_text(file), found, lookup);
        match parsed {
            Ok(places) => Some((file, places)),
            Err(flaw) => {
                let start = u32::try_from(flaw.at).unwrap_or(u32::MAX);
                let problem = Problem::error(code::ENV_FILE, At { file, start, end: start }, flaw.message);
                self.notes.say(problem.on(path).and(from));
                None
            }
        }
    }

    /// Adds `found` to the map `key` of a service where it has no such entry, each at its place in the last file that sets it.
    fn set(&mut self, service: &mut Node, key: &str, found: Variables, places: &[(FileId, Places)]) {
        if !self.notes.fits(found.values().map(String::len).sum()) {
            let message = "variables of files are in too many services";
            self.notes.say(Problem::error(code::TOO_MUCH, At::NOWHERE, message));
            return;
        }
        let Some(map) = service.as_map_mut() else { return };
        let target = map.entry(key.to_owned());
        let target = target.or_insert_with(|| Entry::implied(Node::new(At::NOWHERE, Holds::Map(Map::default()))));
        let Some(target) = target.value.as_map_mut() else { return };
        for (name, value) in found {
            if target.contains_key(&name) {
                continue;
            }
            let place = places.iter().rev().find_map(|(file, places)| Some((*file, *places.get(&name)?)));
            let at = place.map_or(At::NOWHERE, |(file, start)| {
                let start = u32::try_from(start).unwrap_or(u32::MAX);
                let end = start.saturating_add(u32::try_from(name.len()).unwrap_or(0));
                At { file, start, end }
            });
            target.insert(name, Entry::implied(Node::text(at, value)));
        }
    }
}

fn of_map(node: Option<&Node>) -> Variables {
    let map = node.and_then(Node::as_map).into_iter().flatten();
    map.filter_map(|(key, entry)| Some((key.clone(), entry.value.as_text()?.to_owned()))).collect()
}
