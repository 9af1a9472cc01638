//! The codes of problems: stable words, for `--allow` and `explain`, each with a page that says more.

use super::mapping::code as outcome;

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

/// What `explain` says of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The code.
    pub code: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What it means, an example, and what to write instead: Markdown.
    pub text: &'static str,
}

/// Codes, and the file in which each has a page.
pub type Book = (&'static [Code], &'static str);

/// Whoever has codes of their own adds them here.
pub const BOOKS: &[Book] = &[
    (ALL, include_str!("../../docs/problems/loading.md")),
    (outcome::PROJECT, include_str!("../../docs/problems/project.md")),
    (outcome::IMAGES, include_str!("../../docs/problems/images.md")),
    (outcome::NETWORKS, include_str!("../../docs/problems/networks.md")),
    (outcome::STORAGE, include_str!("../../docs/problems/storage.md")),
    (outcome::RESOURCES, include_str!("../../docs/problems/resources.md")),
    (outcome::LIFECYCLE, include_str!("../../docs/problems/lifecycle.md")),
    (outcome::SECURITY, include_str!("../../docs/problems/security.md")),
    (outcome::CREDENTIALS, include_str!("../../docs/problems/credentials.md")),
];

/// The pages of all books.
pub fn pages() -> impl Iterator<Item = Page> {
    BOOKS.iter().flat_map(|(_, text)| pages_of(text))
}

/// The pages of a text: each begins with `## CODE: title`.
fn pages_of(text: &'static str) -> impl Iterator<Item = Page> {
    text.split("\n## ").skip(1).filter_map(|page| {
        let (heading, text) = page.split_once('\n')?;
        let (code, title) = heading.split_once(": ")?;
        Some(Page { code, title, text: text.trim() })
    })
}

