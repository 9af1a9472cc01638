//! What an unquoted word of YAML is.
//!
//! kubectl, Argo CD and Flux read YAML with go-yaml 2, which follows YAML 1.1: `yes` is true and `0777` is octal. Reading it by YAML 1.2
//! would find files valid that the API server then refuses, and the other way round.

use serde_json::{Number, Value};

use crate::compose::scalar::{base, is_float};

/// The value of an unquoted scalar; none for infinities and NaN, which JSON cannot carry to the API server.
pub fn plain(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => number(text)?,
        _ => Value::String(text.to_owned()),
    })
}

fn number(text: &str) -> Option<Value> {
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
        Ok(whole) => Value::Number(whole.into()),
        Err(_) => Number::from_f64(f).map_or(Value::Null, Value::Number),
    });
    Some(float.unwrap_or_else(|| Value::String(text.to_owned())))
}

fn whole(text: &str) -> Option<Value> {
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
        (true, Ok(value)) => Some(Value::Number((-value).into())),
        (true, Err(_)) => None,
        (false, _) => Some(Value::Number(value.into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_what_kubectl_makes_of_them() {
        for (text, value) in [
            ("yes", json!(true)),
            ("y", json!(true)),
            ("Off", json!(false)),
            ("~", json!(null)),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("1_000", json!(1000)),
            ("-3", json!(-3)),
            ("+3", json!(3)),
            ("3.0", json!(3)),
            ("1e3", json!(1000)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("089", json!(89)),
            ("1:30", json!("1:30")),
            ("2001-01-01", json!("2001-01-01")),
            ("1x", json!("1x")),
            ("-", json!("-")),
            ("--1", json!("--1")),
            ("10Gi", json!("10Gi")),
            ("yEs", json!("yEs")),
            ("1e999", json!("1e999")),
        ] {
            assert_eq!(plain(text), Some(value), "{text}");
        }
        assert_eq!(plain("-.inf"), None);
    }
}
