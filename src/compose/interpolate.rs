//! `$NAME` and `${NAME...}` in values, as the reference loader reads them.
//!
//! It finds them with a regular expression whose braces are greedy up to the end of a line and then cuts at the brace that balances; a brace
//! that is not closed in its line is an error, a `$` before anything else stays.

use std::collections::BTreeMap;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Why a text cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// `${` that begins no variable.
    Template,
    /// A variable that must have a value: its name, and what the file says about it.
    Required(String, String),
    /// More than [`LONGEST`] bytes.
    TooLong,
}

/// Bytes of a value once its variables are filled in: one that holds another ten times, and so on, grows without end.
pub const LONGEST: usize = 1 << 20;

/// Looks variables up and notes those without a value or default.
pub struct Filler<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Variables that were blank because nothing sets them.
    pub unset: Vec<String>,
    /// Variables whose values were looked up, and these.
    pub used: Variables,
    depth: usize,
    room: usize,
}

/// `${A:-${B:-...}}` deeper than this is no variable.
const DEEPEST: usize = 64;

impl<'a> Filler<'a> {
    /// With the variables that `lookup` knows.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Filler { lookup, unset: Vec::new(), used: Variables::new(), depth: 0, room: LONGEST }
    }

    /// `text` with its variables filled in.
    pub fn fill(&mut self, text: &str) -> Result<String, Unfit> {
        if self.depth > DEEPEST {
            return Err(Unfit::Template);
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            let after = from.get(1..).unwrap_or_default();
            if let Some(after) = after.strip_prefix('$') {
                filled.push('$');
                rest = after;
            } else if let Some(inside) = after.strip_prefix('{') {
                rest = self.braced(inside, &mut filled)?;
            } else {
                let name = name(after);
                if name.is_empty() {
                    filled.push('$');
                } else {
                    let value = self.plain(name);
                    self.push(&mut filled, &value)?;
                }
                rest = after.get(name.len()..).unwrap_or_default();
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// After `${`: fills in the variable and says where the text goes on.
    fn braced<'t>(&mut self, inside: &'t str, filled: &mut String) -> Result<&'t str, Unfit> {
        let Braced { name, operator, argument, rest } = braced(inside)?;
        let value = if operator.is_empty() {
            self.plain(name)
        } else {
            self.depth += 1;
            let value = self.operate(name, operator, argument);
            self.depth -= 1;
            value?
        };
        self.push(filled, &value)?;
        Ok(rest)
    }

    fn push(&mut self, filled: &mut String, value: &str) -> Result<(), Unfit> {
        self.room = self.room.checked_sub(value.len()).ok_or(Unfit::TooLong)?;
        filled.push_str(value);
        Ok(())
    }

    fn operate(&mut self, name: &str, operator: &str, argument: &str) -> Result<String, Unfit> {
        let value = self.look_up(name);
        let empty_counts = !operator.starts_with(':');
        let given = value.clone().filter(|value| empty_counts || !value.is_empty());
        match operator.trim_start_matches(':') {
            "-" => given.map_or_else(|| self.fill(argument), Ok),
            "+" if given.is_some() => self.fill(argument),
            "+" => Ok(value.unwrap_or_default()),
            _ => match given {
                Some(value) => Ok(value),
                None => Err(Unfit::Required(name.to_owned(), self.fill(argument)?)),
            },
        }
    }

    fn plain(&mut self, name: &str) -> String {
        self.look_up(name).unwrap_or_else(|| {
            self.unset.push(name.to_owned());
            String::new()
        })
    }

    fn look_up(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        self.used.insert(name.to_owned(), value.clone());
        Some(value)
    }
}

/// A variable in braces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Braced<'t> {
    /// Its name.
    pub name: &'t str,
    /// `:-` and the like; nothing for the variable alone.
    pub operator: &'t str,
    /// What stands behind the operator.
    pub argument: &'t str,
    /// What stands behind the closing brace.
    pub rest: &'t str,
}

/// Reads what stands behind `${`.
pub(super) fn braced(inside: &str) -> Result<Braced<'_>, Unfit> {
    let name = name(inside);
    let tail = inside.get(name.len()..).unwrap_or_default();
    if name.is_empty() {
        return Err(Unfit::Template);
    }
    if let Some(rest) = tail.strip_prefix('}') {
        return Ok(Braced { name, operator: "", argument: "", rest });
    }
    let (operator, argument) = operator(tail).ok_or(Unfit::Template)?;
    let line = argument.split('\n').next().unwrap_or_default();
    let last = line.rfind('}').ok_or(Unfit::Template)?;
    // The name stands behind one brace already.
    let end = balanced(line.get(..=last).unwrap_or_default()).unwrap_or(last);
    let rest = argument.get(end + 1..).unwrap_or_default();
    Ok(Braced { name, operator, argument: argument.get(..end).unwrap_or_default(), rest })
}

/// The name at the start of a text.
pub(super) fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let name = text.get(..end).unwrap_or_default();
    if name.starts_with(|c: char| c.is_ascii_digit()) { "" } else { name }
}

fn operator(text: &str) -> Option<(&str, &str)> {
    [":-", ":?", ":+", "-", "?", "+"]
        .iter()
        .find(|operator| text.starts_with(**operator))
        .map(|o| text.split_at(o.len()))
}

/// The closing brace that balances the one before the text. As in the reference, the byte after an opening brace never counts.
fn balanced(text: &str) -> Option<usize> {
    let mut open = 1;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                bytes.next();
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Unfit> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Filler::new(&lookup).fill(text)
    }

    #[test]
    fn all_operators_nest_and_dollars_escape() {
        for (text, value) in [
            ("$A-${A}", "a-a"),
            ("$$A $ $5 a$", "$A $ $5 a$"),
            ("${EMPTY:-x}${EMPTY-x}${NO-x}", "xx"),
            ("${A:+y}${EMPTY:+y}${EMPTY+y}${NO+y}", "yy"),
            ("${NO:-${A:-${NO}}}!", "a!"),
            ("${A:?need it}${EMPTY?}", "a"),
            ("${NO:-{\"x\":1}} ${A}", "{\"x\":1} a"),
            ("${NO:-a} and ${NO:-b}", "a and b"),
            ("${NO:-$$x}", "$x"),
            ("ü$A", "üa"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn malformed_ones_and_missing_ones_are_errors() {
        for text in ["${", "${A", "${ A}", "${A:-x", "${A!}", "${}", "${A:-x\n}", "x ${1}"] {
            assert_eq!(filled(text), Err(Unfit::Template), "{text}");
        }
        assert_eq!(filled("${EMPTY:?no $A}"), Err(Unfit::Required("EMPTY".into(), "no a".into())));
        assert_eq!(filled("${NO?}"), Err(Unfit::Required("NO".into(), String::new())));
        assert_eq!(filled(&"${NO:-".repeat(10_000)), Err(Unfit::Template));
        assert_eq!(filled(&"$A".repeat(2 << 20)), Err(Unfit::TooLong));
    }

    #[test]
    fn blank_variables_are_noted() {
        let lookup = |_: &str| None;
        let mut filler = Filler::new(&lookup);
        filler.fill("$A ${B} ${C:-c} ${D:+d}").unwrap();
        assert_eq!(filler.unset, ["A", "B"]);
    }
}
