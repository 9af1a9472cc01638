//! Lines and columns of a text.

use std::ops::Range;
use std::sync::OnceLock;

/// Where the lines of a text begin; looked for once, when it is asked first.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    starts: OnceLock<Vec<u32>>,
    /// Characters before each block of [`BLOCK`] bytes: a file may be one line of many megabytes.
    blocks: OnceLock<Vec<u32>>,
}

/// Bytes of which the characters are counted one by one.
const BLOCK: usize = 1024;

impl Lines {
    fn starts(&self, text: &str) -> &[u32] {
        let after = |(at, _): (usize, &str)| u32::try_from(at + 1).unwrap_or(u32::MAX);
        self.starts.get_or_init(|| std::iter::once(0).chain(text.match_indices('\n').map(after)).collect())
    }

    /// Line and column of a byte of `text`, both from 1, columns in characters. A byte inside a character is that character.
    pub fn place(&self, text: &str, byte: usize) -> (usize, usize) {
        let mut end = byte.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let line = self.starts(text).partition_point(|start| usize::try_from(*start).is_ok_and(|start| start <= end));
        let start = self.bytes(text, line).start;
        if end.saturating_sub(start) > 4 * BLOCK {
            return (line, self.characters(text, end) - self.characters(text, start) + 1);
        }
        let before = text.get(start..end).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// How many characters begin before a byte.
    fn characters(&self, text: &str, byte: usize) -> usize {
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        let blocks = self.blocks.get_or_init(|| {
            let mut before = 0;
            let mut all = vec![0];
            for block in text.as_bytes().chunks(BLOCK) {
                before += count(block);
                all.push(u32::try_from(before).unwrap_or(u32::MAX));
            }
            all
        });
        let block = byte / BLOCK;
        let before = blocks.get(block).map_or(0, |before| usize::try_from(*before).unwrap_or_default());
        before + count(text.as_bytes().get(block * BLOCK..byte).unwrap_or_default())
    }

    /// The bytes of a line, without what ends it.
    pub fn bytes(&self, text: &str, line: usize) -> Range<usize> {
        let starts = self.starts(text);
        let start = |index: usize| starts.get(index).and_then(|start| usize::try_from(*start).ok());
        let (from, to) = (start(line.saturating_sub(1)).unwrap_or(text.len()), start(line).unwrap_or(text.len()));
        let whole = text.get(from..to).unwrap_or_default();
        from..from + whole.trim_end_matches(['\n', '\r']).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_in_characters() {
        let (text, lines) = ("aé\r\n\nbc", Lines::default());
        for (byte, place) in
            [(0, (1, 1)), (2, (1, 2)), (3, (1, 3)), (5, (2, 1)), (6, (3, 1)), (8, (3, 3)), (99, (3, 3))]
        {
            assert_eq!(lines.place(text, byte), place, "{byte}");
        }
        assert_eq!([1, 2, 3, 9].map(|line| lines.bytes(text, line)), [0..3, 5..5, 6..8, 8..8]);
    }

    #[test]
    fn a_line_of_many_bytes_is_not_counted_anew_for_each_place() {
        let (text, lines) = (format!("a\n{}", "é, x".repeat(1 << 18)), Lines::default());
        let began = std::time::Instant::now();
        for byte in (2..text.len()).step_by(61).chain([text.len()]) {
            let (line, column) = lines.place(&text, byte);
            let inside = (byte - 2) % 5;
            let characters = (byte - 2) / 5 * 4 + inside.saturating_sub(1);
            assert_eq!((line, column), (2, characters + 1), "{byte}");
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
