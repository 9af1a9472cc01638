//! How pictures in text look: colours, widths, signs and ages. Pure but for asking the terminal.

use std::io::IsTerminal as _;

use k8s_openapi::jiff::Timestamp;

use crate::api::ServiceState;

/// How a picture is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Lines are cut at so many columns; none where nobody draws over them.
    pub columns: Option<usize>,
    /// With colours.
    pub colour: bool,
}

impl Look {
    /// For standard output, and what the environment says of colours.
    pub fn of_stdout() -> Look {
        let terminal = std::io::stdout().is_terminal();
        let columns =
            terminal.then(|| terminal_size::terminal_size().map_or(120, |(width, _)| usize::from(width.0).max(20)));
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let colour = is_coloured(terminal, variable("NO_COLOR").as_deref(), variable("CLICOLOR_FORCE").as_deref());
        Look { columns, colour }
    }

    /// A line of at most so many columns.
    pub fn cut(self, line: &str) -> String {
        match self.columns {
            Some(columns) if line.chars().count() > columns => {
                line.chars().take(columns.saturating_sub(1)).chain(['\u{2026}']).collect()
            }
            _ => line.to_owned(),
        }
    }

    /// A line with its first `word` in the colour of the state.
    pub fn paint(self, line: &str, word: &str, state: ServiceState) -> String {
        let colour = match state {
            _ if !self.colour || word.is_empty() => return line.to_owned(),
            ServiceState::Ready | ServiceState::Completed => "32",
            ServiceState::Failed | ServiceState::Degraded | ServiceState::RolledBack => "31",
            ServiceState::Progressing | ServiceState::Pending => "33",
            _ => return line.to_owned(),
        };
        line.replacen(word, &format!("\x1b[{colour}m{word}\x1b[0m"), 1)
    }
}

/// <https://no-color.org> and <https://bixense.com/clicolors>: what forbids colours wins.
fn is_coloured(terminal: bool, forbidden: Option<&str>, forced: Option<&str>) -> bool {
    let said = |value: Option<&str>| value.is_some_and(|value| !value.is_empty());
    !said(forbidden) && (terminal || (said(forced) && forced != Some("0")))
}

/// A sign that tells states apart where colours do not.
pub const fn sign(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Ready | ServiceState::Completed => "\u{2714}",
        ServiceState::Progressing => "\u{25d0}",
        ServiceState::Failed => "\u{2716}",
        ServiceState::Degraded | ServiceState::RolledBack => "!",
        ServiceState::Stopped => "\u{25a0}",
        _ => "\u{25cb}",
    }
}

/// How long ago, as kubectl writes ages: `45s`, `5m30s`, `3h`, `12d`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

/// In one line, whatever the words of others are made of.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Rows in kubectl's style, each column as wide as its widest cell; the last one is as it is.
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let cells = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..cells).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_told_otherwise() {
        for (terminal, forbidden, forced, expected) in [
            (true, None, None, true),
            (false, None, None, false),
            (true, Some("1"), None, false),
            (true, Some(""), None, true),
            (false, None, Some("1"), true),
            (false, None, Some("0"), false),
            (false, Some("1"), Some("1"), false),
        ] {
            assert_eq!(is_coloured(terminal, forbidden, forced), expected, "{terminal} {forbidden:?} {forced:?}");
        }
    }

    #[test]
    fn ages_read_as_in_kubectl() {
        let since = Timestamp::from_second(1_700_000_000).unwrap();
        for (seconds, expected) in [
            (-3, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (601, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(since, Timestamp::from_second(1_700_000_000 + seconds).unwrap()), expected);
        }
    }
}
