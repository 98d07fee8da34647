//! What the command says: words for people, JSON lines for scripts.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use tresen::config::{Problem, Severity};
use tresen::{Error, Kind};

/// Where answers go.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line for people; nothing with `--json`.
    pub(crate) fn say(self, line: impl Display) {
        if !self.json {
            write(line);
        }
    }

    /// An answer: `line` for people, `value` for scripts.
    pub(crate) fn answer(self, value: &impl Serialize, line: impl Display) {
        if !self.json {
            return write(line);
        }
        match serde_json::to_string(value) {
            Ok(text) => write(text),
            Err(error) => self.failed(&Error::new(Kind::Io, "cannot be written as JSON").because(error)),
        }
    }

    /// Something to know that is no answer, on standard error; nothing with `--json`.
    pub(crate) fn note(self, line: impl Display) {
        if !self.json {
            writeln!(std::io::stderr().lock(), "tresen: {line}").ok();
        }
    }

    /// An error, on standard error.
    pub(crate) fn failed(self, error: &Error) {
        let line = if self.json { value(error).to_string() } else { format!("tresen: {}", sentence(error)) };
        writeln!(std::io::stderr().lock(), "{line}").ok();
    }

    /// A problem of a configuration, on standard error: with `--json` an error with its place.
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
            format!("tresen: {problem}")
        };
        writeln!(std::io::stderr().lock(), "{line}").ok();
    }
}

/// The whole sentence, with its causes unless it tells them itself.
fn sentence(error: &Error) -> String {
    let told = error.causes().iter().all(|cause| error.what().contains(cause.as_str()));
    if told { error.to_string() } else { format!("{error:#}") }
}

/// An error as scripts get it: its fields, and under `error` the whole sentence.
fn value(error: &Error) -> Value {
    let mut value = serde_json::to_value(error).unwrap_or_default();
    if let Value::Object(fields) = &mut value
        && let Some(message) = fields.remove("message")
    {
        fields.insert("error".into(), message);
    }
    value
}

/// Whoever reads our output may have left (`tresen list | head`); that is no failure of ours.
fn write(line: impl Display) {
    writeln!(std::io::stdout().lock(), "{line}").ok();
}
