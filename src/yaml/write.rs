//! JSON values as block YAML, byte for byte as serde-saphyr writes them, for a fraction of its time.
//!
//! Most of a stack is maps, lists of words, and words that need no quotes: these are written here. An entry that has anything else, or of
//! which that is not certain, is written by the library and indented.

use serde_json::{Map, Value};
use serde_saphyr::ser::Error;

/// The text of a value.
///
/// # Errors
/// If it cannot be written as YAML, which nothing in JSON is.
pub fn to_string(value: &Value) -> Result<String, Error> {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut text = String::new();
            write_map(map, 0, &mut text)?;
            Ok(text)
        }
        _ => serde_saphyr::to_string(value),
    }
}

fn write_map(map: &Map<String, Value>, depth: usize, text: &mut String) -> Result<(), Error> {
    for (key, value) in map {
        match value {
            _ if !is_plain(key) || key.contains(':') => by_library(key, value, depth, text)?,
            Value::Object(map) if !map.is_empty() => {
                start(key, depth, text);
                text.push('\n');
                write_map(map, depth + 1, text)?;
            }
            Value::Array(items) if !items.is_empty() && items.iter().all(is_word) => {
                start(key, depth, text);
                text.push('\n');
                for item in items {
                    indent(depth, text);
                    text.push_str("- ");
                    word(item, text);
                }
            }
            value if is_word(value) => {
                start(key, depth, text);
                text.push(' ');
                word(value, text);
            }
            _ => by_library(key, value, depth, text)?,
        }
    }
    Ok(())
}

fn indent(depth: usize, text: &mut String) {
    (0..depth).for_each(|_| text.push_str("  "));
}

fn start(key: &str, depth: usize, text: &mut String) {
    indent(depth, text);
    text.push_str(key);
    text.push(':');
}

/// Whether a value is written as it is.
fn is_word(value: &Value) -> bool {
    match value {
        Value::String(text) => is_plain(text) || is_digits(text),
        Value::Number(number) => !number.is_f64(),
        Value::Bool(_) => true,
        _ => false,
    }
}

fn word(value: &Value, text: &mut String) {
    match value {
        Value::String(word) if is_digits(word) => text.extend(["\"", word.as_str(), "\"\n"]),
        Value::String(word) => text.extend([word.as_str(), "\n"]),
        Value::Bool(is_so) => text.push_str(if *is_so { "true\n" } else { "false\n" }),
        other => text.push_str(&format!("{other}\n")),
    }
}

/// Longer ones are folded.
const LONGEST: usize = 80;

/// Whether a text certainly needs no quotes, and nothing takes it for a number, a truth value, a date or the like: it begins with a letter or
/// a slash, or it is an amount such as `10s` or `256Mi`.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if bytes.len() > LONGEST {
        return false;
    }
    if first.is_ascii_digit() {
        let is_unit = |byte: &u8| b"smihkKMG".contains(byte);
        return is_unit(last) && bytes.iter().all(|byte| byte.is_ascii_digit() || is_unit(byte));
    }
    let is_open = first.is_ascii_alphabetic() || *first == b'/';
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@=+,;$(){} ".contains(byte);
    is_open
        && bytes.iter().all(is_inside)
        && !matches!(last, b':' | b' ')
        && !text.contains(": ")
        && !(bytes.len() <= 5 && is_reserved(text))
}

/// Words that a reader of YAML 1.1 or 1.2 takes for something else than a text.
fn is_reserved(word: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    words.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// A number as a text, which is quoted.
fn is_digits(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn by_library(key: &str, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
    let alone = serde_saphyr::to_string(&std::collections::BTreeMap::from([(key, value)]))?;
    for line in alone.split_inclusive('\n') {
        if line != "\n" {
            indent(depth, text);
        }
        text.push_str(line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn is_as_the_library_writes_it(value: &Value) {
        assert_eq!(to_string(value).unwrap(), serde_saphyr::to_string(value).unwrap(), "{value}");
    }

    /// Words that somebody takes for something else, texts of many lines, and what parts of words they are made of.
    const TEXTS: &[&str] = &[
        "",
        " ",
        "a",
        "web",
        "no",
        "No",
        "yes",
        "y",
        "on",
        "off",
        "null",
        "~",
        "true",
        "False",
        "nan",
        "inf",
        "x: y",
        "x:y",
        "x:",
        "a #b",
        "#a",
        "- a",
        "-a",
        "/etc/x",
        "/",
        "8080",
        "010",
        "1.5",
        "1e3",
        "0x1f",
        "10s",
        "1m30s",
        "256Mi",
        "5G",
        "1k",
        "2026-01-01",
        "12:30",
        "a b",
        "a  b",
        " a",
        "a ",
        "a\nb",
        "a\nb\n",
        "\n",
        "a\n\n  b\n\n",
        "  x\ny",
        "tab\there",
        "quote'",
        "double\"",
        "back\\slash",
        "é",
        "\u{85}",
        "\u{1b}[0m",
        "{a}",
        "[a]",
        "a,b",
        "$(A)",
        "${A}",
        "$$",
        "a{b}",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "|",
        ">",
        "?",
        "? a",
        "=",
        "<<",
        "---",
        "--- a",
        "...",
        "registry.example/team/web:1.4.0@sha256:0123456789abcdef",
        "serve --port 8080 --peer 'web'",
        "postgres://app:$(DATABASE_PASSWORD)@db:5432/app?sslmode=disable;x=y",
        "a text that is longer than a line may be, so that the library folds it at a space near column eighty",
        "atextthatislongerthanalinemaybesothatthelibrarycannotfolditatanyspaceandwritesitasitstands",
    ];

    #[test]
    fn texts_are_quoted_folded_and_left_alone_as_by_the_library() {
        for text in TEXTS {
            is_as_the_library_writes_it(
                &json!({"spec": {"a": text, (*text): "a", "list": [text, "b"], "deep": {"x": {"y": text}}}}),
            );
            is_as_the_library_writes_it(&json!(text));
            is_as_the_library_writes_it(&json!([text, {"a": [text]}]));
        }
        for number in 0..2000 {
            is_as_the_library_writes_it(
                &json!({"number": number, "text": number.to_string(), "hex": format!("{number:x}")}),
            );
        }
        is_as_the_library_writes_it(
            &json!({"a": {}, "b": [], "c": null, "d": 1.5, "e": -1, "f": true, "g": u64::MAX, "h": [null], "i": [{}, []]}),
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let word = || prop_oneof![4 => prop::sample::select(TEXTS).prop_map(str::to_owned), 1 => "[a-z0-9.:/ _-]{0,12}", 1 => ".{0,90}"];
        let leaf = prop_oneof![
            6 => word().prop_map(Value::from),
            1 => any::<i64>().prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
            1 => Just(Value::Null),
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                3 => prop::collection::vec((word(), inner), 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_value_is_written_as_by_the_library(value in values()) {
            is_as_the_library_writes_it(&value);
        }
    }
}
