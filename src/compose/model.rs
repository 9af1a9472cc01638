//! Files put together: each document filled in, its includes and extensions followed, merged, checked for structure and made long.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::account::{self, Key};
use super::files::{self, Reader};
use super::interpolate::Variables;
use super::node::{At, Entry, FileId, Holds, Map, Node};
use super::notes::{Notes, Settled};
use super::problem::{Problem, Sources, Told, code};
use super::tags::{self, Paths};
use super::trail::Trail;
use super::{canonical, defaults, fill, merge, paths, schema, unique, yaml};

/// Values that `extends` and `include` may copy, in all.
const MOST_COPIED: usize = 500_000;

/// What a project or an included part of it sees.
pub struct Scope<'s> {
    /// The folder that its paths are seen from.
    pub folder: PathBuf,
    /// Its variables.
    pub environment: &'s Variables,
    /// Files that are being included, outermost first.
    pub included: Vec<PathBuf>,
}

/// A file and its documents.
pub type Parsed = (PathBuf, Vec<Node>);

/// Puts files together.
pub struct Loader<'a> {
    /// Reads them.
    pub reader: Reader<'a>,
    /// Their texts.
    pub sources: Sources,
    /// Problems, and what became of what.
    pub notes: Notes,
    /// What the files say, key by key.
    pub keys: Vec<Key>,
    /// Where `~` is.
    pub home: Option<String>,
    /// Files that services extend, by path; out while one of their services is looked for.
    pub(super) bases: HashMap<PathBuf, (Node, Paths)>,
    /// Env files that were read, each once.
    data: HashMap<PathBuf, FileId>,
    room: usize,
    copied: usize,
}

impl<'a> Loader<'a> {
    /// A loader of one project.
    pub fn new(reader: Reader<'a>, home: Option<String>) -> Self {
        Loader {
            reader,
            sources: Sources::default(),
            notes: Notes::default(),
            keys: Vec::new(),
            home,
            bases: HashMap::new(),
            data: HashMap::new(),
            room: yaml::MOST_NODES,
            copied: 0,
        }
    }

    /// The documents of a file. `from` is the value that names it.
    pub fn parse(&mut self, path: &Path, from: At) -> Result<Vec<Node>, Told> {
        let text = self.reader.text(path).map_err(|problem| self.told(Problem { at: from, ..problem }))?;
        self.parse_text(path.display().to_string(), text)
    }

    /// The documents of a text.
    pub fn parse_text(&mut self, name: String, text: String) -> Result<Vec<Node>, Told> {
        let file = self.sources.add(name, text);
        let text = self.sources.get(file).map(|source| source.text.as_str()).unwrap_or_default();
        let documents = match yaml::documents(text, file, &mut self.room) {
            Ok(documents) => documents,
            Err(problems) => {
                for problem in problems {
                    self.notes.say(problem);
                }
                return Err(Told);
            }
        };
        account::leaves(&documents, &mut self.keys);
        for document in &documents {
            if document.as_map().is_none() {
                let at = document.at;
                let message = format!("a Compose file is a map with 'services', not {}", document.kind());
                return Err(self.told(Problem::error(code::NOT_A_MAP, at, message)));
            }
        }
        Ok(documents)
    }

    /// A file that is no Compose file, read once however many name it.
    pub(super) fn data(&mut self, path: &Path) -> Result<FileId, Problem> {
        if let Some(file) = self.data.get(path) {
            return Ok(*file);
        }
        let text = self.reader.text(path)?;
        let file = self.sources.add_data(path.display().to_string(), text);
        self.data.insert(path.to_owned(), file);
        Ok(file)
    }

    /// The text of such a file.
    pub(super) fn data_text(&self, file: FileId) -> &str {
        self.sources.get(file).map(|source| source.text.as_str()).unwrap_or_default()
    }

    /// Notes a problem that ends this step.
    pub fn told(&mut self, problem: Problem) -> Told {
        self.notes.say(problem);
        Told
    }

    /// Counts what is copied.
    pub(super) fn copy(&mut self, node: Node, at: At) -> Result<Node, Told> {
        self.copied += weight(&node);
        if self.copied > MOST_COPIED {
            let message = format!("'extends' and 'include' copy more than {MOST_COPIED} values");
            return Err(self.told(Problem::error(code::TOO_MUCH, at, message)));
        }
        Ok(node)
    }

    /// A document with its variables filled in, without its tags, and what the tags say.
    pub(super) fn filled(&mut self, mut document: Node, environment: &Variables) -> (Node, Paths) {
        let tags = tags::take(&mut document, &mut self.notes);
        fill::fill(&mut document, environment, &mut self.notes);
        (document, tags)
    }

