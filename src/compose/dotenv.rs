//! `.env`, `env_file` and `label_file` in the dialect of the reference loader, and its `format: raw`.

use std::collections::BTreeMap;

use super::interpolate::{Filler, Unfit, Variables};

/// What is wrong with an env file: the byte, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where in the text.
    pub at: usize,
    /// What is wrong there, and what to write.
    pub message: String,
}

/// Bytes of all values of a file, variables filled in.
const LARGEST: usize = 4 << 20;

/// Where each variable of a file is set: the byte.
pub type Places = BTreeMap<String, usize>;

/// Adds the variables of `text` to `variables`; later ones win. `lookup` comes before what the files have set so far.
pub fn parse(text: &str, variables: &mut Variables, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Places, Flaw> {
    let mut places = Places::new();
    let mut size = 0;
    let mut rest = text;
    loop {
        rest = statement(rest);
        if rest.is_empty() {
            return Ok(places);
        }
        let here = text.len() - rest.len();
        let flaw = |message: String| Err(Flaw { at: here, message });
        let (name, after, bare) = match name(rest) {
            Ok(found) => found,
            Err(bad) => {
                // Not the whole line: what follows may be a secret.
                return flaw(format!("{bad:?} cannot be in the name of a variable"));
            }
        };
        if name.contains(' ') {
            // A line without a '=' may be a part of a secret.
            let shown = if bare { String::new() } else { format!(": '{name}'") };
            return flaw(format!("the name of a variable has no spaces{shown}"));
        }
        if bare {
            if let Some(value) = lookup(name) {
                places.insert(name.to_owned(), here);
                variables.insert(name.to_owned(), value);
            }
            rest = after;
            continue;
        }
        let Some((raw, fills, after)) = value(after) else {
            return flaw("the quotes of the value are never closed".to_owned());
        };
        let value =
            if fills { fill(&raw, variables, lookup).map_err(|message| Flaw { at: here, message })? } else { raw };
        size += value.len();
        if size > LARGEST {
            return flaw(format!("the values of the file are longer than {} MiB", LARGEST >> 20));
        }
        places.insert(name.to_owned(), here);
        variables.insert(name.to_owned(), value);
        rest = after;
    }
}

/// Adds the variables of a file with `format: raw`: lines of `NAME=value`, nothing quoted, nothing filled in; a bare name is looked up.
pub fn parse_raw(
    text: &str,
    variables: &mut Variables,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Places, Flaw> {
    let mut places = Places::new();
    let mut at = 0;
    for line in text.split('\n') {
        let here = at;
        at += line.len() + 1;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        if name.is_empty() {
            return Err(Flaw { at: here, message: "there is no name before the '='".to_owned() });
        }
        if name.contains([' ', '\t']) {
            let shown = if value.is_some() { format!(": {name:?}") } else { String::new() };
            let message = format!("the name of a variable has no spaces in 'format: raw'{shown}");
            return Err(Flaw { at: here, message });
        }
        if let Some(value) = value.map(str::to_owned).or_else(|| lookup(name)) {
            places.insert(name.to_owned(), here);
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(places)
}

fn fill(text: &str, variables: &Variables, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let all = |name: &str| lookup(name).or_else(|| variables.get(name).cloned());
    Filler::new(&all).fill(text).map_err(|unfit| match unfit {
        Unfit::Template => "'${' begins no variable; write '$$' for a plain '$'".to_owned(),
        Unfit::TooLong => "its variables make the value too long".to_owned(),
        Unfit::Required(name, why) if why.is_empty() => format!("the variable {name} has no value"),
        Unfit::Required(name, why) => format!("the variable {name} has no value: {why}"),
    })
}

/// Where the next statement begins, blank lines and comments skipped.
fn statement(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if !text.starts_with('#') {
            return text;
        }
        text = text.find('\n').and_then(|end| text.get(end..)).unwrap_or_default();
    }
}

/// A name, what follows its `=` or `:`, and whether it stands alone in its line.
fn name(text: &str) -> Result<(&str, &str, bool), char> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with(|c: char| c.is_ascii_whitespace() && c != '\u{b}') => {
            after.trim_start_matches(is_blank)
        }
        _ => text,
    };
    for (at, c) in text.char_indices() {
        match c {
            '=' | ':' | '\n' => {
                let (name, after) = text.split_at(at);
                let after = after.get(1..).unwrap_or_default().trim_start_matches(is_blank);
                return Ok((name.trim_end(), after, c == '\n'));
            }
            '_' | '.' | '-' | '[' | ']' => {}
            c if is_blank(c) || c.is_alphanumeric() => {}
            c => return Err(c),
        }
    }
    Ok((text.trim_end(), "", true))
}

/// A value, whether variables in it are filled in, and what follows it.
fn value(text: &str) -> Option<(String, bool, &str)> {
    let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '\'' | '"')) else {
        let (line, after) = text.split_once('\n').unwrap_or((text, ""));
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        return Some((value.to_owned(), true, after));
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote {
            if !escaped {
                let value = if quote == '"' { escapes(&value) } else { value };
                return Some((value, quote == '"', text.get(at + 1..).unwrap_or_default()));
            }
            escaped = false;
            value.push(c);
        } else if !escaped && c == '\\' {
            escaped = true;
        } else {
            if escaped {
                escaped = false;
                value.push('\\');
            }
            value.push(c);
        }
    }
    None
}

