//! `extends`: a service onto another, of the same file or of one that is named.

use std::path::{Path, PathBuf};

use super::merge;
use super::model::{Loader, Scope, seen_from};
use super::node::{At, Entry, Holds, Map, Node};
use super::notes::Settled;
use super::problem::{Problem, Told, code};
use super::tags::{self, Paths};
use super::trail::Trail;

/// Services that extend one another.
const DEEPEST: usize = 100;

/// Where a service stands, and what that file's tags say.
struct File<'f> {
    path: &'f Path,
    folder: &'f Path,
    tags: &'f Paths,
}

impl Loader<'_> {
    /// Merges all services of a document onto those that they extend.
    pub(super) fn extends(
        &mut self,
        document: &mut Node,
        tags: &Paths,
        path: &Path,
        scope: &Scope<'_>,
    ) -> Result<(), Told> {
        let Some(services) = document.get_mut("services").and_then(Node::as_map_mut) else { return Ok(()) };
        let extending = services.iter().filter(|(_, entry)| entry.value.get("extends").is_some());
        let names: Vec<String> = extending.map(|(name, _)| name.clone()).collect();
        for name in names {
            let file = File { path, folder: &scope.folder, tags };
            self.extended(&name, services, &file, scope, &mut Vec::new())?;
        }
        Ok(())
    }

    fn extended(
        &mut self,
        name: &str,
        services: &mut Map,
        file: &File<'_>,
        scope: &Scope<'_>,
        chain: &mut Vec<(PathBuf, String)>,
    ) -> Result<(), Told> {
        let Some((service, extends)) =
            services.get(name).and_then(|entry| Some((&entry.value, entry.value.get("extends")?)))
        else {
            return Ok(());
        };
        let (of, base_file) = match extends.as_map() {
            Some(map) => {
                self.notes.passed_over(map, &["service", "file"], &format!("services.{name}.extends"));
                (extends.get("service"), extends.get("file").filter(|file| !file.is_null()))
            }
            None => (Some(extends), None),
        };
        // What is not even a name, the structural check names.
        let Some((of, of_at)) = of.and_then(|of| Some((of.as_text()?.to_owned(), of.at))) else { return Ok(()) };
        if base_file.is_some_and(|file| file.as_text().is_none()) {
            return Ok(());
        }
        let here = (file.path.to_owned(), name.to_owned());
        if chain.contains(&here) || chain.len() >= DEEPEST {
            let names: Vec<&str> = chain.iter().map(|(_, name)| name.as_str()).chain([name]).collect();
            let message = format!("services extend each other in a circle: {}", names.join(" -> "));
            return Err(
                self.told(Problem::error(code::EXTENDS_CYCLE, of_at, message).on(format!("services.{name}.extends")))
            );
        }
        chain.push(here);
        let (service, base_file) = (service.clone(), base_file.cloned());
        let base = match base_file {
            Some(named) => {
                self.local(&named)?;
                let path = seen_from(file.folder, &named);
                let (mut model, tags) = self.base(&path, named.at, scope.environment)?;
                let folder = path.parent().unwrap_or(Path::new("/"));
                let base = File { path: &path, folder, tags: &tags };
                let Some(services) = model.get_mut("services").and_then(Node::as_map_mut) else {
                    return Err(self.missing(name, &of, of_at, &path));
                };
                self.extended(&of, services, &base, scope, chain)?;
                let found = services.get(&of).map(|entry| entry.value.clone());
                self.bases.insert(path.clone(), (model, tags));
                match found {
                    Some(base) => self.copy(base, of_at)?,
                    None => return Err(self.missing(name, &of, of_at, &path)),
                }
            }
            None => {
                self.extended(&of, services, file, scope, chain)?;
                match services.get(&of).map(|entry| entry.value.clone()) {
                    Some(base) => self.copy(base, of_at)?,
                    None => return Err(self.missing(name, &of, of_at, file.path)),
                }
            }
        };
        chain.pop();
        if base.as_map().is_none() || service.as_map().is_none() {
            return Ok(());
        }
        let base = self.without_reset(base, name, file.tags);
        let services_trail = Trail::TOP.to("services");
        let mut merged = merge::merge(base, service, &services_trail.to(name), &mut self.notes);
        if let Some(extends) = merged.as_map_mut().and_then(|map| map.shift_remove("extends")) {
            self.notes.settle_one(extends.at, Settled::Followed);
            self.notes.settle_rest(&extends.value, Settled::Followed);
        }
        if let Some(entry) = services.get_mut(name) {
            entry.value = merged;
        }
        Ok(())
    }

    /// What a file's tags take away of a service, they take away of what it extends.
    fn without_reset(&mut self, base: Node, name: &str, tags: &Paths) -> Node {
        if tags.is_empty() {
            return base;
        }
        let wrap = |key: &str, node: Node| {
            Node::new(At::NOWHERE, Holds::Map(Map::from_iter([(key.to_owned(), Entry::implied(node))])))
        };
        let mut project = wrap("services", wrap(name, base));
        tags::apply(&mut project, tags, &mut self.notes);
        let services = project.get_mut("services").and_then(Node::as_map_mut);
        let service = services.and_then(|services| services.shift_remove(name));
        service.map_or_else(|| Node::new(At::NOWHERE, Holds::Map(Map::default())), |entry| entry.value)
    }

    fn missing(&mut self, name: &str, of: &str, at: At, path: &Path) -> Told {
        let message = format!("'{name}' extends '{of}', and there is no such service in {}", path.display());
        self.told(Problem::error(code::EXTENDS, at, message).on(format!("services.{name}.extends")))
    }
}
