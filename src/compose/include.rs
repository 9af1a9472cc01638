//! `include`: other projects as parts of this one, each with its own folder and its own `.env`.

use std::path::{Path, PathBuf};

use super::dotenv;
use super::files::Kind;
use super::interpolate::Variables;
use super::merge;
use super::model::{Loader, Scope, seen_from};
use super::node::{At, Entry, Holds, Map, Node};
use super::notes::Settled;
use super::problem::{Problem, Told, code};
use super::tags::{self, Paths};
use super::trail::Trail;

/// Included in included.
const DEEPEST: usize = 50;

impl Loader<'_> {
    /// Loads what a document includes and puts it into the document, whose own words come on top.
    pub(super) fn include(
        &mut self,
        include: &Node,
        document: &mut Node,
        tags: &Paths,
        scope: &Scope<'_>,
    ) -> Result<(), Told> {
        if include.is_null() {
            return Ok(());
        }
        let Some(entries) = include.as_list() else {
            let message = format!("'include' is a list of files, not {}", include.kind());
            return Err(self.told(Problem::error(code::TYPE, include.at, message).on("include")));
        };
        for (index, entry) in entries.iter().enumerate() {
            let part = self.part(entry, &format!("include[{index}]"), scope)?;
            self.import(part, document, tags);
        }
        Ok(())
    }

    fn part(&mut self, entry: &Node, path: &str, scope: &Scope<'_>) -> Result<Node, Told> {
        let (named, folder, env_files) = match entry.as_map() {
            None => (Some(entry), None, None),
            Some(map) => {
                self.notes.passed_over(map, &["path", "project_directory", "env_file"], &path);
                (entry.get("path"), entry.get("project_directory"), entry.get("env_file"))
            }
        };
        let named = self.texts(named, &format!("{path}.path"))?;
        let Some(first) = named.first() else {
            return Err(self.told(Problem::error(code::MISSING, entry.at, "'path' is required here").on(path)));
        };
        for path in &named {
            self.local(path)?;
        }
        let main = seen_from(&scope.folder, first);
        if scope.included.contains(&main) || scope.included.len() >= DEEPEST {
            let chain: Vec<String> =
                scope.included.iter().chain([&main]).map(|file| file.display().to_string()).collect();
            let message = format!("files include each other in a circle: {}", chain.join(" -> "));
            return Err(self.told(Problem::error(code::INCLUDE_CYCLE, first.at, message).on(path)));
        }
        let folder = match folder.filter(|folder| folder.as_text().is_some_and(|text| !text.is_empty())) {
            Some(folder) => seen_from(&scope.folder, folder),
            None => main.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let env_files = self.texts(env_files, &format!("{path}.env_file"))?;
        let environment = self.part_environment(&env_files, &folder, scope)?;
        let mut files = Vec::new();
        for path in &named {
            let file = seen_from(&scope.folder, path);
            files.push((file.clone(), self.parse(&file, path.at)?));
        }
        self.model(files, &Scope { folder, environment: &environment, included: scope.included.clone() })
    }

    /// A text, or a list of them.
    fn texts(&mut self, node: Option<&Node>, path: &str) -> Result<Vec<Node>, Told> {
        let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
        let items = match &node.holds {
            Holds::List(items) => items.clone(),
            _ => vec![node.clone()],
        };
        match items.iter().find(|item| item.as_text().is_none()) {
            Some(other) => {
                let message = format!("must be a text or a list of texts, not {}", other.kind());
                Err(self.told(Problem::error(code::TYPE, other.at, message).on(path)))
            }
            None => Ok(items),
        }
    }

    fn part_environment(&mut self, named: &[Node], folder: &Path, scope: &Scope<'_>) -> Result<Variables, Told> {
        let mut files: Vec<(PathBuf, At)> = Vec::new();
        for file in named.iter().filter(|file| file.as_text() != Some("/dev/null")) {
            files.push((seen_from(&scope.folder, file), file.at));
        }
        let own = folder.join(".env");
        if named.is_empty() && matches!(self.reader.kind(&own), Some(Kind::File | Kind::Other)) {
            files.push((own, At::NOWHERE));
        }
        let mut found = Variables::new();
        for (file, at) in files {
            self.variables(&file, at, &mut found, scope.environment)?;
        }
        let mut environment = scope.environment.clone();
        for (name, value) in found {
            environment.entry(name).or_insert(value);
        }
        Ok(environment)
    }

    /// Adds the variables of an env file; `environment` comes first where it uses others.
    pub fn variables(
        &mut self,
        path: &Path,
        from: At,
        found: &mut Variables,
        environment: &Variables,
    ) -> Result<(), Told> {
        let file = self.data(path).map_err(|problem| self.told(Problem { at: from, ..problem }))?;
        let parsed = dotenv::parse(self.data_text(file), found, &|name| environment.get(name).cloned());
        parsed.map(drop).map_err(|flaw| {
            let start = u32::try_from(flaw.at).unwrap_or(u32::MAX);
            self.told(Problem::error(code::ENV_FILE, At { file, start, end: start }, flaw.message))
        })
    }

    fn import(&mut self, part: Node, document: &mut Node, tags: &Paths) {
        let Holds::Map(part) = part.holds else { return };
        for (section, part) in part {
            if !matches!(section.as_str(), "services" | "volumes" | "networks" | "secrets" | "configs" | "models") {
                // A part's own name and extensions are not the project's.
                self.notes.settle_one(part.at, Settled::Nothing);
                self.notes.settle(&part.value, Settled::Nothing);
                continue;
            }
            let at = part.at;
            let (Holds::Map(part), Some(own)) = (part.value.holds, document.as_map_mut()) else {
                self.notes.settle_one(at, Settled::Nothing);
                continue;
            };
            if part.is_empty() {
                self.notes.settle_one(at, Settled::Nothing);
            }
            let own = own.entry(section.clone());
            let own = own.or_insert_with(|| Entry::implied(Node::new(At::NOWHERE, Holds::Map(Map::default()))));
            let Some(own) = own.value.as_map_mut() else { continue };
            let section_trail = Trail::TOP.to(&section);
            for (name, theirs) in part {
                let Some(ours) = own.get_mut(&name) else {
                    own.insert(name, theirs);
                    continue;
                };
                if ours.value == theirs.value {
                    self.notes.settle(&theirs.value, Settled::Same(ours.at));
                    self.notes.settle_one(theirs.at, Settled::Same(ours.at));
                    continue;
                }
                self.notes.settle_one(theirs.at, Settled::Overridden(ours.at));
                let wrap = |key: &str, node: Node| {
                    Node::new(At::NOWHERE, Holds::Map(Map::from_iter([(key.to_owned(), Entry::implied(node))])))
                };
                let mut theirs = wrap(&section, wrap(&name, theirs.value));
                tags::apply(&mut theirs, tags, &mut self.notes);
                let theirs = theirs.find(&[&section, &name]).cloned();
                let theirs = theirs.unwrap_or_else(|| Node::new(At::NOWHERE, Holds::Null));
                let was = std::mem::replace(&mut ours.value, Node::new(At::NOWHERE, Holds::Null));
                ours.value = merge::merge(theirs, was, &section_trail.to(&name), &mut self.notes);
            }
        }
    }
}
