//! A counter with one simulated terminal: connect, lose the link, connect again.
#![allow(dead_code, reason = "not every test asks for everything")]

mod cable;
mod words;

use std::sync::Arc;

use cable::Cable;
use tokio::task::JoinHandle;
use tresen_hal::link::fault::{Fault, Plan};
use tresen_hal::link::memory;
use tresen_hal::sim::{self, Shared};
use tresen_hal::{Amount, Effect, Kind, Link, Result, SimulatedRuntime};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::zvt::sim::{Misbehaviour, Profile, Side, Simulator, State};
use tresen_payment::zvt::{self, Framed, Options};
use tresen_payment::{Entry, Host, IntentId, Journal, MemoryJournal, Payment, Request, Terminal};
pub(crate) use words::*;

/// What every payment of these tests costs.
pub(crate) const PRICE: Amount = Amount::eur(12_50);

pub(crate) struct Counter {
    pub(crate) sim: Shared<Simulator>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: SimulatedRuntime,
    pub(crate) options: Options,
    serving: Option<JoinHandle<()>>,
    cable: Option<Cable>,
}

impl Counter {
    pub(crate) fn new(profile: Profile) -> Self {
        let mut options = Options::new("counter");
        options.framing = profile.framing;
        Self {
            sim: Shared::new(Simulator::new(profile)),
            journal: Arc::new(MemoryJournal::new()),
            clock: SimulatedRuntime::new(0, "2026-01-02T08:00:00Z".parse().expect("a timestamp")),
            options,
            serving: None,
            cable: None,
        }
    }

    /// Lets the terminal notice that an earlier link is gone, then makes a new one. On a serial line it notices
    /// nothing.
    pub(crate) async fn link(&mut self) -> memory::Memory {
        if let Framed::Serial(_) = self.options.framing {
            return self.cable.get_or_insert_with(|| Cable::new(self.sim.clone())).plug_in().await;
        }
        if let Some(serving) = self.serving.take() {
            serving.await.expect("the simulator does not panic");
        }
        let (near, far) = memory::pair();
        let sim = self.sim.clone();
        self.serving = Some(tokio::spawn(async move { sim::link(&far, &sim).await }));
        near
    }

    pub(crate) async fn open(&mut self) -> Result<zvt::Terminal> {
        let link = self.link().await;
        self.open_over(link).await
    }

    pub(crate) async fn open_broken(&mut self, plan: Plan) -> Result<zvt::Terminal> {
        let link = self.link().await;
        self.open_over(Fault::new(link, plan)).await
    }

    /// Opens with another journal than the counter's own.
    pub(crate) async fn open_with(&mut self, journal: Arc<dyn Journal>) -> Result<zvt::Terminal> {
        let link = self.link().await;
        zvt::open(Box::new(link), self.options.clone(), journal, Arc::new(self.clock.clone())).await
    }

    pub(crate) async fn open_over(&self, link: impl Link + 'static) -> Result<zvt::Terminal> {
        zvt::open(
            Box::new(link),
            self.options.clone(),
            Arc::new(FaultyJournal::over(self.journal.clone()).slow()),
            Arc::new(self.clock.clone()),
        )
        .await
    }

    pub(crate) fn entry(&self, id: &str) -> Option<Entry> {
        self.journal.entries().into_iter().find(|e| e.intent.id == IntentId(id.into()))
    }

    /// How many transactions stand at the terminal.
    pub(crate) fn stored(&self) -> usize {
        self.sim.with(|s| s.ledger().stored().count())
    }

    pub(crate) fn undecided(&self) -> usize {
        self.sim.with(|s| s.ledger().entries().iter().filter(|t| t.state == State::Authorised).count())
    }

    /// How many commands of this code the terminal received.
    pub(crate) fn received(&self, code: u16) -> usize {
        self.sim.with(|s| s.received(code))
    }
}

pub(crate) async fn pay(terminal: &mut zvt::Terminal, id: &str) -> Result<Payment> {
    terminal.pay(Request::new(id, PRICE), Host::none()).await
}

/// Messages to the till in a payment: `80`, `04 0F`, `06 0F` for the question before it, then `80`,
/// three `04 FF`, `04 0F`.
pub(crate) const ACCEPTED: usize = 3;
pub(crate) const APPROVAL: usize = 7;

pub(crate) fn cut_before(message: usize) -> Misbehaviour {
    Misbehaviour::HangUp { side: Side::ToTill, message, after: false }
}

/// As the owner of a driver does: one that ended its connection is opened anew.
pub(crate) async fn next_customer_pays(counter: &mut Counter, terminal: zvt::Terminal, name: &str) {
    let next = next_customer(counter, terminal, name, "next").await;
    assert!(is_charged(&next), "{name}: {next:?}");
}

/// The outcome of the payment `id`, for which one authorisation was sent.
pub(crate) async fn next_customer(counter: &mut Counter, mut terminal: zvt::Terminal, name: &str, id: &str) -> Payment {
    let sent = counter.received(0x0601);
    for _ in 0..4 {
        match terminal.pay(Request::new(id, Amount::eur(3_00)), Host::none()).await {
            Ok(next) => {
                assert_eq!(counter.received(0x0601), sent + 1, "{name}");
                return next;
            }
            Err(error) => assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None), "{name}: {error}"),
        }
        assert_eq!(counter.received(0x0601), sent, "{name}");
        drop(terminal);
        terminal = counter.open().await.expect("registers again");
        terminal.recover().await.expect("asks");
    }
    panic!("{name}: the next customer could not pay");
}
