//! Command lines whose credentials a shell takes from variables of the container: `exec server --password "$NAME"`.

use super::template::{Credential, Part};
use crate::compose::words;

/// What the variable with a credential is called in the container.
pub(super) type Called<'c> = dyn Fn(&Credential) -> String + 'c;

/// The words of a command that is one text, as the loader splits it. None if it cannot be split.
pub(super) fn split(parts: &[Part]) -> Option<Vec<Vec<Part>>> {
    // Credentials are single letters that no text has, so that a value changes nothing about the words.
    let mut line = String::new();
    for (number, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text) if text.chars().any(|c| number_of(c).is_some()) => return None,
            Part::Text(text) => line.push_str(text),
            _ => line.push(char::from_u32(FIRST + u32::try_from(number).ok()?).filter(|c| number_of(*c).is_some())?),
        }
    }
    let words = words::split(&line).ok()?;
    let of = |word: String| {
        let mut found = Vec::new();
        let mut text = String::new();
        for c in word.chars() {
            match number_of(c).and_then(|number| parts.get(number)) {
                Some(part) => {
                    found.push(Part::Text(std::mem::take(&mut text)));
                    found.push(part.clone());
                }
                None => text.push(c),
            }
        }
        found.push(Part::Text(text));
        super::template::merged(found)
    };
    Some(words.into_iter().map(of).collect())
}

/// The first letter for private use of a plane that fonts leave alone.
const FIRST: u32 = 0xF_0000;

fn number_of(c: char) -> Option<usize> {
    usize::try_from(u32::from(c).checked_sub(FIRST)?).ok().filter(|number| *number < 0xFFFE)
}

/// Whether a word has a credential in it.
pub(super) fn is_secret(parts: &[Part]) -> bool {
    parts.iter().any(|part| !matches!(part, Part::Text(_)))
}

/// A line for `sh` that becomes the program. None if a part of it cannot be split.
pub(super) fn exec(words: &[Vec<Part>], called: &Called<'_>) -> Option<String> {
    Some(format!("exec {}", line(words, called)?))
}

fn line(words: &[Vec<Part>], called: &Called<'_>) -> Option<String> {
    let words: Option<Vec<String>> = words.iter().map(|parts| word(parts, called)).collect();
    Some(words?.join(" "))
}

fn word(parts: &[Part], called: &Called<'_>) -> Option<String> {
    match parts {
        [] => return Some("''".to_owned()),
        // Not in quotes: it is no word at all where there is no credential.
        [Part::Choice(credential, then)] => {
            return Some(format!("${{{}:+{}}}", called(credential), line(&split(then)?, called)?));
        }
        _ => {}
    }
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => quoted(text),
        Part::Value(credential) => format!("\"${}\"", called(credential)),
        Part::Choice(credential, then) => format!("\"${{{}:+{}}}\"", called(credential), within(then, true, called)),
    });
    // `--a="$B"`, and `"$A""$B"`.
    Some(parts.collect())
}

/// A text as the shell takes it literally.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Parts inside double quotes; `escaped`: their texts are no part of a script yet.
fn within(parts: &[Part], escaped: bool, called: &Called<'_>) -> String {
    let text = |text: &str| {
        let escape = |c: char| if escaped && "\\\"$`".contains(c) { format!("\\{c}") } else { c.to_string() };
        text.chars().map(escape).collect::<String>()
    };
    let parts = parts.iter().map(|part| match part {
        Part::Text(it) => text(it),
        Part::Value(credential) => format!("${{{}}}", called(credential)),
        Part::Choice(credential, then) => format!("${{{}:+{}}}", called(credential), within(then, escaped, called)),
    });
    parts.collect()
}

/// A script in which credentials stand: each becomes a variable, in the quotes that its place asks for. None for a script with a here-document,
/// where quotes mean nothing.
pub(super) fn script(parts: &[Part], called: &Called<'_>) -> Option<String> {
    let mut state = State::default();
    let mut script = String::new();
    for part in parts {
        match part {
            Part::Text(text) => {
                state.read(text)?;
                script.push_str(text);
            }
            Part::Value(credential) => {
                let name = called(credential);
                script += &match state.place() {
                    Place::Plain => format!("\"${name}\""),
                    Place::Double => format!("${{{name}}}"),
                    Place::Single => format!("'\"${name}\"'"),
                    Place::Comment => name,
                };
                state.before = 'x';
            }
            Part::Choice(credential, then) => {
                let name = called(credential);
                script += &match state.place() {
                    Place::Plain => format!("${{{name}:+{}}}", self::script(then, called)?),
                    Place::Double => format!("${{{name}:+{}}}", within(then, false, called)),
                    Place::Single => format!("'\"${{{name}:+{}}}\"'", within(then, true, called)),
                    Place::Comment => name,
                };
                state.before = 'x';
            }
        }
    }
    Some(script)
}

/// Where in a script a credential stands.
enum Place {
    Plain,
    Double,
    Single,
    Comment,
}

