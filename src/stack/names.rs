//! Names of objects, and the hashes in them.

use serde_json::json;

use crate::child::digest::Digest;

/// Longest name of an object of ours. It leaves room for the suffixes that Kubernetes adds to pods and Jobs.
const LONGEST: usize = 52;

/// `<stack>-<part>-...`; where that is longer than 52 characters, its first 43, a hyphen and 8 hex digits of the whole.
pub fn joined(parts: &[&str]) -> String {
    let whole = parts.join("-");
    if whole.len() <= LONGEST {
        return whole;
    }
    let head: String = whole.chars().take(LONGEST - 9).collect();
    format!("{}-{}", head.trim_end_matches('-'), Digest::of(&json!(whole)).hex8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_told_apart() {
        assert_eq!(joined(&["shop", "db"]), "shop-db");
        let (long, other) = (joined(&["shop", &"a".repeat(53)]), joined(&["shop", &format!("{}b", "a".repeat(52))]));
        assert_eq!(long.len(), 52);
        assert_ne!(long, other);
    }
}
