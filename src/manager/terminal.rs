//! The terminal handle: pay, recover, settle.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tresen_hal::{Amount, BoxFuture, Driver, Effect, Error, Kind, Result};
use tresen_payment::{
    Capabilities, Decision, EndOfDay, Entry, IntentId, Journal, NotCharged, Notice, Payment, Progress, Reason,
    Reference, Request, Settled, TerminalStatus, Watch,
};

use super::device::{Common, Device, DeviceClass, Setup, Shared};
use super::owner::{Hooks, LossReason};
use super::phase::Phase;
use super::possible::Ability;
use super::state::{Attention, DeviceCapabilities};
use super::{After, AnyTerminal, Failure, Terms, lock};
use crate::class::Class;
use crate::event::EventKind;
use crate::lease::Use;

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
    /// Payments that have been undecided for so long that a person was told.
    in_doubt: BTreeSet<IntentId>,
}

/// A payment that stays open, or all of them, and why.
type Open = (Option<IntentId>, String);

impl Shared<AnyTerminal> for SharedTerminal {
    fn new(setup: Setup) -> Self {
        let (state, recovered) = (Mutex::default(), watch::Sender::new(0));
        Self { common: setup.common, state, recovered, delay: Mutex::new(RECOVER_AGAIN) }
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
    /// Time limit of [`Terminal::status`] and [`Terminal::repeat_receipt`]: 60 s.
    pub const ANSWER: Duration = Duration::from_secs(60);

    /// Takes a payment under a new key and waits for its outcome.
    ///
    /// Refused at once while the terminal is away, and within 5 s while it is opened for the first time. Refused at once
    /// while somebody else has the terminal's [lease](crate::lease), or another named caller's transaction is waiting or
    /// running. Otherwise a payment that waits behind another one is reported as [`EventKind::PaymentWaits`];
    /// [`Terminal::try_pay_as`] refuses instead.
    /// Otherwise it takes as long as the customer does, at most [`Terminal::TRANSACTION`].
    ///
    /// If the connection is lost, the terminal is asked for the outcome as soon as it is back; only if that takes
    /// longer than [`Terminal::SETTLE`] does this return [`Payment::Unknown`], and recovery continues.
    ///
    /// Dropping the future discards the answer, not the payment, unless it has not begun: see [`Terminal::pay_as`] for
    /// how to abort.
    ///
    /// # Errors
    /// Nothing was sent to the terminal: it cannot be reached, somebody else has it ([`Kind::Busy`]; the error says who),
    /// the caller's lease has ended ([`Kind::Cancelled`]), the journal cannot be written, or the terminal or the
    /// configuration says that this is not possible ([`Kind::Unsupported`]).
    pub async fn pay(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.pay_as(Request::new(self.till.runtime.new_id(), amount), abort).await
    }

    /// Takes a payment under the caller's key; calling again with the same key is the same payment. Set `abort` to
    /// request an abort; the payment may still succeed, check its outcome.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn pay_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.check_possible(&request.intent, Ability::Pay, None).await?;
        let watch = self.watch(abort);
        self.transact(request.intent.clone(), "a payment", watch, move |driver, watch| driver.pay(request, watch)).await
    }

