//! How a command runs on the simulated terminal, message by message, with and without a till.

use std::time::Instant;

use tresen_hal::link::record::Direction;

use super::super::commands::display;
use super::super::{redact, wire};
use super::fault::Misbehaviour;
use super::profile::OnAbort;
use super::{ANSWER, Commit, INPUT, Job, Kind, LOG, Logged, Simulator, State, Step, messages};

impl Simulator {
    /// Acknowledges a command and starts on it.
    pub(super) fn begin(&mut self, steps: impl IntoIterator<Item = Step>, now: Instant) {
        let slow = self.profile.acknowledges_after;
        if slow.is_zero() {
            self.send(wire::ACK.to_vec(), now);
        } else {
            self.send_late(now + slow, wire::ACK.to_vec());
        }
        self.dialog = Some(Job {
            till: self.front,
            steps: steps.into_iter().collect(),
            due: now + self.profile.pace + slow,
            answer_due: None,
            deciding: false,
            asking: false,
            transaction: None,
        });
        self.advance(now);
    }

    pub(super) fn answered(&mut self, positive: bool, data: &[u8], now: Instant) {
        let Some(job) = self.dialog.as_mut().filter(|job| job.till == self.front) else { return };
        if job.answer_due.take().is_none() {
            return;
        }
        if job.deciding && !positive {
            job.steps = [Step::Undo, Step::Tell(messages::abort(0x6c))].into();
        }
        job.deciding = false;
        if std::mem::take(&mut job.asking) {
            match display::entered(data).filter(|_| positive) {
                Some(input) => self.entered.push(input),
                None => job.steps = [Step::Tell(messages::declined(0x6c)), Step::Tell(messages::abort(0x6c))].into(),
            }
        }
        if job.steps.is_empty() {
            self.dialog = None;
            return;
        }
        // The acknowledgement itself is the commit point.
        let commits = matches!(job.steps.front(), Some(Step::Store | Step::Undo));
        job.due = if commits { now } else { now + self.profile.pace };
        self.advance(now);
    }

    pub(super) fn asked_to_abort(&mut self, now: Instant) {
        if let Some(others) = self.faults.abort_answer() {
            return self.send_behind(others, wire::nak(0x83).to_vec());
        }
        let before_approval =
            self.dialog.as_ref().is_some_and(|j| j.steps.iter().any(|s| matches!(s, Step::Authorise { .. })));
        match self.profile.on_abort {
            OnAbort::Ends if before_approval => {
                self.send(wire::ACK.to_vec(), now);
                let job = self.dialog.as_mut().expect("a job was found");
                job.steps = [Step::Tell(messages::declined(0x6c)), Step::Tell(messages::abort(0x6c))].into();
            }
            OnAbort::GoesOn if self.dialog.is_some() => self.send(wire::ACK.to_vec(), now),
            _ => self.send(wire::nak(0x83).to_vec(), now),
        }
        self.advance(now);
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(mut job) = self.dialog.take_if(|j| j.answer_due.is_none() && j.due <= now) {
            let Some(step) = job.steps.pop_front() else { continue };
            self.front = job.till;
            match step {
                Step::Tell(message) => self.tell(&mut job, message, now),
                Step::TellResult(message) => {
                    self.tell(&mut job, message, now);
                    job.deciding = true;
                    if self.faults.once(Misbehaviour::MuteAfterApproval) {
                        self.mute();
                    }
                    if self.faults.once(Misbehaviour::HangUpAfterApproval) {
                        self.hang_up();
                    }
                }
                Step::Ask(message) => {
                    self.tell(&mut job, message, now);
                    (job.asking, job.answer_due) = (true, Some(now + INPUT));
                }
                step => self.book(&mut job, step, false, now),
            }
            if !(job.steps.is_empty() && job.answer_due.is_none()) {
                self.dialog = Some(job);
            }
        }
        while let Some(mut job) = self.alone.take_if(|j| j.due <= now) {
            let Some(step) = job.steps.pop_front() else { continue };
            self.book(&mut job, step, true, now);
            job.due = now + self.profile.pace;
            if !job.steps.is_empty() {
                self.alone = Some(job);
            }
        }
    }

    fn tell(&mut self, job: &mut Job, message: Vec<u8>, now: Instant) {
        self.send(message, now);
        job.answer_due = Some(now + ANSWER + self.profile.framing.delivery());
    }

    fn book(&mut self, job: &mut Job, step: Step, alone: bool, now: Instant) {
        match step {
            Step::Tell(_) | Step::TellResult(_) | Step::Ask(_) => {}
            Step::Store => job.transaction.into_iter().for_each(|at| self.ledger.store(at)),
            Step::Undo => job.transaction.into_iter().for_each(|at| self.take_back(at)),
            Step::Authorise { kind, amount, decline } => {
                let at = self.ledger.add(kind, amount, decline);
                let transaction = self.ledger.entries()[at].clone();
                let result = self.result(&transaction, now);
                job.steps = match decline {
                    Some(code) => [Step::Tell(result), Step::Tell(messages::abort(code))].into(),
                    None => {
                        job.transaction = Some(at);
                        let slips = self.slips(&transaction).into_iter().map(Step::Tell);
                        let end = [Step::Store, Step::Tell(messages::done())];
                        std::iter::once(Step::TellResult(result)).chain(slips).chain(end).collect()
                    }
                };
                if alone {
                    job.steps = job.transaction.map(|_| self.without_till()).into_iter().collect();
                }
            }
        }
        job.due = now;
    }

    fn take_back(&mut self, at: usize) {
        if self.profile.reverses_with_receipt {
            let amount = self.ledger.entries()[at].amount;
            let reversal = self.ledger.add(Kind::Reversal(at), amount, None);
            self.ledger.store(reversal);
        } else {
            self.ledger.undo(at);
        }
    }

    fn without_till(&self) -> Step {
        match self.profile.commit {
            Commit::Reverses => Step::Undo,
            Commit::Keeps => Step::Store,
        }
    }

    /// The till is gone or does not answer.
    pub(super) fn lose_till(&mut self, now: Instant) {
        let Some(mut job) = self.dialog.take() else { return };
        let undecided = job.transaction.filter(|at| self.ledger.entries()[*at].state == State::Authorised);
        if undecided.is_some() {
            job.steps = [self.without_till()].into();
        } else if self.profile.finishes_alone {
            job.steps.retain(|s| matches!(s, Step::Authorise { .. }));
        } else {
            job.steps.clear();
        }
        if !job.steps.is_empty() {
            job.answer_due = None;
            job.due = now + self.profile.pace;
            self.alone = Some(job);
        }
        self.advance(now);
    }

    pub(super) fn note(&mut self, direction: Direction, bytes: &[u8]) {
        let bytes = redact::messages(bytes);
        let from = if direction == Direction::Received { "host" } else { "device" };
        tracing::trace!(from, bytes = %wire::Hex(&bytes), "frame");
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(Logged { direction, bytes });
    }
}
