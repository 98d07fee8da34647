//! Open payments: asked about whenever the terminal is there, and settled by hand where it cannot tell.

use std::collections::BTreeSet;
use std::time::Duration;

use tresen_hal::{BoxFuture, Driver, Error, Kind, Result};
use tresen_payment::{Decision, Entry, IntentId, Journal, Notice, Payment, Settled};

use super::running::in_doubt;
use super::{Open, SharedTerminal, Terminals};
use crate::event::EventKind;
use crate::manager::device::Device;
use crate::manager::owner::{Hooks, LossReason, Tended};
use crate::manager::state::DeviceCapabilities;
use crate::manager::{After, AnyTerminal, Terms, lock};

impl Device<Terminals> {
    /// Settles open payments by asking the terminal what it has stored. This also happens automatically whenever the
    /// terminal reconnects, and again after 5 s to 60 s while a payment stays open and no customer is served.
    ///
    /// Payments that the terminal cannot tell are returned as [`Payment::Unknown`]; a person settles them with
    /// [`Self::settle`].
    ///
    /// # Errors
    /// The terminal cannot be reached, or the journal cannot be read; the payments stay open.
    pub async fn recover(&self) -> Result<Vec<Settled>> {
        let shared = self.shared.clone();
        let terms = Terms::normal("a recovery", Self::TRANSACTION);
        let settled = self.owned.ask(terms, |driver| driver.recover()).await.inspect_err(|error| {
            shared.unsettled(vec![(None, error.to_string())]);
        })?;
        self.shared.settled(&settled);
        Ok(settled)
    }

    /// Whether recovery looks after this payment.
    pub(crate) fn knows_open(&self, intent: &IntentId) -> bool {
        lock(&self.shared.state).unsettled.iter().any(|(of, _)| of.as_ref().is_none_or(|of| of == intent))
    }

    /// Has the terminal asked about its open payments on a new connection, once it is idle, and again until they are
    /// decided.
    pub(crate) async fn ask_again(&self) {
        // A terminal that is opened is asked anyway; a call that waits for that would open it once more.
        if !self.owned.phase().borrow().is_ready() {
            return;
        }
        let terms = Terms::normal("a recovery", Self::TRANSACTION);
        let reopened = self.owned.call(terms, |_| Box::pin(std::future::ready(((), After::Reopen(in_doubt())))));
        if reopened.await.is_err() {
            tracing::debug!(terminal = self.owned.name(), "it is asked about open payments when it is connected again");
        }
    }

    /// Settles an open payment by hand; the journal records who decided what, and why. This needs no terminal, and is
    /// the way out where the terminal cannot tell.
    ///
    /// # Errors
    /// The payment is not open or belongs to another terminal, the decision lacks a name or a reason, or the
    /// journal cannot be written.
    pub async fn settle(&self, intent: &IntentId, decision: Decision) -> Result<Payment> {
        let here = |error: Error| error.at(self.owned.name());
        let entry = self.till.store.find(intent).await.map_err(here)?;
        if entry.is_none_or(|entry| entry.intent.terminal != self.owned.name()) {
            let what = format!("the journal has no intent `{}` of this terminal", intent.0);
            return Err(here(Error::new(Kind::Input, what)));
        }
        let entry: Entry = self.till.store.settle(intent, &decision).await.map_err(here)?;
        let payment = entry.outcome().unwrap_or_else(|| Payment::unknown(intent, "no reason given"));
        let evidence = format!("settled by {}: {}", decision.by, decision.reason);
        self.shared.decided(Settled::new(entry.intent, payment.clone(), evidence));
        Ok(payment)
    }
}

impl SharedTerminal {
    /// Reports what was settled and what stays open, and wakes waiters.
    fn settled(&self, settled: &[Settled]) {
        let (decided, open): (Vec<_>, Vec<_>) = settled.iter().partition(|s| s.payment.is_decided());
        lock(&self.state).in_doubt.retain(|id| decided.iter().all(|s| s.intent.id != *id));
        let open = open.into_iter().map(|s| (Some(s.intent.id.clone()), s.evidence.clone())).collect();
        let news = self.replace_unsettled(open);
        for settled in decided {
            self.common.reporter.publish(EventKind::Settled(Box::new(settled.clone())));
        }
        self.publish_unsettled(news);
        self.recovered.send_modify(|n| *n += 1);
    }

