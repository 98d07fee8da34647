//! A ZVT terminal with a ledger of its own (specification PA00P015, 13.08).
//!
//! It knows registration, payment, reservation, booking, release, tip, prepaid top-up, card reading, repeat receipt,
//! status enquiry, abort, end of day and log-off; other commands are answered 84 83. What it does beyond the
//! specification, or against it, is data: [`Quirks`]. Left out: 06 24, menus, file transfer, passwords (any is taken).

pub mod bytes;
mod commands;
mod fields;
mod held;
mod ledger;
mod program;
mod quirks;
pub mod serial;

use std::collections::{HashMap, VecDeque};

pub use bytes::{ACK, Shown, Style};
pub use ledger::{Kind, Ledger, State, Transaction};
pub use quirks::{
    Abort, Act, At, End, Enquiry, Event, Fate, Fault, Intrusion, Moment, Pieces, Quirks, Registration, Repeat, Slips,
    Stray, Unheard, What,
};

use crate::{Do, Peer};
use program::Run;

/// A terminal.
#[derive(Debug)]
pub struct Terminal {
    /// How it is. May be changed between two messages.
    pub quirks: Quirks,
    /// What it did.
    pub ledger: Ledger,
    customer: String,
    /// Whose payment each 06 01 asked for.
    asked: Vec<String>,
    registrations: usize,
    /// Month, day and second of the day when it was made.
    clock: (u8, u8, u64),
    log: Vec<Message>,
    /// The till's registration: its configuration byte, and whether text blocks are allowed.
    registered: Option<(u8, bool)>,
    linked: bool,
    stalled: bool,
    inbox: Vec<u8>,
    /// A message of the till that is heard late.
    held: Option<Vec<u8>>,
    deaf_until: u64,
    out: VecDeque<(u64, Out)>,
    out_at: u64,
    /// Own messages that come late, with the number of messages that go first.
    late: Vec<(usize, Vec<u8>)>,
    /// A command that waits for the end of the one before.
    queued: Option<Vec<u8>>,
    /// The answer to an abort, with the number of the till's messages that go first.
    owed: Option<(u8, Vec<u8>)>,
    counts: HashMap<(bool, Option<u16>), usize>,
    front: Run,
    /// A payment that goes on without the till.
    alone: Option<Run>,
    busy_until: u64,
    last_result: Vec<u8>,
    lost_once: bool,
}

/// One message that passed, as it was heard or said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When, in milliseconds of the terminal's life.
    pub at: u64,
    /// The till said it.
    pub from_till: bool,
    /// Its first bytes, at most 512.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
enum Out {
    Bytes(Vec<u8>),
    HangUp,
    Reset,
}

impl Terminal {
    /// A terminal whose next transaction gets this receipt number, and a trace number near it.
    pub fn new(quirks: Quirks, next_receipt: u16) -> Self {
        Self {
            quirks,
            ledger: Ledger::new(next_receipt, u32::from(next_receipt) + 1000),
            customer: String::new(),
            asked: Vec::new(),
            registrations: 0,
            clock: (1, 2, 8 * 3600),
            log: Vec::new(),
            registered: None,
            linked: false,
            stalled: false,
            inbox: Vec::new(),
            held: None,
            deaf_until: 0,
            out: VecDeque::new(),
            out_at: 0,
            late: Vec::new(),
            queued: None,
            owed: None,
            counts: HashMap::new(),
            front: Run::default(),
            alone: None,
            busy_until: 0,
            last_result: Vec::new(),
            lost_once: false,
        }
    }

    /// What its clock showed when it was made: month, day, second of the day.
    pub fn set_clock(&mut self, month: u8, day: u8, second: u64) {
        self.clock = (month, day, second);
    }

    /// Enters a payment of this amount in euro that was made before all this.
    pub fn had(&mut self, amount: u64) {
        let index = self.ledger.enter(Kind::Payment, State::Stored, (amount, 978), "before", 0);
        self.ledger.store(index);
    }

