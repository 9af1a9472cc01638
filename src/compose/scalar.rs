//! What an unquoted word of YAML is to the reference loader.
//!
//! It reads with go-yaml 4: YAML 1.2's truth values, so that `yes` and `NO` stay texts, but YAML 1.1's octal numbers, underscores and dates.

use super::node::Holds;

/// The value of an unquoted scalar.
pub fn plain(text: &str) -> Holds {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Holds::Null,
        "true" | "True" | "TRUE" => return Holds::Bool(true),
        "false" | "False" | "FALSE" => return Holds::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Holds::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Holds::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Holds::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => return Holds::Float(-0.0),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => Some(text).filter(|text| is_float(text)).and_then(|text| text.parse().ok()).map(Holds::Float),
        Some(b'0'..=b'9' | b'+' | b'-') => date(text).map(Holds::Date).or_else(|| number(text)),
        _ => None,
    };
    number.unwrap_or_else(|| Holds::Text(text.to_owned()))
}

fn number(text: &str) -> Option<Holds> {
    let plain = text.replace('_', "");
    if let Some(whole) = whole(&plain) {
        return Some(whole);
    }
    if !is_float(&plain) {
        return None;
    }
    plain.parse::<f64>().ok().filter(|number| number.is_finite()).map(Holds::Float)
}

/// As Go reads a whole number of any base.
fn whole(text: &str) -> Option<Holds> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let (digits, radix) = base(digits)?;
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return None;
    }
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(Holds::Int(value));
    }
    // A number beyond i64 has no sign.
    let unsigned = text.starts_with(|c: char| c.is_ascii_digit());
    u64::from_str_radix(digits, radix).ok().filter(|_| unsigned).map(Holds::Big)
}

/// The digits of a whole number without its sign, and their base: a leading zero is octal, as in YAML 1.1.
pub(crate) fn base(digits: &str) -> Option<(&str, u32)> {
    Some(match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (digits.get(2..)?, 16),
        Some("0o") => (digits.get(2..)?, 8),
        Some("0b") => (digits.get(2..)?, 2),
        _ if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        _ => (digits, 10),
    })
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, as every go-yaml has it.
pub(crate) fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (text, "0"),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    !(exponent.is_empty() || whole.is_empty() && fraction.is_empty())
        && digits(whole)
        && digits(fraction)
        && digits(exponent)
}

/// A date or a time of a day in the words in which Go prints it, which is how it reaches an environment variable.
fn date(text: &str) -> Option<String> {
    if text.find(|c: char| !c.is_ascii_digit()) != Some(4) || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, Some((text.as_bytes().get(at)?, text.get(at + 1..)?))),
        None => (text, None),
    };
    let mut parts = day.split('-').enumerate().map(|(place, part)| small(part, if place == 0 { 4 } else { 2 }));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=days).contains(&day) {
        return None;
    }
    let Some((between, time)) = time else {
        return Some(format!("{year:04}-{month:02}-{day:02} 00:00:00 +0000 UTC"));
    };
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => (time.get(..at)?, time.get(at..)?),
        None => (time, ""),
    };
    // With a T there is a zone, with a space none.
    if (*between == b' ') != zone.is_empty() {
        return None;
    }
    let zone = match zone {
        "" | "Z" => "+0000 UTC".to_owned(),
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let fits = hours.len() == 2 && minutes.len() == 2 && small(hours, 2)? <= 24 && small(minutes, 2)? < 60;
            let offset = format!("{}{hours}{minutes}", zone.get(..1)?);
            if !fits {
                return None;
            }
            if offset.ends_with("0000") { "+0000 UTC".to_owned() } else { format!("{offset} {offset}") }
        }
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(|part| small(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some()
        || hour > 23
        || minute > 59
        || second > 59
        || !fraction.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{point}{fraction} {zone}"))
}

fn small(text: &str, longest: usize) -> Option<u32> {
    let fits = (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::node::{At, Node};
    use super::*;

    #[test]
    fn words_are_what_the_reference_loader_makes_of_them() {
        for (word, printed) in [
            ("0444", "292"),
            ("0o444", "292"),
            ("1e3", "1000"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("1_000", "1000"),
            ("3.10", "3.1"),
            ("089", "89"),
            ("22:22", "22:22"),
            ("yes", "yes"),
            ("NO", "NO"),
            ("on", "on"),
            ("TRUE", "true"),
            ("1e21", "1e+21"),
            ("8e8", "8e+08"),
            ("123456.5", "123456.5"),
            ("0.00001", "1e-05"),
            ("18446744073709551615", "18446744073709551615"),
            ("2026-01-01", "2026-01-01 00:00:00 +0000 UTC"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.1 -0500 -0500"),
            ("2001-2-30", "2001-2-30"),
            ("2001-01-028", "2001-01-028"),
            ("-", "-"),
            ("--1", "--1"),
            ("1.2.3", "1.2.3"),
            ("+12", "12"),
            (".5", "0.5"),
            ("-.inf", "-Inf"),
        ] {
            let node = Node::new(At::NOWHERE, plain(word));
            assert_eq!(node.printed().as_deref(), Some(printed), "{word}");
        }
        assert_eq!(plain("~"), Holds::Null);
        assert_eq!(plain("yes"), Holds::Text("yes".into()));
        assert_eq!(plain("0444"), Holds::Int(292));
    }
}
