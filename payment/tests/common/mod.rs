//! A counter with one simulated terminal: connect, lose the link, connect again.
#![allow(dead_code)]

use std::sync::Arc;

use tokio::task::JoinHandle;
use tresen_hal::link::fault::{Fault, Plan};
use tresen_hal::link::memory;
use tresen_hal::sim::{self, Shared};
use tresen_hal::{Amount, BoxFuture, Link, Result, SimulatedRuntime};
use tresen_payment::zvt::sim::{Profile, Simulator, State};
use tresen_payment::zvt::{self, Options};
use tresen_payment::{
    Charge, Decision, Entry, Intent, IntentId, Journal, MemoryJournal, Payment, Reference, Request, Terminal, Watch,
};

/// What every payment of these tests costs.
pub(crate) const PRICE: Amount = Amount::eur(12_50);

pub(crate) struct Counter {
    pub(crate) sim: Shared<Simulator>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: SimulatedRuntime,
    pub(crate) options: Options,
    serving: Option<JoinHandle<()>>,
}

impl Counter {
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            sim: Shared::new(Simulator::new(profile)),
            journal: Arc::new(MemoryJournal::new()),
            clock: SimulatedRuntime::new(0, "2026-01-02T08:00:00Z".parse().expect("a timestamp")),
            options: Options::new("counter"),
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

    async fn open_over(&self, link: impl Link + 'static) -> Result<zvt::Terminal> {
        zvt::open(
            Box::new(link),
            self.options.clone(),
            Arc::new(Slow(self.journal.clone())),
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
    terminal.pay(Request::new(id, PRICE), Watch::none()).await
}

pub(crate) fn is_charged(payment: &Payment) -> bool {
    matches!(payment, Payment::Charged(_))
}

/// A journal whose writes take a moment before and after, so that a till can die there.
#[derive(Debug)]
struct Slow(Arc<MemoryJournal>);

impl Journal for Slow {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.intend(intent).await?;
            tokio::task::yield_now().await;
            Ok(())
        })
    }
    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.approve(id, charge).await?;
            tokio::task::yield_now().await;
            Ok(())
        })
    }
    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.conclude(id, payment).await?;
            tokio::task::yield_now().await;
            Ok(())
        })
    }
    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>> {
        self.0.settle(id, decision)
    }
    fn holder<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>> {
        self.0.holder(reference)
    }
    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        self.0.find(id)
    }
    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        self.0.open(terminal)
    }
    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        self.0.last(terminal)
    }
}

/// A journal whose storage fails at chosen writes. What was refused is not in `inner`.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) inner: Arc<MemoryJournal>,
    writes: std::sync::atomic::AtomicUsize,
    from: usize,
    to: usize,
}

impl Failing {
    /// The writes from this one to that one, counted from 0, fail.
    pub(crate) fn new(inner: Arc<MemoryJournal>, from: usize, to: usize) -> Self {
        Self { inner, writes: 0.into(), from, to }
    }

    /// How many writes there were.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn write(&self, write: BoxFuture<'_, Result<()>>) -> Result<()> {
        let n = self.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if (self.from..self.to).contains(&n) {
            return Err(tresen_hal::Error::new(tresen_hal::Kind::Storage, "the disk is full"));
        }
        write.await
    }
}

impl Journal for Failing {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(self.inner.intend(intent)))
    }
    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(self.inner.approve(id, charge)))
    }
    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(self.inner.conclude(id, payment)))
    }
    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>> {
        self.inner.settle(id, decision)
    }
    fn holder<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>> {
        self.inner.holder(reference)
    }
    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        self.inner.find(id)
    }
    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        self.inner.open(terminal)
    }
    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        self.inner.last(terminal)
    }
}
