//! A ZVT terminal, simulated: with a ledger of its own, and misbehaving on request.
//!
//! Sans-IO like all simulators. Serve it with [`tcp`] or [`over`], for any number of tills, or with
//! [`tresen_hal::sim`], for one link, such as a serial line. It takes any till that speaks ZVT, with or without TLV,
//! BMPs in any order. Reservations are booked (06 23, 06 24) and released (06 25) by their receipt number, and listed
//! (06 23 with FFFF). Left out: menus, file transfer, software update.

mod commands;
mod fault;
mod messages;
mod profile;
mod run;
mod tills;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tresen_hal::Amount;
use tresen_hal::link::record::Direction;

use super::commands::registration::Registration;
pub use super::recovery::Commit;
pub use crate::ledger::{Kind, Ledger, State, Transaction};
pub use crate::serving::{Action, Conn, Server};
use fault::Faults;
pub use fault::{LineFault, Misbehaviour, Side};
pub use profile::{Asks, OnAbort, OnRepeat, Profile, Repeats};
use tills::Till;
pub use tills::{over, tcp};

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
    tills: BTreeMap<Conn, Till>,
    conns_made: u64,
    /// The till that is spoken with.
    front: Conn,
    /// Who is registered, by the host that it came from.
    known: BTreeMap<Option<IpAddr>, Registration>,
    dialog: Option<Job>,
    /// What goes on without a till. While it does, the terminal is busy.
    alone: Option<Job>,
    out: VecDeque<Action>,
    /// The 04 0F that answered 06 20 last.
    repeated: Option<Vec<u8>>,
    entered: Vec<String>,
    shown: Vec<String>,
    busy_until: Option<Instant>,
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
    till: Conn,
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
            tills: BTreeMap::new(),
            conns_made: 0,
            front: Conn(0),
            known: BTreeMap::new(),
            dialog: None,
            alone: None,
            out: VecDeque::new(),
            repeated: None,
            entered: Vec::new(),
            shown: Vec::new(),
            busy_until: None,
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
        !self.known.is_empty()
    }

    /// Changes how it is, from the next command on. The ledger stays.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.profile
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("profile", &self.profile)
            .field("ledger", &self.ledger)
            .field("registered", &self.is_registered())
            .finish_non_exhaustive()
    }
}
