//! The steps of calls, and what follows each.

use std::time::{Duration, Instant};

use super::realtime::Turn;
use super::replies::Received;
use super::{Event, Purpose, Session, calls};
use crate::escpos::ProofBy;
use crate::escpos::status::{self, Condition, Fault};
use crate::escpos::wire;
use crate::printer::DrawerPin;

/// The printer ignores input for a while after `DLE ENQ` 2 (Epson).
const RECOVERY: Duration = Duration::from_millis(500);

/// One step of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Requests the real-time statuses.
    Condition,
    /// Requests the first one, and the others unless it says that the printer is still stopped.
    Peek,
    /// Continues opening, or fails if the printer did not answer.
    Greet,
    /// The status was requested: done, or failed if the printer did not answer.
    Answered,
    /// Fails if a person is needed; recovers from an error, once.
    Ready {
        recovered: bool,
    },
    /// Waits.
    Pause(Duration),
    /// Recognises the printer and its way of proof, unless known.
    Recognise,
    /// The same, unless a person is needed: the printer would not answer.
    RecogniseUnlessStopped,
    /// `GS I n`.
    Identify(u8),
    /// The maker has answered or not: what to request next.
    Maker {
        again: bool,
    },
    /// No maker: does the printer answer `GS r`?
    Unnamed {
        again: bool,
    },
    /// Sends NULs to complete a command that an earlier host left unfinished.
    Flush {
        left: usize,
        until: Instant,
    },
    /// The model has answered or not: chooses the profile and the proof.
    Model,
    /// `GS ( H` and `GS r`: which is answered?
    Probe([u8; 4]),
    /// `GS r`: is it answered?
    BufferStatus,
    /// Chooses the proof from what was answered.
    ChooseProof {
        probed: bool,
    },
    /// The printer is recognised.
    Recognised,
    /// Firmware and serial number.
    Details,
    SerialNumber,
    /// Waits for outstanding answers, so that none proves the next job.
    Resync,
    /// `GS ( H`: everything before it has been answered.
    ResyncByNumber([u8; 4]),
    /// `GS r`: waits until all outstanding answers came, or no more come.
    ResyncByQuiet,
    /// What a job begins with.
    Preamble,
    /// Sends a job.
    Body,
    /// Waits for its proof.
    Prove,
    /// The proof is missing.
    Unproven,
    /// The printer is stopped and nobody attended to it.
    GiveUp,
    /// Has the printer clear its buffers.
    Discard,
    /// Whether it cleared them.
    Discarded(Fault),
    /// Opens the drawer.
    Kick(DrawerPin),
    /// The call is done.
    Finish,
}

impl Step {
    /// Whether it waits for the printer. The others decide by what was received last.
    fn waits(self) -> bool {
        matches!(
            self,
            Self::Condition
                | Self::Peek
                | Self::Pause(_)
                | Self::Identify(_)
                | Self::Flush { .. }
                | Self::Probe(_)
                | Self::BufferStatus
                | Self::ResyncByNumber(_)
                | Self::ResyncByQuiet
                | Self::Body
                | Self::Prove
                | Self::Discard
        )
    }
}

impl Session {
    /// Runs steps until one waits.
    pub(super) fn run(&mut self, now: Instant) {
        loop {
            // A step judges replies to what was sent, so that must have left first.
            if self.is_sending() {
                return;
            }
            if self.active.is_none() {
                match self.agenda.pop_front() {
                    Some(step) => self.enter(step, now),
                    None if self.must_recheck(now) => self.enter(Step::Condition, now),
                    None => return,
                }
            } else if !self.advance(now) {
                return;
            }
        }
    }

