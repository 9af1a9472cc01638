//! JSON with a line for each field at the top and each item of their lists: what is deeper stays on its line, so that a search finds a key
//! with all that is said of it.

use std::io::{Result, Write};

use serde_json::ser::Formatter;

/// Where the writer stands.
#[derive(Debug, Default)]
pub(super) struct Lines {
    depth: usize,
    /// Of what was opened last.
    is_empty: bool,
}

impl Lines {
    fn open(&mut self, mark: u8, to: &mut (impl Write + ?Sized)) -> Result<()> {
        self.depth += 1;
        self.is_empty = true;
        to.write_all(&[mark])
    }

    fn part(&mut self, is_first: bool, to: &mut (impl Write + ?Sized)) -> Result<()> {
        self.is_empty = false;
        to.write_all(match (self.depth, is_first) {
            (1, true) => b"\n  ",
            (1, false) => b",\n  ",
            (2, true) => b"\n    ",
            (2, false) => b",\n    ",
            (_, true) => b"",
            (_, false) => b", ",
        })
    }

    fn close(&mut self, mark: u8, to: &mut (impl Write + ?Sized)) -> Result<()> {
        self.depth -= 1;
        if !self.is_empty && self.depth < 2 {
            to.write_all(if self.depth == 0 { b"\n" } else { b"\n  " })?;
        }
        self.is_empty = false;
        to.write_all(&[mark])
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        self.open(b'[', to)
    }

    fn end_array<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        self.close(b']', to)
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, is_first: bool) -> Result<()> {
        self.part(is_first, to)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        self.open(b'{', to)
    }

    fn end_object<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        self.close(b'}', to)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, is_first: bool) -> Result<()> {
        self.part(is_first, to)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        to.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_item_is_a_line() {
        let value = json!({"keys": [{"path": "a.b", "at": [1, {}]}, {"path": "c"}], "none": [], "score": {"keys": 2}});
        let mut text = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Lines::default())).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "{\n  \"keys\": [\n    {\"at\": [1, {}], \"path\": \"a.b\"},\n    {\"path\": \"c\"}\n  ],\n  \"none\": [],\n  \"score\": {\n    \"keys\": 2\n  }\n}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
