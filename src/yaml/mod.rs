//! YAML texts as values whose every part knows its place: for stacks and for Compose files, each with a dialect of its own.

mod lines;
pub mod node;
mod read;

pub use lines::Lines;
pub use read::{Dialect, Flaw, Key, Read, Scalar, What, read};
pub use serde_saphyr::granit_parser::{ScalarStyle, Tag as YamlTag};