    /// As [`Terminal::pay_as`], but refused instead of queued while the terminal is busy.
    ///
    /// # Errors
    /// As [`Terminal::pay`]; [`Kind::Busy`] names the payment being served.
    pub async fn try_pay_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        if let Some(serving) = self.serving().filter(|serving| *serving != request.intent) {
            let what = format!("it is serving payment `{}`", serving.0);
            return Err(Error::new(Kind::Busy, what).with_effect(Effect::None).at(self.owned.name()));
        }
        self.pay_as(request, abort).await
    }

    /// Requests the transaction with this key to abort, whoever started it, and even if that caller was dropped. As
    /// with `abort` of [`Terminal::pay_as`], the transaction may still succeed. False if no such transaction is running
    /// or waiting here.
    pub fn abort(&self, key: &IntentId) -> bool {
        let aborts: Vec<_> = {
            let state = lock(&self.shared.state);
            state.aborts.iter().filter(|(intent, _)| intent == key).map(|(_, abort)| abort.clone()).collect()
        };
        aborts.iter().for_each(|abort| _ = abort.send_replace(true));
        !aborts.is_empty()
    }

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

    /// Reverses a payment by the [reference](tresen_payment::Charge::reference) of its charge, under a new key.
    /// [`tresen_payment::zvt::reference`] makes a reference from the number on the slip.
    ///
    /// The key is lost after a crash or an error: use [`Terminal::reverse_as`] to be able to repeat the same reversal.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn reverse(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.reverse_as(reference, Request::new(self.till.runtime.new_id(), amount), abort).await
    }

    /// Reverses a payment under the caller's key; calling again with the same key is the same reversal, and nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn reverse_as(
        &self,
        reference: &Reference,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.check_possible(&request.intent, Ability::Reversal, Some(reference)).await?;
        let (watch, reference) = (self.watch(abort), reference.clone());
        let intent = request.intent.clone();
        self.transact(intent, "a reversal", watch, move |driver, watch| driver.reverse(reference, request, watch)).await
    }

    /// Refunds an amount without reference to a payment, under a new key.
    ///
    /// The key is lost after a crash or an error: use [`Terminal::refund_as`] to be able to repeat the same refund.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn refund(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.refund_as(Request::new(self.till.runtime.new_id(), amount), abort).await
    }

    /// Refunds an amount under the caller's key; calling again with the same key is the same refund, and nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn refund_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.check_possible(&request.intent, Ability::Refund, None).await?;
        let watch = self.watch(abort);
        self.transact(request.intent.clone(), "a refund", watch, move |driver, watch| driver.refund(request, watch))
            .await
    }

    /// Settles open payments by asking the terminal what it has stored. This also happens automatically whenever the
    /// terminal reconnects, and again after 5 s to 60 s while a payment stays open and no customer is served.
    ///
    /// Payments that the terminal cannot tell are returned as [`Payment::Unknown`]; a person settles them with
    /// [`Terminal::settle`].
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

    /// Runs the terminal's end of day. Takes as long as the terminal does, at most [`Terminal::TRANSACTION`].
    ///
    /// # Errors
    /// It cannot be reached or refuses.
    pub async fn end_of_day(&self) -> Result<EndOfDay> {
        let (_keep, abort) = watch::channel(false);
        let watch = self.watch(abort);
        let terms = Terms::normal("an end of day", Self::TRANSACTION);
        let gate = self.gate();
        let _present = gate.enter(Use::Transaction)?;
        let day = self.owned.ask(terms, move |driver| match gate.begin("end-of-day") {
            Ok(running) => Box::pin(async move {
                let ended = driver.end_of_day(watch).await;
                drop(running);
                ended
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        });
        day.await
    }

    /// Repeats the last receipt.
    ///
    /// # Errors
    /// It cannot be reached, has none, or does not answer within [`Terminal::ANSWER`].
    pub async fn repeat_receipt(&self) -> Result<Vec<String>> {
        self.ask(Terms::normal("a receipt request", Self::ANSWER), |driver| driver.repeat_receipt()).await
    }

    /// Queries the terminal's status.
    ///
    /// # Errors
    /// It cannot be reached, is serving a customer, or does not answer within [`Terminal::ANSWER`].
    pub async fn status(&self) -> Result<TerminalStatus> {
        self.ask(Terms::urgent("a status request", Self::ANSWER), |driver| driver.status()).await
    }

    /// The terminal's capabilities; `None` until first connected, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self.shared.common.capabilities() {
            Some(DeviceCapabilities::Terminal(capabilities)) => Some(capabilities),
            _ => None,
        }
    }

    /// A watch whose progress is published on the event bus.
    fn watch(&self, abort: watch::Receiver<bool>) -> Watch {
        let (progress, mut steps) = mpsc::channel::<Progress>(Watch::KEPT);
        let reporter = self.shared.common.reporter.clone();
        tokio::spawn(async move {
            while let Some(step) = steps.recv().await {
                reporter.publish(EventKind::Payment(step));
            }
        });
        Watch::with(progress, abort)
    }

    async fn transact(
        &self,
        intent: IntentId,
        what: &'static str,
        mut watch: Watch,
        begin: impl for<'a> FnOnce(&'a mut AnyTerminal, Watch) -> BoxFuture<'a, Result<Payment>> + Send + 'static,
    ) -> Result<Payment> {
        let gate = self.gate();
        let mut _present = Some(gate.enter(Use::Transaction)?);
        let mut recovered = self.shared.recovered.subscribe();
        let _asked = Asked::new(&self.shared, &intent);
        let _noted = self.till.store.asked_by(&intent, &self.origin);
        let abortable = Abortable::new(&self.shared, &intent, &mut watch);
        let (begins, key) = (gate.clone(), intent.0.clone());
        let ended = self.owned.call(Terms::normal(what, Self::TRANSACTION), move |driver| {
            let running = match begins.begin(&key) {
                Ok(running) => running,
                Err(error) => return Box::pin(std::future::ready((Err(error), After::Keep))),
            };
            let transaction = begin(driver, watch);
            Box::pin(async move {
                let ended = transaction.await;
                drop((abortable, running));
                let after = match &ended {
                    Ok(Payment::Unknown(_)) => After::Reopen(in_doubt()),
                    Ok(_) => After::Keep,
                    Err(error) => After::of(error),
                };
                (ended, after)
            })
        });
        tokio::pin!(ended);
        let ended = tokio::select! {
            biased;
            ended = &mut ended => ended,
            // The transaction goes on, but its caller no longer uses the lease.
            () = gate.left() => {
                _present = None;
                ended.await
            }
        };
        match ended {
            Ok(Ok(Payment::Unknown(unknown))) => Ok(self.settled(&intent, unknown.why, &mut recovered).await),
            Ok(Ok(payment)) => Ok(payment),
            // A driver that fails with an error has sent nothing that moves money.
            Ok(Err(error)) => Err(error.with_effect(Effect::None).at(self.owned.name())),
            Err(Failure::NotBegun(error)) => Err(error.with_effect(Effect::None)),
            // A transaction that has begun is in the journal before anything is sent. If the journal cannot be read
            // now, whatever the reason, the payment may have moved money.
            Err(Failure::Ended(error)) => match self.till.store.find(&intent).await {
                Ok(None) => Err(error.with_effect(Effect::None)),
                Ok(Some(_)) | Err(_) => Ok(self.settled(&intent, error.to_string(), &mut recovered).await),
            },
            Err(Failure::Running(error)) => Ok(self.settled(&intent, error.to_string(), &mut recovered).await),
        }
        .inspect(|payment| tracing::info!(intent = %payment.intent().0, outcome = word(payment), "transaction ended"))
    }

    /// Waits until recovery has settled `intent`, or [`Terminal::SETTLE`] has passed. If the journal cannot be read the
    /// payment stays unknown.
    async fn settled(&self, intent: &IntentId, why: String, recovered: &mut watch::Receiver<u64>) -> Payment {
        let deadline = Instant::now() + Self::SETTLE;
        let mut phase = self.owned.phase();
        loop {
            let again = tokio::select! {
                biased;
                again = tokio::time::timeout_at(deadline, recovered.changed()) => matches!(again, Ok(Ok(()))),
                _ = phase.wait_for(|phase| *phase == Phase::Closed) => false,
            };
            let known = match self.till.store.find(intent).await {
                Ok(entry) => entry.and_then(|entry| entry.outcome()),
                Err(error) => {
                    tracing::error!(%error, intent = %intent.0, "the journal cannot be read");
                    None
                }
            };
            match known {
                Some(payment) if payment.is_decided() => return payment,
                // The terminal was asked since and cannot tell: waiting longer is pointless.
                Some(Payment::Unknown(unknown)) if again && unknown.asked => return Payment::Unknown(unknown),
                _ if again => {}
                known => {
                    let why = match known {
                        Some(Payment::Unknown(unknown)) => unknown.why,
                        _ => why,
                    };
                    return Payment::unknown(intent, why);
                }
            }
        }
    }
}

