//! Finds any of many values in a text, in one pass over it.

use std::collections::HashMap;

/// Values to look for. Those of fewer than [`SHORTEST`] bytes are found only where they are the whole text.
#[derive(Debug, Default)]
pub(super) struct Finder {
    whole: HashMap<String, usize>,
    /// Values by their first bytes, the longest first.
    starts: HashMap<[u8; SHORTEST], Vec<usize>>,
    /// Which hashes of first bytes there are: most places of a text need one look here.
    marks: Vec<u64>,
    values: Vec<String>,
}

/// A shorter value may stand in any text by chance.
pub(super) const SHORTEST: usize = 8;

impl Finder {
    /// Looks for these values, told apart by their numbers in this order.
    pub(super) fn of(values: impl IntoIterator<Item = String>) -> Finder {
        let mut finder = Finder { marks: vec![0; 1024], ..Finder::default() };
        for value in values {
            let number = finder.values.len();
            finder.whole.entry(value.clone()).or_insert(number);
            if let Some(start) = value.as_bytes().first_chunk::<SHORTEST>() {
                let (word, bit) = mark(*start);
                finder.marks.get_mut(word).into_iter().for_each(|word| *word |= bit);
                finder.starts.entry(*start).or_default().push(number);
            }
            finder.values.push(value);
        }
        let Finder { starts, values, .. } = &mut finder;
        for numbers in starts.values_mut() {
            numbers.sort_by_key(|number| std::cmp::Reverse(values.get(*number).map_or(0, String::len)));
        }
        finder
    }

    /// The number of the value that is the text.
    pub(super) fn whole(&self, text: &str) -> Option<usize> {
        self.whole.get(text).copied()
    }

    /// The first value in the text: the byte it begins at, the byte after it, its number.
    pub(super) fn first(&self, text: &str) -> Option<(usize, usize, usize)> {
        if self.starts.is_empty() {
            return None;
        }
        text.as_bytes().windows(SHORTEST).enumerate().find_map(|(at, window)| {
            let start: [u8; SHORTEST] = window.try_into().ok()?;
            let (word, bit) = mark(start);
            if self.marks.get(word)? & bit == 0 {
                return None;
            }
            let rest = text.as_bytes().get(at..)?;
            self.starts.get(&start)?.iter().find_map(|number| {
                let value = self.values.get(*number)?;
                rest.starts_with(value.as_bytes()).then_some((at, at + value.len(), *number))
            })
        })
    }
}

/// One of 65,536 places for eight bytes.
fn mark(bytes: [u8; SHORTEST]) -> (usize, u64) {
    let hash = u64::from_le_bytes(bytes).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_found_anywhere_and_short_ones_only_alone() {
        let finder = Finder::of(["hunter2", "correct-horse", "correct-horse-battery"].map(str::to_owned));
        assert_eq!(finder.whole("hunter2"), Some(0));
        assert_eq!(finder.first("x hunter2 y"), None);
        assert_eq!(finder.first("pw=correct-horse;"), Some((3, 16, 1)));
        assert_eq!(finder.first("pw=correct-horse-battery;"), Some((3, 24, 2)));
        assert_eq!(finder.first("correct-hors"), None);
        assert_eq!(finder.first("ééécorrect-horse"), Some((6, 19, 1)));
        assert_eq!(Finder::of([]).first("anything at all"), None);
    }
}
