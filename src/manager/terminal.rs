//! Payment terminals as a vendor sees them: pay, and never be left in doubt.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tresen_hal::{Address, Amount, BoxFuture, Clock, Effect, Error, Result};
use tresen_payment::{
    EndOfDay, IntentId, Journal, NotCharged, Notice, Payment, Progress, Reason, Request, Settled, TerminalStatus, Watch,
};

use super::owner::{Hooks, Opener};
use super::{After, AnyTerminal, Bus, Owned, Phase, Ring, Teller, open_terminal, own};
use crate::event::What;
use crate::store::Store;

/// A transaction may wait for the customer this long; the driver bounds each step by itself.
const TRANSACTION: Duration = Duration::from_secs(900);
/// How long a caller whose payment is unknown waits for recovery before it hears so.
const SETTLE: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(60);

/// A payment terminal by its logical name. Clones are cheap.
#[derive(Clone)]
pub struct Terminal {
    owned: Owned<AnyTerminal>,
    store: Store,
    bus: Bus,
    /// Counts recoveries, so that those who wait for one look again.
    recovered: watch::Receiver<u64>,
}

impl Terminal {
    pub(crate) fn start(name: &str, addresses: Vec<Address>, store: Store, clock: Arc<dyn Clock>, bus: Bus) -> Self {
        let (addresses, name_, store_) = (Arc::new(addresses), name.to_owned(), store.clone());
        let opener: Opener<AnyTerminal> = Arc::new(move || {
            let (addresses, name, store, clock) = (addresses.clone(), name_.clone(), store_.clone(), clock.clone());
            Box::pin(async move {
                let journal: Arc<dyn Journal> = Arc::new(store);
                super::open::first(&addresses, |a| Box::pin(open_terminal(a, &name, journal.clone(), clock.clone())))
                    .await
            })
        });
        let (counter, recovered) = watch::channel(0);
        let hooks = TerminalHooks { teller: Teller { name: name.to_owned(), bus: bus.clone() }, recovered: counter };
        Self { owned: own(name, opener, Arc::new(hooks)), store, bus, recovered }
    }

    /// Takes a payment under a new key and waits until it is decided.
    ///
    /// If the link is lost in the middle, the terminal is asked again as soon as it is back; only
    /// if that takes over a minute does this return [`Payment::Unknown`], and recovery goes on.
    ///
    /// # Errors
    /// Nothing was sent to the terminal: it cannot be reached, the journal cannot be written, or an
    /// earlier payment is still unknown.
    pub async fn pay(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.pay_as(Request::new(crate::new_key(), amount), abort).await
    }

