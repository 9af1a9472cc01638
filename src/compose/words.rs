//! A command line as words, without a shell.
//!
//! Not a library of POSIX words: the reference loader's (go-shellwords) reads `\n` and `\t` as line break and tab, keeps `$(...)` and
//! backquotes together, and stops without a word at an operator of the shell; the last is an error here.

/// Why a line gives no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Quotes or parentheses that do not fit.
    Unbalanced,
    /// An operator of the shell: Compose drops it and all that follows.
    Operator(char),
}

/// The words of a line.
pub fn split(line: &str) -> Result<Vec<String>, Unfit> {
    let mut words = Words::default();
    for c in line.chars() {
        words.take(c)?;
    }
    words.end();
    let open = words.escaped || words.single || words.double || words.back || words.dollar;
    if open { Err(Unfit::Unbalanced) } else { Ok(words.done) }
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // each is on or off beside the others
struct Words {
    done: Vec<String>,
    word: String,
    /// The word exists although it may be empty: `''`.
    quoted: bool,
    escaped: bool,
    single: bool,
    double: bool,
    back: bool,
    dollar: bool,
}

impl Words {
    fn take(&mut self, c: char) -> Result<(), Unfit> {
        if self.escaped {
            self.escaped = false;
            if self.back || self.dollar {
                self.word.push('\\');
                self.word.push(c);
            } else {
                self.word.push(match c {
                    't' => '\t',
                    'n' => '\n',
                    c => c,
                });
            }
            return Ok(());
        }
        let quoted = self.single || self.double;
        match c {
            '\\' if self.single => self.word.push('\\'),
            '\\' => self.escaped = true,
            ' ' | '\t' | '\r' | '\n' if quoted || self.back || self.dollar => self.word.push(c),
            ' ' | '\t' | '\r' | '\n' => self.end(),
            '`' => {
                if !quoted && !self.dollar {
                    self.back = !self.back;
                }
                self.word.push(c);
            }
            ')' if !quoted && !self.back => {
                if !self.dollar {
                    return Err(Unfit::Unbalanced);
                }
                self.dollar = false;
                self.word.push(c);
            }
            '(' if !quoted && !self.back => {
                let opens = self.word.ends_with('$') && !self.word.ends_with("\\$");
                if self.dollar || !opens {
                    return Err(Unfit::Unbalanced);
                }
                self.dollar = true;
                self.word.push(c);
            }
            '"' if !self.single && !self.dollar && !self.back => {
                self.quoted |= self.double;
                self.double = !self.double;
            }
            '\'' if !self.double && !self.dollar && !self.back => {
                self.quoted |= self.single;
                self.single = !self.single;
            }
            ';' | '&' | '|' | '<' | '>' if !quoted && !self.back && !self.dollar => return Err(Unfit::Operator(c)),
            c => self.word.push(c),
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.quoted || !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
        self.quoted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_the_reference_splits_them() {
        for (line, words) in [
            ("a b  c", vec!["a", "b", "c"]),
            ("echo \"a b\" 'c d'", vec!["echo", "a b", "c d"]),
            ("a\\ b", vec!["a b"]),
            ("echo \"a\\nb\"", vec!["echo", "a\nb"]),
            ("echo '' x", vec!["echo", "", "x"]),
            ("echo $(date +%s) x", vec!["echo", "$(date +%s)", "x"]),
            ("a=\"b\"c", vec!["a=bc"]),
            ("x '\"' \"'\"", vec!["x", "\"", "'"]),
            ("", vec![]),
            ("sh -c 'a && b; c'", vec!["sh", "-c", "a && b; c"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn operators_and_open_quotes_are_errors() {
        assert_eq!(split("a && b"), Err(Unfit::Operator('&')));
        assert_eq!(split("a > b"), Err(Unfit::Operator('>')));
        for line in ["\"a", "'a", "a\\", "(a)", "a)", "$(a"] {
            assert_eq!(split(line), Err(Unfit::Unbalanced), "{line}");
        }
    }
}