/// Constants for codes, and the list of them all. Every module of the folder has it.
macro_rules! codes {
    ($all:ident: $($(#[$about:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$about])* pub const $name: $crate::compose::code::Code = $crate::compose::code::Code($code);)*
        /// All of these.
        pub const $all: &[$crate::compose::code::Code] = &[$($name),*];
    };
}

// 01 files and YAML, 02 variables, 03 structure, 04 files put together, 05 values, 06 consistency, 07 what only `up` refuses.
codes! {
    ALL:
    /// A file is not there or cannot be read.
    UNREADABLE = "C0101";
    /// A file, or all of them, is larger than the loader reads.
    TOO_LARGE = "C0102";
    /// Bytes that are no UTF-8.
    NOT_UTF8 = "C0103";
    /// Not YAML.
    SYNTAX = "C0104";
    /// A key stands twice in one map.
    DUPLICATE_KEY = "C0105";
    /// Nested too deep, or too much once its aliases are expanded.
    TOO_MUCH = "C0106";
    /// A key that is no text.
    KEY = "C0107";
    /// A document that is no map.
    NOT_A_MAP = "C0108";
    /// Nothing in it.
    EMPTY = "C0109";
    /// A file outside the project folder that nobody named on the command line.
    OUTSIDE = "C0110";
    /// A file on the network.
    REMOTE = "C0111";
    /// No Compose file was found.
    NO_FILE = "C0112";
    /// The project has no name, or a wrong one.
    PROJECT_NAME = "C0113";

    /// `${` and no variable.
    TEMPLATE = "C0201";
    /// `${NAME:?}` without a value.
    VARIABLE_REQUIRED = "C0202";
    /// A variable that is not set and has no default (warning).
    VARIABLE_UNSET = "C0203";
    /// A line of an env file.
    ENV_FILE = "C0204";
    /// `format` of an env file.
    ENV_FORMAT = "C0205";

    /// A key that Compose does not have.
    UNKNOWN_KEY = "C0301";
    /// A value of another type.
    TYPE = "C0302";
    /// A key that must be there.
    MISSING = "C0303";
    /// A word that is none of those allowed.
    WORD = "C0304";
    /// A text of another form.
    FORM = "C0305";
    /// An item that stands in the list twice.
    TWICE = "C0306";
    /// A number out of bounds.
    BOUNDS = "C0307";
    /// `version` (warning).
    VERSION = "C0308";

    /// A value that cannot be merged onto an earlier one.
    MERGE = "C0401";
    /// `extends` of a service that is not there.
    EXTENDS = "C0402";
    /// `extends` in a circle.
    EXTENDS_CYCLE = "C0403";
    /// `include` in a circle.
    INCLUDE_CYCLE = "C0404";

    /// A port.
    PORT = "C0501";
    /// A mount.
    MOUNT = "C0502";
    /// A device.
    DEVICE = "C0503";
    /// A duration.
    DURATION = "C0504";
    /// An amount of memory.
    BYTES = "C0505";
    /// A command line whose quotes or parentheses do not fit.
    COMMAND = "C0506";
    /// A command line that ends at an operator of the shell.
    COMMAND_CUT = "C0507";
    /// A number.
    NUMBER = "C0508";
    /// A truth value.
    BOOLEAN = "C0509";
    /// `yes`, `no`, `on`, `off` for a truth value (warning).
    OLD_BOOLEAN = "C0510";
    /// An entry of `extra_hosts`.
    HOST = "C0511";
    /// `name=value`.
    PAIR = "C0512";
    /// A float or date where a text is meant, printed otherwise than written (warning).
    RESPELT = "C0513";

    /// Neither `image` nor `build` nor `provider`.
    NO_IMAGE = "C0601";
    /// Two keys that exclude each other.
    EXCLUSIVE = "C0602";
    /// A name that nothing has.
    UNDEFINED = "C0603";
    /// Two keys that must say the same.
    DISAGREE = "C0604";
    /// One target mounted twice.
    MOUNTED_TWICE = "C0605";
    /// A config or secret without a source.
    NO_SOURCE = "C0606";
    /// Services that wait for each other.
    CYCLE = "C0607";
    /// `container_name` on more than one container.
    CONTAINER_NAME = "C0608";
    /// A service that is off by its profiles and needed by one that is on.
    OFF = "C0609";

    /// `start_interval` without `start_period`.
    START_INTERVAL = "C0701";
    /// `service_healthy` on a service without a health check.
    NO_HEALTH_CHECK = "C0702";
    /// One host port twice.
    HOST_PORT = "C0703";
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::super::files::Memory;
    use super::super::{Options, load, up};
    use super::*;

    /// The blocks of code of a text that are files, by the name behind the fence; `compose.yaml` where there is none.
    pub(crate) fn files(text: &str) -> Memory {
        let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
        let file = |info: &str| info.split_once(' ').map_or("compose.yaml", |(_, name)| name).to_owned();
        let blocks = blocks.filter(|(info, _)| *info != "sh");
        blocks.map(|(info, text)| (PathBuf::from("/p").join(file(info)), text.as_bytes().to_vec())).collect()
    }

    /// What a page says to write, and what to write instead.
    pub(crate) fn halves(page: &Page) -> (&'static str, &'static str) {
        page.text.split_once("rite instead").unwrap_or((page.text, ""))
    }

    fn said(files: &Memory) -> BTreeSet<&'static str> {
        let loaded = load(files, &Options { folder: "/p".into(), ..Options::default() });
        let later = loaded.project.as_ref().map(up::check).unwrap_or_default();
        loaded.problems.iter().chain(&later).map(|problem| problem.code.0).collect()
    }

    #[test]
    fn every_code_has_one_page_and_every_page_a_code() {
        let mut before = "";
        for (codes, text) in BOOKS {
            let pages: Vec<&str> = pages_of(text).map(|page| page.code).collect();
            let codes: Vec<&str> = codes.iter().map(|code| code.0).collect();
            assert_eq!(pages, codes, "in this order, each as '## CODE: title'");
            for code in codes {
                assert!(before < code, "{before} stands before {code}");
                before = code;
            }
        }
    }

    #[test]
    fn pages_are_short() {
        for page in pages() {
            let lines = page.text.lines().filter(|line| !line.is_empty() && !line.starts_with("```")).count();
            assert!((2..=24).contains(&lines), "{}: {lines} lines", page.code);
        }
    }

    #[test]
    fn examples_are_refused_for_their_code_and_what_to_write_instead_is_not() {
        for page in pages_of(BOOKS[0].1) {
            let (wrong, right) = halves(&page);
            let (mut wrong, right) = (files(wrong), files(right));
            if wrong.is_empty() {
                continue;
            }
            assert!(said(&wrong).contains(page.code), "{}: {:?}", page.code, said(&wrong));
            if right.is_empty() {
                continue;
            }
            wrong.extend(right);
            assert_eq!(said(&wrong), BTreeSet::new(), "{}", page.code);
        }
    }
}
