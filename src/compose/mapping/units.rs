//! Amounts and times of Compose in Kubernetes' words.

use crate::api::{Duration, Quantity};

/// Bytes as the largest power of 1024 that says them in full.
///
/// `50m` of Compose is 50 MiB; the same letters are a twentieth of a byte to Kubernetes.
pub fn bytes(bytes: i64) -> Quantity {
    let units = [(1_i64 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let fits = units.iter().find(|(unit, _)| bytes != 0 && bytes % unit == 0);
    Quantity::Text(fits.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit)))
}

/// Processors: whole ones as they are, others in thousandths, never less than one.
pub fn cpus(cpus: f64) -> Quantity {
    #[allow(clippy::cast_possible_truncation)] // far below 2^53
    let thousandths = (cpus * 1000.0).ceil().max(1.0) as i64;
    Quantity::Text(if thousandths % 1000 == 0 { (thousandths / 1000).to_string() } else { format!("{thousandths}m") })
}

/// Nanoseconds as `1h30m`, rounded up to milliseconds.
pub fn duration(nanoseconds: i64) -> Duration {
    let mut rest = nanoseconds.max(0).saturating_add(999_999) / 1_000_000;
    let mut text = String::new();
    for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")] {
        if rest >= unit {
            text += &format!("{}{name}", rest / unit);
            rest %= unit;
        }
    }
    Duration(if text.is_empty() { "0s".to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_the_same_amounts_in_other_words() {
        let text = |quantity: Quantity| serde_json::to_value(quantity).unwrap().as_str().unwrap().to_owned();
        for (of, is) in [(0, "0"), (52_428_800, "50Mi"), (1 << 30, "1Gi"), (1536 << 20, "1536Mi"), (1000, "1000")] {
            assert_eq!(text(bytes(of)), is);
        }
        for (of, is) in [(0.5, "500m"), (2.0, "2"), (0.0001, "1m"), (1.25, "1250m")] {
            assert_eq!(text(cpus(of)), is);
        }
        for (of, is) in
            [(0, "0s"), (90_000_000_000, "1m30s"), (500_000_000, "500ms"), (1, "1ms"), (5_400_000_000_000, "1h30m")]
        {
            assert_eq!(duration(of).0, is);
        }
    }
}
