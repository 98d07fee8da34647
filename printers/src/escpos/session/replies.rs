//! Matches replies with requests.
//!
//! `GS r`, `GS I` and `GS ( H` are answered in the order of the printer's buffer. The answer to `GS r` is a byte like any
//! other, even like the rest of a status whose first byte was lost: it is assigned to the oldest outstanding request,
//! and one too many invalidates those before it.

use std::time::Instant;

use tresen_hal::Known;

use super::Session;
use super::steps::Step;
use crate::escpos::status::{Condition, Reply};

/// What was received since the active step began.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// `GS I`.
    pub(super) text: Option<String>,
    /// `GS r`: when the last answer came.
    pub(super) byte: Option<Instant>,
    /// `GS ( H`, other than the job's.
    pub(super) done: Option<[u8; 4]>,
    /// `DLE DC4`, function 8.
    pub(super) cleared: bool,
    /// `DLE EOT` outside a round.
    pub(super) realtime: bool,
    /// When the last reply came.
    pub(super) latest: Option<Instant>,
}

impl Session {
    pub(super) fn reply(&mut self, reply: Reply, now: Instant) {
        self.received.latest = Some(now);
        match reply {
            Reply::Automatic(bytes) => {
                self.capabilities.automatic_status = Known::Yes;
                self.set_condition(Condition::from_automatic(bytes), now);
            }
            Reply::Realtime(byte) => {
                if self.realtime.handle_answer(byte, now) {
                    self.received.realtime = true;
                } else if !matches!(self.active, Some(Step::Condition | Step::Peek)) {
                    self.recheck = true;
                }
            }
            Reply::Byte(byte) => self.byte(byte, now),
            Reply::Text(text) => self.received.text = Some(text),
            Reply::Done(id) => match &mut self.job {
                Some(job) if job.id == id => job.done = true,
                _ => self.received.done = Some(id),
            },
            Reply::Cleared => self.received.cleared = true,
            Reply::Flow(_) => {}
            Reply::Unknown(_) => self.recheck = true,
        }
    }

    /// Epson, GS r 1: bits 0 and 1 near end, 2 and 3 end, 4 and 7 are 0; 5 and 6 are reserved.
    fn byte(&mut self, byte: u8, now: Instant) {
        self.received.byte = Some(now);
        let Some(asked_by) = self.unanswered.pop_front().filter(|_| byte & 0xf0 == 0) else {
            // One too many: the rest of a status whose beginning was lost, or the answer to another host.
            self.recheck = true;
            self.out_of_sync = true;
            if let Some(job) = &mut self.job {
                job.buffer_done = None;
            }
            return;
        };
        if let Some(job) = self.job.as_mut().filter(|job| job.tag == asked_by && (job.clean || !self.out_of_sync)) {
            job.buffer_done = Some(now);
        }
    }
}
