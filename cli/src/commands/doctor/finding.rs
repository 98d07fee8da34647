//! One result of a check: what is so, how that is known, and the next step.

use serde::Serialize;
use serde_json::json;
use tresen::Error;

use crate::out::Out;

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) state: State,
    pub(crate) subject: String,
    pub(crate) what: String,
    /// What was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) evidence: Vec<String>,
    /// The next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Ok,
    Warning,
    Failed,
}

impl Finding {
    pub(crate) fn new(state: State, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { state, subject: subject.into(), what: what.into(), evidence: Vec::new(), hint: None }
    }

    pub(crate) fn ok(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(State::Ok, subject, what)
    }

    pub(crate) fn warning(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(State::Warning, subject, what)
    }

    pub(crate) fn failed(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(State::Failed, subject, what)
    }

    /// The finding for an error, with its hint.
    pub(crate) fn of(subject: impl Into<String>, error: &Error) -> Self {
        let subject = subject.into();
        let place = error.device().filter(|device| *device != subject).map_or(String::new(), |d| format!("{d}: "));
        let what = format!("{place}{}", error.what());
        Self { hint: error.next_step().map(str::to_owned), ..Self::failed(subject, what) }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// Prints it; subjects are padded to `width`.
    pub(crate) fn tell(&self, width: usize, out: Out) {
        out.answer(&json!(self), self.text(width));
    }

    pub(crate) fn text(&self, width: usize) -> String {
        let state = match self.state {
            State::Ok => "ok     ",
            State::Warning => "warning",
            State::Failed => "FAILED ",
        };
        let mut text = format!("{state}  {:width$}  {}", self.subject, self.what);
        let more = self.evidence.iter().map(|seen| format!("· {seen}"));
        for line in more.chain(self.hint.iter().map(|hint| format!("→ {hint}"))) {
            text += &format!("\n{:9}{:width$}  {line}", "", "");
        }
        text
    }
}
