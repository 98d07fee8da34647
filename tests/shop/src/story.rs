//! What happens in a run, in order and with virtual times: in words for people, and all of it for comparing two runs.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The record of one run.
#[derive(Debug)]
pub struct Story(Mutex<State>);

#[derive(Debug)]
struct State {
    /// All lines, or the last steps in words.
    lines: VecDeque<Line>,
    keeps_all: bool,
    /// How many lines there were, and the digest of all of them.
    count: u64,
    digest: DefaultHasher,
    /// Virtual time of the till's earlier lives.
    past: Duration,
    /// When this life began; none between two lives.
    began: Option<Instant>,
    /// When the run began, by the clock of the air, while that is what runs.
    air: Option<Instant>,
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
    /// A story that does not mention `hidden`, such as the name of a temporary folder. If it does not keep all lines, it
    /// keeps the last steps.
    pub fn hiding(hidden: impl Into<String>, keeps_all: bool) -> Self {
        Self(Mutex::new(State {
            lines: VecDeque::new(),
            keeps_all,
            count: 0,
            digest: DefaultHasher::new(),
            past: Duration::ZERO,
            began: None,
            air: None,
            silent: false,
            hidden: vec![hidden.into()],
        }))
    }

    /// Does not mention this either.
    pub fn hide(&self, hidden: String) {
        self.state().hidden.push(hidden);
    }

    /// A step, for people.
    pub fn tell(&self, who: &str, what: impl fmt::Display) {
        self.note(true, || format!("{who} {what}"));
    }

    /// A detail, for the comparison of two runs.
    pub fn trace(&self, what: impl fmt::Display) {
        self.note(false, || what.to_string());
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

    /// From here on the [air](crate::remote::Air) runs, by whose clock the run began then; or nothing of it does.
    pub fn airs(&self, began: Option<Instant>) {
        self.state().air = began;
    }

    /// No till lives until this time of the run, and others go on.
    pub fn pass(&self, until: Duration) {
        let mut state = self.state();
        state.past = state.past.max(until);
        state.silent = false;
    }

    /// The life ends. Call it within its runtime.
    pub fn end(&self) {
        let mut state = self.state();
        state.past = state.time();
        state.began = None;
    }

    /// The lines that were kept.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.iter().map(Line::to_string).collect()
    }

    /// How many lines there were, and a digest of them with their times: equal runs have equal digests.
    pub fn digest(&self) -> (u64, u64) {
        let state = self.state();
        (state.count, state.digest.finish())
    }

    /// The last `count` steps in words.
    pub fn last(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let told: Vec<_> = state.lines.iter().filter(|line| line.told).map(Line::to_string).collect();
        told[told.len().saturating_sub(count)..].to_vec()
    }

    fn note(&self, told: bool, text: impl FnOnce() -> String) {
        // Composed without the lock: what is told may look at the clock of the story.
        let text = text();
        let mut state = self.state();
        if state.silent {
            return;
        }
        let hidden = state.hidden.iter().filter(|hidden| text.contains(*hidden));
        let text = hidden.fold(text.clone(), |text, hidden| text.replace(hidden, "…"));
        let at = state.time();
        state.count += 1;
        (at, &text).hash(&mut state.digest);
        if state.keeps_all {
            state.lines.push_back(Line { at, told, text });
        } else if told {
            state.lines.push_back(Line { at, told, text });
            if state.lines.len() > LAST {
                state.lines.pop_front();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn time(&self) -> Duration {
        match self.air {
            Some(air) => air.elapsed(),
            None => self.past + self.began.map_or(Duration::ZERO, |began| began.elapsed()),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at.as_secs(), self.at.subsec_millis());
        write!(f, "{:02}:{:02}:{:02}.{millis:03} {}", seconds / 3600, seconds / 60 % 60, seconds % 60, self.text)
    }
}

/// Steps that are kept of a run of which not all lines are.
const LAST: usize = 400;
