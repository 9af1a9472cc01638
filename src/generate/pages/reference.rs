//! `docs/reference.md`: every field of an AppStack, from the schema of the CustomResourceDefinition.

use serde_json::{Map, Value, json};

use super::{anchor, cell, hold, plain};
use crate::cli::schema::{PUBLISHED, in_words};

const HEAD: &str = "\
# Reference

<!-- From src/api; change it there and run `make generate`. -->

Every field of an `AppStack` (`apiVersion: appstack.dev/v1alpha1`), from the CustomResourceDefinition. What fields mean together is in
[concepts.md](concepts.md); `kubectl explain appstack.spec.services` and `appstack validate FILE` say the same in a terminal. In the headings, words in capitals are names that you choose.

A field that is not here is refused under strict validation (`kubectl apply` has it on), and by `appstack validate`. A list or a map that is there has at least one entry. In the column *unset*
is what holds without the field; **required** is what must be there. Durations are texts such as `90s` or `1m30s`, quantities such as `512Mi` are those of Kubernetes.

";

/// A page on its way.
#[derive(Default)]
struct Page {
    text: String,
    /// Objects that have a section, without what they are about, and its heading.
    given: Vec<(Value, String)>,
    /// How many fields and rules are in it.
    fields: usize,
    rules: usize,
}

fn page() -> Page {
    let schema = &*PUBLISHED;
    let mut page = Page { text: HEAD.to_owned(), ..Page::default() };
    page.contents(&schema["properties"]);
    page.text.push_str("## `metadata`\n\n`name` is the name of the stack.\n");
    page.listed(rules(schema, ""));
    page.object("spec", &schema["properties"]["spec"]);
    page.object("status", &schema["properties"]["status"]);
    page
}

impl Page {
    fn contents(&mut self, top: &Value) {
        let mut links = Vec::new();
        for name in ["spec", "status"] {
            links.push(link(name, name));
            for (field, schema) in fields(&top[name]) {
                if let Some((path, _)) = object_of(&format!("{name}.{field}"), field, schema) {
                    links.push(link(&path, &path));
                }
            }
        }
        self.text.push_str(&format!("{}\n\n", links.join(" · ")));
    }

    /// The section of an object, and those of the objects in it.
    fn object(&mut self, path: &str, schema: &Value) {
        self.given.push((bare(schema), path.to_owned()));
        let level = if path.contains('.') { "###" } else { "##" };
        self.text.push_str(&format!("\n{level} `{path}`\n\n"));
        if let Some(about) = schema["description"].as_str() {
            self.text.push_str(&format!("{}\n\n", about.replace('\n', " ").replace("  ", "\n\n").trim_end()));
        }
        let mut below = Vec::new();
        if fields(schema).next().is_some() {
            self.text.push_str("| field | type | unset | what it is |\n|---|---|---|---|\n");
        } else {
            self.text.push_str("It has no fields: `{}`.\n");
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut said = rules(schema, "");
        for (name, field) in fields(schema) {
            let at = format!("{path}.{name}");
            let mut kind = kind(field);
            if let Some((path, object)) = object_of(&at, name, field) {
                let known = self.given.iter().find(|(given, _)| *given == bare(object)).map(|(_, path)| path.clone());
                let shown = known.clone().unwrap_or_else(|| path.clone());
                let as_there = if known.is_some() { "as " } else { "" };
                kind = kind.replace("OBJECT", &format!("{as_there}{}", link(&shown, &shown)));
                if known.is_none() {
                    // Its place is taken, so that a second one leads here.
                    self.given.push((bare(object), path.clone()));
                    below.push((path, object));
                }
            }
            let (about, unset) = parted(field["description"].as_str().unwrap_or_default());
            let unset = if required.contains(&name) { "**required**".to_owned() } else { unset };
            self.text.push_str(&format!("| `{name}` | {} | {} | {} |\n", cell(&kind), cell(&unset), cell(&about)));
            self.fields += 1;
            said.extend(rules_of_field(name, field));
        }
        self.listed(said);
        for (path, object) in below {
            self.object(&path, object);
        }
    }

    /// What is refused: the same message once, for all fields that it is about.
    fn listed(&mut self, said: Vec<(String, String)>) {
        let mut together: Vec<(Vec<String>, String)> = Vec::new();
        for (field, message) in said {
            self.rules += 1;
            match together.iter_mut().find(|(_, known)| *known == message) {
                Some((fields, _)) if fields.contains(&field) => {}
                Some((fields, _)) => fields.push(field),
                None => together.push((vec![field], message)),
            }
        }
        if !together.is_empty() {
            self.text.push('\n');
        }
        for (fields, message) in together {
            let fields: Vec<&str> = fields.iter().map(String::as_str).filter(|field| !field.is_empty()).collect();
            let message = plain(&message);
            let joint = if fields.is_empty() || message.starts_with("must ") { " " } else { ": " };
            self.text.push_str(&format!("- {}\n", format!("{}{joint}{message}", fields.join(", ")).trim()));
        }
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, field)| (name.as_str(), field))
}

