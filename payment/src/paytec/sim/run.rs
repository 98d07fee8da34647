//! How a transaction runs on the simulated terminal, step by step, and how messages reach the till or do not.

use std::time::Instant;

use tresen_hal::link::record::Direction;
use tresen_hal::sim::Action;

use super::super::codes::result;
use super::super::wire::{Message, TransactionRequest, TransactionResponse};
use super::fault::{Difference, Fault, Misbehaviour, Side, at};
use super::{Amount, Job, Kind, OnAbort, Phase, Simulator, Unconfirmed, framing, messages};

impl Simulator {
    pub(super) fn start(&mut self, request: TransactionRequest, kind: Kind, amount: Amount, now: Instant) {
        let due = now + self.profile.pace;
        self.job = Some(Job { request, kind, amount, entry: None, phase: Phase::Card, due, till: true });
        self.send(messages::status(5), now);
        if self.faults.once(Misbehaviour::Disturb) {
            self.send(messages::error("something else has failed"), now);
        }
        self.advance(now);
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(mut job) = self.job.take_if(|job| job.due <= now) {
            match job.phase {
                Phase::Card => {
                    (job.phase, job.due) = (Phase::Online, now + self.profile.pace);
                    let tells = job.till;
                    self.job = Some(job);
                    if tells {
                        self.send(messages::status(295), now);
                    }
                }
                Phase::Online => self.answer(job, now),
                Phase::Confirmation => self.unconfirmed(&job, now),
            }
        }
    }

    /// The host has answered.
    fn answer(&mut self, mut job: Job, now: Instant) {
        let ended = |sim: &mut Self, response: TransactionResponse| {
            sim.respond(&job, response, now);
            if job.till {
                sim.send(messages::status(sim.status_bits(now)), now);
            }
        };
        if self.faults.once(Misbehaviour::Cancel) {
            return ended(self, messages::ended(&self.profile, result::ABORTED, 10_000, None));
        }
        if self.faults.once(Misbehaviour::TaskPending) {
            return ended(self, messages::ended(&self.profile, result::ABORTED, 10_017, None));
        }
        let declined = self.faults.take(|m| match m {
            Misbehaviour::Decline(extended) => Some((result::DECLINED, extended)),
            Misbehaviour::Refer => Some((result::REFERRED, 900)),
            Misbehaviour::Result(result) => Some((result, 0)),
            _ => None,
        });
        if let Some((result, extended)) = declined {
            let at = self.ledger.add(job.kind, job.amount, Some(5));
            let number = self.ledger.entries()[at].trace;
            return ended(self, messages::ended(&self.profile, result, extended, Some(number)));
        }
        let asked = job.amount;
        let part = self.faults.take(|m| if let Misbehaviour::Part(amount) = m { Some(amount.minor()) } else { None });
        let part = part.filter(|minor| job.kind == Kind::Payment && *minor < asked.minor());
        let tip = self.faults.take(|m| if let Misbehaviour::Tip(amount) = m { Some(amount.minor()) } else { None });
        let minor = part.unwrap_or(asked.minor()) + tip.unwrap_or(0);
        let at = self.ledger.add(job.kind, Amount::new(minor, asked.currency()), None);
        let entry = self.ledger.entries()[at].clone();
        let time = self.profile.time.and_then(|from| from.checked_add(self.uptime(now)).ok());
        let mut response = messages::approved(&self.profile, &self.ledger, &entry, time);
        response.amt_remaining = part.map(|part| asked.minor() - part);
        response.tip_amt = tip;
        match self.faults.take(|m| if let Misbehaviour::Differs(how) = m { Some(how) } else { None }) {
            None => {}
            Some(Difference::Amount) => response.amt_auth = Some(minor + 1),
            Some(Difference::Currency) => response.trx_curr_c = Some(840),
            Some(Difference::Terminal) => response.trm_id = Some("90000099".into()),
            Some(Difference::Function) => response.trx_function = Some(job.request.trx_function.unwrap_or(0) ^ 0x8800),
        }
        (job.entry, job.phase, job.due) = (Some(at), Phase::Confirmation, now + self.profile.confirm_window);
        self.respond(&job, response, now);
        self.job = Some(job);
    }

    fn respond(&mut self, job: &Job, response: TransactionResponse, now: Instant) {
        let response = Message::TransactionResponse(Box::new(response));
        self.last = Some(response.clone());
        if job.till {
            self.send(response, now);
        }
    }

    /// Nobody has confirmed it in time.
    fn unconfirmed(&mut self, job: &Job, now: Instant) {
        if let Some(at) = job.entry {
            match self.profile.unconfirmed {
                Unconfirmed::Undone => self.ledger.undo(at),
                Unconfirmed::Kept => self.ledger.store(at),
            }
        }
        if job.till {
            self.send(messages::status(self.status_bits(now)), now);
        }
    }

