//! What an unquoted word of YAML is.
//!
//! kubectl, Argo CD and Flux read YAML with go-yaml 2, which follows YAML 1.1: `yes` is true and `0777` is octal. Reading it by YAML 1.2
//! would find files valid that the API server then refuses, and the other way round.

use crate::compose::scalar::{base, is_float};
use crate::yaml::node::Holds;

/// The value of an unquoted scalar; none for infinities and NaN, which JSON cannot carry to the API server.
pub fn plain(text: &str) -> Option<Holds> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Holds::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Holds::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Holds::Bool(false),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => number(text)?,
        _ => Holds::Text(text.to_owned()),
    })
}

fn number(text: &str) -> Option<Holds> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    let compact = text.replace('_', "");
    if let Some(whole) = whole(&compact) {
        return Some(whole);
    }
    let float = if is_float(&compact) { compact.parse::<f64>().ok().filter(|f| f.is_finite()) } else { None };
    // Go writes a whole float without a fraction, so the API server sees an integer.
    let float = float.map(|f| match format!("{f}").parse::<i64>() {
        Ok(whole) => Holds::Int(whole),
        Err(_) => Holds::Float(f),
    });
    Some(float.unwrap_or_else(|| Holds::Text(text.to_owned())))
}

fn whole(text: &str) -> Option<Holds> {
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = base(digits)?;
    // The standard parser takes a second sign.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match (minus, i64::try_from(value)) {
        (true, Ok(value)) => Some(Holds::Int(-value)),
        (true, Err(_)) => None,
        (false, Ok(value)) => Some(Holds::Int(value)),
        (false, Err(_)) => Some(Holds::Big(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_kubectl_makes_of_them() {
        for (text, value) in [
            ("yes", Holds::Bool(true)),
            ("y", Holds::Bool(true)),
            ("Off", Holds::Bool(false)),
            ("~", Holds::Null),
            ("0777", Holds::Int(511)),
            ("0o17", Holds::Int(15)),
            ("0x1F", Holds::Int(31)),
            ("1_000", Holds::Int(1000)),
            ("-3", Holds::Int(-3)),
            ("+3", Holds::Int(3)),
            ("3.0", Holds::Int(3)),
            ("1e3", Holds::Int(1000)),
            ("1.5", Holds::Float(1.5)),
            (".5", Holds::Float(0.5)),
            ("089", Holds::Int(89)),
            ("1:30", Holds::Text("1:30".into())),
            ("2001-01-01", Holds::Text("2001-01-01".into())),
            ("1x", Holds::Text("1x".into())),
            ("-", Holds::Text("-".into())),
            ("--1", Holds::Text("--1".into())),
            ("10Gi", Holds::Text("10Gi".into())),
            ("yEs", Holds::Text("yEs".into())),
            ("1e999", Holds::Text("1e999".into())),
        ] {
            assert_eq!(plain(text), Some(value), "{text}");
        }
        assert_eq!(plain("-.inf"), None);
    }
}
