//! `appstack explain CODE`: what a code means, an example, and what to write instead.

use std::process::ExitCode;

use super::answer;
use crate::compose::code::{Page, pages};

/// Say more about a problem of a Compose file: what it means, an example, and what to write instead.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The code in brackets of a message, as C0301; without one, all codes are listed.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// Runs the command. 0: explained; 2: there is no such code.
pub fn run(args: &Args) -> ExitCode {
    let Some(code) = &args.code else {
        let lines = pages().map(|page| format!("{}   {}\n", page.code, page.title));
        return answer(&lines.collect::<String>());
    };
    if let Some(page) = pages().find(|page| page.code.eq_ignore_ascii_case(code)) {
        return answer(&shown(&page));
    }
    eprintln!("error: there is no code '{}'; `appstack explain` lists all", code.escape_default());
    ExitCode::from(2)
}

/// For a terminal: examples indented instead of fenced.
fn shown(page: &Page) -> String {
    let mut text = format!("{}: {}\n\n", page.code, page.title);
    let mut inside = false;
    for line in page.text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside;
            if let Some((_, file)) = info.split_once(' ') {
                text.push_str(&format!("    # {file}\n"));
            }
            continue;
        }
        let indent = if inside && !line.is_empty() { "    " } else { "" };
        text.push_str(&format!("{indent}{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_text_for_a_terminal() {
        let text = "It is so.\n\n```yaml\na:\n\n  b: 1\n```\n\nWrite instead:\n\n```sh .env\nA=1\n```";
        let page = Page { code: "X1", title: "So", text };
        assert_eq!(
            shown(&page),
            "X1: So\n\nIt is so.\n\n    a:\n\n      b: 1\n\nWrite instead:\n\n    # .env\n    A=1\n"
        );
    }
}
