//! The steps that calls consist of, and how they go on.

use std::time::{Duration, Instant};

use super::realtime::Turn;
use super::replies::Heard;
use super::{Event, Ladder, Purpose, Session, calls};
use crate::escpos::status::{Condition, Fault};
use crate::escpos::wire;
use crate::printer::DrawerPin;

/// Epson asks for some time after `DLE ENQ` 2; the printer is not listening then.
const RECOVERY: Duration = Duration::from_millis(500);

/// One step of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Asks for the real-time statuses.
    Condition,
    /// The printer answered or not: opening goes on or fails.
    Greet,
    /// The status was asked for: done, unless the printer is silent.
    Answered,
    /// Fails if a person is needed; ends an error that the printer waits in, once.
    Ready {
        recovered: bool,
    },
    /// Waits.
    Pause(Duration),
    /// Asks who it is and how it proves a job, unless that is known.
    Introduce,
    /// The same, unless a person is needed: then it would not answer.
    IntroduceUnlessStopped,
    /// `GS I n`.
    Identify(u8),
    /// Whether the maker was told, and what to ask next.
    Maker {
        again: bool,
    },
    /// A printer without a maker: does it answer `GS r`?
    Unnamed {
        again: bool,
    },
    /// Completes with NULs a command that an earlier host left unfinished.
    Flush {
        left: usize,
        until: Instant,
    },
    /// The model was told: chooses the profile and the proof.
    Model,
    /// `GS ( H` and `GS r`: which is answered?
    Probe([u8; 4]),
    /// `GS r`: is it answered?
    BufferStatus,
    /// What the two steps before have shown.
    Ladder {
        probed: bool,
    },
    /// Introductions are over.
    Introduced,
    /// Firmware and serial number.
    Details,
    SerialNumber,
    /// Waits for answers that are still to come, so that none proves the next job.
    Settle,
    /// `GS ( H`: everything before it has been answered.
    SettleByNumber([u8; 4]),
    /// `GS r` until as many answers came as are owed, or none comes any more.
    SettleByQuiet,
    /// What a job begins with.
    Preamble,
    /// Sends a job.
    Body,
    /// Waits for its proof.
    Prove,
    /// The proof stays away.
    Unproven,
    /// The printer stopped and nobody came.
    GiveUp,
    /// Has all buffers cleared.
    Discard,
    /// Whether it did.
    Discarded(Fault),
    /// Opens the drawer.
    Kick(DrawerPin),
    /// The call is done.
    Finish,
}

impl Step {
    /// Whether it waits for the printer; the others decide, by what was heard last.
    fn waits(self) -> bool {
        matches!(
            self,
            Self::Condition
                | Self::Pause(_)
                | Self::Identify(_)
                | Self::Flush { .. }
                | Self::Probe(_)
                | Self::BufferStatus
                | Self::SettleByNumber(_)
                | Self::SettleByQuiet
                | Self::Body
                | Self::Prove
                | Self::Discard
        )
    }
}

impl Session {
    /// Goes on until a step waits for something.
    pub(super) fn run(&mut self, now: Instant) {
        loop {
            // A step judges what the printer says to what was sent, so that has to have left.
            if self.is_sending() {
                return;
            }
            if self.active.is_none() {
                match self.agenda.pop_front() {
                    Some(step) => self.enter(step, now),
                    None if self.doubtful(now) => self.enter(Step::Condition, now),
                    None => return,
                }
            } else if !self.advance(now) {
                return;
            }
        }
    }

