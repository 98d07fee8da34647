//! A counter with one simulated terminal: connect, lose the link, connect again.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tresen_hal::link::fault::{Fault, Plan};
use tresen_hal::link::memory;
use tresen_hal::sim::{self, Shared};
use tresen_hal::{Amount, Currency, Link, Result, SimulatedRuntime};
use tresen_payment::paytec::sim::{Misbehaviour, Profile, Simulator, State};
use tresen_payment::paytec::{self, Options, Terminal};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::{Entry, Host, IntentId, Journal, MemoryJournal, Payment, Request, Terminal as _};

pub(crate) use super::words::{is_charged, reason, why};

/// What every payment of these tests costs.
pub(crate) fn price() -> Amount {
    francs(12_90)
}

pub(crate) fn francs(minor: i64) -> Amount {
    Amount::new(minor, Currency::from_number(756).expect("francs"))
}

pub(crate) fn profile() -> Profile {
    Profile { time: Some(jiff::civil::date(2026, 5, 11).at(10, 15, 0, 0)), ..Profile::default() }
}

pub(crate) struct Counter {
    pub(crate) sim: Shared<Simulator>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: SimulatedRuntime,
    pub(crate) options: Options,
    serving: Option<JoinHandle<()>>,
}

impl Counter {
    pub(crate) fn new(profile: Profile) -> Self {
        let mut options = Options::new("counter");
        options.serial = profile.serial;
        Self {
            sim: Shared::new(Simulator::new(profile)),
            journal: Arc::new(MemoryJournal::new()),
            clock: SimulatedRuntime::new(0, "2026-05-11T08:15:00Z".parse().expect("a timestamp")),
            options,
            serving: None,
        }
    }

    /// Lets the terminal notice that an earlier link is gone, then makes a new one.
    pub(crate) async fn link(&mut self) -> memory::Memory {
        if let Some(serving) = self.serving.take() {
            serving.await.expect("the simulator does not panic");
        }
        let (near, far) = memory::pair();
        let sim = self.sim.clone();
        self.serving = Some(tokio::spawn(async move { sim::link(&far, &sim).await }));
        near
    }

    pub(crate) async fn open(&mut self) -> Result<Terminal> {
        let link = self.link().await;
        self.over(link, self.slow()).await
    }

    pub(crate) async fn open_broken(&mut self, plan: Plan) -> Result<Terminal> {
        let link = self.link().await;
        self.over(Fault::new(link, plan), self.slow()).await
    }

    /// Opens with another journal than the counter's own.
    pub(crate) async fn open_with(&mut self, journal: Arc<dyn Journal>) -> Result<Terminal> {
        let link = self.link().await;
        self.over(link, journal).await
    }

    fn slow(&self) -> Arc<dyn Journal> {
        Arc::new(FaultyJournal::over(self.journal.clone()).slow())
    }

    async fn over(&self, link: impl Link + 'static, journal: Arc<dyn Journal>) -> Result<Terminal> {
        paytec::open(Box::new(link), self.options.clone(), journal, Arc::new(self.clock.clone())).await
    }

    pub(crate) fn misbehave(&self, how: Misbehaviour) {
        self.sim.with(|s| s.misbehave(how));
    }

    pub(crate) fn entry(&self, id: &str) -> Option<Entry> {
        self.journal.entries().into_iter().find(|e| e.intent.id == IntentId(id.into()))
    }

    /// How many transactions stand at the terminal, or were taken back by a reversal.
    pub(crate) fn stored(&self) -> usize {
        let reversed = |s: &Simulator, at: usize| {
            let by = |t: &tresen_payment::paytec::sim::Transaction| {
                matches!(t.kind, tresen_payment::paytec::sim::Kind::Reversal(of) if of == at)
                    && t.state == State::Stored
            };
            s.ledger().entries().iter().any(by)
        };
        self.sim.with(|s| {
            let entries = s.ledger().entries().iter().enumerate();
            entries.filter(|(at, t)| t.state == State::Stored || t.state == State::Reversed && reversed(s, *at)).count()
        })
    }

    pub(crate) fn received(&self, name: &str) -> usize {
        self.sim.with(|s| s.received(name))
    }
}

pub(crate) async fn pay(terminal: &mut Terminal, id: &str) -> Result<Payment> {
    terminal.pay(Request::new(id, price()), Host::none()).await
}
