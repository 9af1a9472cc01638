//! Paths of fields, as the API server writes them: `spec.services[db].command[2]`.

use std::fmt::Write;

use serde_json::Value;

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an item of a list, from 0.
    Index(usize),
}

impl Step {
    /// The step to the value of `key`.
    pub fn key(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

/// The steps of a written field: `a.b[c]`, `a.b.c` and `a[0]` alike. Keys may contain dots and brackets; where a key of `document` fits it
/// decides, the longest first.
pub fn parse(field: &str, document: &Value) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = field;
    let mut here = Some(document);
    while !rest.is_empty() {
        let bracket = rest.starts_with('[');
        rest = rest.strip_prefix(['[', '.']).unwrap_or(rest);
        let known = here
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.keys())
            .filter(|key| rest.strip_prefix(key.as_str()).is_some_and(|tail| ends_here(tail, bracket)))
            .map(String::len)
            .max();
        let end = known.unwrap_or_else(|| {
            let end = if bracket { rest.find(']') } else { rest.find(['.', '[']) };
            end.unwrap_or(rest.len())
        });
        let Some((word, tail)) = rest.split_at_checked(end) else { break };
        rest = if bracket { tail.strip_prefix(']').unwrap_or(tail) } else { tail };
        let step = match (here, word.parse()) {
            (Some(Value::Array(_)), Ok(index)) => Step::Index(index),
            _ => Step::key(word),
        };
        here = here.and_then(|value| child(value, &step));
        steps.push(step);
    }
    steps
}

fn ends_here(tail: &str, bracket: bool) -> bool {
    let tail = if bracket { tail.strip_prefix(']') } else { Some(tail) };
    tail.is_some_and(|tail| tail.is_empty() || tail.starts_with(['.', '[']))
}

/// The value one step down.
pub fn child<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    }
}

/// The schema of what is one step below `schema`.
pub fn child_schema<'a>(schema: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => schema
            .get("properties")
            .and_then(|fields| fields.get(key))
            .or_else(|| schema.get("additionalProperties").filter(|values| values.is_object())),
        Step::Index(_) => schema.get("items"),
    }
}

/// As the API server writes it: keys of maps and indices in brackets, fields of objects after a dot. `schema` tells maps from objects.
pub fn written(steps: &[Step], schema: &Value) -> String {
    let mut text = String::new();
    let mut here = Some(schema);
    for step in steps {
        let map = here.is_some_and(|schema| schema.get("additionalProperties").is_some_and(Value::is_object));
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Key(key) if map => write!(text, "[{key}]"),
            Step::Key(key) if text.is_empty() => write!(text, "{key}"),
            Step::Key(key) => write!(text, ".{key}"),
        };
        here = here.and_then(|schema| child_schema(schema, step));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_read_in_either_form_and_keys_may_hold_dots() {
        let document =
            json!({"spec": {"services": {"db": {"mounts": {"/a.b/c]d": {"key": 1}, "/a": {}}, "command": ["x"]}}}});
        let mount = [
            Step::key("spec"),
            Step::key("services"),
            Step::key("db"),
            Step::key("mounts"),
            Step::key("/a.b/c]d"),
            Step::key("key"),
        ];
        assert_eq!(parse("spec.services[db].mounts[/a.b/c]d].key", &document), mount);
        assert_eq!(parse("spec.services.db.mounts./a.b/c]d.key", &document), mount);
        assert_eq!(parse("spec.services[db].command[0]", &document)[4], Step::Index(0));
        assert_eq!(parse("spec.services[no].x[y]", &document).len(), 5);
        for odd in ["", "[", "]", "..", "[[", "a[", "é.[ü"] {
            parse(odd, &document);
        }
    }

    #[test]
    fn a_field_is_written_with_map_keys_in_brackets() {
        let schema = json!({"properties": {"spec": {"additionalProperties": {"properties": {"list": {"items": {}}}}}}});
        let steps = [Step::key("spec"), Step::key("a.b"), Step::key("list"), Step::Index(2)];
        assert_eq!(written(&steps, &schema), "spec[a.b].list[2]");
    }
}