/// Whether it is an object with fields of ours; a patch has those of Kubernetes.
fn has_fields(schema: &Value) -> bool {
    schema["properties"].is_object() && schema["x-kubernetes-preserve-unknown-fields"] != true
}

/// Whether it gets a section.
fn is_object(schema: &Value) -> bool {
    let is_map = schema["additionalProperties"].is_object();
    schema["type"] == "object" && !is_map && schema["x-kubernetes-preserve-unknown-fields"] != true
}

fn link(text: &str, heading: &str) -> String {
    format!("[`{text}`](#{})", anchor(heading))
}

/// An object without what it is about, and without rules that are about where it stands.
fn bare(schema: &Value) -> Value {
    let mut bare = schema.clone();
    bare.as_object_mut().unwrap().remove("description");
    bare
}

/// The object that a field is or holds, with its path.
fn object_of<'s>(at: &str, name: &str, field: &'s Value) -> Option<(String, &'s Value)> {
    if has_fields(field) {
        return Some((at.to_owned(), field));
    }
    let (below, step) = match (&field["additionalProperties"], &field["items"]) {
        (Value::Object(_), _) => (&field["additionalProperties"], format!(".{}", key_of(name))),
        (_, Value::Object(_)) => (&field["items"], "[]".to_owned()),
        _ => return None,
    };
    is_object(below).then(|| (format!("{at}{step}"), below))
}

/// What the keys of a map are.
fn key_of(name: &str) -> &'static str {
    if name == "mounts" { "PATH" } else { "NAME" }
}

/// Its type and bounds; `OBJECT` is where the link to its section goes.
fn kind(field: &Value) -> String {
    let words: Vec<String> =
        field["enum"].as_array().into_iter().flatten().map(|w| format!("`{}`", w.as_str().unwrap())).collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let bound = |name: &str| field[name].as_f64();
    let of = |least: &str, most: &str, what: &str| match (bound(least), bound(most)) {
        (Some(least), Some(most)) if least > 1.0 => format!(", {least} to {most}{what}"),
        (_, Some(most)) => format!(", at most {most}{what}"),
        (Some(least), None) => format!(", at least {least}{what}"),
        (None, None) => String::new(),
    };
    if field["x-kubernetes-int-or-string"] == true {
        return "number or text".to_owned();
    }
    match field["type"].as_str().unwrap_or_default() {
        "boolean" => "`true` or `false`".to_owned(),
        "integer" | "number" => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("whole number, {least} to {most}"),
            _ => "whole number".to_owned(),
        },
        "string" if field["format"] == "date-time" => "time".to_owned(),
        "string" => format!("text{}", of("minLength", "maxLength", " characters")),
        "array" => {
            let set = if field["x-kubernetes-list-type"] == "set" { ", none twice" } else { "" };
            let many = bracketed(&format!("{}{set}", of("minItems", "maxItems", "")));
            format!("list{many} of {}", inner(&field["items"]))
        }
        "object" if field["additionalProperties"].is_object() => {
            let many = bracketed(&of("minProperties", "maxProperties", ""));
            format!("map{many} of {}", inner(&field["additionalProperties"]))
        }
        "object" if has_fields(field) => "OBJECT".to_owned(),
        _ => "the fields of Kubernetes".to_owned(),
    }
}

/// `, at most 3` as ` (at most 3)`.
fn bracketed(bounds: &str) -> String {
    bounds.strip_prefix(", ").map(|bounds| format!(" ({bounds})")).unwrap_or_default()
}

