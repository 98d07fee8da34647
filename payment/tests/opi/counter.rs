//! A counter with one simulated terminal, and a network between them that breaks at a chosen message.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tresen_hal::link::Connect;
use tresen_hal::link::memory::{self, Dialer};
use tresen_hal::sim::Shared;
use tresen_hal::{Amount, Result, SimulatedRuntime};
use tresen_payment::opi::sim::{Profile, Simulator, State, serve};
use tresen_payment::opi::{self, Listener, Options, Terminal};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::{Entry, Host, IntentId, Journal, MemoryJournal, Payment, Request, Terminal as _};

pub(crate) use super::net::{Break, Net, Wired};
pub(crate) use super::words::{is_charged, why};

/// What every payment of these tests costs.
pub(crate) const PRICE: Amount = Amount::eur(12_50);

pub(crate) struct Counter {
    pub(crate) sim: Shared<Simulator>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: SimulatedRuntime,
    pub(crate) options: Options,
    pub(crate) net: Arc<Net>,
    pub(crate) listener: Arc<Listener>,
    to_terminal: Dialer,
    serving: JoinHandle<()>,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Counter {
    pub(crate) fn new(profile: Profile) -> Self {
        let mut options = Options::new("counter");
        options.dialect = profile.dialect;
        let sim = Shared::new(Simulator::new(profile));
        let net = Arc::new(Net::default());
        let ((to_terminal, terminal), (to_till, till)) = (memory::port(), memory::port());
        let listener = Listener::new(Box::new(Wired { inner: till, net: net.clone() }));
        let dial = Arc::new(Wired { inner: to_till, net: net.clone() });
        let at_terminal = Box::new(Wired { inner: terminal, net: net.clone() });
        let serving = tokio::spawn(serve(at_terminal, Some(dial), sim.clone()));
        Self {
            sim,
            journal: Arc::new(MemoryJournal::new()),
            clock: SimulatedRuntime::new(0, "2026-01-02T08:00:00Z".parse().expect("a timestamp")),
            options,
            net,
            listener,
            to_terminal,
            serving,
        }
    }

    pub(crate) fn connect(&self) -> Arc<dyn Connect> {
        Arc::new(Wired { inner: self.to_terminal.clone(), net: self.net.clone() })
    }

    pub(crate) async fn open(&self) -> Result<Terminal> {
        self.open_with(Arc::new(FaultyJournal::over(self.journal.clone()).slow())).await
    }

    /// Opens with another journal than the counter's own.
    pub(crate) async fn open_with(&self, journal: Arc<dyn Journal>) -> Result<Terminal> {
        let (listener, clock) = (Some(self.listener.clone()), Arc::new(self.clock.clone()));
        opi::open(self.connect(), listener, self.options.clone(), journal, clock).await
    }

    pub(crate) fn entry(&self, id: &str) -> Option<Entry> {
        self.journal.entries().into_iter().find(|e| e.intent.id == IntentId(id.into()))
    }

    /// How many transactions the terminal has stored, also those that were taken back later.
    pub(crate) fn stored(&self) -> usize {
        let counts = |state: State| !matches!(state, State::Authorised | State::Declined);
        self.sim.with(|s| s.ledger().entries().iter().filter(|t| counts(t.state)).count())
    }

    pub(crate) fn received(&self, request_type: &str) -> usize {
        self.sim.with(|s| s.received(request_type))
    }
}

pub(crate) async fn pay(terminal: &mut Terminal, id: &str) -> Result<Payment> {
    terminal.pay(Request::new(id, PRICE), Host::none()).await
}
