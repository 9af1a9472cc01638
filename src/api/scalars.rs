//! Durations and quantities: strings with a grammar, kept as written and parsed once, when the model is built.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time as in GEP-2257 (`90s`, `1m30s`, `500ms`): at most 24 h.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Duration(pub String);

impl Duration {
    /// None where the text is not a duration; admission lets no such text pass.
    pub fn parse(&self) -> Option<std::time::Duration> {
        let mut rest = self.0.as_str();
        let mut total = std::time::Duration::ZERO;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, tail) = rest.split_at_checked(digits)?;
            let number: u32 = number.parse().ok()?;
            let (unit, tail) = tail.split_at_checked(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()))?;
            let unit = match unit {
                "h" => std::time::Duration::from_secs(3600),
                "m" => std::time::Duration::from_secs(60),
                "s" => std::time::Duration::from_secs(1),
                "ms" => std::time::Duration::from_millis(1),
                _ => return None,
            };
            total = total.checked_add(unit.checked_mul(number)?)?;
            rest = tail;
        }
        Some(total)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) <= duration('24h')",
                "message": "must be a duration such as '1m30s' (units h, m, s, ms) of at most 24h"
            }]
        })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// A Kubernetes quantity (`500m`, `10Gi`), as text or as a bare number.
///
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// A bare number: whole bytes, or whole cores.
    Int(i64),
    /// Text with an optional unit.
    Text(String),
}

impl Quantity {
    /// In thousandths; rounded up, as Kubernetes does. None where the text is no quantity, or too large to count.
    pub fn millis(&self) -> Option<i128> {
        let text = match self {
            Quantity::Int(n) => return i128::from(*n).checked_mul(1000),
            Quantity::Text(text) => text.as_str(),
        };
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(unit_at)?;
        let (power, exponent): (i128, i32) = match unit {
            "" => (1, 0),
            "m" => (1, -3),
            "k" => (1, 3),
            "M" => (1, 6),
            "G" => (1, 9),
            "T" => (1, 12),
            "P" => (1, 15),
            "Ki" => (1 << 10, 0),
            "Mi" => (1 << 20, 0),
            "Gi" => (1 << 30, 0),
            "Ti" => (1 << 40, 0),
            "Pi" => (1 << 50, 0),
            _ => (1, unit.strip_prefix(['e', 'E'])?.parse().ok()?),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = exponent + 3 - i32::try_from(fraction.len()).ok()?;
        let scaled = digits.checked_mul(power)?;
        let ten = 10i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 { scaled.checked_mul(ten) } else { Some(scaled.div_euclid(ten) + i128::from(scaled % ten != 0)) }
    }
}

/// How a quantity is bounded; the same sentence is the message of its rule.
pub(super) fn quantity_schema(rule: &str, message: &str) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "maxLength": 20,
        "x-kubernetes-validations": [{
            "rule": format!("isQuantity(string(self)) && {rule}"),
            "message": message,
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let parse = |text: &str| Duration(text.into()).parse().map(|d| d.as_millis());
        for (text, millis) in [
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1h", Some(3_600_000)),
            ("0s", Some(0)),
            ("1h1ms", Some(3_600_001)),
        ] {
            assert_eq!(parse(text), millis, "{text}");
        }
        for text in ["", "5", "1x", "-1s", "1.5s", "s", "1e9h", "99999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn quantities_in_thousandths() {
        let millis = |text: &str| Quantity::Text(text.into()).millis();
        for (text, expected) in [
            ("1", 1000),
            ("250m", 250),
            ("0.5", 500),
            ("1.5Gi", 1_610_612_736_000),
            ("10M", 10_000_000_000),
            ("1e3", 1_000_000),
            ("0.0001", 1),
            ("-1", -1000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        assert_eq!(Quantity::Int(3).millis(), Some(3000));
        for text in ["", "10GB", "Gi", "1.x", "1 Gi"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
