//! A counter with one simulated terminal, and a network between them that breaks at a chosen message.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tresen_hal::link::memory::{self, Dialer, Port};
use tresen_hal::link::{Connect, Incoming, Listen};
use tresen_hal::sim::Shared;
use tresen_hal::{Amount, BoxFuture, Error, Kind, Link, Result, SimulatedRuntime};
use tresen_payment::opi::sim::{Profile, Simulator, State, serve};
use tresen_payment::opi::{self, Listener, Options, Terminal};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::{Entry, Host, IntentId, Journal, MemoryJournal, Payment, Request, Terminal as _};

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
        let counts = |state: State| matches!(state, State::Stored | State::Reversed);
        self.sim.with(|s| s.ledger().entries().iter().filter(|t| counts(t.state)).count())
    }

    pub(crate) fn received(&self, request_type: &str) -> usize {
        self.sim.with(|s| s.received(request_type))
    }
}

pub(crate) async fn pay(terminal: &mut Terminal, id: &str) -> Result<Payment> {
    terminal.pay(Request::new(id, PRICE), Host::none()).await
}

pub(crate) fn is_charged(payment: &Payment) -> bool {
    matches!(payment, Payment::Charged(_))
}

pub(crate) fn why(payment: &Payment) -> &str {
    match payment {
        Payment::Unknown(unknown) => &unknown.why,
        other => panic!("{other:?}"),
    }
}

/// What breaks at the planned message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The message is lost, and its connection is cut.
    Before,
    /// The message arrives, and its connection is cut.
    After,
    /// The message is lost, and so is every connection.
    Network,
    /// The message is lost; the connection stays, and nothing passes on it any more in this direction.
    Swallow,
}

/// All links of a counter. Each message, on either channel and in either direction, is one send.
#[derive(Debug)]
pub(crate) struct Net {
    state: Mutex<State_>,
    cut: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State_ {
    messages: usize,
    plan: Option<(usize, Break)>,
    broken: bool,
}

impl Default for Net {
    fn default() -> Self {
        Self { state: Mutex::default(), cut: watch::Sender::new(0) }
    }
}

impl Net {
    /// Breaks at the `message`th from now on.
    pub(crate) fn breaks(&self, message: usize, how: Break) {
        let mut state = self.state.lock().expect("whole");
        (state.broken, state.plan) = (false, Some((state.messages + message, how)));
    }

    /// Whether the planned message was sent; nothing breaks any more.
    pub(crate) fn mended(&self) -> bool {
        let mut state = self.state.lock().expect("whole");
        state.plan = None;
        std::mem::take(&mut state.broken)
    }

    fn next(&self) -> Option<Break> {
        let mut state = self.state.lock().expect("whole");
        let now = state.messages;
        state.messages += 1;
        let (_, how) = state.plan.take_if(|(at, _)| *at == now)?;
        state.broken = true;
        Some(how)
    }
}

/// Ends of links that count and break.
#[derive(Debug)]
struct Wired<T> {
    inner: T,
    net: Arc<Net>,
}

impl<T> Wired<T> {
    fn link(&self, inner: Box<dyn Link>) -> Box<dyn Link> {
        let cut = watch::Sender::new(false);
        Box::new(Cuttable { inner, net: self.net.clone(), cut, swallows: Mutex::new(false) })
    }
}

impl Connect for Wired<Dialer> {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move { Ok(self.link(self.inner.connect().await?)) })
    }
}

impl Listen for Wired<Port> {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async move {
            let incoming = self.inner.accept().await?;
            Ok(Incoming { link: self.link(incoming.link), from: incoming.from })
        })
    }
}

#[derive(Debug)]
struct Cuttable {
    inner: Box<dyn Link>,
    net: Arc<Net>,
    cut: watch::Sender<bool>,
    swallows: Mutex<bool>,
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the link was cut")
}

impl Link for Cuttable {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if *self.cut.borrow() {
                return Err(closed());
            }
            let how = self.net.next();
            if how == Some(Break::Swallow) {
                *self.swallows.lock().expect("whole") = true;
            }
            if *self.swallows.lock().expect("whole") {
                return Ok(());
            }
            if matches!(how, None | Some(Break::After)) {
                self.inner.send(bytes).await?;
            }
            if let Some(how) = how {
                if how == Break::Network {
                    self.net.cut.send_modify(|n| *n += 1);
                }
                self.inner.close().await;
                self.cut.send_replace(true);
                return Err(closed());
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let (mut cut, mut all) = (self.cut.subscribe(), self.net.cut.subscribe());
            let before = *all.borrow_and_update();
            tokio::select! {
                biased;
                _ = cut.wait_for(|cut| *cut) => Err(closed()),
                _ = all.wait_for(|n| *n > before) => Err(closed()),
                got = self.inner.recv(into) => got,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
