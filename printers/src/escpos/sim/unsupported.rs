//! What the virtual printer received and did not do, so that nothing is lost in silence.

use std::borrow::Cow;

use serde::Serialize;

/// Entries that are kept; what comes after them is counted.
const LISTED: usize = 1000;
/// Bytes that an entry keeps.
const SHOWN: usize = 64;

/// Something that a printer was sent and the virtual one did not do, or did in another way: an
/// unknown command, a code page or mode that it lacks, a code that it cannot draw, data that was cut
/// off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsupported {
    /// Where it begins, counted from the first byte ever received.
    pub offset: u64,
    /// How many bytes it has; 0 if it is the consequence of what came before.
    pub length: u64,
    /// What it is, in words: `ESC t: code page 59 is not known`.
    pub name: Cow<'static, str>,
    /// Its bytes, the first 64 of them.
    pub bytes: Vec<u8>,
}

/// Entries in order of appearance.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    entries: Vec<Unsupported>,
    unlisted: u64,
    /// Where the latest run of characters ended, whether it is in the list, and its name.
    run: Option<(u64, bool, &'static str)>,
}

impl List {
    pub(super) fn entries(&self) -> &[Unsupported] {
        &self.entries
    }

    /// Entries that no longer fitted into the list.
    pub(super) fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Takes all entries; there is room for others then.
    pub(super) fn take(&mut self) -> Vec<Unsupported> {
        self.run = None;
        std::mem::take(&mut self.entries)
    }

    pub(super) fn add(&mut self, offset: u64, name: impl Into<Cow<'static, str>>, bytes: &[u8]) {
        self.run = None;
        self.push(offset, name.into(), bytes);
    }

    /// Adds bytes that continue the entry before, if that has the same name and ended here: a line of
    /// characters is one entry, however it arrived.
    pub(super) fn extend(&mut self, offset: u64, name: &'static str, bytes: &[u8]) {
        let listed = match self.run {
            Some((end, listed, before)) if end == offset && before == name => {
                if let Some(entry) = self.entries.last_mut().filter(|_| listed) {
                    entry.length += bytes.len() as u64;
                    let room = SHOWN.saturating_sub(entry.bytes.len()).min(bytes.len());
                    entry.bytes.extend_from_slice(&bytes[..room]);
                }
                listed
            }
            _ => self.push(offset, name.into(), bytes),
        };
        self.run = Some((offset + bytes.len() as u64, listed, name));
    }

    fn push(&mut self, offset: u64, name: Cow<'static, str>, bytes: &[u8]) -> bool {
        if self.entries.len() >= LISTED {
            self.unlisted += 1;
            return false;
        }
        let shown = bytes[..bytes.len().min(SHOWN)].to_vec();
        self.entries.push(Unsupported { offset, length: bytes.len() as u64, name, bytes: shown });
        true
    }
}