/// The type of what a list or a map holds.
fn inner(below: &Value) -> String {
    if is_object(below) { "OBJECT".to_owned() } else { kind(below) }
}

/// What it is, and what holds where it is unset: descriptions end with `; unset: ...`, or have a sentence `Unset: ...`.
fn parted(about: &str) -> (String, String) {
    let about = about.replace('\n', " ");
    let found = ["; unset: ", ". Unset: "].iter().find_map(|mark| about.find(mark).map(|at| (at, at + mark.len())));
    let Some((before, begin)) = found else { return (about, String::new()) };
    let rest = &about[begin..];
    // It ends with its sentence.
    let ends = rest.match_indices(". ").map(|(at, _)| at);
    let end = ends.into_iter().find(|at| rest[at + 2..].starts_with(|c: char| c.is_uppercase() || c == '`'));
    let (unset, after) = end.map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]));
    (format!("{}.{after}", &about[..before]), unset.trim_end_matches('.').to_owned())
}

/// Messages of the rules and patterns that stand at a field itself.
fn rules(schema: &Value, field: &str) -> Vec<(String, String)> {
    let messages = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let mut all: Vec<String> = messages.map(|rule| rule["message"].as_str().unwrap().to_owned()).collect();
    all.extend(schema["pattern"].as_str().map(in_words));
    all.into_iter().map(|message| (field.to_owned(), message)).collect()
}

/// The same of a field and of what it holds, unless that has a section of its own.
fn rules_of_field(name: &str, field: &Value) -> Vec<(String, String)> {
    if has_fields(field) {
        return Vec::new();
    }
    let mut all = rules(field, &format!("`{name}`"));
    for below in ["additionalProperties", "items"] {
        if field[below].is_object() && !has_fields(&field[below]) {
            all.extend(rules(&field[below], &format!("entries of `{name}`")));
        }
    }
    all
}

#[test]
fn the_reference_is_what_the_types_say() {
    hold("docs/reference.md", &page().text);
}

/// Fields and rules of all objects, those of one shape once.
fn counted(schema: &Value, seen: &mut Vec<Value>, count: &mut (usize, usize)) {
    let own = rules(schema, "").len();
    if has_fields(schema) {
        if seen.contains(&bare(schema)) {
            return;
        }
        seen.push(bare(schema));
    }
    count.1 += own;
    for (_, field) in fields(schema).filter(|_| has_fields(schema)) {
        count.0 += 1;
        counted(field, seen, count);
    }
    for below in ["additionalProperties", "items"] {
        if schema[below].is_object() {
            counted(&schema[below], seen, count);
        }
    }
}

#[test]
fn no_field_and_no_rule_is_left_out_of_the_reference() {
    let mut count = (0, 0);
    let mut seen = Vec::new();
    let mut whole = PUBLISHED.clone();
    whole["properties"].as_object_mut().unwrap().remove("metadata");
    counted(&whole, &mut seen, &mut count);
    let page = page();
    // `spec` and `status` have sections and no row.
    assert_eq!((page.fields, page.rules), (count.0 - 2, count.1));
    assert!(page.fields > 200 && page.rules > 100, "{} fields, {} rules", page.fields, page.rules);
}

#[test]
fn every_link_of_the_reference_leads_to_a_heading() {
    let text = page().text;
    let headings: Vec<String> =
        text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(" `")).map(anchor).collect();
    let links: Vec<&str> = text.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 40);
    for link in links {
        assert_eq!(headings.iter().filter(|heading| *heading == link).count(), 1, "{link}");
    }
}

#[test]
fn what_holds_when_a_field_is_unset_is_taken_out_of_its_description() {
    for (about, what, unset) in [
        ("Time between checks; unset: 30s.", "Time between checks.", "30s"),
        ("How long; unset: 30s. A check that hangs.", "How long. A check that hangs.", "30s"),
        ("`A`: a. `B`: b. Unset: `A`; but `B` for c.", "`A`: a. `B`: b.", "`A`; but `B` for c"),
        ("The image.", "The image.", ""),
    ] {
        assert_eq!(parted(about), (what.to_owned(), unset.to_owned()));
    }
    let open = Map::from_iter([("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true))]);
    assert_eq!(kind(&Value::Object(open)), "the fields of Kubernetes");
}
