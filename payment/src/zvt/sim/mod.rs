//! A ZVT terminal, simulated: with a ledger of its own, and misbehaving on request.
//!
//! Sans-IO like all simulators; serve it with [`tresen_hal::sim`]. It takes any till that speaks ZVT
//! over TCP, with or without TLV, BMPs in any order. Reservations (06 22) are stored and can be neither
//! booked nor released. Left out: everything a till can do without money and receipts, such as card reading and menus.

mod commands;
mod fault;
mod messages;
mod profile;
mod run;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use tresen_hal::Amount;
use tresen_hal::link::record::Direction;
use tresen_hal::sim::{Action, Device};

use super::commands::registration::Registration;
use super::framing::Framing;
pub use super::recovery::Commit;
pub use crate::ledger::{Kind, Ledger, State, Transaction};
use fault::Faults;
pub use fault::{Misbehaviour, Side};
pub use profile::{Asks, OnAbort, OnRepeat, Profile, Repeats};

/// One message that passed, without card data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// [`Direction::Received`] came from the till.
    pub direction: Direction,
    /// The APDU.
    pub bytes: Vec<u8>,
}

/// The terminal.
pub struct Simulator {
    profile: Profile,
    ledger: Ledger,
    faults: Faults,
    log: VecDeque<Logged>,
    framing: Framing,
    registration: Option<Registration>,
    dialog: Option<Job>,
    /// What goes on without a till. While it does, the terminal is busy.
    alone: Option<Job>,
    out: VecDeque<Action>,
    late: Vec<(Instant, Vec<u8>)>,
    /// Messages that wait until this many others have been sent.
    behind: Vec<(usize, Vec<u8>)>,
    /// The 04 0F that answered 06 20 last.
    repeated: Option<Vec<u8>>,
    entered: Vec<String>,
    shown: Vec<String>,
    busy_until: Option<Instant>,
    muted: bool,
    hung_up: bool,
    started: Option<Instant>,
}

/// How many messages the log keeps.
const LOG: usize = 10_000;
/// How long it waits for an input.
const INPUT: Duration = Duration::from_secs(60);
/// How long it waits for the till's answer: T3 of its side.
const ANSWER: Duration = Duration::from_secs(5);

/// A command that runs.
struct Job {
    steps: VecDeque<Step>,
    due: Instant,
    /// The till owes an answer until then.
    answer_due: Option<Instant>,
    /// The answer that is owed decides about this approval.
    deciding: bool,
    /// The answer that is owed holds an input.
    asking: bool,
    transaction: Option<usize>,
}

enum Step {
    Tell(Vec<u8>),
    TellResult(Vec<u8>),
    /// Asks the till for an input.
    Ask(Vec<u8>),
    Authorise {
        kind: Kind,
        amount: Amount,
        decline: Option<u8>,
    },
    Store,
    Undo,
}

impl Simulator {
    /// A terminal with an empty ledger.
    pub fn new(profile: Profile) -> Self {
        let ledger = Ledger::starting_after(profile.receipts_from);
        Self {
            profile,
            ledger,
            faults: Faults::default(),
            log: VecDeque::new(),
            framing: Framing::tcp(),
            registration: None,
            dialog: None,
            alone: None,
            out: VecDeque::new(),
            late: Vec::new(),
            behind: Vec::new(),
            repeated: None,
            entered: Vec::new(),
            shown: Vec::new(),
            busy_until: None,
            muted: false,
            hung_up: false,
            started: None,
        }
    }

    /// What it has stored.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The messages that passed, oldest first; the last ten thousand.
    pub fn log(&self) -> impl Iterator<Item = &Logged> {
        self.log.iter()
    }

    /// How many commands with this code came from a till: `received(0x0601)` counts authorisations.
    pub fn received(&self, code: u16) -> usize {
        let code = code.to_be_bytes();
        self.log.iter().filter(|l| l.direction == Direction::Received && l.bytes.starts_with(&code)).count()
    }

    /// What was entered at the till when the terminal [asked](Profile::asks), oldest first.
    pub fn entered(&self) -> &[String] {
        &self.entered
    }

    /// What the till has had shown at the terminal, oldest first.
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// Something goes wrong, once.
    pub fn misbehave(&mut self, how: Misbehaviour) {
        self.faults.plan(how);
    }

    /// Forgets what should still go wrong.
    pub fn behave(&mut self) {
        self.faults.clear();
    }

    /// A transaction of which the connected till knows nothing: typed in at the terminal, or by another
    /// till. It stands at once.
    pub fn by_hand(&mut self, kind: Kind, amount: Amount) -> &Transaction {
        let at = self.ledger.add(kind, amount, None);
        self.ledger.store(at);
        &self.ledger.entries()[at]
    }

    /// A till is registered.
    pub fn is_registered(&self) -> bool {
        self.registration.is_some()
    }

    /// Changes how it is, from the next command on. The ledger stays.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.profile
    }
}

impl Device for Simulator {
    fn connected(&mut self, now: Instant) {
        self.started.get_or_insert(now);
        self.framing = Framing::tcp();
        self.out.clear();
        self.late.clear();
        self.behind.clear();
        (self.muted, self.hung_up) = (false, false);
        self.advance(now);
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.framing.feed(bytes);
        while !self.hung_up {
            let mut framing = std::mem::take(&mut self.framing);
            match framing.next_apdu() {
                Ok(Some(apdu)) => {
                    self.note(Direction::Received, apdu.bytes);
                    match self.faults.on_receive() {
                        None => self.handle(apdu, now),
                        Some(after) => {
                            self.hang_up();
                            if after {
                                self.handle(apdu, now);
                            }
                        }
                    }
                }
                Ok(None) => {
                    self.framing = framing;
                    return;
                }
                // This is no till.
                Err(_) => self.hang_up(),
            }
            self.framing = framing;
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let dialog = self.dialog.as_ref().map(|j| j.answer_due.unwrap_or(j.due));
        let alone = self.alone.as_ref().map(|j| j.due);
        self.late.iter().map(|(at, _)| *at).chain(dialog).chain(alone).min()
    }

    fn timeout(&mut self, now: Instant) {
        while let Some(at) = self.late.iter().position(|(at, _)| *at <= now) {
            let (_, message) = self.late.remove(at);
            self.deliver(message);
        }
        if self.dialog.as_ref().is_some_and(|j| j.answer_due.is_some_and(|at| at <= now)) {
            self.lose_till(now);
        }
        self.advance(now);
    }

    fn disconnected(&mut self, now: Instant) {
        self.hung_up = true;
        if !self.profile.keeps_registration {
            self.registration = None;
        }
        self.out.clear();
        self.late.clear();
        self.behind.clear();
        self.lose_till(now);
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("profile", &self.profile)
            .field("ledger", &self.ledger)
            .field("registered", &self.registration.is_some())
            .finish_non_exhaustive()
    }
}
