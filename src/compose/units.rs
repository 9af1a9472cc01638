//! Durations and amounts of memory, as the reference loader reads and prints them.

/// Nanoseconds per unit; `d` and `w` are Compose's own.
const TIMES: [(&str, i64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// A duration such as `1m30s` or `1.5h`, in nanoseconds; none if it is none.
pub fn duration(text: &str) -> Option<i64> {
    let (minus, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = rest.get(..digits(rest))?;
        rest = rest.get(whole.len()..)?;
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            fraction = after.get(..digits(after))?;
            rest = after.get(fraction.len()..)?;
        }
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = TIMES.iter().find(|(name, _)| Some(*name) == rest.get(..end))?;
        rest = rest.get(end..)?;
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(*unit)?)?.checked_add(part(fraction, *unit))?;
    }
    Some(if minus { -sum } else { sum })
}

/// A fraction of a unit in whole nanoseconds, rounded as Go does; digits that i64 has no room for do not count.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn part(fraction: &str, unit: i64) -> i64 {
    let (mut value, mut scale) = (0_i64, 1.0_f64);
    for digit in fraction.bytes() {
        let more = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit - b'0')));
        let Some(more) = more.filter(|_| value <= i64::MAX / 10) else { break };
        value = more;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as i64
}

/// A duration as Go prints it: `1h0m30s`, `1.5s`, `100ms`, `0s`.
pub fn print_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let decimal = |unit: u64, digits: usize, name: &str| {
        let fraction = format!("{:0digits$}", all % unit);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{fraction}{name}", all / unit)
    };
    match all {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{all}ns"),
        1_000..1_000_000 => decimal(1_000, 3, "µs"),
        1_000_000..1_000_000_000 => decimal(1_000_000, 6, "ms"),
        _ => {
            let seconds = all / 1_000_000_000;
            let fraction = format!("{:09}", all % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
            let minutes = if minutes > 0 || !hours.is_empty() { format!("{minutes}m") } else { String::new() };
            format!("{sign}{hours}{minutes}{seconds}{point}{fraction}s")
        }
    }
}

/// An amount of memory such as `512m`, `1.5 GB` or `64KiB`, in bytes; every unit is a power of 1024.
pub fn bytes(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let split = if text.as_bytes().get(last) == Some(&b' ') { last } else { last + 1 };
    let (number, suffix) = (text.get(..split)?, text.get(last + 1..)?.to_ascii_lowercase());
    let number = decimal(number)?;
    let power = match suffix.as_str() {
        "" | "b" => 0,
        suffix => {
            let power = "kmgtp".find(suffix.chars().next()?)? + 1;
            if !matches!(suffix.get(1..)?, "" | "b" | "ib") {
                return None;
            }
            power
        }
    };
    let size = number * 1024_f64.powi(i32::try_from(power).unwrap_or_default());
    // Beyond i64 nothing fits anyway.
    #[allow(clippy::cast_possible_truncation)]
    Some(size as i64).filter(|_| number >= 0.0 && size < 9.2e18)
}

/// A plain decimal number: no `inf`, no `nan`.
pub fn decimal(text: &str) -> Option<f64> {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse::<f64>().ok().filter(|number| starts && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed_as_go_does() {
        for (text, printed) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("1d", "24h0m0s"),
            ("1w2d", "216h0m0s"),
            ("0", "0s"),
            ("-5s", "-5s"),
            (".5m", "30s"),
            ("7ns", "7ns"),
            ("1h1ns", "1h0m0.000000001s"),
            (".9999999999999999ms", "1ms"),
        ] {
            assert_eq!(duration(text).map(print_duration).as_deref(), Some(printed), "{text}");
        }
        for text in ["", "5", "s", "5x", "1 s", "9999999999h", "."] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn memory_counts_in_powers_of_1024() {
        for (text, size) in [
            ("50m", 50 << 20),
            ("1g", 1 << 30),
            ("1.5GB", 3 << 29),
            ("64KiB", 64 << 10),
            ("100", 100),
            ("-1", -1),
            ("5b", 5),
            ("1 gb", 1 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "m", "1x", "1kbb", "-1m", "1mi", "nan"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
