//! A PayTec terminal, simulated: with shifts, periods and a ledger of its own, and misbehaving on request.
//!
//! Sans-IO like all simulators; serve it with [`tresen_hal::sim`], over TCP or a serial line. How real terminals behave
//! is known from the till's side of the protocol only; what is guessed is a setting of the [`Profile`]: how long a
//! terminal waits for a confirmation and what it does then, whether it goes on without a till, what an abort does. Left
//! out: the vendor's cloud, and everything besides money, shifts and receipts.

mod fault;
mod messages;
mod profile;
mod requests;
mod run;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use tresen_hal::Amount;
use tresen_hal::link::record::Direction;
use tresen_hal::sim::{Action, Device};

use super::framing::Framing;
use super::redact::Redactor;
use super::serial::{BAUD, End, Frames};
use super::wire::{ConnectRequest, Message, ReceiptRequest, TransactionRequest};
pub use crate::ledger::{Kind, Ledger, State, Transaction};
use fault::Faults;
pub use fault::{Difference, Fault, Misbehaviour, Side};
pub use profile::{OnAbort, Profile, Unconfirmed};

/// One message that passed, without card data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// [`Direction::Received`] came from the till.
    pub direction: Direction,
    /// Its name.
    pub name: String,
    /// The line.
    pub line: String,
}

/// The terminal.
pub struct Simulator {
    profile: Profile,
    ledger: Ledger,
    faults: Faults,
    log: VecDeque<Logged>,
    framing: Framing,
    /// How the till has introduced itself on this link.
    till: Option<ConnectRequest>,
    shift_open: bool,
    shift: i64,
    period: i64,
    /// The booking period has been closed; the next shift begins another.
    balanced: bool,
    job: Option<Job>,
    busy_until: Option<Instant>,
    /// The last answer to a transaction.
    last: Option<Message>,
    /// How many parts of a receipt have been told, and by which request.
    told_parts: Option<(ReceiptRequest, usize)>,
    out: VecDeque<Action>,
    late: Vec<(Instant, Message)>,
    /// Messages that wait until this many others have been sent.
    behind: Vec<(usize, Message)>,
    /// Bytes that go with the next message.
    merged: Vec<u8>,
    /// How the next bytes are cut.
    cut: Option<Fault>,
    heard: Option<Instant>,
    hung_up: bool,
    started: Option<Instant>,
}

/// A transaction that runs.
struct Job {
    request: TransactionRequest,
    kind: Kind,
    amount: Amount,
    /// Where it stands in the ledger, once it has been approved.
    entry: Option<usize>,
    phase: Phase,
    due: Instant,
    /// The till that began it is still there.
    till: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The card is read.
    Card,
    /// The host is asked.
    Online,
    /// The till has to confirm it.
    Confirmation,
}

/// How many messages the log keeps.
const LOG: usize = 10_000;

impl Simulator {
    /// A terminal with an empty ledger and a closed shift.
    pub fn new(profile: Profile) -> Self {
        Self {
            ledger: Ledger::starting_after(profile.numbers_from),
            framing: framing(&profile),
            profile,
            faults: Faults::default(),
            log: VecDeque::new(),
            till: None,
            shift_open: false,
            shift: 12,
            period: 3,
            balanced: false,
            job: None,
            busy_until: None,
            last: None,
            told_parts: None,
            out: VecDeque::new(),
            late: Vec::new(),
            behind: Vec::new(),
            merged: Vec::new(),
            cut: None,
            heard: None,
            hung_up: false,
            started: None,
        }
    }

    /// What it has stored. A transaction's trace number is its `TrxSeqCnt`.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The messages that passed, oldest first; the last ten thousand.
    pub fn log(&self) -> impl Iterator<Item = &Logged> {
        self.log.iter()
    }

    /// How many messages of this name came from a till.
    pub fn received(&self, name: &str) -> usize {
        self.log.iter().filter(|l| l.direction == Direction::Received && l.name == name).count()
    }

    /// Something goes wrong, once.
    pub fn misbehave(&mut self, how: Misbehaviour) {
        self.faults.plan(how);
    }

    /// Forgets what should still go wrong.
    pub fn behave(&mut self) {
        self.faults.clear();
    }

    /// A transaction of which the connected till knows nothing: typed in at the terminal, or by another till. It stands
    /// at once.
    pub fn by_hand(&mut self, kind: Kind, amount: Amount) -> &Transaction {
        let at = self.ledger.add(kind, amount, None);
        self.ledger.store(at);
        &self.ledger.entries()[at]
    }

    /// A transaction runs.
    pub fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// Changes how it is, from the next message on. The ledger stays.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.profile
    }
}

fn framing(profile: &Profile) -> Framing {
    if profile.serial { Framing::serial(Frames::new(End::Terminal, BAUD)) } else { Framing::lines() }
}

impl Device for Simulator {
    fn connected(&mut self, now: Instant) {
        self.started.get_or_insert(now);
        self.framing = framing(&self.profile);
        (self.heard, self.hung_up, self.cut) = (Some(now), false, None);
        self.out.clear();
        self.forget_messages();
        self.advance(now);
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.heard = Some(now);
        self.framing.feed(bytes);
        while !self.hung_up {
            match self.framing.next_line() {
                Ok(Some(line)) => self.take_line(&line, now),
                Ok(None) => break,
                // This is no till.
                Err(_) => self.hang_up(),
            }
        }
        self.drain(now);
    }

    fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let job = self.job.as_ref().map(|job| job.due);
        let asks = self.profile.heartbeat.zip(self.heard).map(|(every, heard)| heard + every);
        let asks = asks.filter(|_| self.till.is_some() && !self.hung_up);
        let late = self.late.iter().map(|(at, _)| *at);
        late.chain(job).chain(asks).chain(self.framing.poll_timeout()).min()
    }

    fn timeout(&mut self, now: Instant) {
        while let Some(at) = self.late.iter().position(|(at, _)| *at <= now) {
            let (_, message) = self.late.remove(at);
            self.deliver(&message, now);
        }
        if let Some((every, heard)) = self.profile.heartbeat.zip(self.heard)
            && heard + every <= now
            && self.till.is_some()
        {
            self.heard = Some(now);
            self.deliver(&Message::HeartbeatRequest {}, now);
        }
        self.framing.handle_timeout(now);
        self.advance(now);
        self.drain(now);
    }

    fn disconnected(&mut self, now: Instant) {
        self.hung_up = true;
        self.till = None;
        self.out.clear();
        self.forget_messages();
        self.lose_till(now);
    }
}

impl Simulator {
    fn forget_messages(&mut self) {
        self.late.clear();
        self.behind.clear();
        self.merged.clear();
    }

    fn note(&mut self, direction: Direction, line: &[u8]) {
        use tresen_hal::link::record::Redactor as _;
        let masked = Redactor::default().feed(direction, &[line, b"\n"].concat());
        let name = match Message::from_line(line) {
            Ok(message) => message.name().to_owned(),
            Err(unreadable) => unreadable.to_string(),
        };
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        let line = String::from_utf8_lossy(masked.trim_ascii_end()).into_owned();
        self.log.push_back(Logged { direction, name, line });
    }

    /// How long it has run since the first till came.
    fn uptime(&self, now: Instant) -> Duration {
        self.started.map_or(Duration::ZERO, |started| now.saturating_duration_since(started))
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("profile", &self.profile)
            .field("ledger", &self.ledger)
            .field("shift", &self.shift)
            .finish_non_exhaustive()
    }
}