/// Escapes of double quotes: `\n` and the like, `\0` with three digits, and `\$` for a plain dollar. Any other stays.
fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        let mut used = 1;
        match after.chars().next() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some('"') => out.push('"'),
            Some('\\') => out.push('\\'),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let digits = after.get(1..).unwrap_or_default();
                let end = digits.bytes().take(3).take_while(u8::is_ascii_digit).count();
                let digits = digits.get(..end).unwrap_or_default();
                used += end;
                let code = u32::from_str_radix(digits, 8).ok().filter(|code| end == 3 && *code < 256);
                match code.and_then(char::from_u32) {
                    Some(c) => out.push(c),
                    None => {
                        out.push('\\');
                        out.push_str(digits);
                    }
                }
            }
            _ => {
                out.push('\\');
                used = 0;
            }
        }
        rest = after.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// White space but for the line break.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let mut variables = Variables::new();
        parse(text, &mut variables, &|name| (name == "HOME").then(|| "/root".to_owned())).unwrap();
        variables.into_iter().collect()
    }

    fn flaw(text: &str) -> String {
        parse(text, &mut Variables::new(), &|_| None).unwrap_err().message
    }

    #[test]
    fn values_are_read_as_the_reference_reads_them() {
        for (text, value) in [
            ("A=1", "1"),
            ("export A=1", "1"),
            ("A: yes", "yes"),
            ("A = 1 # no", "1"),
            ("A=1#yes", "1#yes"),
            ("A= # kept", "# kept"),
            ("A='$HOME\\n'", "$HOME\\n"),
            ("A=\"$HOME\\n\\$x\"", "/root\n$x"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=${NO:-x} ", "x"),
            ("A='it\\'s'", "it's"),
            ("A=\"\\0101\"", "A"),
            ("\n# c\n\nA=\r\n", ""),
            ("HOME\nA=$HOME", "/root"),
        ] {
            let found = parsed(text).into_iter().find(|(name, _)| name == "A").unwrap();
            assert_eq!(found.1, value, "{text:?}");
        }
        assert_eq!(parsed("HOME\nNO\n").len(), 1);
        assert_eq!(parsed("A=\"x\" B=y\n").len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        assert!(flaw("A B=1").contains("no spaces"));
        assert!(flaw("A!=1").contains("'!' cannot"));
        assert!(flaw("A=\"x").contains("never closed"));
        assert!(flaw("A=${").contains("begins no variable"));
        let error = parse("X=1\n\n  B C=1\n", &mut Variables::new(), &|_| None).unwrap_err();
        assert_eq!(error.at, 7);
    }

    #[test]
    fn raw_is_raw() {
        let mut variables = Variables::new();
        parse_raw("# c\nA='$B' # x \nHOME\n", &mut variables, &|_| Some("h".to_owned())).unwrap();
        assert_eq!(variables["A"], "'$B' # x ");
        assert_eq!(variables["HOME"], "h");
        for bad in ["A: v\n=", "export A=1", "=x"] {
            assert!(parse_raw(bad, &mut variables, &|_| None).is_err(), "{bad}");
        }
    }
}
