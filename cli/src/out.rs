//! The command's output: text for people, JSON lines for scripts.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use tresen::config::{Problem, Severity};
use tresen::{Error, Kind};

/// The output format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a line of text; nothing with `--json`.
    pub(crate) fn say(self, line: impl Display) {
        if !self.json {
            write(plain(line, false));
        }
    }

    /// Prints a receipt of a terminal; nothing with `--json`.
    pub(crate) fn receipt<'a>(self, lines: impl IntoIterator<Item = &'a String>) {
        for line in lines {
            self.say(format_args!("  | {line}"));
        }
    }

    /// Erases the screen of a terminal.
    pub(crate) fn clear(self) {
        // ECMA-48: cursor to the first line, erase the screen.
        write!(std::io::stdout().lock(), "\x1b[H\x1b[2J").ok();
    }

    /// As [`Out::answer`], for one of many: `line` stays one line, whatever names are in it.
    pub(crate) fn row(self, value: &impl Serialize, line: impl Display) {
        self.answer(value, plain(line, true));
    }

    /// Prints a result: `line` as text, or `value` as JSON.
    pub(crate) fn answer(self, value: &impl Serialize, line: impl Display) {
        if !self.json {
            return write(plain(line, false));
        }
        match serde_json::to_string(value) {
            Ok(text) => write(text),
            Err(error) => self.failed(&Error::new(Kind::Io, "cannot be written as JSON").because(error)),
        }
    }

    /// Prints a result for scripts; nothing without `--json`.
    pub(crate) fn only_json(self, value: &impl Serialize) {
        if self.json {
            self.answer(value, "");
        }
    }

    /// Prints additional information on standard error; nothing with `--json`.
    pub(crate) fn note(self, line: impl Display) {
        if !self.json {
            writeln!(std::io::stderr().lock(), "tresen: {}", plain(line, false)).ok();
        }
    }

    /// Prints an error on standard error.
    pub(crate) fn failed(self, error: &Error) {
        let line =
            if self.json { value(error).to_string() } else { format!("tresen: {}", plain(sentence(error), false)) };
        writeln!(std::io::stderr().lock(), "{line}").ok();
    }

    /// Prints a configuration problem on standard error; with `--json` as an error with its position.
    pub(crate) fn problem(self, problem: &Problem) {
        let line = if self.json {
            let mut all = value(&problem.clone().into());
            let place = serde_json::to_value(problem).unwrap_or_default();
            if let (Value::Object(all), Value::Object(place)) = (&mut all, place) {
                all.extend(place);
            }
            if problem.severity == Severity::Warning
                && let Value::Object(all) = &mut all
            {
                all.remove("error").map(|text| all.insert("warning".into(), text));
            }
            all.to_string()
        } else {
            plain(format_args!("tresen: {problem}"), false)
        };
        writeln!(std::io::stderr().lock(), "{line}").ok();
    }
}

/// A text without control characters: names and errors come from elsewhere, and must neither operate the terminal nor,
/// in a row, begin another line.
fn plain(text: impl Display, row: bool) -> String {
    let mut plain = String::new();
    for c in text.to_string().chars() {
        match c {
            '\n' | '\t' if !row => plain.push(c),
            c if c.is_control() => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

/// The full message, with its causes unless the message already contains them.
fn sentence(error: &Error) -> String {
    let included = error.causes().iter().all(|cause| error.what().contains(cause.as_str()));
    if included { error.to_string() } else { format!("{error:#}") }
}

/// An error in JSON: its fields, with the full message under `error`.
fn value(error: &Error) -> Value {
    let mut value = serde_json::to_value(error).unwrap_or_default();
    if let Value::Object(fields) = &mut value
        && let Some(message) = fields.remove("message")
    {
        fields.insert("error".into(), message);
    }
    value
}

/// The reader of our output may have exited (`tresen list | head`); that is not an error.
fn write(line: impl Display) {
    writeln!(std::io::stdout().lock(), "{line}").ok();
}
