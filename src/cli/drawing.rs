//! Problems drawn as rustc draws its own: what is wrong, where, the line with carets under it, what to write instead.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::compose::node::At;
use crate::compose::problem::{Problem, Severity, Sources};
use crate::yaml::Lines;

/// What is drawn.
#[derive(Debug)]
pub struct Drawing<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// For `explain`.
    pub code: Option<&'a str>,
    /// What is wrong.
    pub message: &'a str,
    /// The field or path, at the carets.
    pub label: &'a str,
    /// Where; none of what no file says.
    pub at: Option<Spot<'a>>,
    /// Where its other half is: the first of two keys.
    pub other: Option<Spot<'a>>,
    /// What to write instead.
    pub help: &'a str,
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct Spot<'a> {
    /// The file.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Its lines.
    pub lines: &'a Lines,
    /// Bytes from, to; those beyond the text are its end.
    pub at: Range<usize>,
    /// Whether the line may be shown: those of env files hold secrets.
    pub is_shown: bool,
}

/// Excerpts with more bytes are not shown: only the place is.
const LARGEST: usize = 64 << 10;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    coloured: bool,
    columns: usize,
}

impl Pen {
    /// In so many columns.
    pub fn new(coloured: bool, columns: usize) -> Pen {
        Pen { coloured, columns: columns.max(40) }
    }

    /// For a stream: as wide as its terminal.
    pub fn of(coloured: bool, stream: &impl IsTerminal) -> Pen {
        let width = terminal_size::terminal_size().filter(|_| stream.is_terminal());
        Pen::new(coloured, width.map_or(140, |(width, _)| usize::from(width.0)))
    }

    /// The problems of a Compose project, a blank line behind each.
    pub fn problems(self, problems: &[Problem], sources: &Sources) -> String {
        problems.iter().map(|problem| self.problem(problem, sources) + "\n\n").collect()
    }

    /// A problem of a Compose project.
    pub fn problem(self, problem: &Problem, sources: &Sources) -> String {
        let spot = |at: At| {
            let source = sources.get(at.file)?;
            let byte = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
            let (at, is_shown) = (byte(at.start)..byte(at.end), source.is_compose);
            Some(Spot { file: &source.name, text: &source.text, lines: source.lines(), at, is_shown })
        };
        self.draw(&Drawing {
            severity: problem.severity,
            code: Some(problem.code.0),
            message: &problem.message,
            label: &problem.path,
            at: spot(problem.at),
            other: problem.other.and_then(spot),
            help: &problem.help,
        })
    }

    /// Any problem, without a line break at the end.
    pub fn draw(self, problem: &Drawing<'_>) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(shortened(problem.message, 2000));
        let mut group = Group::with_title(match problem.code {
            Some(code) => title.id(code),
            None => title,
        });
        let label = shortened(problem.label, 300);
        let (mut is_labelled, mut rest) = (label.is_empty(), problem.other.as_ref());
        if let Some(spot) = &problem.at {
            let together = rest.and_then(|other| spot.excerpt(&label, Some(other)));
            rest = rest.filter(|_| together.is_none());
            group = match together.or_else(|| spot.excerpt(&label, None)) {
                Some(excerpt) => {
                    is_labelled = true;
                    group.element(excerpt)
                }
                None => group.element(spot.origin()),
            };
        }
        if let Some(other) = rest {
            group = match other.snippet(other.lines_of(None), AnnotationKind::Context, "and here") {
                Some(excerpt) => group.element(excerpt),
                None => group.element(other.origin()),
            };
        }
        if !is_labelled {
            group = group.element(Level::NOTE.message(format!("at {label}")));
        }
        if !problem.help.is_empty() {
            group = group.element(Level::HELP.message(shortened(problem.help, 2000)));
        }
        let renderer = if self.coloured { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(self.columns).render(&[group])
    }
}

impl Spot<'_> {
    fn origin(&self) -> Origin<'static> {
        let (line, column) = self.lines.place(self.text, self.at.start);
        Origin::path(escaped(self.file)).line(line).char_column(column)
    }

    /// Its line, and all to that of `other` if this is in the same file and near.
    fn excerpt(&self, label: &str, other: Option<&Spot<'_>>) -> Option<Snippet<'static, Annotation<'static>>> {
        if other.is_some_and(|other| other.file != self.file) {
            return None;
        }
        let lines = self.lines_of(other);
        let snippet = self.snippet(lines.clone(), AnnotationKind::Primary, label)?;
        let Some(other) = other else { return Some(snippet) };
        Some(snippet.annotation(other.annotation(&lines, AnnotationKind::Context, "and here")))
    }

    /// The first and the last line.
    fn lines_of(&self, other: Option<&Spot<'_>>) -> Range<usize> {
        let line = |spot: &Spot<'_>| self.lines.place(self.text, spot.at.start).0;
        let (own, other) = (line(self), other.map_or(line(self), line));
        own.min(other)..own.max(other)
    }

    fn snippet(
        &self,
        lines: Range<usize>,
        kind: AnnotationKind,
        label: &str,
    ) -> Option<Snippet<'static, Annotation<'static>>> {
        let bytes = self.bytes(&lines);
        if !self.is_shown || bytes.len() > LARGEST {
            return None;
        }
        let text = visible(self.text.get(bytes).unwrap_or_default()).into_owned();
        let annotation = self.annotation(&lines, kind, label);
        Some(Snippet::source(text).line_start(lines.start).path(escaped(self.file)).annotation(annotation))
    }

    fn bytes(&self, lines: &Range<usize>) -> Range<usize> {
        self.lines.bytes(self.text, lines.start).start..self.lines.bytes(self.text, lines.end).end
    }

    /// Where it begins, and no further than its line: not a block of many lines.
    fn annotation(&self, lines: &Range<usize>, kind: AnnotationKind, label: &str) -> Annotation<'static> {
        let window = self.bytes(lines);
        let mut start = self.at.start.min(window.end);
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let rest = self.text.get(start..self.at.end.clamp(start, self.text.len())).unwrap_or_default();
        let length = rest.lines().next().unwrap_or_default().trim_end().len();
        let start = start.saturating_sub(window.start);
        let annotation = kind.span(start..start + length);
        if label.is_empty() { annotation } else { annotation.label(label.to_owned()) }
    }
}

/// Control characters that the renderer lets through, as a dot of the same length.
fn visible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if text.contains(steers) { Cow::Owned(text.replace(steers, "\u{b7}")) } else { Cow::Borrowed(text) }
}

fn shortened(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    escaped(&short)
}

/// Control characters as `\u{1b}`: what a file holds must not steer the terminal.
pub fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
#[path = "drawing_tests.rs"]
mod tests;
