//! From where to where.

use std::path::PathBuf;

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A file or folder of this machine.
    Local(PathBuf),
    /// A tar on standard input or output.
    Stream,
    /// A volume.
    Volume(Place),
}

/// A place in a volume of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    pub(in crate::cli) stack: String,
    pub(in crate::cli) volume: String,
    /// Below the volume's own folder, without slashes around it; empty for that folder.
    pub(in crate::cli) path: String,
    /// Whether the path was said to be a folder.
    pub(in crate::cli) is_folder: bool,
}

/// Both ends, of which exactly one is a volume. What exists on this machine is taken for a path where both could be volumes.
pub(super) fn ends(from: &str, to: &str, exists: impl Fn(&str) -> bool) -> Result<(End, End), String> {
    let local = |text: &str| if text == "-" { End::Stream } else { End::Local(text.into()) };
    match (volume(from)?, volume(to)?) {
        (Some(place), None) => Ok((End::Volume(place), local(to))),
        (None, Some(place)) => Ok((local(from), End::Volume(place))),
        (Some(_), Some(place)) if exists(from) && !exists(to) => Ok((local(from), End::Volume(place))),
        (Some(place), Some(_)) if exists(to) && !exists(from) => Ok((End::Volume(place), local(to))),
        (Some(_), Some(_)) => Err("both could be volumes: write ./ in front of the path of this machine".into()),
        (None, None) => Err("neither is a volume: one of them must be STACK/VOLUME or STACK/VOLUME:PATH".into()),
    }
}

/// `STACK/VOLUME[:PATH]`; none for what is written as a path.
fn volume(text: &str) -> Result<Option<Place>, String> {
    let (name, path) = text.split_once(':').unwrap_or((text, ""));
    let Some((stack, volume)) = name.split_once('/') else { return Ok(None) };
    let is_name = |name: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(name.chars().next()) && edge(name.chars().last()) && name.chars().all(|c| inner(c) || c == '.')
    };
    if !is_name(stack) || !is_name(volume) {
        return Ok(None);
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(format!("{text}: a path of a volume may not lead out of it by .."));
    }
    let is_folder = parts.is_empty() || path.ends_with('/');
    Ok(Some(Place { stack: stack.into(), volume: volume.into(), path: parts.join("/"), is_folder }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, is_folder: bool) -> End {
        End::Volume(Place { stack: "shop".into(), volume: "data".into(), path: path.into(), is_folder })
    }

    #[test]
    fn exactly_one_end_is_a_volume() {
        let of = |from: &str, to: &str| ends(from, to, |path| path == "some/folder");
        assert_eq!(of("./seed", "shop/data"), Ok((End::Local("./seed".into()), place("", true))));
        assert_eq!(of("-", "shop/data:/etc/app/"), Ok((End::Stream, place("etc/app", true))));
        assert_eq!(of("shop/data:a/b", "-"), Ok((place("a/b", false), End::Stream)));
        assert_eq!(of("some/folder", "shop/data"), Ok((End::Local("some/folder".into()), place("", true))));
        assert_eq!(of("shop/data", "some/folder"), Ok((place("", true), End::Local("some/folder".into()))));
        assert_eq!(of("/a/b", "shop/data"), Ok((End::Local("/a/b".into()), place("", true))));
        assert_eq!(of("Folder/x", "shop/data").unwrap().0, End::Local("Folder/x".into()));
        for (from, to, says) in [
            ("shop/data", "shop/other", "both could be volumes"),
            ("a", "b", "neither is a volume"),
            ("-", "-", "neither is a volume"),
            ("x", "shop/data:a/../../b", "may not lead out of it"),
        ] {
            assert!(of(from, to).unwrap_err().contains(says), "{from} {to}");
        }
    }
}