    /// Who stands at the counter now. Payments that are asked for from here on are this customer's.
    pub fn customer(&mut self, label: &str) {
        label.clone_into(&mut self.customer);
    }

    /// How often 06 01 was sent for this customer.
    pub fn asked(&self, label: &str) -> usize {
        self.asked.iter().filter(|a| *a == label).count()
    }

    /// Everything that passed.
    pub fn log(&self) -> &[Message] {
        &self.log
    }

    /// Forgets what was to go wrong with single messages, and out of turn.
    pub fn calm(&mut self) {
        self.quirks.faults.clear();
        self.quirks.strays.clear();
    }

    /// Lets its time pass; true once nothing is undecided any more.
    pub fn rest(&mut self, now: u64) -> bool {
        self.advance(now);
        self.alone.is_none() && !self.front.pays() && self.busy_until <= now
    }

    fn busy(&self, now: u64) -> bool {
        self.alone.is_some() || self.front.pays() || now < self.busy_until
    }

    /// What passes in one direction: the number of the message, and its number among its kind.
    fn count(&mut self, from_till: bool, bytes: &[u8]) -> [At; 2] {
        let code = u16::from_be_bytes([bytes[0], bytes[1]]);
        let mut next = |key| {
            let n = self.counts.entry((from_till, key)).or_insert(0);
            *n += 1;
            *n - 1
        };
        let (all, of) = (next(None), next(Some(code)));
        if from_till { [At::In(all), At::InOf(code, of)] } else { [At::Out(all), At::OutOf(code, of)] }
    }

    fn write_down(&mut self, at: u64, from_till: bool, bytes: &[u8]) {
        self.log.push(Message { at, from_till, bytes: bytes[..bytes.len().min(512)].to_vec() });
    }

    fn fault(&mut self, names: [At; 2]) -> Option<Act> {
        let at = self.quirks.faults.iter().position(|f| names.contains(&f.at))?;
        Some(self.quirks.faults.remove(at).act)
    }

    /// Says a message, unless something happens to it.
    fn emit(&mut self, bytes: &[u8], now: u64) {
        if !self.linked || self.stalled {
            return;
        }
        let names = self.count(false, bytes);
        self.write_down(now, false, bytes);
        let mut bytes = bytes.to_vec();
        let at = self.out_at.max(now + self.quirks.slow);
        self.out_at = at;
        match self.fault(names) {
            None => self.push(bytes),
            Some(Act::CutBefore) => self.end(Out::HangUp),
            Some(Act::ResetBefore) => self.end(Out::Reset),
            Some(Act::CutAfter) => {
                self.push(bytes);
                self.end(Out::HangUp);
            }
            Some(Act::CutWithin(n)) => {
                bytes.truncate(n);
                self.push(bytes);
                self.end(Out::HangUp);
            }
            Some(Act::StallWithin(n)) => {
                bytes.truncate(n);
                self.push(bytes);
                self.stalled = true;
            }
            Some(Act::Twice) => {
                self.push(bytes.clone());
                self.push(bytes);
            }
            Some(Act::Swallow) => return,
            Some(Act::Stall) => self.stalled = true,
            Some(Act::Delay(by)) => {
                self.out_at = at + by;
                self.push(bytes);
            }
            Some(Act::Late(after)) => {
                self.late.push((after, bytes));
                return;
            }
            Some(Act::Flip(place, mask)) => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= mask;
                }
                self.push(bytes);
            }
            Some(Act::Insert(place, more)) => {
                let place = place.min(bytes.len());
                bytes.splice(place..place, more);
                self.push(bytes);
            }
        }
        self.say_late();
    }

    fn say_late(&mut self) {
        for held in &mut self.late {
            held.0 = held.0.saturating_sub(1);
        }
        while let Some(at) = self.late.iter().position(|(left, _)| *left == 0) {
            let (_, bytes) = self.late.remove(at);
            self.push(bytes);
        }
    }

    fn push(&mut self, bytes: Vec<u8>) {
        if self.quirks.pieces == Pieces::Bytes {
            self.out.extend(bytes.into_iter().map(|b| (self.out_at, Out::Bytes(vec![b]))));
        } else if !bytes.is_empty() {
            self.out.push_back((self.out_at, Out::Bytes(bytes)));
        }
    }

    /// The link ends after what was said; nothing more is heard or said on it.
    fn end(&mut self, how: Out) {
        self.out.push_back((self.out_at, how));
        self.stalled = true;
    }

    /// Takes what has arrived, message by message.
    fn listen(&mut self, now: u64) {
        while !self.stalled && now >= self.deaf_until {
            if let Some(message) = self.held.take() {
                self.hear(&message, now);
                continue;
            }
            let Some(message) = bytes::take(&mut self.inbox) else { return };
            let names = self.count(true, &message);
            self.write_down(now, true, &message);
            self.out_at = self.out_at.max(now);
            match self.fault(names) {
                Some(Act::CutBefore) => self.end(Out::HangUp),
                Some(Act::ResetBefore) => self.end(Out::Reset),
                Some(Act::CutAfter) => {
                    // It is heard; what it leads to is not said any more.
                    self.end(Out::HangUp);
                    self.hear(&message, now);
                }
                Some(Act::Stall) => self.stalled = true,
                Some(Act::Swallow) => {}
                Some(Act::Delay(by)) => {
                    self.deaf_until = now + by;
                    self.held = Some(message);
                }
                Some(Act::Twice) if matches!(message[0], 0x80 | 0x84) => {
                    self.hear(&message, now);
                    self.hear(&message, now);
                }
                _ => self.hear(&message, now),
            }
        }
    }

    fn passes(&mut self, now: u64) {
        self.advance(now);
        self.listen(now);
        self.advance(now);
        if self.front.ended()
            && let Some(command) = self.queued.take()
        {
            self.hear(&command, now);
        }
    }
}

