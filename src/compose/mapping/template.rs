//! A value before its variables were filled in, with the credentials among them left open.

use crate::compose::interpolate::{self, Braced, Variables};

/// A credential in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    /// What it is called: the variable of the project, or of the container.
    pub name: String,
    /// Its value, as the project has it now.
    pub value: String,
    /// Whether the value goes without it: `${NAME:-}`, or nothing sets it.
    pub may_be_unset: bool,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A text that is no secret.
    Text(String),
    /// A credential.
    Value(Credential),
    /// `${NAME:+...}`: what is there if the credential is.
    Choice(Credential, Vec<Part>),
}

/// `${A:-${B:-...}}` deeper than this is no variable.
const DEEPEST: usize = 64;

/// The parts of a template; neighbours that are texts are one. None if it cannot be read, which the loader has told.
pub(super) fn parts(template: &str, variables: &Variables, is_credential: &dyn Fn(&str) -> bool) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    Reader { variables, is_credential }.read(template, 0, &mut parts)?;
    Some(merged(parts))
}

/// The value that the parts make today.
pub(super) fn resolved(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(credential) => credential.value.clone(),
            Part::Choice(credential, _) if credential.value.is_empty() => String::new(),
            Part::Choice(_, then) => resolved(then),
        })
        .collect()
}

/// Neighbours that are texts as one, empty ones left out.
pub(super) fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::new();
    for part in parts {
        match (merged.last_mut(), part) {
            (_, Part::Text(text)) if text.is_empty() => {}
            (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
            (_, part) => merged.push(part),
        }
    }
    merged
}

struct Reader<'a> {
    variables: &'a Variables,
    is_credential: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn read(&self, template: &str, depth: usize, parts: &mut Vec<Part>) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let text = |text: &str| Part::Text(text.to_owned());
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            parts.push(text(before));
            let after = from.get(1..)?;
            if let Some(after) = after.strip_prefix('$') {
                parts.push(text("$"));
                rest = after;
            } else if let Some(inside) = after.strip_prefix('{') {
                let braced = interpolate::braced(inside).ok()?;
                self.braced(braced, depth, parts)?;
                rest = braced.rest;
            } else {
                let name = interpolate::name(after);
                if name.is_empty() {
                    parts.push(text("$"));
                } else {
                    parts.push(self.plain(name));
                }
                rest = after.get(name.len()..)?;
            }
        }
        parts.push(text(rest));
        Some(())
    }

    fn plain(&self, name: &str) -> Part {
        let value = self.variables.get(name).cloned();
        if (self.is_credential)(name) {
            let may_be_unset = value.is_none();
            Part::Value(Credential { name: name.to_owned(), value: value.unwrap_or_default(), may_be_unset })
        } else {
            Part::Text(value.unwrap_or_default())
        }
    }

    fn braced(&self, braced: Braced<'_>, depth: usize, parts: &mut Vec<Part>) -> Option<()> {
        let Braced { name, operator, argument, .. } = braced;
        let value = self.variables.get(name);
        let empty_counts = !operator.starts_with(':');
        let given = value.filter(|value| empty_counts || !value.is_empty());
        let is_credential = (self.is_credential)(name);
        let inner = || {
            let mut inner = Vec::new();
            self.read(argument, depth + 1, &mut inner)?;
            Some(merged(inner))
        };
        match (operator.trim_start_matches(':'), given) {
            ("", _) => parts.push(self.plain(name)),
            ("-", _) if is_credential => {
                let default = inner()?;
                let may_be_unset = default.is_empty();
                match (given, default.as_slice()) {
                    (Some(value), _) => {
                        parts.push(Part::Value(Credential {
                            name: name.to_owned(),
                            value: value.clone(),
                            may_be_unset,
                        }));
                    }
                    (None, [] | [Part::Text(_)]) => {
                        let value = resolved(&default);
                        parts.push(Part::Value(Credential { name: name.to_owned(), value, may_be_unset }));
                    }
                    (None, _) => parts.extend(default),
                }
            }
            ("+", given) if is_credential => {
                let then = inner()?;
                let credential =
                    Credential { name: name.to_owned(), value: value.cloned().unwrap_or_default(), may_be_unset: true };
                match given {
                    // Set, and empty: `+` counts it as given.
                    Some(value) if value.is_empty() => parts.extend(then),
                    _ => parts.push(Part::Choice(credential, then)),
                }
            }
            ("-", None) | ("+", Some(_)) => parts.extend(inner()?),
            ("+", None) => parts.push(Part::Text(value.cloned().unwrap_or_default())),
            (_, given) if is_credential => parts.push(Part::Value(Credential {
                name: name.to_owned(),
                value: given.cloned().unwrap_or_default(),
                may_be_unset: false,
            })),
            (_, given) => parts.push(Part::Text(given.cloned().unwrap_or_default())),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::interpolate::Filler;

    fn read(template: &str) -> String {
        let variables = Variables::from(
            [("PW", "s3cret"), ("EMPTY_PW", ""), ("HOST", "db"), ("ON", "1")]
                .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        let found = parts(template, &variables, &|name| name.ends_with("PW")).unwrap();
        let lookup = |name: &str| variables.get(name).cloned();
        assert_eq!(resolved(&found), Filler::new(&lookup).fill(template).unwrap(), "{template}");
        shown(&found)
    }

    fn shown(parts: &[Part]) -> String {
        let optional = |credential: &Credential| if credential.may_be_unset { "?" } else { "" };
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Value(it) => format!("<{}{}>", it.name, optional(it)),
                Part::Choice(it, then) => format!("<{}+{}>", it.name, shown(then)),
            })
            .collect()
    }

    #[test]
    fn credentials_are_left_open_and_all_else_is_filled_in() {
        for (template, wanted) in [
            ("${PW}", "<PW>"),
            ("$PW", "<PW>"),
            ("x://app:${PW}@${HOST}/x", "x://app:<PW>@db/x"),
            ("${PW:-}", "<PW?>"),
            ("${PW:-fallback}", "<PW>"),
            ("${NO_PW:-fallback}", "<NO_PW>"),
            ("${NO_PW:-${PW}}", "<PW>"),
            ("${NO_PW-}", "<NO_PW?>"),
            ("${NO_PW}", "<NO_PW?>"),
            ("${EMPTY_PW}", "<EMPTY_PW>"),
            ("${EMPTY_PW:-x}", "<EMPTY_PW>"),
            ("${PW:?say}", "<PW>"),
            ("redis://${PW:+:${PW}@}redis", "redis://<PW+:<PW>@>redis"),
            ("redis://${EMPTY_PW:+:${EMPTY_PW}@}redis", "redis://<EMPTY_PW+:<EMPTY_PW>@>redis"),
            ("${ON:+a ${PW}}", "a <PW>"),
            ("${OFF:+a ${PW}}", ""),
            ("${OFF:-$PW}", "<PW>"),
            ("$$PW $${PW} $", "$PW ${PW} $"),
        ] {
            assert_eq!(read(template), wanted, "{template}");
        }
    }
}
