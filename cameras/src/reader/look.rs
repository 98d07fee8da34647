//! One look at one frame: whether it is due, how thorough it is, and what is believed of it.

use std::sync::Arc;
use std::time::Duration;

use tresen_hal::{Result, Runtime};

use super::pace::Pace;
use super::{Agreement, Options, Read};
use crate::Frame;
use crate::decode::{Code, Decoder, Effort};
use crate::frame::GreyView;

/// A decoder and what it remembers from frame to frame.
pub(super) struct Looker {
    decoder: Box<dyn Decoder>,
    options: Options,
    clock: Arc<dyn Runtime>,
    guard: Agreement,
    pace: Pace,
    scratch: Vec<u8>,
    is_quick: bool,
}

impl Looker {
    pub(super) fn new(decoder: Box<dyn Decoder>, options: Options, clock: Arc<dyn Runtime>) -> Self {
        let guard = Agreement::new(options.frames, options.window);
        Self { decoder, options, clock, guard, pace: Pace::default(), scratch: Vec::new(), is_quick: false }
    }

    /// The codes of `frame` that are believed; none, too, if it is not due. A longer look ends when `is_outdated`.
    ///
    /// # Errors
    /// The frame is damaged, or the decoder failed on it.
    pub(super) fn look(&mut self, frame: &Frame, is_outdated: &dyn Fn() -> bool) -> Result<Vec<Read>> {
        let (sequence, captured, at) = (frame.sequence(), frame.captured(), frame.at());
        let mut scratch = std::mem::take(&mut self.scratch);
        let looked = frame.grey(&mut scratch).and_then(|view| self.look_at(frame, &view, is_outdated));
        self.scratch = scratch;
        let codes = looked?;
        let believed = if frame.is_still() { self.guard.admit_still(codes) } else { self.guard.admit(codes, captured) };
        Ok(believed.into_iter().map(|code| Read { code, sequence, captured, at }).collect())
    }

    /// The least time until the next frame is wanted.
    pub(super) fn interval(&self) -> Duration {
        self.pace.interval()
    }

    fn look_at(&mut self, frame: &Frame, view: &GreyView<'_>, is_outdated: &dyn Fn() -> bool) -> Result<Vec<Code>> {
        let (is_still, captured) = (frame.is_still(), frame.captured());
        if !is_still && !self.pace.is_due(view, captured) {
            return Ok(Vec::new());
        }
        let mut hints = self.options.hints.clone();
        if self.is_quick && !is_still {
            hints.effort = Effort::Fast;
        }
        self.is_quick = !self.is_quick;
        let started = self.clock.now();
        let mut codes = self.decoder.decode(view, &hints, &*self.clock)?;
        // A picture that is shown only once, or lies still, deserves a longer look while no newer one waits.
        let longer = if is_still || self.pace.deserves_longer_look() { LONGER_LOOKS } else { 0 };
        for _ in 0..longer {
            if !codes.is_empty() || is_outdated() {
                break;
            }
            hints.effort = self.options.hints.effort;
            hints.budget *= 4;
            codes = self.decoder.decode(view, &hints, &*self.clock)?;
        }
        let took = self.clock.now().saturating_duration_since(started);
        self.pace.looked(captured, took, !codes.is_empty());
        Ok(codes)
    }
}

/// How often the budget grows, fourfold each time, in a longer look.
const LONGER_LOOKS: u8 = 2;