    /// The model of several files: merged, checked for structure, with defaults and absolute paths.
    pub fn model(&mut self, files: Vec<Parsed>, scope: &Scope<'_>) -> Result<Node, Told> {
        // All are filled in before the first is merged: so all that cannot be is told at once.
        let mut filled = Vec::new();
        for (path, documents) in files {
            for document in documents {
                let (document, tags) = self.filled(document, scope.environment);
                filled.push((path.clone(), document, tags));
            }
        }
        self.notes.sound()?;
        let mut project = Node::new(At::NOWHERE, Holds::Map(Map::default()));
        for (path, document, tags) in filled {
            let mut included = scope.included.clone();
            included.push(path.clone());
            let scope = Scope { folder: scope.folder.clone(), environment: scope.environment, included };
            project = self.add(project, document, &tags, &path, &scope)?;
        }
        defaults::set(&mut project);
        defaults::check(&project, &mut self.notes);
        self.notes.sound()?;
        paths::resolve(&mut project, &scope.folder, self.home.as_deref());
        resolve_environment(&mut project, scope.environment, &mut self.notes);
        Ok(project)
    }

    fn add(
        &mut self,
        project: Node,
        mut document: Node,
        tags: &Paths,
        path: &Path,
        scope: &Scope<'_>,
    ) -> Result<Node, Told> {
        let mut project = project;
        if let Some(include) = document.as_map_mut().and_then(|map| map.shift_remove("include")) {
            self.notes.settle_one(include.at, Settled::Followed);
            self.notes.settle(&include.value, Settled::Followed);
            self.include(&include.value, &mut document, tags, scope)?;
        }
        tags::apply(&mut project, tags, &mut self.notes);
        self.extends(&mut document, tags, path, scope)?;
        let mut project = merge::merge(project, document, &Trail::TOP, &mut self.notes);
        unique::reduce(&mut project, &mut self.notes);
        for problem in schema::check(&project) {
            self.notes.say(problem);
        }
        self.notes.sound()?;
        if let Some(version) = project.as_map_mut().and_then(|map| map.shift_remove("version")) {
            let warning = Problem::warning(code::VERSION, version.at, "'version' says nothing since Compose 2");
            self.notes.say(warning.on("version").help("take it out"));
            self.notes.settle_one(version.at, Settled::Nothing);
        }
        canonical::lengthen(&mut project, &mut self.notes);
        unique::reduce(&mut project, &mut self.notes);
        self.notes.sound()?;
        Ok(project)
    }

    /// A file that services extend: merged and made long, not checked by itself. Whoever takes it puts it back.
    pub(super) fn base(&mut self, path: &Path, from: At, environment: &Variables) -> Result<(Node, Paths), Told> {
        if let Some(base) = self.bases.remove(path) {
            return Ok(base);
        }
        let mut model = Node::new(At::NOWHERE, Holds::Map(Map::default()));
        let mut tags = Paths::new();
        for document in self.parse(path, from)? {
            let (document, these) = self.filled(document, environment);
            self.notes.sound()?;
            tags::apply(&mut model, &these, &mut self.notes);
            model = merge::merge(model, document, &Trail::TOP, &mut self.notes);
            unique::reduce(&mut model, &mut self.notes);
            canonical::lengthen(&mut model, &mut self.notes);
            unique::reduce(&mut model, &mut self.notes);
            tags = these;
        }
        self.notes.sound()?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        paths::resolve(&mut model, folder, self.home.as_deref());
        Ok((model, tags))
    }

    /// Fails if a path names something on the network, which is never read.
    pub(super) fn local(&mut self, path: &Node) -> Result<(), Told> {
        const REMOTE: [&str; 7] = ["http://", "https://", "git://", "ssh://", "oci://", "git@", "github.com/"];
        let text = path.as_text().unwrap_or_default();
        if REMOTE.iter().any(|prefix| text.starts_with(prefix)) {
            let problem = Problem::error(code::REMOTE, path.at, "files on the network are not read");
            return Err(self.told(problem.help("fetch it and name the local copy")));
        }
        Ok(())
    }
}

/// How many values.
fn weight(node: &Node) -> usize {
    match &node.holds {
        Holds::List(items) => items.iter().map(weight).sum::<usize>() + 1,
        Holds::Map(map) => map.values().map(|entry| weight(&entry.value)).sum::<usize>() + 1,
        _ => 1,
    }
}

/// The key under which a config or secret keeps the value that its `environment` names.
pub const VALUE: &str = "x-#value";

/// Values of variables that the files only name.
fn resolve_environment(project: &mut Node, environment: &Variables, notes: &mut Notes) {
    let scope = notes.scope(environment);
    for (_, service) in unique::maps_of(project, "services") {
        let Some(Node { holds: Holds::List(items), .. }) = service.get_mut("environment") else { continue };
        for item in items {
            if let Holds::Text(text) = &mut item.holds
                && let Some(value) = environment.get(text.as_str())
            {
                notes.template(item.at, format!("{text}=${{{text}}}"), scope);
                *text = format!("{text}={value}");
            }
        }
    }
    for section in ["secrets", "configs"] {
        for (_, node) in unique::maps_of(project, section) {
            let Some(variable) = node.get("environment").filter(|node| node.as_text().is_some()) else { continue };
            let value = variable.as_text().and_then(|name| environment.get(name)).cloned();
            let at = variable.at;
            if let (Some(value), Some(map)) = (value, node.as_map_mut()) {
                map.insert(VALUE.to_owned(), Entry::implied(Node::text(at, value)));
            }
        }
    }
}

/// A path seen from `folder`.
pub fn seen_from(folder: &Path, path: &Node) -> PathBuf {
    files::join(folder, path.as_text().unwrap_or_default())
}
