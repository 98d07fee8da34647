//! What an answer means, and which question it belongs to.
//!
//! `GS r`, `GS I` and `GS ( H` are answered in the order in which they stand in the printer's buffer. An answer to
//! `GS r` is one byte like any other, also like the rest of a status whose first byte was lost: it
//! belongs to the oldest question that is open, and one too many casts doubt on all before it.

use std::time::Instant;

use super::Session;
use super::steps::Step;
use crate::escpos::status::{Condition, Reply};

/// What was heard since the active step began.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// `GS I`.
    pub(super) text: Option<String>,
    /// `GS r`: when the latest answer came.
    pub(super) byte: Option<Instant>,
    /// `GS ( H`, other than the job's.
    pub(super) done: Option<[u8; 4]>,
    /// `DLE DC4`, function 8.
    pub(super) cleared: bool,
    /// `DLE EOT` outside a round.
    pub(super) realtime: bool,
    /// The latest sign of life.
    pub(super) latest: Option<Instant>,
}

impl Session {
    pub(super) fn reply(&mut self, reply: Reply, now: Instant) {
        self.heard.latest = Some(now);
        match reply {
            Reply::Automatic(bytes) => self.set_condition(Condition::from_automatic(bytes), now),
            Reply::Realtime(byte) => {
                if self.realtime.heard(byte, now) {
                    self.heard.realtime = true;
                } else if !matches!(self.active, Some(Step::Condition)) {
                    self.doubt = true;
                }
            }
            Reply::Byte(byte) => self.byte(byte, now),
            Reply::Text(text) => self.heard.text = Some(text),
            Reply::Done(id) => match &mut self.job {
                Some(job) if job.id == id => job.done = true,
                _ => self.heard.done = Some(id),
            },
            Reply::Cleared => self.heard.cleared = true,
            Reply::Flow(_) => {}
            Reply::Unknown(_) => self.doubt = true,
        }
    }

    /// Epson, GS r 1: bits 0 and 1 near end, 2 and 3 end, 4 and 7 are 0; 5 and 6 are reserved.
    fn byte(&mut self, byte: u8, now: Instant) {
        self.heard.byte = Some(now);
        let Some(asked_by) = self.owed.pop_front().filter(|_| byte & 0xf0 == 0) else {
            // One too many: the rest of a status whose beginning was lost, or an answer to somebody else.
            self.doubt = true;
            self.unsettled = true;
            if let Some(job) = &mut self.job {
                job.buffer_done = None;
            }
            return;
        };
        if let Some(job) = self.job.as_mut().filter(|job| job.tag == asked_by && (job.clean || !self.unsettled)) {
            job.buffer_done = Some(now);
        }
    }
}