    /// When the active step is due again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let from = self.since.max(self.sent_at);
        let patience = self.patience();
        let Some(step) = self.active else {
            return self.recheck_at();
        };
        Some(match step {
            Step::Condition | Step::Peek => self.wait_until?,
            Step::Pause(time) => from + time,
            Step::Probe(_) => match self.received.byte {
                Some(at) => at + self.grace(),
                None => from + patience,
            },
            Step::ResyncByQuiet => self.received.byte.unwrap_or(from).max(from) + patience,
            Step::Flush { until, .. } => (from + patience).min(until),
            Step::Prove => return self.proof_deadline(),
            _ => from + patience,
        })
    }

    /// How long to wait for an answer.
    pub(super) fn patience(&self) -> Duration {
        self.realtime.patience(self.options.timing.answer)
    }

    /// How much later than one answer a second one may come.
    pub(super) fn grace(&self) -> Duration {
        self.patience() / 4
    }

    /// Puts steps in front of the agenda.
    pub(super) fn first(&mut self, steps: &[Step]) {
        steps.iter().rev().for_each(|step| self.agenda.push_front(*step));
    }

    pub(super) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.out.push_back(bytes.into());
    }

    fn must_recheck(&self, now: Instant) -> bool {
        self.recheck_at().is_some_and(|at| now >= at)
    }

    /// When to request the status while idle: the last thing received answered no request.
    fn recheck_at(&self) -> Option<Instant> {
        let due = self.recheck && !self.broken && self.capabilities.status.is_yes();
        self.asked_at.filter(|_| due).map(|at| at + self.options.timing.answer)
    }

    fn enter(&mut self, step: Step, now: Instant) {
        self.active = Some(step);
        if step.waits() {
            self.since = now;
            self.received = Received::default();
        }
        match step {
            Step::Condition => {
                self.recheck = false;
                self.realtime.start(now);
                self.wait_until = None;
            }
            Step::Peek => {
                self.realtime.start_with_first();
                self.wait_until = None;
            }
            Step::Identify(n) => self.send(|out| wire::printer_id(n, out)),
            Step::Probe(id) => {
                self.unanswered.push_back(0);
                self.send(|out| {
                    wire::process_id(id, out);
                    wire::transmit_status(1, out);
                });
            }
            Step::ResyncByNumber(id) => self.send(|out| wire::process_id(id, out)),
            Step::BufferStatus | Step::ResyncByQuiet => {
                self.unanswered.push_back(0);
                self.send(|out| wire::transmit_status(1, out));
            }
            Step::Discard => self.send(wire::clear_buffers),
            Step::Flush { left, .. } => self.send_flush(left, now),
            Step::Body => self.send_body(),
            _ => {}
        }
    }

    /// Whether the active step is over.
    fn advance(&mut self, now: Instant) -> bool {
        let Some(step) = self.active else { return true };
        let late = self.deadline().is_some_and(|at| now >= at);
        let over = match step {
            Step::Condition | Step::Peek => return self.condition_round(step, now),
            Step::Pause(_) => late,
            Step::Identify(n) => self.identified(n) || late,
            Step::Probe(id) => self.received.done == Some(id) || late,
            Step::BufferStatus => self.received.byte.is_some() || late,
            Step::ResyncByNumber(id) => {
                if self.received.done == Some(id) {
                    (self.out_of_sync, self.recheck) = (false, false);
                    self.unanswered.clear();
                }
                self.received.done == Some(id) || late
            }
            Step::ResyncByQuiet => {
                let quiet = late && self.received.byte.is_some();
                if quiet {
                    self.out_of_sync = false;
                    self.unanswered.clear();
                }
                // All outstanding answers are enough, unless another host asked, too.
                late || (self.unanswered.is_empty() && !self.out_of_sync)
            }
            Step::Discard => {
                if self.received.cleared {
                    self.unanswered.clear();
                }
                self.received.cleared || late
            }
            Step::Flush { left, until } => return self.flush(left, until, late, now),
            Step::Prove => return self.prove(now),
            _ => true,
        };
        if over {
            if late {
                // An incomplete reply stays incomplete; it must not swallow the next one.
                self.decoder.discard();
            }
            self.active = None;
            self.left(step, now);
        }
        over
    }

    fn condition_round(&mut self, step: Step, now: Instant) -> bool {
        match self.realtime.turn(self.options.timing.answer, now) {
            Turn::Ask(n) => {
                if self.wait_until.take().is_some_and(|at| now >= at) {
                    self.decoder.discard();
                }
                self.send(|out| wire::realtime_status(n, out));
                true
            }
            Turn::Wait(until) => {
                self.wait_until = Some(until);
                false
            }
            Turn::Over(answers) => {
                self.answered = answers.is_some();
                self.asked_at = Some(now);
                self.active = None;
                match answers {
                    Some([Some(first), ..]) if step == Step::Peek && status::is_stopped(first) => {}
                    Some(_) if step == Step::Peek => self.first(&[Step::Condition]),
                    Some(answers) => self.set_condition(Condition::from_realtime(answers), now),
                    None => {}
                }
                true
            }
        }
    }

    /// What follows a step that is over, or that only decides.
    fn left(&mut self, step: Step, now: Instant) {
        match step {
            Step::Greet => self.greet(),
            Step::Answered if !self.answered && self.capabilities.status.is_yes() => self.fail(calls::silent()),
            Step::Answered | Step::Finish => self.finish(Event::Done(Ok(()))),
            Step::Ready { recovered } => self.make_ready(recovered),
            Step::Recognise if !self.recognised => self.recognise(),
            Step::RecogniseUnlessStopped if !self.recognised && self.condition.fault.is_none() => self.recognise(),
            Step::Maker { again } => self.maker(again),
            Step::Unnamed { again } => self.unnamed(again, now),
            Step::Model => self.model(),
            Step::Probe(id) if self.received.done == Some(id) => self.proof_by = ProofBy::Number,
            Step::ChooseProof { probed } => self.choose_proof(probed),
            Step::Recognised => self.recognition_done(),
            Step::Details => self.ask_details(),
            // After a missing answer, the next might be taken for it.
            Step::SerialNumber if self.identity.firmware.is_some() => self.first(&[Step::Identify(68)]),
            Step::Resync => self.resync(),
            Step::Preamble => {
                let status = self.capabilities.status.is_yes();
                let mut preamble = Vec::new();
                wire::initialize(&self.profile, &mut preamble);
                if status {
                    // ESC @ switches automatic status off.
                    wire::automatic_status(true, &mut preamble);
                }
                self.out.push_back(preamble.into());
            }
            Step::Body => self.agenda.push_front(Step::Prove),
            Step::Unproven => self.unproven(now),
            Step::GiveUp => self.give_up(),
            Step::Discarded(fault) => self.discarded(fault),
            Step::Kick(pin) => self.kick(pin),
            _ => {}
        }
    }

    fn make_ready(&mut self, recovered: bool) {
        match self.condition.fault {
            _ if !self.answered => self.fail(calls::silent()),
            Some(Fault::Recoverable | Fault::Cutter) if !recovered => {
                self.send(|out| wire::realtime_request(2, out));
                self.unanswered.clear();
                self.first(&[Step::Pause(RECOVERY), Step::Condition, Step::Ready { recovered: true }]);
            }
            Some(fault) => self.fail(calls::stopped(fault)),
            None => {}
        }
    }

    /// Sends the pulse only if it is executed now: one waiting in the buffer would open an unattended drawer when paper
    /// is put in.
    fn kick(&mut self, pin: DrawerPin) {
        let status = self.capabilities.status.is_yes();
        if self.capabilities.drawer == tresen_hal::Known::No {
            return self.fail(calls::no_drawer());
        }
        if status && !self.answered {
            return self.fail(calls::silent());
        }
        match self.condition.fault.filter(|_| status) {
            None => self.out.push_back(calls::pulse(pin).into()),
            Some(_) if self.profile.urgent_drawer.is_yes() && !self.in_error() => {
                self.out.push_back(calls::urgent_pulse(pin).into());
            }
            Some(fault) => return self.fail(calls::drawer_stays_shut(fault)),
        }
        self.agenda.push_front(Step::Finish);
    }

    fn resync(&mut self) {
        let old = self.proof_by == ProofBy::Buffer && !self.unanswered.is_empty();
        if !self.capabilities.status.is_yes() || (!self.out_of_sync && !old) {
            return;
        }
        match self.proof_by {
            ProofBy::Number => {
                let id = self.next_process_id();
                self.first(&[Step::ResyncByNumber(id)]);
            }
            ProofBy::Buffer => self.first(&[Step::ResyncByQuiet]),
            ProofBy::None => {}
        }
    }

    pub(super) fn job_begun(&mut self) {
        if let Some(running) = &mut self.running {
            running.purpose = Purpose::Job(true);
        }
    }
}
