//! One operation from its request to its end: who waits for it, who aborts it, and what its caller is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tresen_hal::{Effect, Error, Kind, Result};
use tresen_payment::{
    Host, IntentId, Journal, NotCharged, Operation, OperationKind, Outcome, Payment, Reason, Reference, Request,
    Transaction, books,
};

use super::{SharedTerminal, Terminals};
use crate::event::EventKind;
use crate::lease::Use;
use crate::manager::device::Device;
use crate::manager::phase::Phase;
use crate::manager::{After, Failure, Terms, lock};

impl Device<Terminals> {
    /// Runs an operation that moves or holds money. `of` is the earlier payment that it takes back, books, releases or
    /// adds to. Where a repetition is refused, its outcome is how the transaction stands.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub(super) async fn transact(
        &self,
        operation: Operation,
        of: Option<&Reference>,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        let Ok((transaction, request)) = operation.clone().into_transaction() else {
            return Err(Error::new(Kind::Input, "it moves no money").at(self.owned.name()));
        };
        match self.attempt(operation, request.intent.clone(), of, abort).await {
            Err(refused) => made_before(&self.till.store, self.owned.name(), &transaction, &request, refused).await,
            ended => ended,
        }
    }

    /// Runs it now, or says why not.
    async fn attempt(
        &self,
        operation: Operation,
        intent: IntentId,
        of: Option<&Reference>,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        let kind = operation.kind();
        self.check_possible(Some(&intent), kind, of).await?;
        let (mut host, _here) = self.host(Some(&intent), abort);
        let gate = self.gate();
        let mut _present = Some(gate.enter(Use::Transaction)?);
        let mut recovered = self.shared.recovered.subscribe();
        let _asked = Asked::new(&self.shared, &intent, self.owned.is_opening());
        let _noted = self.till.store.asked_by(&intent, &self.origin);
        let abortable = Abortable::new(&self.shared, &intent, &mut host);
        let (begins, key) = (gate.clone(), intent.clone());
        let aborted = aborted(host.abort.clone());
        let ended = self.owned.call_unless(Terms::normal(words(kind), Self::TRANSACTION), aborted, move |driver| {
            let running = match begins.begin(&key.0) {
                Ok(running) => running,
                Err(error) => return Box::pin(std::future::ready((Err(error), After::Keep))),
            };
            let transaction = driver.transact(operation, host);
            Box::pin(async move {
                let ended = transaction.await.map(|outcome| answer(&key, outcome));
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

    /// Waits until recovery has settled `intent`, or [`Self::SETTLE`] has passed. If the journal cannot be read the
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

    /// Runs an operation that moves no money and may take as long as the terminal does: nobody else has the terminal
    /// meanwhile.
    ///
    /// # Errors
    /// It cannot be reached, cannot do it, refuses, or somebody else has it.
    pub(super) async fn operate(&self, operation: Operation) -> Result<Outcome> {
        let kind = operation.kind();
        self.check_possible(None, kind, None).await?;
        let (_keep, abort) = watch::channel(false);
        let (host, _here) = self.host(None, abort);
        let terms = Terms::normal(words(kind), Self::TRANSACTION);
        let gate = self.gate();
        let _present = gate.enter(Use::Transaction)?;
        let ended = self.owned.ask(terms, move |driver| match gate.begin(kind.name()) {
            Ok(running) => Box::pin(async move {
                let ended = driver.transact(operation, host).await;
                drop(running);
                ended
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        });
        ended.await
    }

    /// Runs an operation that moves no money and that the terminal answers at once.
    ///
    /// # Errors
    /// It cannot be reached, cannot do it, refuses, or does not answer within `within`.
    pub(super) async fn enquire(&self, operation: Operation, within: Duration) -> Result<Outcome> {
        let kind = operation.kind();
        self.check_possible(None, kind, None).await?;
        let (_keep, abort) = watch::channel(false);
        let (host, _here) = self.host(None, abort);
        self.ask(Terms::normal(words(kind), within), move |driver| driver.transact(operation, host)).await
    }
}

/// How a transaction stands that was made before under the key of `request`, and is `refused` now: an error would say what
/// became of the question, not of the money.
///
/// # Errors
/// `refused`: nothing was made under this key; with [`Effect::Unknown`] if the journal cannot be read. The key is that of
/// another transaction.
pub(crate) async fn made_before(
    journal: &dyn Journal,
    terminal: &str,
    transaction: &Transaction,
    request: &Request,
    refused: Error,
) -> Result<Payment> {
    match books::already(journal, terminal, request, transaction).await {
        Ok(None) => Err(refused),
        Ok(Some(payment)) => Ok(payment),
        Err(other) if other.kind() == Kind::Input => Err(other.with_effect(Effect::None)),
        Err(unreadable) => {
            tracing::error!(error = %unreadable, intent = %request.intent.0, "the journal cannot be read");
            Err(refused.with_effect(Effect::Unknown))
        }
    }
}

/// Resolves when the caller aborts what may not have begun.
async fn aborted(mut wanted: watch::Receiver<bool>) -> Error {
    if wanted.wait_for(|wanted| *wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
    Error::new(Kind::Cancelled, "it was aborted before anything was sent")
}

/// Why the link is reopened after a transaction with an unknown outcome.
pub(super) fn in_doubt() -> Error {
    Error::new(
        Kind::Closed,
        "the end of a transaction was not received; the terminal is asked again on a new connection",
    )
    .with_effect(Effect::None)
}

/// An operation in words, for messages: `a payment is running`.
fn words(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Pay => "a payment",
        OperationKind::Refund => "a refund",
        OperationKind::Reversal => "a reversal",
        OperationKind::PreAuthorisation => "a pre-authorisation",
        OperationKind::Increment => "an increment",
        OperationKind::Booking => "a booking",
        OperationKind::Release => "a release",
        OperationKind::Tip => "a tip",
        OperationKind::TopUp => "a top-up",
        OperationKind::ReadCard => "a card that is read",
        OperationKind::Display => "a text that is shown",
        OperationKind::Input => "a question to the customer",
        OperationKind::Print => "a text that is printed",
        OperationKind::AgeCheck => "an age check",
        OperationKind::Reprint => "a receipt request",
        OperationKind::Totals => "a request for totals",
        OperationKind::EndOfDay => "an end of day",
        OperationKind::Diagnosis => "a diagnosis",
        OperationKind::Initialisation => "an initialisation",
        _ => "an operation",
    }
}

/// What a driver answered to a transaction. Whatever it is, something was sent: an answer to something else tells
/// nothing about the money.
fn answer(intent: &IntentId, outcome: Outcome) -> Payment {
    match outcome.payment() {
        Ok(payment) if payment.intent() == intent => payment,
        Ok(payment) => Payment::unknown(intent, format!("the driver answered for `{}`", payment.intent().0)),
        Err(error) => Payment::unknown(intent, error.to_string()),
    }
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
    fn new(shared: &'a SharedTerminal, intent: &'a IntentId, opening: bool) -> Self {
        let behind = {
            let mut state = lock(&shared.state);
            let behind = state.asked.first().cloned();
            state.asked.push(intent.clone());
            behind
        };
        let behind = behind.filter(|behind| behind != intent);
        if behind.is_some() || opening {
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
    /// Connects `host` to aborts by key as well as to those of its caller.
    fn new(shared: &Arc<SharedTerminal>, intent: &IntentId, host: &mut Host) -> Self {
        let wanted = *host.abort.borrow_and_update();
        let (abort, heard) = watch::channel(wanted);
        let mut asked = std::mem::replace(&mut host.abort, heard);
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