impl Peer for Terminal {
    fn connected(&mut self, now: u64) {
        self.advance(now);
        (self.linked, self.stalled) = (true, false);
        (self.deaf_until, self.out_at) = (now, now);
        if !self.quirks.stays_registered {
            self.registered = None;
        }
    }

    fn received(&mut self, bytes: &[u8], now: u64) {
        // A host that never makes a message of it is cut off.
        if self.inbox.len() > 1 << 20 {
            return self.end(Out::HangUp);
        }
        self.inbox.extend(bytes);
        self.passes(now);
    }

    fn lost(&mut self, now: u64) {
        self.advance(now);
        (self.linked, self.stalled) = (false, false);
        self.inbox.clear();
        self.held = None;
        self.out.clear();
        self.late.clear();
        (self.owed, self.queued) = (None, None);
        self.hung_up(now);
        self.advance(now);
    }

    fn next(&mut self, now: u64) -> Do {
        self.passes(now);
        let due = |out: &VecDeque<(u64, Out)>| out.front().is_some_and(|(at, _)| *at <= now);
        if due(&self.out) {
            match self.out.pop_front().expect("one is due").1 {
                Out::HangUp => return Do::HangUp,
                Out::Reset => return Do::Reset,
                Out::Bytes(mut bytes) => {
                    while self.quirks.pieces == Pieces::Joined
                        && due(&self.out)
                        && matches!(self.out.front(), Some((_, Out::Bytes(_))))
                    {
                        if let Some((_, Out::Bytes(more))) = self.out.pop_front() {
                            bytes.extend(more);
                        }
                    }
                    return Do::Send(bytes);
                }
            }
        }
        let deaf = (self.deaf_until > now).then_some(self.deaf_until);
        let times = [self.out.front().map(|(at, _)| *at), self.front.wakes(), deaf];
        match times.into_iter().flatten().filter(|at| *at > now).min() {
            Some(at) => Do::Wait(at),
            None => Do::Idle,
        }
    }
}

#[cfg(test)]
mod tests;
