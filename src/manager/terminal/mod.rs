//! The terminal handle: what a till asks of a terminal, and what terminals ask of a till.

mod questions;
mod recovery;
mod reservations;
mod running;
mod verbs;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tresen_payment::{Capabilities, IntentId};

use super::device::{Common, Device, DeviceClass, Setup, Shared};
use super::state::{Attention, DeviceCapabilities};
use super::{AnyTerminal, lock};
use crate::class::Class;

pub use questions::OpenQuestion;
pub(crate) use running::made_before;

/// A payment terminal by its logical name. Clones are cheap.
pub type Terminal = Device<Terminals>;

/// Payment terminals.
#[derive(Debug, Clone, Copy)]
pub struct Terminals;

impl DeviceClass for Terminals {
    const CLASS: Class = Class::Terminal;
    type Driver = AnyTerminal;
    type Shared = SharedTerminal;
}

/// Shared between the owner of a terminal and its handles.
pub struct SharedTerminal {
    common: Common,
    state: Mutex<State>,
    /// Counts recoveries and decisions, so that waiters check again.
    recovered: watch::Sender<u64>,
    /// How long recovery waits before it is retried.
    delay: Mutex<Duration>,
}

#[derive(Default)]
struct State {
    /// Requested transactions that have not ended, oldest first: the first is being served.
    asked: Vec<IntentId>,
    /// The abort signal of each requested transaction until it has ended, even after its caller was dropped.
    aborts: Vec<(IntentId, watch::Sender<bool>)>,
    /// The open payments as last published.
    unsettled: Vec<Open>,
    /// Questions of the terminal that wait for an answer, oldest first.
    questions: Vec<questions::Waiting>,
    /// Payments that have been undecided for so long that a person was told.
    in_doubt: BTreeSet<IntentId>,
}

/// A payment that stays open, or all of them, and why.
type Open = (Option<IntentId>, String);

impl Shared<AnyTerminal> for SharedTerminal {
    fn new(setup: Setup) -> Self {
        let (state, recovered) = (Mutex::default(), watch::Sender::new(0));
        Self { common: setup.common, state, recovered, delay: Mutex::new(recovery::AGAIN) }
    }
    fn common(&self) -> &Common {
        &self.common
    }
    fn attention(&self) -> Vec<Attention> {
        let state = lock(&self.state);
        let unsettled = (!state.unsettled.is_empty()).then_some(Attention::Unsettled);
        let in_doubt = (!state.in_doubt.is_empty()).then_some(Attention::PaymentInDoubt);
        unsettled.into_iter().chain(in_doubt).collect()
    }
}

impl Device<Terminals> {
    /// Time limit of a transaction: 900 s. The driver bounds each step itself.
    pub const TRANSACTION: Duration = Duration::from_secs(900);
    /// How long a caller whose payment is unknown waits for recovery before `Unknown` is returned: 60 s.
    pub const SETTLE: Duration = Duration::from_secs(60);
    /// Time limit of [`Self::status`] and [`Self::repeat_receipt`]: 60 s.
    pub const ANSWER: Duration = Duration::from_secs(60);

    /// Whether this transaction is running, waiting for its turn, or awaited.
    pub(crate) fn runs(&self, key: &IntentId) -> bool {
        let state = lock(&self.shared.state);
        state.asked.contains(key) || state.aborts.iter().any(|(intent, _)| intent == key)
    }

    /// Shows that these payments have been undecided for so long that a person was told.
    pub(crate) fn doubt(&self, intents: BTreeSet<IntentId>) {
        self.shared.doubt(intents);
    }

    /// The transaction being served.
    pub fn serving(&self) -> Option<IntentId> {
        lock(&self.shared.state).asked.first().cloned()
    }

    /// The terminal's capabilities; `None` until first connected, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self.shared.common.capabilities() {
            Some(DeviceCapabilities::Terminal(capabilities)) => Some(capabilities),
            _ => None,
        }
    }
}