    pub(super) fn asked_to_abort(&mut self, now: Instant) {
        self.send(Message::AbortTransactionResponse {}, now);
        let running = |job: &mut Job| job.phase != Phase::Confirmation;
        if self.profile.on_abort == OnAbort::GoesOn {
            return;
        }
        let Some(job) = self.job.take_if(running) else { return };
        if self.profile.on_abort == OnAbort::Ends {
            self.respond(&job, messages::ended(&self.profile, result::ABORTED, 10_000, None), now);
        }
        self.send(messages::status(self.status_bits(now)), now);
    }

    /// The till is gone, or has forgotten what runs.
    pub(super) fn lose_till(&mut self, now: Instant) {
        let Some(job) = &mut self.job else { return };
        job.till = false;
        if job.phase != Phase::Confirmation && !self.profile.finishes_alone {
            self.job = None;
        }
        self.advance(now);
    }

    /// Everything that is not stored is forgotten.
    pub(super) fn restart(&mut self, now: Instant) {
        if let Some(job) = self.job.take() {
            self.unconfirmed(&Job { till: false, ..job }, now);
        }
        if self.profile.restart_closes_shift {
            self.shift_open = false;
        }
        self.till = None;
        self.last = None;
        self.forget_messages();
        self.framing = framing(&self.profile);
        self.hang_up();
    }

    pub(super) fn send(&mut self, message: Message, now: Instant) {
        if self.hung_up {
            return;
        }
        match self.faults.on_send(at(Side::ToTill)) {
            // What waits holds back what follows it, as on a slow line.
            None => match self.late.iter().map(|(at, _)| *at).max() {
                Some(until) => self.late.push((until, message)),
                None => self.deliver(&message, now),
            },
            Some(Fault::HangUp) => self.hang_up(),
            Some(Fault::HangUpAfter) => {
                self.deliver(&message, now);
                self.hang_up();
            }
            Some(Fault::Drop) => {}
            Some(Fault::Restart) => self.restart(now),
            Some(Fault::Late(by)) => self.late.push((now + by, message)),
            Some(Fault::Behind(others)) => self.behind.push((others, message)),
            Some(Fault::Twice) => {
                self.deliver(&message, now);
                self.deliver(&message, now);
            }
            Some(Fault::Merged) => self.merged.extend(messages::line(&self.profile, &message)),
            Some(cut @ (Fault::Split | Fault::Chunked)) => {
                self.drain(now);
                self.cut = Some(cut);
                self.deliver(&message, now);
            }
            Some(Fault::Half) => {
                self.drain(now);
                self.cut = Some(Fault::Half);
                self.deliver(&message, now);
            }
            Some(Fault::Garbage) => self.put(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), now),
            Some(Fault::Unreadable) => self.put(format!("{{\"{}\":[1]}}\n", message.name()).into_bytes(), now),
            Some(Fault::Error) => self.deliver(&messages::error("an error instead"), now),
        }
    }

    pub(super) fn deliver(&mut self, message: &Message, now: Instant) {
        self.put(messages::line(&self.profile, message), now);
        self.behind.iter_mut().for_each(|(others, _)| *others = others.saturating_sub(1));
        while let Some(at) = self.behind.iter().position(|(others, _)| *others == 0) {
            let (_, message) = self.behind.remove(at);
            self.put(messages::line(&self.profile, &message), now);
        }
    }

    fn put(&mut self, line: Vec<u8>, now: Instant) {
        self.note(Direction::Sent, line.trim_ascii_end());
        let mut bytes = std::mem::take(&mut self.merged);
        bytes.extend(line);
        self.framing.send(bytes, true);
        self.drain(now);
    }

    /// Hands over what the framing wants sent.
    pub(super) fn drain(&mut self, now: Instant) {
        while let Some(bytes) = self.framing.poll_transmit(now) {
            // An acknowledgement of the line below is no message.
            let cut = if bytes.len() > 2 { self.cut.take() } else { None };
            let half = bytes.len() / 2;
            match cut {
                Some(Fault::Split) => {
                    self.out.extend([Action::Send(bytes[..half].to_vec()), Action::Send(bytes[half..].to_vec())]);
                }
                Some(Fault::Chunked) => self.out.extend(bytes.chunks(1).map(|byte| Action::Send(byte.to_vec()))),
                Some(Fault::Half) => {
                    self.out.push_back(Action::Send(bytes[..half].to_vec()));
                    self.hang_up();
                }
                _ => self.out.push_back(Action::Send(bytes)),
            }
        }
    }

    pub(super) fn hang_up(&mut self) {
        if !self.hung_up {
            self.hung_up = true;
            self.out.push_back(Action::HangUp);
        }
    }
}
