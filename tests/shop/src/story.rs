//! What happens in a run, in order and with virtual times: in words for people, and all of it for comparing two runs.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The record of one run.
#[derive(Debug, Default)]
pub struct Story(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// Virtual time of the till's earlier lives.
    past: Duration,
    /// When this life began; none between two lives.
    began: Option<Instant>,
    /// Nothing is noted: the till is dead, and what its tasks still do until they are dropped does not count.
    silent: bool,
    hidden: Vec<String>,
}

#[derive(Debug)]
struct Line {
    at: Duration,
    /// Told to people; else for the comparison only.
    told: bool,
    text: String,
}

impl Story {
    /// A story that does not mention `hidden`, such as the name of a temporary folder.
    pub fn hiding(hidden: impl Into<String>) -> Self {
        Self(Mutex::new(State { hidden: vec![hidden.into()], ..State::default() }))
    }

    /// A step, for people.
    pub fn tell(&self, who: &str, what: impl fmt::Display) {
        self.note(true, format!("{who} {what}"));
    }

    /// A detail, for the comparison of two runs.
    pub fn trace(&self, what: impl fmt::Display) {
        self.note(false, what.to_string());
    }

    /// Virtual time since the run began.
    pub fn time(&self) -> Duration {
        self.state().time()
    }

    /// A life of the till begins. Call it within its runtime.
    pub fn begin(&self) {
        let mut state = self.state();
        state.began = Some(Instant::now());
        state.silent = false;
    }

    /// Nothing is noted until the next life.
    pub fn silence(&self) {
        self.state().silent = true;
    }

    /// The life ends. Call it within its runtime.
    pub fn end(&self) {
        let mut state = self.state();
        state.past = state.time();
        state.began = None;
    }

    /// All of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.iter().map(Line::to_string).collect()
    }

    /// The last `count` steps in words.
    pub fn last(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let told: Vec<_> = state.lines.iter().filter(|line| line.told).map(Line::to_string).collect();
        told[told.len().saturating_sub(count)..].to_vec()
    }

    fn note(&self, told: bool, text: String) {
        let mut state = self.state();
        if state.silent {
            return;
        }
        let text = state.hidden.iter().fold(text, |text, hidden| text.replace(hidden, "…"));
        let at = state.time();
        state.lines.push(Line { at, told, text });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn time(&self) -> Duration {
        self.past + self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at.as_secs(), self.at.subsec_millis());
        write!(f, "{:02}:{:02}:{:02}.{millis:03} {}", seconds / 3600, seconds / 60 % 60, seconds % 60, self.text)
    }
}