/// Why the link is reopened after a transaction with an unknown outcome.
fn in_doubt() -> Error {
    Error::new(
        Kind::Closed,
        "the end of a transaction was not received; the terminal is asked again on a new connection",
    )
    .with_effect(Effect::None)
}

fn word(payment: &Payment) -> &'static str {
    match payment {
        Payment::NotCharged(NotCharged { reason: Reason::Declined, .. }) => "declined",
        other => other.word(),
    }
}

/// A transaction from its request until it has ended or its caller was dropped.
struct Asked<'a> {
    shared: &'a SharedTerminal,
    intent: &'a IntentId,
}

impl<'a> Asked<'a> {
    fn new(shared: &'a SharedTerminal, intent: &'a IntentId) -> Self {
        let behind = {
            let mut state = lock(&shared.state);
            let behind = state.asked.first().cloned();
            state.asked.push(intent.clone());
            behind
        };
        if let Some(behind) = behind.filter(|behind| behind != intent) {
            shared.common.reporter.publish(EventKind::PaymentWaits { intent: intent.clone(), behind });
        }
        Self { shared, intent }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        if let Some(at) = state.asked.iter().position(|intent| intent == self.intent) {
            state.asked.remove(at);
        }
    }
}

/// A transaction that can be aborted by its key, from its request until it has ended or was withdrawn.
struct Abortable {
    shared: Arc<SharedTerminal>,
    abort: watch::Sender<bool>,
}

impl Abortable {
    /// Connects `watch` to aborts by key as well as to those of its caller.
    fn new(shared: &Arc<SharedTerminal>, intent: &IntentId, watch: &mut Watch) -> Self {
        let wanted = *watch.abort.borrow_and_update();
        let (abort, heard) = watch::channel(wanted);
        let mut asked = std::mem::replace(&mut watch.abort, heard);
        let forward = abort.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    changed = asked.changed() => match changed {
                        Ok(()) => _ = forward.send_replace(*asked.borrow_and_update()),
                        Err(_) => return,
                    },
                    // The transaction has ended.
                    () = forward.closed() => return,
                }
            }
        });
        lock(&shared.state).aborts.push((intent.clone(), abort.clone()));
        Self { shared: shared.clone(), abort }
    }
}

impl Drop for Abortable {
    fn drop(&mut self) {
        lock(&self.shared.state).aborts.retain(|(_, abort)| !abort.same_channel(&self.abort));
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
                    *lock(&self.delay) = RECOVER_AGAIN;
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
        *delay = (now * 2).min(RECOVER_AT_LEAST_EVERY);
        Ok(Some(now))
    }

    /// Records which payments have been undecided for so long that a person was told.
    fn doubt(&self, intents: BTreeSet<IntentId>) {
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
    fn tend<'a>(&'a self, driver: &'a mut AnyTerminal) -> BoxFuture<'a, (Option<Duration>, After)> {
        Box::pin(async move {
            match self.recover(driver).await {
                Ok(again) => (again, After::Keep),
                Err(error) => (None, After::Reopen(error)),
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
const RECOVER_AGAIN: Duration = Duration::from_secs(5);
/// Maximum delay.
const RECOVER_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
