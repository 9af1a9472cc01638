//! A quick answer: whether a project is as the schema says.
//!
//! It needs no copy of the project and no work of the real validator, which is asked where this one is not certain, and for the words where
//! something is wrong.

use std::collections::{HashMap, HashSet};

use hashbrown::DefaultHashBuilder;
use serde_json::Value;

use super::super::node::{Holds, Map, Node};

/// A schema, made ready.
#[derive(Debug, Default)]
pub struct Quick {
    rules: Vec<Rule>,
    /// Rules that other rules refer to, by pointer.
    named: HashMap<&'static str, usize>,
}

/// One schema of it. Rules are known by their number.
#[derive(Debug, Default)]
struct Rule {
    reference: Option<usize>,
    /// Bits of [`KINDS`]; 0 is any.
    kinds: u8,
    properties: HashMap<&'static str, usize, DefaultHashBuilder>,
    patterns: Vec<(&'static str, usize)>,
    additional: Option<usize>,
    is_closed: bool,
    required: Vec<&'static str>,
    items: Option<usize>,
    is_unique: bool,
    one_of: Vec<usize>,
    /// Words, where only they are allowed.
    words: Option<Vec<&'static str>>,
    pattern: Option<&'static str>,
    least: Option<f64>,
    most: Option<f64>,
    /// It says something that is not understood here.
    is_strange: bool,
}

const KINDS: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// Whether something is so; none if it is not certain.
type Answer = Option<bool>;

impl Quick {
    /// Makes a schema ready.
    pub fn new(schema: &'static Value) -> Quick {
        let mut quick = Quick::default();
        quick.rule(schema, schema);
        quick
    }

    /// Whether `project` is as the schema says.
    pub fn fits(&self, project: &Node) -> Answer {
        self.check(project, 0)
    }

    fn rule(&mut self, schema: &'static Value, whole: &'static Value) -> usize {
        let number = self.rules.len();
        self.rules.push(Rule::default());
        let mut rule = Rule::default();
        let Some(schema) = schema.as_object() else {
            rule.is_strange = schema != &Value::Bool(true);
            self.put(number, rule);
            return number;
        };
        let texts = |value: &'static Value| -> Option<Vec<&'static str>> {
            value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()
        };
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("$schema" | "$id" | "$defs" | "title" | "description" | "default" | "deprecated" | "format", _) => {}
                ("$ref", Value::String(pointer)) => {
                    let pointer = pointer.trim_start_matches('#');
                    rule.reference = self.named.get(pointer).copied();
                    if let (None, Some(target)) = (rule.reference, whole.pointer(pointer)) {
                        // Known before it is made: it may refer to itself.
                        self.named.insert(pointer, self.rules.len());
                        rule.reference = Some(self.rule(target, whole));
                    }
                    rule.is_strange |= rule.reference.is_none();
                }
                ("type", value) => {
                    let names = texts(value).or_else(|| value.as_str().map(|name| vec![name])).unwrap_or_default();
                    rule.kinds = bits(&names);
                    rule.is_strange |= rule.kinds == 0;
                }
                ("properties", Value::Object(map)) => {
                    rule.properties =
                        map.iter().map(|(key, schema)| (key.as_str(), self.rule(schema, whole))).collect();
                }
                ("patternProperties", Value::Object(map)) => {
                    rule.patterns = map.iter().map(|(key, schema)| (key.as_str(), self.rule(schema, whole))).collect();
                }
                ("additionalProperties", Value::Bool(open)) => rule.is_closed = !open,
                ("additionalProperties", schema) => rule.additional = Some(self.rule(schema, whole)),
                ("items", schema) => rule.items = Some(self.rule(schema, whole)),
                ("oneOf", Value::Array(all)) => rule.one_of = all.iter().map(|one| self.rule(one, whole)).collect(),
                ("uniqueItems", Value::Bool(unique)) => rule.is_unique = *unique,
                ("minimum", value) => rule.least = value.as_f64(),
                ("maximum", value) => rule.most = value.as_f64(),
                ("pattern", Value::String(pattern)) => rule.pattern = Some(pattern),
                ("required", value) => rule.required = texts(value).unwrap_or_default(),
                ("enum", value) => {
                    rule.words = texts(value);
                    rule.is_strange |= rule.words.is_none();
                }
                _ => rule.is_strange = true,
            }
        }
        self.put(number, rule);
        number
    }

    fn put(&mut self, number: usize, rule: Rule) {
        if let Some(place) = self.rules.get_mut(number) {
            *place = rule;
        }
    }

    fn check(&self, node: &Node, number: usize) -> Answer {
        let rule = self.rules.get(number)?;
        let mut all = All(if rule.is_strange { None } else { Some(true) });
        all.and(if rule.kinds == 0 { Some(true) } else { is_of(node, rule.kinds) });
        if let (Some(reference), false) = (rule.reference, all.is_lost()) {
            all.and(self.check(node, reference));
        }
        if all.is_lost() {
            return all.0;
        }
        match &node.holds {
            Holds::Map(map) => self.map(map, rule, &mut all),
            Holds::List(items) => {
                for item in items {
                    match rule.items {
                        Some(number) if !all.is_lost() => all.and(self.check(item, number)),
                        _ => break,
                    }
                }
                if rule.is_unique {
                    all.and(unique(items));
                }
            }
            Holds::Text(text) | Holds::Date(text) => {
                all.and(rule.words.as_ref().map_or(Some(true), |words| Some(words.contains(&text.as_str()))));
                all.and(rule.pattern.map_or(Some(true), |pattern| alternative(pattern, text)));
            }
            _ if rule.words.is_some() => all.and(Some(false)),
            #[allow(clippy::cast_precision_loss)] // bounds are small
            Holds::Int(number) => all.and(within(*number as f64, rule)),
            Holds::Float(number) => all.and(within(*number, rule)),
            Holds::Null | Holds::Bool(_) => {}
            _ => all.and(if rule.least.or(rule.most).is_some() { None } else { Some(true) }),
        }
        if !rule.one_of.is_empty() && !all.is_lost() {
            let answers: Option<Vec<bool>> = rule.one_of.iter().map(|one| self.check(node, *one)).collect();
            all.and(answers.map(|answers| answers.into_iter().filter(|fits| *fits).count() == 1));
        }
        all.0
    }

    fn map(&self, map: &Map, rule: &Rule, all: &mut All) {
        if rule.words.is_some() {
            return all.and(Some(false));
        }
        all.and(Some(rule.required.iter().all(|key| map.contains_key(*key))));
        for (key, entry) in map {
            if all.is_lost() {
                return;
            }
            let mut is_known = false;
            if let Some(number) = rule.properties.get(key.as_str()) {
                is_known = true;
                all.and(self.check(&entry.value, *number));
            }
            for (pattern, number) in &rule.patterns {
                match matches(pattern, key) {
                    Some(false) => {}
                    Some(true) => {
                        is_known = true;
                        all.and(self.check(&entry.value, *number));
                    }
                    None => return all.and(None),
                }
            }
            if !is_known {
                all.and(Some(!rule.is_closed));
                if let Some(number) = rule.additional {
                    all.and(self.check(&entry.value, number));
                }
            }
        }
    }
}

