//! What a handheld writes down: each call before it is made, and its reply. A handheld that was killed goes on from
//! there: it makes the last call again under the same key.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// A call is about to be made.
    Call { key: String, command: String, with: Value },
    /// It was answered.
    Reply { key: String, reply: Value },
    /// Everything about this customer is done.
    Served { customer: u64 },
}

/// A call that was noted.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The command.
    pub(crate) command: String,
    /// Its fields.
    pub(crate) with: Value,
    /// Its reply, once it was heard.
    pub(crate) reply: Option<Value>,
}

impl Step {
    /// The reply, as its command has it.
    pub(crate) fn reply<T: DeserializeOwned>(&self) -> Option<T> {
        let reply = self.reply.clone()?;
        Some(serde_json::from_value(reply).expect("a reply of this command"))
    }
}

/// The notes of one handheld.
#[derive(Debug)]
pub(crate) struct Notes {
    file: Option<File>,
    steps: BTreeMap<String, Step>,
    served: u64,
}

impl Notes {
    /// Reads the notes, to go on with them.
    pub(crate) fn open(path: &Path) -> Self {
        let mut notes = Self::read(path);
        // A process that was killed may have left a part of a line.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(path).expect("the folder is writable");
        file.set_len(whole as u64).expect("writable");
        notes.file = Some(file);
        notes
    }

    /// Reads the notes only.
    pub(crate) fn read(path: &Path) -> Self {
        let mut notes = Self { file: None, steps: BTreeMap::new(), served: 0 };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            notes.take(serde_json::from_str(line).expect("a line of the notes"));
        }
        notes
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Call { key, command, with } => {
                self.steps.insert(key, Step { command, with, reply: None });
            }
            Line::Reply { key, reply } => {
                self.steps.get_mut(&key).expect("noted before").reply = Some(reply);
            }
            Line::Served { customer } => self.served = customer,
        }
    }

    fn write(&mut self, line: Line) {
        let mut text = serde_json::to_string(&line).expect("JSON");
        text.push('\n');
        self.file.as_mut().expect("open for writing").write_all(text.as_bytes()).expect("written");
        self.take(line);
    }

    /// A call is about to be made.
    pub(crate) fn call(&mut self, key: &str, command: &str, with: Value) {
        self.write(Line::Call { key: key.to_owned(), command: command.to_owned(), with });
    }

    /// A call was answered.
    pub(crate) fn reply(&mut self, key: &str, reply: Value) {
        self.write(Line::Reply { key: key.to_owned(), reply });
    }

    /// Everything about a customer is done.
    pub(crate) fn served(&mut self, customer: u64) {
        self.write(Line::Served { customer });
    }

    /// The last customer about whom everything is done; 0 for none.
    pub(crate) fn last_served(&self) -> u64 {
        self.served
    }

    /// The call under a key.
    pub(crate) fn step(&self, key: &str) -> Option<&Step> {
        self.steps.get(key)
    }

    /// All calls by their keys.
    pub(crate) fn steps(&self) -> &BTreeMap<String, Step> {
        &self.steps
    }
}
