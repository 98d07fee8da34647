//! The clock of a terminal, as its approvals tell it.

use std::fmt;
use std::sync::{Arc, Mutex};

use tresen_hal::{BoxFuture, Clock, Result};
use tresen_payment::{Charge, Decision, Entry, Intent, IntentId, Journal, Payment, Reference, Transaction};

use super::activity::{Activity, ClockOffset};
use super::alerts::{Alert, Alerts};
use crate::event::Source;
use crate::manager::lock;

/// The journal of one terminal. It compares clocks whenever an approval arrives: that is the only message of a terminal
/// that tells its time, and it is journalled at once.
pub(crate) struct Observed {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) terminal: Source,
    /// The last payment compared: its approval may be journalled again, with its slip.
    pub(crate) last: Mutex<Option<IntentId>>,
}

impl Observed {
    fn compare(&self, id: &IntentId, charge: &Charge) {
        let Some(there) = charge.at else { return };
        if lock(&self.last).replace(id.clone()).as_ref() == Some(id) {
            return;
        }
        let offset = ClockOffset::between(there, self.clock.wall());
        self.activity.clock(offset);
        let off = offset.distance() >= self.alerts.limits().clock_off;
        let why = off.then(|| said(offset));
        self.alerts.set(&self.terminal, Alert::ClockOff, why, offset.at);
    }
}

/// `its clock is 65 min behind this machine's`
pub(super) fn said(offset: ClockOffset) -> String {
    let seconds = offset.seconds.unsigned_abs();
    let amount = if seconds < 600 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
    let side = if offset.seconds < 0 { "behind" } else { "ahead of" };
    format!("its clock is {amount} {side} this machine's")
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.journal.fmt(f)
    }
}

impl Journal for Observed {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        self.journal.intend(intent)
    }
    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        self.compare(id, charge);
        self.journal.approve(id, charge)
    }
    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        self.journal.conclude(id, payment)
    }
    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>> {
        self.journal.settle(id, decision)
    }
    fn holder<'a>(&'a self, terminal: &'a str, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>> {
        self.journal.holder(terminal, reference)
    }
    fn ends<'a>(&'a self, terminal: &'a str, operation: &'a Transaction) -> BoxFuture<'a, Result<Vec<Entry>>> {
        self.journal.ends(terminal, operation)
    }
    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        self.journal.find(id)
    }
    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        self.journal.open(terminal)
    }
    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        self.journal.last(terminal)
    }
}
