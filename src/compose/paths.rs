//! Relative paths made absolute.

use std::path::Path;

use super::files;
use super::node::{Holds, Node};
use super::unique::maps_of;

/// Makes the paths of a project absolute, as seen from `folder`; `~` is `home`.
pub fn resolve(project: &mut Node, folder: &Path, home: Option<&str>) {
    let paths = Paths { folder, home };
    for (_, service) in maps_of(project, "services") {
        for (key, entry) in service.as_map_mut().into_iter().flatten() {
            let node = &mut entry.value;
            match key.as_str() {
                "build" => paths.build(node),
                "env_file" => below(node, |file| file.get_mut("path").into_iter().for_each(|path| paths.path(path))),
                "label_file" => below(node, |file| paths.path(file)),
                "extends" => node.get_mut("file").into_iter().for_each(|path| paths.path(path)),
                "develop" => {
                    if let Some(watch) = node.get_mut("watch") {
                        below(watch, |rule| rule.get_mut("path").into_iter().for_each(|path| paths.path(path)));
                    }
                }
                "volumes" => below(node, |mount| {
                    if mount.get("type").and_then(Node::as_text) == Some("bind") {
                        mount.get_mut("source").into_iter().for_each(|path| paths.unix(path));
                    }
                }),
                _ => {}
            }
        }
    }
    for key in ["configs", "secrets"] {
        for (_, node) in maps_of(project, key) {
            node.get_mut("file").into_iter().for_each(|path| paths.unix(path));
        }
    }
    for (_, volume) in maps_of(project, "volumes") {
        let text = |node: &Node, path: &[&str]| node.find(path).and_then(Node::as_text).map(str::to_owned);
        let local = text(volume, &["driver"]).as_deref() == Some("local");
        if local
            && text(volume, &["driver_opts", "o"]).as_deref() == Some("bind")
            && let Some(device) = volume.get_mut("driver_opts").and_then(|options| options.get_mut("device"))
        {
            paths.unix(device);
        }
    }
}

fn below(node: &mut Node, change: impl FnMut(&mut Node)) {
    if let Holds::List(items) = &mut node.holds {
        items.iter_mut().for_each(change);
    }
}

struct Paths<'a> {
    folder: &'a Path,
    home: Option<&'a str>,
}

impl Paths<'_> {
    /// An empty path stays empty.
    fn path(&self, node: &mut Node) {
        if node.as_text().is_some_and(|text| !text.is_empty()) {
            self.unix(node);
        }
    }

    fn unix(&self, node: &mut Node) {
        let Holds::Text(text) = &mut node.holds else { return };
        if let (Some(rest), Some(home)) = (text.strip_prefix('~'), self.home) {
            *text = files::join(Path::new(home), rest.trim_start_matches('/')).to_string_lossy().into_owned();
        }
        let windows = text.starts_with("\\\\") || is_drive(text);
        if !text.starts_with('/') && !windows {
            *text = files::join(self.folder, text).to_string_lossy().into_owned();
        }
    }

    fn build(&self, node: &mut Node) {
        if let Some(context) = node.get_mut("context") {
            self.context(context);
        }
        for (_, node) in maps_of(node, "additional_contexts") {
            self.context(node);
        }
        for (_, node) in maps_of(node, "ssh") {
            self.unix(node);
        }
    }

    fn context(&self, node: &mut Node) {
        const REMOTE: [&str; 7] = ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"];
        let Some(text) = node.as_text() else { return };
        if !text.contains("://") && !REMOTE.iter().any(|prefix| text.starts_with(prefix)) {
            self.path(node);
        }
    }
}

/// `C:\` or `C:/`.
fn is_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}
