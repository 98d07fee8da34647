//! Opening: recognises the printer and finds out how it proves a job.
//!
//! A printer that answers `DLE EOT` but neither `GS I` nor `GS r` does not support them, or is busy, or takes them for
//! data of a command that an earlier host left unfinished. Only then are NULs sent, in pieces, with a real-time status
//! request behind each: so a slow line is not flooded.

use std::time::{Duration, Instant};

use super::steps::Step;
use super::{Event, Session, calls};
use crate::escpos::options::ProofBy;
use crate::escpos::wire;
use crate::printer::Capabilities;
use crate::profile::Profile;
use tresen_hal::Known;

/// How long NULs are sent to complete an interrupted command.
const FLUSH: Duration = Duration::from_secs(2);
/// They are not begun later than this after the call began: opening has 10 s in all.
const FLUSH_UNTIL: Duration = Duration::from_secs(5);
/// NULs sent at a time.
const CHUNK: usize = 512;

impl Session {
    pub(super) fn greet(&mut self) {
        if self.capabilities.status == Known::No {
            tracing::info!(printer = %self.options.label, "printing without status or proof, as configured");
            self.recognised = true;
            self.capabilities.process_id = Known::No;
            return self.finish(Event::Done(Ok(())));
        }
        if !self.answered {
            return self.fail(calls::held());
        }
        self.capabilities.status = Known::Yes;
        // A printer that waits for a person answers only real-time requests; the rest is asked later.
        self.first(&[Step::RecogniseUnlessStopped, Step::Finish]);
    }

    pub(super) fn recognise(&mut self) {
        if self.capabilities.status == Known::No {
            return;
        }
        self.recognition_attempts += 1;
        self.proof_by = ProofBy::None;
        self.first(&[Step::Identify(66), Step::Maker { again: false }]);
    }

    /// Takes the answer to `GS I n`, if it has come.
    pub(super) fn identified(&mut self, n: u8) -> bool {
        let Some(text) = self.received.text.take().map(|t| t.trim().to_owned()) else { return false };
        let identity = &mut self.identity;
        match n {
            // The maker once more is a late answer.
            67 if identity.maker.as_deref() == Some(&*text) => return false,
            65 => identity.firmware = Some(text),
            66 => identity.maker = Some(text),
            67 => identity.model = Some(text),
            _ => identity.serial = Some(text),
        }
        true
    }

    pub(super) fn maker(&mut self, again: bool) {
        match &self.identity.maker {
            // It was asked twice and may answer twice.
            Some(_) if again => {
                let grace = self.grace();
                self.first(&[Step::Pause(grace), Step::Identify(67), Step::Model]);
            }
            Some(_) => self.first(&[Step::Identify(67), Step::Model]),
            None => self.first(&[Step::BufferStatus, Step::Unnamed { again }]),
        }
    }

    pub(super) fn unnamed(&mut self, again: bool, now: Instant) {
        let early = self.running.is_some_and(|r| now < r.since + FLUSH_UNTIL);
        if self.received.byte.is_none() && !again && self.recognition_attempts == 1 && early {
            let band = self.profile.width.0.div_ceil(8) as usize * usize::from(self.profile.band);
            let flush = Step::Flush { left: (band + 1024).max(10 * 1024), until: now + FLUSH };
            return self.first(&[flush, Step::Identify(66), Step::Maker { again: true }]);
        }
        // A printer without `GS I` might print a `GS ( H` request as text.
        if self.profile.process_id.is_yes() && self.options.proof.is_none() {
            return self.probe();
        }
        self.first(&[Step::ChooseProof { probed: false }, Step::Recognised]);
    }

    /// Continues with the next NULs once the previous ones have arrived.
    pub(super) fn flush(&mut self, left: usize, until: Instant, late: bool, now: Instant) -> bool {
        if !self.received.realtime && !late {
            return false;
        }
        if self.received.realtime && left > CHUNK && now < until {
            self.agenda.push_front(Step::Flush { left: left - CHUNK, until });
        }
        if !self.received.realtime {
            self.realtime.forget();
        }
        self.active = None;
        true
    }

    pub(super) fn send_flush(&mut self, left: usize, now: Instant) {
        self.realtime.asked(1, now);
        self.send(|out| {
            out.resize(left.min(CHUNK), 0);
            wire::realtime_status(1, out);
        });
    }

    pub(super) fn model(&mut self) {
        let known = self.identity.model.as_deref().and_then(Profile::for_model);
        if let Some(profile) = known.filter(|_| self.options.profile.is_none()) {
            tracing::debug!(printer = %self.options.label, profile = %profile.name, "recognised");
            self.profile = self.options.apply(profile);
            let automatic_status = self.capabilities.automatic_status;
            self.capabilities = Capabilities { status: Known::Yes, automatic_status, ..self.profile.capabilities() };
        }
        if self.profile.process_id == Known::No || self.options.proof.is_some() {
            return self.first(&[Step::BufferStatus, Step::ChooseProof { probed: false }, Step::Recognised]);
        }
        self.probe();
    }

    fn probe(&mut self) {
        let id = self.next_process_id();
        self.first(&[Step::Probe(id), Step::ChooseProof { probed: true }, Step::Recognised]);
    }

    pub(super) fn choose_proof(&mut self, probed: bool) {
        self.proof_by = match self.options.proof {
            Some(configured) => configured,
            None if self.proof_by == ProofBy::Number => ProofBy::Number,
            None if self.received.byte.is_some() => ProofBy::Buffer,
            // It may be busy; the model is known to confirm.
            None if probed && self.profile.process_id.is_yes() => ProofBy::Number,
            None => ProofBy::None,
        };
        self.capabilities.process_id = Known::from(self.proof_by == ProofBy::Number);
    }

    pub(super) fn recognition_done(&mut self) {
        let profile = self.profile.clone();
        self.send(|out| {
            // Clears what a printer without GS ( H took for text.
            wire::initialize(&profile, out);
            wire::automatic_status(true, out);
        });
        // A printer that answered nothing may have been busy: it is asked once more before its first job.
        self.recognised =
            self.identity.maker.is_some() || self.proof_by != ProofBy::None || self.recognition_attempts > 1;
    }

    /// Asks for firmware and serial number, which no job depends on.
    pub(super) fn ask_details(&mut self) {
        let able = self.capabilities.status.is_yes() && self.condition.fault.is_none();
        if able && !self.details && self.identity.maker.is_some() {
            self.details = true;
            self.first(&[Step::Identify(65), Step::SerialNumber]);
        }
    }
}