/// Several answers that must all be yes.
struct All(Answer);

impl All {
    fn and(&mut self, answer: Answer) {
        self.0 = match (self.0, answer) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
    }

    fn is_lost(&self) -> bool {
        self.0 == Some(false)
    }
}

fn bits(names: &[&str]) -> u8 {
    KINDS.iter().enumerate().filter(|(_, kind)| names.contains(kind)).map(|(bit, _)| 1 << bit).sum()
}

fn is_of(node: &Node, kinds: u8) -> Answer {
    let kind: &[&str] = match &node.holds {
        Holds::Null => &["null"],
        Holds::Bool(_) => &["boolean"],
        Holds::Int(_) | Holds::Big(_) | Holds::Duration(_) | Holds::Bytes(_) | Holds::Mode(_) => &["integer", "number"],
        // JSON has no infinity.
        Holds::Float(number) if !number.is_finite() => return None,
        Holds::Float(number) if number.fract() == 0.0 => &["integer", "number"],
        Holds::Float(_) => &["number"],
        Holds::Text(_) | Holds::Date(_) => &["string"],
        Holds::List(_) => &["array"],
        Holds::Map(_) => &["object"],
    };
    Some(bits(kind) & kinds != 0)
}

fn within(number: f64, rule: &Rule) -> Answer {
    if !number.is_finite() {
        return None;
    }
    Some(rule.least.is_none_or(|least| number >= least) && rule.most.is_none_or(|most| number <= most))
}

/// Maps of a list that are compared each with each.
const MOST_MAPS: usize = 16;

/// Whether no two items are alike, where all are texts and maps that are easily told apart.
fn unique(items: &[Node]) -> Answer {
    if items.len() < 2 {
        return Some(true);
    }
    let texts: HashSet<&str, DefaultHashBuilder> = items.iter().filter_map(Node::as_text).collect();
    let maps: Vec<&Map> = items.iter().filter_map(Node::as_map).collect();
    let count = items.iter().filter(|item| item.as_text().is_some()).count();
    if count + maps.len() < items.len() || maps.len() > MOST_MAPS {
        return None;
    }
    let all_differ = maps.iter().enumerate().all(|(at, map)| maps.iter().skip(at + 1).all(|other| differ(map, other)));
    if texts.len() < count { Some(false) } else { all_differ.then_some(true) }
}