    /// When the active step wants to be looked at again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let from = self.since.max(self.sent_at);
        let patience = self.patience();
        let Some(step) = self.active else {
            return self.doubt.then(|| self.asked_at.map(|at| at + self.options.timing.answer)).flatten();
        };
        Some(match step {
            Step::Condition => self.wait_until?,
            Step::Pause(time) => from + time,
            Step::Probe(_) => match self.heard.byte {
                Some(at) => at + self.grace(),
                None => from + patience,
            },
            Step::SettleByQuiet => self.heard.byte.unwrap_or(from).max(from) + patience,
            Step::Flush { until, .. } => (from + patience).min(until),
            Step::Prove => return self.proof_deadline(),
            _ => from + patience,
        })
    }

    /// How long to wait for an answer.
    pub(super) fn patience(&self) -> Duration {
        self.realtime.patience(self.options.timing.answer)
    }

    /// How much later than another answer a second one may come.
    pub(super) fn grace(&self) -> Duration {
        self.patience() / 4
    }

    /// Puts steps in front of what is on the agenda.
    pub(super) fn first(&mut self, steps: &[Step]) {
        steps.iter().rev().for_each(|step| self.agenda.push_front(*step));
    }

    pub(super) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.out.push_back(bytes.into());
    }

    /// Nobody asks anything, and what the printer said last fits no question: ask it how it is.
    fn doubtful(&self, now: Instant) -> bool {
        self.doubt
            && !self.spoiled
            && self.asked_at.is_some_and(|at| now >= at + self.options.timing.answer)
            && self.capabilities.status.is_yes()
    }

    fn enter(&mut self, step: Step, now: Instant) {
        self.active = Some(step);
        if step.waits() {
            self.since = now;
            self.heard = Heard::default();
        }
        match step {
            Step::Condition => {
                self.doubt = false;
                self.realtime.start(now);
                self.wait_until = None;
            }
            Step::Identify(n) => self.send(|out| wire::printer_id(n, out)),
            Step::Probe(id) => {
                self.owed.push_back(0);
                self.send(|out| {
                    wire::process_id(id, out);
                    wire::transmit_status(1, out);
                });
            }
            Step::SettleByNumber(id) => self.send(|out| wire::process_id(id, out)),
            Step::BufferStatus | Step::SettleByQuiet => {
                self.owed.push_back(0);
                self.send(|out| wire::transmit_status(1, out));
            }
            Step::Discard => self.send(wire::clear_buffers),
            Step::Flush { left, .. } => self.send_flush(left, now),
            Step::Body => self.send_body(),
            _ => {}
        }
    }

    /// Whether the active step has come to its end.
    fn advance(&mut self, now: Instant) -> bool {
        let Some(step) = self.active else { return true };
        let late = self.deadline().is_some_and(|at| now >= at);
        let over = match step {
            Step::Condition => return self.condition_round(now),
            Step::Pause(_) => late,
            Step::Identify(n) => self.identified(n) || late,
            Step::Probe(id) => self.heard.done == Some(id) || late,
            Step::BufferStatus => self.heard.byte.is_some() || late,
            Step::SettleByNumber(id) => {
                if self.heard.done == Some(id) {
                    (self.unsettled, self.doubt) = (false, false);
                    self.owed.clear();
                }
                self.heard.done == Some(id) || late
            }
            Step::SettleByQuiet => {
                let quiet = late && self.heard.byte.is_some();
                if quiet {
                    self.unsettled = false;
                    self.owed.clear();
                }
                // As many as are owed is enough, unless somebody else asked, too.
                late || (self.owed.is_empty() && !self.unsettled)
            }
            Step::Discard => {
                if self.heard.cleared {
                    self.owed.clear();
                }
                self.heard.cleared || late
            }
            Step::Flush { left, until } => return self.flush(left, until, late, now),
            Step::Prove => return self.prove(now),
            _ => true,
        };
        if over {
            if late {
                // What is incomplete now stays so; it must not swallow the next answer.
                self.decoder.discard();
            }
            self.active = None;
            self.left(step, now);
        }
        over
    }

    fn condition_round(&mut self, now: Instant) -> bool {
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
                if let Some(answers) = answers {
                    self.set_condition(Condition::from_realtime(answers), now);
                }
                self.active = None;
                true
            }
        }
    }

    /// What follows from a step that is over, or that only decides.
    fn left(&mut self, step: Step, now: Instant) {
        match step {
            Step::Greet => self.greet(),
            Step::Answered if !self.answered && self.capabilities.status.is_yes() => self.fail(calls::silent()),
            Step::Answered | Step::Finish => self.finish(Event::Done(Ok(()))),
            Step::Ready { recovered } => self.make_ready(recovered),
            Step::Introduce if !self.introduced => self.introduce(),
            Step::IntroduceUnlessStopped if !self.introduced && self.condition.fault.is_none() => self.introduce(),
            Step::Maker { again } => self.maker(again),
            Step::Unnamed { again } => self.unnamed(again, now),
            Step::Model => self.model(),
            Step::Probe(id) if self.heard.done == Some(id) => self.ladder = Ladder::ProcessId,
            Step::Ladder { probed } => self.choose_ladder(probed),
            Step::Introduced => self.introduced(),
            Step::Details => self.ask_details(),
            // After an answer that stayed away, the next might be taken for it.
            Step::SerialNumber if self.identity.firmware.is_some() => self.first(&[Step::Identify(68)]),
            Step::Settle => self.settle(),
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
                self.owed.clear();
                self.first(&[Step::Pause(RECOVERY), Step::Condition, Step::Ready { recovered: true }]);
            }
            Some(fault) => self.fail(calls::stopped(fault)),
            None => {}
        }
    }

    /// A pulse that waits in the buffer would open the drawer when somebody puts in paper, with nobody
    /// at the till: it is sent only if it is executed now.
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

    fn settle(&mut self) {
        let old = self.ladder == Ladder::BufferDone && !self.owed.is_empty();
        if !self.capabilities.status.is_yes() || (!self.unsettled && !old) {
            return;
        }
        match self.ladder {
            Ladder::ProcessId => {
                let id = self.next_ticket();
                self.first(&[Step::SettleByNumber(id)]);
            }
            Ladder::BufferDone => self.first(&[Step::SettleByQuiet]),
            Ladder::None => {}
        }
    }

    pub(super) fn job_begun(&mut self) {
        if let Some(running) = &mut self.running {
            running.purpose = Purpose::Job(true);
        }
    }
}
