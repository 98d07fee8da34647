//! What the command says: words for people, JSON lines for scripts.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

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
            write(format_args!("{line}"));
        }
    }

    /// An answer: `line` for people, `value` for scripts.
    pub(crate) fn answer(self, value: &impl Serialize, line: impl Display) {
        match self.json {
            true => match serde_json::to_string(value) {
                Ok(text) => write(text),
                Err(error) => {
                    self.failed(&tresen::Error::new(tresen::Kind::Io, "cannot be written as JSON").because(error));
                }
            },
            false => write(line),
        }
    }

    /// An error, on standard error.
    pub(crate) fn failed(self, error: &tresen::Error) {
        let mut stderr = std::io::stderr().lock();
        if self.json {
            let value = serde_json::json!({
                "error": error.to_string(),
                "kind": error.kind(),
                "effect": error.effect(),
                "retry": error.retry(),
                "device": error.device(),
            });
            writeln!(stderr, "{value}").ok();
        } else {
            writeln!(stderr, "tresen: {error}").ok();
        }
    }
}

/// Whoever reads our output may have left (`tresen list | head`); that is no failure of ours.
fn write(line: impl Display) {
    writeln!(std::io::stdout().lock(), "{line}").ok();
}
