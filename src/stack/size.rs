//! Amounts as the API server writes them back.

/// Bytes: in binary units where one divides them, else in decimal ones.
pub fn bytes(bytes: i128) -> String {
    if bytes != 0 && bytes % 1024 == 0 {
        shortest(bytes, 1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi"])
    } else {
        shortest(bytes, 1000, &["", "k", "M", "G", "T", "P"])
    }
}

/// Cores, of thousandths.
pub fn cores(millis: i128) -> String {
    shortest(millis, 1000, &["m", "", "k", "M"])
}

fn shortest(mut value: i128, base: i128, units: &[&str]) -> String {
    let mut unit = 0;
    while value != 0 && value % base == 0 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{value}{}", if value == 0 { "" } else { units.get(unit).copied().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_come_back_as_they_were_sent() {
        assert_eq!(bytes(1024 * 1024 * 1024), "1Gi");
        assert_eq!(bytes(1536 * 1024 * 1024), "1536Mi");
        assert_eq!(bytes(1_000_000), "1M");
        assert_eq!(bytes(1_024_000), "1000Ki");
        assert_eq!(bytes(1_234_567), "1234567");
        assert_eq!(bytes(0), "0");
        assert_eq!(cores(1000), "1");
        assert_eq!(cores(250), "250m");
        assert_eq!(cores(0), "0");
        assert_eq!(cores(1_000_000), "1k");
    }
}
