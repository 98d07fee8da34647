//! Where the keys of a text are, and what is wrong with a text that is no TOML.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Path, Problem, Severity};

/// Positions of the keys of a text.
pub(super) struct Places<'t> {
    text: &'t str,
    file: &'t str,
    /// The start of each key or list element, and the range of its value.
    known: BTreeMap<Path, (usize, Range<usize>)>,
}

impl<'t> Places<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Self {
        Self { text, file, known: BTreeMap::new() }
    }

    /// The problem at the line of the fault's key, or of the innermost existing table around it.
    pub(super) fn locate(&self, fault: Fault) -> Problem {
        let mut fault = fault;
        match fault.otherwise.take() {
            Some(path) if !self.known.contains_key(&fault.path) && self.known.contains_key(&path) => fault.path = path,
            _ => {}
        }
        let at = fault.path.outwards().find_map(|path| self.known.get(&path)).map(|(key, _)| *key);
        self.at(at, fault.without_place())
    }

    /// Syntax errors with their positions; only the first per line.
    pub(super) fn syntax(&self, errors: &[toml::de::Error]) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for error in errors {
            let offset = error.span().map(|span| span.start);
            let path = offset.and_then(|at| self.key_at(at)).cloned().unwrap_or_default();
            let mut what = format!("not valid TOML: {}", error.message().trim_end().replace('\n', ", "));
            if let Some(text) = error.span().and_then(|span| self.text.get(span)).filter(|t| is_word(t)) {
                what.push_str(&format!(": `{text}`"));
            }
            let mut fault = Fault::error(path, what);
            fault.hint = offset.and_then(|at| advice(self.text, at)).map(str::to_owned);
            let problem = self.at(offset, fault.without_place());
            if problems.iter().all(|p| p.line != problem.line) {
                problems.push(problem);
            }
        }
        problems
    }

    fn at(&self, offset: Option<usize>, problem: Problem) -> Problem {
        let place = offset.map(|at| {
            let before = &self.text[..self.text.floor_char_boundary(at)];
            let line = before.rsplit('\n').next().unwrap_or_default();
            (before.matches('\n').count() + 1, line.chars().count() + 1)
        });
        Problem { file: Some(self.file.into()), line: place.map(|p| p.0), column: place.map(|p| p.1), ..problem }
    }

    /// The key at `offset`: the one that starts before it on its line, or whose value contains it; otherwise its
    /// section.
    fn key_at(&self, offset: usize) -> Option<&Path> {
        let line = self.text[..self.text.floor_char_boundary(offset)].rfind('\n').map_or(0, |at| at + 1);
        let last = |holds: &dyn Fn(usize, &Range<usize>) -> bool| {
            let held = self.known.iter().filter(|(_, (key, value))| *key <= offset && holds(*key, value));
            held.max_by_key(|(_, (key, _))| *key).map(|(path, _)| path)
        };
        // A section's value is its header, which begins before its name.
        last(&|key, value| key >= line || value.contains(&offset)).or_else(|| last(&|key, value| value.start < key))
    }

    pub(super) fn note_table(&mut self, path: &Path, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = path.key(key.get_ref());
            self.known.insert(path.clone(), (key.span().start, value.span()));
            self.note(&path, value.get_ref());
        }
    }

    fn note(&mut self, path: &Path, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.note_table(path, table),
            DeValue::Array(array) => {
                for (i, value) in array.iter().enumerate() {
                    let path = path.index(i);
                    self.known.insert(path.clone(), (value.span().start, value.span()));
                    self.note(&path, value.get_ref());
                }
            }
            _ => {}
        }
    }
}

/// The problem for a file with an invalid UTF-8 byte at `at`.
pub(super) fn not_utf8(bytes: &[u8], at: usize, name: &str) -> Problem {
    let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let what = if wide { "is UTF-16 text".to_owned() } else { format!("is not UTF-8 text: byte {:#04X}", bytes[at]) };
    Problem {
        severity: Severity::Error,
        file: Some(name.to_owned()),
        line: Some(line),
        column: None,
        key: String::new(),
        what,
        hint: Some("save the file as UTF-8".into()),
    }
}

/// Whether the text can be quoted within a one-line message.
fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && !text.contains(char::is_control)
}

/// Advice for the most common syntax errors, based on the text at `offset`.
fn advice(text: &str, offset: usize) -> Option<&'static str> {
    let rest = text.get(offset..)?;
    let line = rest.lines().next().unwrap_or_default();
    if line.starts_with('0') && line[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return Some("digits with a leading zero are text: write them in quotes");
    }
    // The error points at the backslash, or just past it and the letter.
    if line.starts_with('\\') || text[..offset].chars().rev().take(2).any(|c| c == '\\') {
        return Some("write `\\\\` for a backslash, or put the text in 'single quotes'");
    }
    None
}