    /// Reports a person's decision, and wakes waiters.
    fn decided(&self, settled: Settled) {
        let id = settled.intent.id.clone();
        {
            let mut state = lock(&self.state);
            state.unsettled.retain(|(intent, _)| intent.as_ref() != Some(&id));
            state.in_doubt.remove(&id);
        }
        self.common.reporter.publish(EventKind::Settled(Box::new(settled)));
        self.recovered.send_modify(|n| *n += 1);
    }

    /// Records what stays open, and publishes what is new.
    fn unsettled(&self, open: Vec<Open>) {
        let news = self.replace_unsettled(open);
        self.publish_unsettled(news);
    }

    /// Replaces the open payments and returns the new ones. The state changes before any event is published, so that a
    /// listener who reads it finds it up to date.
    fn replace_unsettled(&self, open: Vec<Open>) -> Vec<Open> {
        let mut state = lock(&self.state);
        let before = std::mem::replace(&mut state.unsettled, open);
        state.unsettled.iter().filter(|open| !before.contains(open)).cloned().collect()
    }

    fn publish_unsettled(&self, news: Vec<Open>) {
        for (intent, why) in news {
            self.common.reporter.publish(EventKind::Unsettled { intent, why });
        }
    }
}

impl SharedTerminal {
    /// Asks the terminal for the outcome of open payments. Returns the delay until it is asked again, if that failed or
    /// a payment stays open.
    async fn recover(&self, driver: &mut AnyTerminal) -> Result<Option<Duration>> {
        match driver.recover().await {
            Ok(settled) => {
                self.settled(&settled);
                if settled.iter().all(|settled| settled.payment.is_decided()) {
                    *lock(&self.delay) = AGAIN;
                    return Ok(None);
                }
            }
            Err(error) => {
                self.unsettled(vec![(None, error.to_string())]);
                if let After::Reopen(error) = After::of(&error) {
                    return Err(error);
                }
            }
        }
        let mut delay = lock(&self.delay);
        let now = *delay;
        *delay = (now * 2).min(AT_LEAST_EVERY);
        Ok(Some(now))
    }

    /// Records which payments have been undecided for so long that a person was told.
    pub(super) fn doubt(&self, intents: BTreeSet<IntentId>) {
        lock(&self.state).in_doubt = intents;
    }
}

impl Hooks<AnyTerminal> for SharedTerminal {
    // A terminal that is still serving a customer is asked until it is idle.
    const OPENED_WITHIN: Duration = Duration::from_secs(200);

    fn opened<'a>(&'a self, driver: &'a mut AnyTerminal, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        Box::pin(async move {
            let capabilities = DeviceCapabilities::Terminal(driver.capabilities().clone());
            self.common.found(address, Some(capabilities));
            self.recover(driver).await
        })
    }
    fn connected(&self, _driver: &mut AnyTerminal, address: &str) {
        self.common.reporter.connected(address);
    }
    fn tend<'a>(&'a self, driver: &'a mut AnyTerminal) -> BoxFuture<'a, Tended> {
        Box::pin(async move {
            match self.recover(driver).await {
                Ok(again) => Tended { again, failed: again.is_some(), after: After::Keep },
                Err(error) => Tended { again: None, failed: true, after: After::Reopen(error) },
            }
        })
    }
    fn event(&self, notice: <AnyTerminal as Driver>::Event) {
        if let Notice::Text(text) = notice {
            self.common.reporter.publish(EventKind::Notice(text));
        }
    }
    fn lost(&self, reason: LossReason<'_>) {
        self.common.lost(reason);
    }
}

/// Initial delay before the terminal is asked again about open payments; doubled each time.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// Maximum delay.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);
