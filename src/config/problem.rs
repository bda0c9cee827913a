//! What is wrong with the settings file, and how it is told: file, line, column, the line with a caret, and what to
//! write instead.

use std::fmt;
use std::io;
use std::ops::Range;

use serde::Serialize;

/// A problem as the reader finds it, by byte positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub span: Range<usize>,
    pub message: String,
    pub advice: String,
    /// Something is missing: not worth telling while the text itself cannot be understood.
    pub missing: bool,
}

/// One problem, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `None` when the whole file is meant.
    pub position: Option<Position>,
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

/// A place in the file; line and column (in characters) count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    /// How many characters of the line are meant.
    pub width: usize,
    /// The line, cut when it is very long; empty when it may hold a private key.
    pub excerpt: String,
}

/// Everything that is wrong with one settings file, in the order of the file. Its `Display` is the whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigErrors {
    pub file: String,
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigErrors {}

/// The longest excerpt; longer lines are cut.
const EXCERPT: usize = 160;

impl ConfigErrors {
    pub(crate) fn new(file: &str, text: &str, mut faults: Vec<Fault>) -> ConfigErrors {
        faults.sort_by_key(|fault| (fault.missing, fault.span.start));
        let problems = faults.into_iter().map(|fault| Problem {
            position: (!text.is_empty() && !fault.missing).then(|| Position::of(text, &fault.span)),
            message: fault.message,
            advice: fault.advice,
        });
        ConfigErrors { file: file.to_owned(), problems: problems.collect() }
    }

    pub(super) fn unreadable(file: &str, error: &io::Error) -> ConfigErrors {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "create it (the package ships an example), or name another file with --config",
            io::ErrorKind::PermissionDenied => "run the command as root, or let the group vppd read the file",
            io::ErrorKind::InvalidData => "save the file as UTF-8 text",
            io::ErrorKind::IsADirectory => "name the file itself, not its folder",
            _ => "",
        };
        let message = format!("cannot read the settings: {error}");
        let problem = Problem { position: None, message, advice: advice.to_owned() };
        ConfigErrors { file: file.to_owned(), problems: vec![problem] }
    }
}

impl Position {
    fn of(text: &str, span: &Range<usize>) -> Position {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let end = floor(text, span.end).clamp(start, (line_start + line.len()).max(start));
        let width = text.get(start..end).unwrap_or_default().chars().count().max(1);
        // Somebody may have pasted a key where a path belongs: such a file is not shown in any journal.
        let hidden = text.contains("PRIVATE KEY") || column > EXCERPT;
        let shown = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT);
        let excerpt = if hidden { String::new() } else { shown.collect() };
        Position { line: before.matches('\n').count() + 1, column, width, excerpt }
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

/// Joins syntax errors and faults. Of a line whose syntax is broken only the first error is told, and what follows from
/// it is not: faults in that line and the next, and keys that seem to be missing.
pub(super) fn merge(text: &str, syntax: Vec<toml::de::Error>, mut faults: Vec<Fault>) -> Vec<Fault> {
    let line = |fault: &Fault| Position::of(text, &fault.span).line;
    let mut broken: Vec<Fault> = syntax.into_iter().map(syntax_fault).collect();
    if !broken.is_empty() {
        broken.sort_by_key(|fault| fault.span.start);
        broken.dedup_by_key(|fault| line(fault));
        let lines: Vec<usize> = broken.iter().flat_map(|fault| [line(fault), line(fault) + 1]).collect();
        faults.retain(|fault| !fault.missing && !lines.contains(&line(fault)));
        faults.extend(broken);
    }
    faults
}

fn syntax_fault(error: toml::de::Error) -> Fault {
    let message = error.message().replace('\n', ", ");
    let advice = if message.contains("duplicate key") {
        "keep one of the two; a section may also be opened only once"
    } else {
        "the file is TOML: a line is `key = value`, and text stands in \"quotes\""
    };
    let span = error.span().unwrap_or_default();
    Fault { span, message: format!("not valid TOML: {message}"), advice: advice.to_owned(), missing: false }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.write(f, &self.file)?;
        }
        match self.problems.len() {
            0 | 1 => Ok(()),
            count => write!(f, "\n{count} problems in {}", self.file),
        }
    }
}

impl Problem {
    fn write(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let mut gutter = 1;
        match &self.position {
            Some(Position { line, column, width, excerpt }) => {
                gutter = line.to_string().len();
                write!(f, "{file}:{line}:{column}: {}", self.message)?;
                if !excerpt.is_empty() {
                    let (indent, carets) = (" ".repeat(column - 1), "^".repeat((*width).min(EXCERPT)));
                    write!(f, "\n {line} | {excerpt}\n {:gutter$} | {indent}{carets}", "")?;
                }
            }
            None => write!(f, "{file}: {}", self.message)?,
        }
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n {:gutter$} = {}", "", self.advice) }
    }
}
