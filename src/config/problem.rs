//! Problems of a configuration, with their positions.

use std::fmt;

use serde::Serialize;
use tresen_hal::{Error, Kind};

/// Something wrong with a configuration.
///
/// `Display` reads as one line: ``till.toml:6: key `printers.bar.profil`: unknown option …``
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Whether the till can still be opened.
    pub severity: Severity,
    /// The file, as named by the caller.
    pub file: Option<String>,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The character in that line, from 1.
    pub column: Option<usize>,
    /// The key, such as `printers.bar.address`; empty if it concerns the file as a whole.
    pub key: String,
    /// What is wrong, and what is expected.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Allowed, but probably unintended.
    Warning,
    /// The till does not open.
    Error,
}

impl Problem {
    /// `till.toml:6`, or as much of that as is known.
    fn place(&self) -> Option<String> {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => Some(format!("{file}:{line}")),
            (Some(file), None) => Some(file.clone()),
            (None, _) => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "key `{}`: ", self.key)?;
        }
        f.write_str(&self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let what = match problem.key.is_empty() {
            false => format!("key `{}`: {}", problem.key, problem.what),
            true => problem.what.clone(),
        };
        let mut error = Self::new(Kind::Config, what);
        if let Some(hint) = &problem.hint {
            error = error.hint(hint);
        }
        match problem.place() {
            Some(place) => error.at(place),
            None => error,
        }
    }
}

/// A path of keys and list indices: `printers` → `bar` → `address` → 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    pub(super) fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Key(key.to_owned()));
        path
    }

    pub(super) fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Index(index));
        path
    }

    /// The path itself, then its ancestors, innermost first.
    pub(super) fn outwards(&self) -> impl Iterator<Item = Self> + '_ {
        (1..=self.0.len()).rev().map(|n| Self(self.0[..n].to_vec()))
    }

    pub(super) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Path {
    /// Formats as TOML dotted keys. List indices are omitted: line and value identify the element.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().filter_map(|step| if let Step::Key(key) = step { Some(key) } else { None });
        for (i, key) in keys.enumerate() {
            let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            let dot = if i == 0 { "" } else { "." };
            if bare { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
        }
        Ok(())
    }
}

/// A problem at a key, before its line is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) severity: Severity,
    pub(super) path: Path,
    /// Where it is if the text has no such path.
    pub(super) otherwise: Option<Path>,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn error(path: Path, what: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path, otherwise: None, what: what.into(), hint: None }
    }

    pub(super) fn warning(path: Path, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, what) }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// At `path` if the text is written in the other form.
    #[must_use]
    pub(super) fn or(mut self, path: &Path) -> Self {
        self.otherwise = Some(path.clone());
        self
    }

    /// The fault at `path` described by `error`.
    pub(super) fn because(path: Path, error: &Error) -> Self {
        let fault = Self::error(path, error.what());
        match error.next_step() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }

    pub(super) fn without_place(self) -> Problem {
        let Self { severity, path, what, hint, .. } = self;
        Problem { severity, file: None, line: None, column: None, key: path.to_string(), what, hint }
    }
}
