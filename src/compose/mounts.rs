//! The short form of `volumes`: `[SOURCE:]TARGET[:OPTIONS]`.

use super::node::{At, Entry, Holds, Map, Node};
use super::problem::{Problem, code};

/// A mount in its short form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// A path or the name of a volume; empty for an anonymous volume.
    pub source: String,
    /// The path in the container, as written.
    pub target: String,
    read_only: bool,
    no_copy: bool,
    propagation: String,
    selinux: String,
    /// One or two characters: the reference gives it no options at all.
    short: bool,
}

/// Why a text is no mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(String);

impl Unfit {
    /// As a problem of the text at `at`.
    pub fn at(self, at: At) -> Problem {
        Problem::error(code::MOUNT, at, self.0).help("write [SOURCE:]TARGET[:OPTIONS], as \"data:/var/lib/data:ro\"")
    }
}

/// Reads a short form.
pub fn parse(text: &str) -> Result<Mount, Unfit> {
    let mut mount = Mount::default();
    if text.is_empty() {
        return Err(Unfit("the mount is empty".into()));
    }
    if text.len() <= 2 {
        return Ok(Mount { target: text.to_owned(), short: true, ..mount });
    }
    let parts = parts(text);
    let count = parts.len();
    for (index, part) in parts.into_iter().enumerate() {
        let last = index + 1 == count;
        if part.is_empty() {
            return Err(Unfit(format!("'{text}' has nothing between two colons")));
        } else if index == 0 && !last {
            mount.source = part;
        } else if mount.target.is_empty() {
            mount.target = part;
        } else if !last {
            return Err(Unfit(format!("'{text}' has too many colons")));
        } else {
            part.split(',').for_each(|option| mount.option(option));
        }
    }
    Ok(mount)
}

/// Split at colons, but for those of `C:\path` and within `${...}`.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut nested = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { break };
        let mut letters = part.chars();
        let drive = matches!((letters.next(), letters.next()), (Some(letter), None) if letter.is_alphabetic());
        match c {
            '$' if chars.peek() == Some(&'{') => nested += 1,
            '}' if nested > 0 => nested -= 1,
            ':' if nested == 0 && !drive => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts
}

impl Mount {
    fn option(&mut self, option: &str) {
        match option {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "nocopy" => self.no_copy = true,
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                option.clone_into(&mut self.propagation);
            }
            "z" | "Z" => option.clone_into(&mut self.selinux),
            // The reference drops what it does not know.
            _ => {}
        }
    }

    /// Whether the source is a path, not the name of a volume.
    fn is_bind(&self) -> bool {
        let mut chars = self.source.chars();
        let (first, second) = (chars.next(), chars.next());
        matches!(first, Some('.' | '/' | '~'))
            || self.source.starts_with("\\\\")
            || first.is_some_and(char::is_alphabetic) && second == Some(':')
    }

    /// Its long form.
    pub fn node(self, at: At) -> Node {
        let bind = self.is_bind();
        let text = |text: &str| Node::text(at, text);
        let mut map = Map::default();
        let mut put = |key: &str, value: Node| map.insert(key.to_owned(), Entry::implied(value));
        put("type", text(if bind { "bind" } else { "volume" }));
        if !self.source.is_empty() {
            put("source", text(&self.source));
        }
        put("target", text(&clean_target(&self.target)));
        if self.read_only {
            put("read_only", Node::new(at, Holds::Bool(true)));
        }
        let mut options = Map::default();
        for (key, option) in [("propagation", &self.propagation), ("selinux", &self.selinux)] {
            if !option.is_empty() {
                options.insert(key.to_owned(), Entry::implied(text(option)));
            }
        }
        if bind {
            options.insert("create_host_path".to_owned(), Entry::implied(Node::new(at, Holds::Bool(true))));
        }
        if !options.is_empty() {
            put("bind", Node::new(at, Holds::Map(options)));
        }
        if self.no_copy {
            put("volume", Node::map_of(at, [("nocopy", Holds::Bool(true))]));
        } else if !bind && !self.short {
            put("volume", Node::new(at, Holds::Map(Map::default())));
        }
        Node::new(at, Holds::Map(map))
    }
}

/// A path of a container without `.`, `..` and doubled or trailing separators.
pub fn clean_target(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        super::files::clean(std::path::Path::new(path)).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_paths_or_volumes() {
        for (text, source, target, bind) in [
            ("/data", "", "/data", false),
            ("data:/data", "data", "/data", false),
            ("./data:/data:ro", "./data", "/data", true),
            ("~/x:/x", "~/x", "/x", true),
            ("c:\\x:/x", "c:\\x", "/x", true),
            ("/a", "", "/a", false),
            ("d:/x", "", "d:/x", false),
        ] {
            let mount = parse(text).unwrap();
            assert_eq!(
                (mount.source.as_str(), mount.target.as_str(), mount.is_bind()),
                (source, target, bind),
                "{text}"
            );
        }
        for text in ["", ":::", "aa::b", "aa:bb:ro:cc", "data:"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