/// What is open at a place of a script.
#[derive(Default)]
struct State {
    /// `"`, `(` and `` ` ``, the innermost last.
    open: Vec<char>,
    single: bool,
    comment: bool,
    escaped: bool,
    before: char,
}

impl State {
    fn place(&self) -> Place {
        match self.open.last() {
            _ if self.comment => Place::Comment,
            _ if self.single => Place::Single,
            Some('"') => Place::Double,
            _ => Place::Plain,
        }
    }

    fn read(&mut self, text: &str) -> Option<()> {
        for c in text.chars() {
            let before = std::mem::replace(&mut self.before, c);
            let in_double = self.open.last() == Some(&'"');
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match c {
                '\n' => self.comment = false,
                _ if self.comment => {}
                '\'' if self.single => self.single = false,
                _ if self.single => {}
                '\\' => self.escaped = true,
                '\'' if !in_double => self.single = true,
                '"' if in_double => drop(self.open.pop()),
                '"' => self.open.push('"'),
                '`' if self.open.contains(&'`') => while self.open.pop().is_some_and(|open| open != '`') {},
                '`' => self.open.push('`'),
                '(' if !in_double || before == '$' => self.open.push('('),
                ')' if self.open.last() == Some(&'(') => drop(self.open.pop()),
                '#' if !in_double && (before == '\0' || before.is_whitespace() || ";&|(".contains(before)) => {
                    self.comment = true;
                }
                '<' if !in_double && before == '<' => return None,
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::interpolate::Variables;
    use crate::compose::mapping::template;

    fn parts(template: &str) -> Vec<Part> {
        let variables = Variables::from([("PW".to_owned(), "it's \"$(x)\" a b".to_owned())]);
        template::parts(template, &variables, &|name| name == "PW").unwrap()
    }

    fn called(credential: &Credential) -> String {
        credential.name.clone()
    }

    #[test]
    fn commands_take_credentials_from_variables() {
        for (line, wanted) in [
            ("redis-server --requirepass ${PW}", "exec redis-server --requirepass \"$PW\""),
            ("a --password=${PW} 'b c' ''", "exec a --password=\"$PW\" 'b c' ''"),
            (
                "redis-server --appendonly yes ${PW:+--requirepass ${PW}}",
                "exec redis-server --appendonly yes ${PW:+--requirepass \"$PW\"}",
            ),
            ("a u:${PW}@h \"it's\"", "exec a u:\"$PW\"@h 'it'\\''s'"),
            ("a --x=${PW:+b ${PW}}", "exec a --x=\"${PW:+b ${PW}}\""),
        ] {
            assert_eq!(exec(&split(&parts(line)).unwrap(), &called).unwrap(), wanted, "{line}");
        }
    }

    #[test]
    fn scripts_take_credentials_from_variables_in_the_quotes_of_the_place() {
        for (text, wanted) in [
            ("redis-cli -a ${PW} ping", "redis-cli -a \"$PW\" ping"),
            ("redis-cli -a \"${PW}\" ping", "redis-cli -a \"${PW}\" ping"),
            ("redis-cli -a '${PW}' ping", "redis-cli -a ''\"$PW\"'' ping"),
            ("psql -c \"alter user x password '${PW}'\"", "psql -c \"alter user x password '${PW}'\""),
            ("a \"$$(b '${PW}')\"", "a \"$(b ''\"$PW\"'')\""),
            ("a ${PW:+--no-auth-warning -a ${PW}} ping", "a ${PW:+--no-auth-warning -a \"$PW\"} ping"),
            ("a # don't\nb ${PW}", "a # don't\nb \"$PW\""),
            ("a \\\" ${PW}", "a \\\" \"$PW\""),
        ] {
            assert_eq!(script(&parts(text), &called).unwrap(), wanted, "{text}");
        }
        assert_eq!(script(&parts("cat <<EOF\n${PW}\nEOF"), &called), None);
    }

    #[test]
    fn the_shell_sees_the_words_that_compose_would_have_run() {
        let run = |line: &str, value: &str| {
            let mut sh = std::process::Command::new("sh");
            let out = sh.args(["-c", line]).env("PW", value).output().unwrap();
            String::from_utf8(out.stdout).unwrap()
        };
        for (line, value, wanted) in [
            ("printf '[%s]' a ${PW} 'b c'", "x $y 'z\"", "[a][x $y 'z\"][b c]"),
            ("printf '[%s]' ${PW:+--pass ${PW}} c", "x y", "[--pass][x y][c]"),
            ("printf '[%s]' ${PW:+--pass ${PW}} c", "", "[c]"),
            ("printf '[%s]' u=${PW:+:${PW}@}h", "p*", "[u=:p*@h]"),
        ] {
            assert_eq!(run(&exec(&split(&parts(line)).unwrap(), &called).unwrap(), value), wanted, "{line}");
            if !line.contains(":+:") {
                assert_eq!(run(&script(&parts(line), &called).unwrap(), value), wanted, "{line}");
            }
        }
    }
}