    /// Takes a payment under the caller's key; asked again with the same key it is the same
    /// payment. Abort by setting `abort`: a request only, the outcome tells.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn pay_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        let watch = self.watch(abort);
        let intent = request.intent.clone();
        self.transact(intent, move |driver| driver.pay(request, watch)).await
    }

    /// Takes a payment back by the receipt number that the terminal gave it.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn reverse(&self, receipt_number: &str, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        let (watch, receipt_number) = (self.watch(abort), receipt_number.to_owned());
        let request = Request::new(crate::new_key(), amount);
        self.transact(request.intent.clone(), move |driver| driver.reverse(receipt_number, request, watch)).await
    }

    /// Gives money back without reference to a payment.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub async fn refund(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        let (watch, request) = (self.watch(abort), Request::new(crate::new_key(), amount));
        self.transact(request.intent.clone(), move |driver| driver.refund(request, watch)).await
    }

    /// Settles what is open by asking the terminal what it has stored. This also happens by itself
    /// whenever the terminal is reached again.
    ///
    /// # Errors
    /// The terminal cannot be reached, or the journal cannot be read; what is open stays open.
    pub async fn recover(&self) -> Result<Vec<Settled>> {
        self.owned.ask(TRANSACTION, |driver| driver.recover()).await
    }

    /// Closes the day at the terminal.
    ///
    /// # Errors
    /// It cannot be reached or refuses.
    pub async fn end_of_day(&self) -> Result<EndOfDay> {
        let (_keep, abort) = watch::channel(false);
        let watch = self.watch(abort);
        self.owned.ask(TRANSACTION, move |driver| driver.end_of_day(watch)).await
    }

    /// The last receipt once more.
    ///
    /// # Errors
    /// It cannot be reached, or has none.
    pub async fn repeat_receipt(&self) -> Result<Vec<String>> {
        self.owned.ask(ANSWER, |driver| driver.repeat_receipt()).await
    }

    /// Asks the terminal how it is.
    ///
    /// # Errors
    /// It cannot be reached or does not answer.
    pub async fn status(&self) -> Result<TerminalStatus> {
        self.owned.ask(ANSWER, |driver| driver.status()).await
    }

    pub(crate) fn ring(&self) -> Ring {
        self.owned.ring()
    }

    /// Tries it again at once if it is away, also if its driver was given up as faulted; an open link
    /// is closed and opened anew.
    ///
    /// # Errors
    /// The till has ended.
    pub async fn reset(&self) -> Result<()> {
        self.owned.reset().await
    }

    /// Where the terminal stands; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.owned.phase()
    }

    /// A watch whose progress goes to the event bus.
    fn watch(&self, abort: watch::Receiver<bool>) -> Watch {
        let (progress, mut steps) = mpsc::unbounded_channel::<Progress>();
        let (bus, name) = (self.bus.clone(), self.owned.name().to_owned());
        tokio::spawn(async move {
            while let Some(step) = steps.recv().await {
                bus.tell(&name, What::Payment(step));
            }
        });
        Watch { progress, abort }
    }

    async fn transact(
        &self,
        intent: IntentId,
        begin: impl for<'a> FnOnce(&'a mut AnyTerminal) -> BoxFuture<'a, Result<Payment>> + Send + 'static,
    ) -> Result<Payment> {
        let mut recovered = self.recovered.clone();
        recovered.mark_unchanged();
        let ended = self.owned.call(TRANSACTION, move |driver| {
            let transaction = begin(driver);
            Box::pin(async move {
                let ended = transaction.await;
                let after = match &ended {
                    Ok(Payment::Unknown(_)) => After::Reopen,
                    Ok(_) => After::Keep,
                    Err(error) => After::of(error),
                };
                (ended, after)
            })
        });
        match ended.await {
            Ok(Ok(Payment::Unknown(intent))) => self.settled(intent, &mut recovered).await,
            Ok(Ok(payment)) => Ok(payment),
            // A driver that fails with an error has sent nothing that moves money.
            Ok(Err(error)) => Err(error.with_effect(Effect::None).at(self.owned.name())),
            Err(error) if error.effect() == Effect::None => Err(error),
            // It ended in the middle, or takes too long; what it has begun is in the journal.
            Err(error) => match self.store.find(&intent).await? {
                Some(_) => self.settled(intent.clone(), &mut recovered).await,
                // It may be about to begin: what happens then is in the journal, and not known here.
                None => Err(error),
            },
        }
        .inspect(|payment| tracing::info!(intent = %intent.0, outcome = word(payment), "transaction ended"))
    }

    /// Waits until recovery has settled `intent`, or [`SETTLE`] has passed.
    async fn settled(&self, intent: IntentId, recovered: &mut watch::Receiver<u64>) -> Result<Payment> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let again = tokio::time::timeout_at(deadline, recovered.changed()).await;
            match self.store.find(&intent).await?.and_then(|entry| entry.payment) {
                Some(payment @ (Payment::Charged(_) | Payment::NotCharged(_))) => return Ok(payment),
                _ if matches!(again, Ok(Ok(()))) => {}
                _ => return Ok(Payment::Unknown(intent)),
            }
        }
    }
}

fn word(payment: &Payment) -> &'static str {
    match payment {
        Payment::Charged(_) => "charged",
        Payment::NotCharged(NotCharged { reason: Reason::Declined, .. }) => "declined",
        Payment::NotCharged(_) => "not charged",
        Payment::Unknown(_) => "unknown",
    }
}

struct TerminalHooks {
    teller: Teller,
    recovered: watch::Sender<u64>,
}

impl Hooks<AnyTerminal> for TerminalHooks {
    // A terminal that is still busy with a customer is asked until it is idle.
    const OPENED_WITHIN: Duration = Duration::from_secs(200);

    fn opened<'a>(&'a self, driver: &'a mut AnyTerminal, address: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match driver.recover().await {
                Ok(settled) => settled.into_iter().for_each(|s| self.teller.tell(What::Settled(Box::new(s)))),
                Err(error) => {
                    self.teller.tell(What::Unsettled { why: error.to_string() });
                    if After::of(&error) == After::Reopen {
                        return Err(error);
                    }
                }
            }
            self.teller.connected(address);
            self.recovered.send_modify(|n| *n += 1);
            Ok(())
        })
    }
    fn event(&self, notice: Notice) {
        if let Notice::Text(text) = notice {
            self.teller.tell(What::Notice(text));
        }
    }
    fn lost(&self, error: &Error) {
        self.teller.lost(error);
    }
    fn faulted(&self, why: &str) {
        self.teller.faulted(why);
    }
}