/// Whether two maps certainly differ: by their keys, or by a text.
fn differ(one: &Map, other: &Map) -> bool {
    one.len() != other.len()
        || one.iter().any(|(key, entry)| match other.get(key) {
            None => true,
            Some(other) => {
                matches!((entry.value.as_text(), other.value.as_text()), (Some(one), Some(other)) if one != other)
            }
        })
}

/// Whether a key matches one of the patterns that the schema has for keys.
fn matches(pattern: &str, key: &str) -> Answer {
    if key.is_empty() || key.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
        return None;
    }
    match pattern {
        "^x-" => Some(key.starts_with("x-")),
        "^.+$" | ".+" => Some(true),
        "^[a-zA-Z0-9._-]+$" => Some(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))),
        "^[a-z]+$" => Some(key.bytes().all(|b| b.is_ascii_lowercase())),
        _ => None,
    }
}

/// Yes, if a text is one of the words of `^(one|two|...)$`; not certain otherwise.
fn alternative(pattern: &str, text: &str) -> Answer {
    let inside = pattern.strip_prefix("^(")?.strip_suffix(")$")?;
    let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (is_word && inside.split('|').any(|word| word == text)).then_some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::yaml;
    use super::super::{PARSED, VALIDATOR, json as value_of};
    use super::*;

    #[test]
    fn a_quick_answer_is_that_of_the_validator() {
        let quick = Quick::new(&PARSED);
        assert!(quick.rules.iter().all(|rule| !rule.is_strange), "the schema says something new");
        let values = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1),
            json!(1.5),
            json!(2.0),
            json!("x"),
            json!("80:80"),
            json!("service_started"),
            json!("missing"),
            json!("every_1d"),
            json!([]),
            json!(["a"]),
            json!(["a", "a"]),
            json!([1, 1]),
            json!({}),
            json!({"x": "y"}),
            json!({"x-y": 1}),
            json!({"a b": null}),
            json!([{"target": 80}]),
            json!(["80", {"target": 80}]),
            json!(["80", {"target": 80}, "80"]),
            json!([{"target": "80"}, {"target": "80"}]),
            json!([{"target": "80"}, {"target": "81"}, {"target": 80, "protocol": "udp"}]),
            json!([{"target": 80}, {"target": 80.0}]),
            json!([{"path": "p"}]),
            json!({"a\nb": 1}),
            json!({"condition": "service_started"}),
            json!({"db": {"condition": "service_started"}}),
            json!({"soft": 1, "hard": 2}),
            json!("a:b"),
            json!("10"),
            json!("${A}"),
        ];
        let (mut yes, mut no) = (0, 0);
        let mut compare = |value: Value| {
            let node = yaml::documents(&value.to_string(), 0, &mut 999).unwrap().remove(0);
            let real = VALIDATOR.as_ref().unwrap().is_valid(&value_of(&node));
            let answer = quick.fits(&node);
            assert!(answer.is_none_or(|answer| answer == real), "{answer:?} for {value}");
            yes += usize::from(answer == Some(true));
            no += usize::from(answer == Some(false));
        };
        let keys = |pointer: &str| -> Vec<&String> {
            PARSED.pointer(pointer).and_then(Value::as_object).unwrap().keys().collect()
        };
        for value in &values {
            for key in keys("/properties") {
                compare(json!({key: value}));
                compare(json!({key: {"a": value}}));
            }
            for key in keys("/$defs/service/properties") {
                compare(json!({"services": {"a": {key: value}}}));
                compare(json!({"services": {"a": {key: [value, "b"]}}}));
            }
            for part in ["deployment", "network", "volume", "secret", "config", "healthcheck", "development"] {
                let at = match part {
                    "deployment" => json!({"deploy": 0}),
                    "healthcheck" => json!({"healthcheck": 0}),
                    "development" => json!({"develop": 0}),
                    _ => Value::Null,
                };
                for key in keys(&format!("/$defs/{part}/properties")) {
                    match at.as_object().and_then(|map| map.keys().next()) {
                        Some(within) => compare(json!({"services": {"a": {within: {key: value}}}})),
                        None => compare(json!({format!("{part}s"): {"a": {key: value}}})),
                    }
                }
            }
        }
        assert!(yes > 500 && no > 500, "{yes} times yes, {no} times no");
    }
}
