//! Lists what the simulator received and did not do, so that nothing is lost silently.

use std::borrow::Cow;

use serde::Serialize;

/// Entries that are kept; further ones are counted.
const LISTED: usize = 1000;
/// Bytes that an entry keeps.
const SHOWN: usize = 64;

/// Something that the simulator did not do as a real printer would: an unknown command, an unsupported code page or
/// mode, a code that it cannot draw, incomplete data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsupported {
    /// Where it begins, counted from the first byte ever received.
    pub offset: u64,
    /// How many bytes it has; 0 if it is a consequence of earlier ones.
    pub length: u64,
    /// A description: `ESC t: code page 59 is not known`.
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

    /// How many entries did not fit into the list.
    pub(super) fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Takes all entries, which makes room for others.
    pub(super) fn take(&mut self) -> Vec<Unsupported> {
        self.run = None;
        std::mem::take(&mut self.entries)
    }

    pub(super) fn add(&mut self, offset: u64, name: impl Into<Cow<'static, str>>, bytes: &[u8]) {
        self.run = None;
        self.push(offset, name.into(), bytes);
    }

    /// Adds bytes, extending the last entry if it has the same name and ended here: a run of characters is one entry,
    /// however it arrived.
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
