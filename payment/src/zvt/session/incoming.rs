//! What the terminal says, in the phase in which it says it.

use std::time::Instant;

use super::super::commands::intermediate::Intermediate;
use super::super::wire;
use super::{Data, Event, Failure, Flow, Input, Phase, Session};

impl Session {
    /// Handles what came until something needs a confirmation. What comes after that waits.
    pub(super) fn work(&mut self, now: Instant) {
        while !matches!(self.phase, Phase::Confirmation { .. } | Phase::Spent) {
            match self.inbox.pop_front() {
                Some(Input::Apdu(code, data)) => self.handle(code, data, now),
                Some(Input::Invalid(invalid)) => self.fail(Failure::Invalid(invalid)),
                None => return,
            }
        }
    }

    fn handle(&mut self, code: u16, data: Data, now: Instant) {
        match self.phase {
            _ if wire::is_answer(code) => self.handle_answer(code, data, now),
            // One of the answers has come, and perhaps it was ours: an enquiry may take it so.
            Phase::Acknowledgement(Flow::Enquiry) if self.ambiguous => {
                self.phase = Phase::Running(Flow::Enquiry);
                self.deadline = Some(now + self.t4);
                self.handle_command(code, data, now);
            }
            // The terminal has not taken our command yet: this belongs to something before it. It must
            // not be acknowledged, for an acknowledged 04 0F is a payment that stands.
            Phase::Acknowledgement(_) => {
                tracing::debug!(code = format_args!("{code:04x}"), "ignored before the acknowledgement");
            }
            Phase::Running(_) => {
                self.deadline = Some(now + self.t4);
                self.handle_command(code, data, now);
            }
            Phase::Idle => match code {
                0x040f => tracing::warn!("an unexpected result is not acknowledged"),
                0x060f | 0x061e => self.acknowledge(),
                _ => self.handle_command(code, data, now),
            },
            Phase::Confirmation { .. } | Phase::Spent => {}
        }
    }

    fn handle_answer(&mut self, code: u16, data: Data, now: Instant) {
        let [class, instr] = code.to_be_bytes();
        let positive = class == 0x80 || instr == 0x00;
        if self.owed == 0 {
            tracing::warn!(code = format_args!("{code:04x}"), "an answer came that nothing was asked for");
            self.doubtful = true;
            return;
        }
        self.owed -= 1;
        let Phase::Acknowledgement(flow) = self.phase else {
            if self.abort_sent.take().is_some() {
                self.events.push_back(Event::AbortAnswered(positive));
            }
            return;
        };
        // The answers come in the order of the commands, earlier ones first, unless they cross.
        if self.owed > 0 {
            (self.ambiguous, self.doubtful) = (true, true);
            return;
        }
        let (phase, deadline) = match flow {
            Flow::Completed | Flow::Enquiry if positive => (Phase::Running(flow), Some(now + self.t4)),
            _ => (Phase::Idle, None),
        };
        (self.phase, self.deadline) = (phase, deadline);
        let event = match positive {
            true => Event::Accepted,
            false => Event::Refused { code: instr, data },
        };
        self.events.push_back(event);
    }

    fn handle_command(&mut self, code: u16, data: Data, now: Instant) {
        let running = match self.phase {
            Phase::Running(flow) => Some(flow),
            _ => None,
        };
        match code {
            0x04ff => {
                let changes = running.is_some_and(|flow| flow != Flow::Enquiry) && !self.hurried;
                if let Some(timeout) = Intermediate::parse(&data.0).timeout.filter(|_| changes) {
                    self.t4 = timeout;
                    self.deadline = Some(now + timeout);
                }
                self.acknowledge();
                self.events.push_back(Event::Intermediate(data));
            }
            0x040f => self.wait(Event::Result(data), running),
            0x06d1 => self.wait(Event::PrintLine(data), running),
            0x06d3 => self.wait(Event::PrintBlock(data), running),
            0x040d | 0x06e2 if running.is_some() => self.wait(Event::Asked { code, data }, running),
            0x060f => self.end(Event::Completed(data)),
            0x061e => self.end(Event::Aborted(data)),
            code => {
                // Set clock, display text: nothing is asked of us. Anything else wants an answer.
                let acknowledged = matches!(code, 0x0401 | 0x06e0 | 0x06e1);
                let answer = if acknowledged { wire::ACK } else { wire::nak(0x83) };
                self.transmit.push_back(answer.to_vec());
                self.events.push_back(Event::Other { code, acknowledged, data });
            }
        }
    }

    fn wait(&mut self, event: Event, running: Option<Flow>) {
        self.events.push_back(event);
        self.phase = Phase::Confirmation { running };
        self.deadline = None;
    }

    fn end(&mut self, event: Event) {
        self.acknowledge();
        self.events.push_back(event);
        (self.phase, self.deadline) = (Phase::Idle, None);
    }

    fn acknowledge(&mut self) {
        self.transmit.push_back(wire::ACK.to_vec());
    }
}
