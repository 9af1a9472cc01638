//! A line of a log, and how it looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::source::Source;

/// Colours of services, in turn: those that are read on light and dark.
const COLOURS: [&str; 8] = ["36", "33", "32", "35", "34", "96", "93", "92"];

/// A line, and who has said it when.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) source: Arc<Source>,
    /// As it was written, whatever its bytes are.
    pub(super) text: Vec<u8>,
}

/// Time and text of a line, as the API server gives it when it is asked for times.
pub(super) fn parse(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let at = std::str::from_utf8(line.get(..space)?).ok()?.parse().ok()?;
    Some((at, line.get(space + 1..).unwrap_or_default()))
}

/// How lines look.
#[derive(Clone, Debug)]
pub(super) struct Style {
    colours: Option<BTreeMap<String, &'static str>>,
    prefix: bool,
    times: bool,
    width: usize,
}

impl Style {
    /// Each service keeps its colour, whichever of them are shown.
    pub(super) fn new(services: &[String], coloured: bool, prefix: bool, times: bool) -> Self {
        let colours = services.iter().cloned().zip(COLOURS.into_iter().cycle()).collect();
        Style { colours: coloured.then_some(colours), prefix, times, width: 0 }
    }

    /// Makes room for the names of these.
    pub(super) fn knows<'a>(&mut self, sources: impl IntoIterator<Item = &'a Source>) {
        let widths = sources.into_iter().map(|source| source.label().chars().count());
        self.width = widths.chain([self.width]).max().unwrap_or(0);
    }

    /// The line with its end.
    pub(super) fn show(&self, line: &Line) -> Vec<u8> {
        let mut shown = Vec::new();
        if self.prefix {
            let prefix = format!("{:width$} |", line.source.label(), width = self.width);
            let colour = self.colours.as_ref().and_then(|colours| colours.get(&line.source.service));
            let painted = colour.map_or_else(|| prefix.clone(), |code| format!("\x1b[{code}m{prefix}\x1b[0m"));
            shown.extend(painted.bytes().chain([b' ']));
        }
        if self.times {
            shown.extend(format!("{} ", line.at).bytes());
        }
        shown.extend(&line.text);
        shown.push(b'\n');
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(service: &str, pod: &str, container: &str) -> Source {
        Source {
            uid: pod.into(),
            pod: format!("shop-{service}-{pod}"),
            service: service.into(),
            suffix: pod.into(),
            container: container.into(),
            own: container == service,
            restarts: 0,
        }
    }

    #[test]
    fn a_line_says_who_said_it_and_its_bytes_stay_as_they_are() {
        let text = |line: &[u8]| parse(line).map(|(at, text)| (at.to_string(), text.to_vec()));
        let at = "2026-01-02T15:04:05.123456789Z";
        assert_eq!(text(format!("{at}  two spaces ").as_bytes()), Some((at.into(), b" two spaces ".to_vec())));
        assert_eq!(text(format!("{at} ").as_bytes()), Some((at.into(), Vec::new())));
        assert_eq!(text(b"no time"), None);

        let services = ["db".to_owned(), "web".to_owned()];
        let (web, seed) = (source("web", "x2x4z", "web"), source("web", "x2x4z", "seed-0"));
        let line = |source: &Source| Line {
            at: at.parse().unwrap(),
            source: Arc::new(source.clone()),
            text: b"\xff!".to_vec(),
        };
        let mut style = Style::new(&services, false, true, false);
        style.knows([&web, &seed]);
        let shown = |source: &Source| style.show(&line(source));
        assert_eq!(shown(&web), b"web/x2x4z         | \xff!\n");
        assert_eq!(shown(&seed), b"web/x2x4z[seed-0] | \xff!\n");
        let coloured = Style::new(&services, true, true, false).show(&line(&web));
        assert!(coloured.starts_with(b"\x1b[33mweb/x2x4z |\x1b[0m "), "its place among all services tells the colour");
        let bare = Style::new(&services, true, false, true).show(&line(&web));
        assert_eq!(bare, [at.as_bytes(), b" \xff!\n"].concat());
    }
}
