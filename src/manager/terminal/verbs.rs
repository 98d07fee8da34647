//! The verbs: each makes an operation and takes its outcome.

use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Amount, Effect, Error, Kind, Result};
use tresen_payment::{
    AgeCheck, Answer, Card, EndOfDay, IntentId, Operation, Outcome, Payment, Question, Reference, Request,
    TerminalStatus, Totals,
};

use super::Terminals;
use crate::manager::device::Device;
use crate::manager::{Terms, lock};

impl Device<Terminals> {
    /// Takes a payment under a new key and waits for its outcome.
    ///
    /// Refused at once while the terminal is away. While it is opened, and asked about payments that are open, the
    /// payment waits, which is reported as [`EventKind::PaymentWaits`](crate::EventKind::PaymentWaits); it is refused with
    /// the reason if the terminal cannot be opened. Refused at once while somebody else has the terminal's
    /// [lease](crate::lease), or another named caller's transaction is waiting or running. Otherwise a payment that waits
    /// behind another one is reported in the same way; [`Self::try_pay_as`] refuses instead. An abort ends either wait, as
    /// [`Kind::Cancelled`]. Otherwise it takes as long as the customer does, at most [`Self::TRANSACTION`].
    ///
    /// If the connection is lost, the terminal is asked for the outcome as soon as it is back; only if that takes
    /// longer than [`Self::SETTLE`] does this return [`Payment::Unknown`], and recovery continues.
    ///
    /// Dropping the future discards the answer, not the payment, unless it has not begun: see [`Self::pay_as`] for
    /// how to abort.
    ///
    /// # Errors
    /// Nothing was sent to the terminal: it cannot be reached, somebody else has it ([`Kind::Busy`]; the error says who),
    /// the caller's lease has ended ([`Kind::Cancelled`]), the journal cannot be written, or the terminal or the
    /// configuration says that this is not possible ([`Kind::Unsupported`]).
    pub async fn pay(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.pay_as(self.new_request(amount), abort).await
    }

    /// Takes a payment under the caller's key; calling again with the same key is the same payment. Set `abort` to
    /// request an abort; the payment may still succeed, check its outcome.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn pay_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.transact(Operation::Pay(request), None, abort).await
    }

    /// As [`Self::pay_as`], but refused instead of queued while the terminal is busy.
    ///
    /// # Errors
    /// As [`Self::pay`]; [`Kind::Busy`] names the payment being served.
    pub async fn try_pay_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        if let Some(serving) = self.serving().filter(|serving| *serving != request.intent) {
            let what = format!("it is serving payment `{}`", serving.0);
            return Err(Error::new(Kind::Busy, what).with_effect(Effect::None).at(self.owned.name()));
        }
        self.pay_as(request, abort).await
    }

    /// Requests the transaction with this key to abort, whoever started it, and even if that caller was dropped. As
    /// with `abort` of [`Self::pay_as`], the transaction may still succeed. False if no such transaction is running
    /// or waiting here.
    pub fn abort(&self, key: &IntentId) -> bool {
        let aborts: Vec<_> = {
            let state = lock(&self.shared.state);
            state.aborts.iter().filter(|(intent, _)| intent == key).map(|(_, abort)| abort.clone()).collect()
        };
        aborts.iter().for_each(|abort| _ = abort.send_replace(true));
        !aborts.is_empty()
    }

    /// Reverses a payment by the [reference](tresen_payment::Charge::reference) of its charge, under a new key.
    /// [`tresen_payment::zvt::reference`] makes a reference from the number on the slip.
    ///
    /// The key is lost after a crash or an error: use [`Self::reverse_as`] to be able to repeat the same reversal.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn reverse(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.reverse_as(reference, self.new_request(amount), abort).await
    }

    /// Reverses a payment under the caller's key; calling again with the same key is the same reversal, and nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn reverse_as(
        &self,
        reference: &Reference,
        request: Request,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.transact(Operation::Reverse { request, of: reference.clone() }, Some(reference), abort).await
    }

    /// Refunds an amount without reference to a payment, under a new key.
    ///
    /// The key is lost after a crash or an error: use [`Self::refund_as`] to be able to repeat the same refund.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn refund(&self, amount: Amount) -> Result<Payment> {
        let (_keep, abort) = watch::channel(false);
        self.refund_as(self.new_request(amount), abort).await
    }

    /// Refunds an amount under the caller's key; calling again with the same key is the same refund, and nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn refund_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.transact(Operation::Refund(request), None, abort).await
    }

    /// Runs an operation of any kind. One that moves or holds money takes place once under its key, as with
    /// [`Self::pay_as`]; `abort` is heard for those only.
    ///
    /// # Errors
    /// As [`Self::pay`]; one that moves no money also ends as an error if the terminal refuses it.
    pub async fn run(&self, operation: Operation, abort: watch::Receiver<bool>) -> Result<Outcome> {
        let of = match &operation {
            Operation::Reverse { of, .. }
            | Operation::Increment { of, .. }
            | Operation::Book { of, .. }
            | Operation::Release { of, .. }
            | Operation::Tip { of, .. } => Some(of.clone()),
            _ => None,
        };
        match operation {
            operation if operation.kind().moves_money() => {
                self.transact(operation, of.as_ref(), abort).await.map(Outcome::Payment)
            }
            Operation::Totals | Operation::Reprint => self.enquire(operation, Self::ANSWER).await,
            operation => self.operate(operation).await,
        }
    }

    /// Has the terminal read a card; no money moves. The terminal waits for a card for `within`, in whole seconds; the
    /// call takes at most [`Self::TRANSACTION`].
    ///
    /// # Errors
    /// It cannot be reached, cannot do it, somebody else has it, or no card was presented
    /// ([`Kind::Timeout`]).
    pub async fn read_card(&self, within: Duration) -> Result<Card> {
        self.operate(Operation::ReadCard { within }).await?.card()
    }

    /// Shows a text at the terminal for `within`, in whole seconds; lines of it are separate.
    ///
    /// # Errors
    /// It cannot be reached, cannot do it, refuses, or somebody else has it. [`Kind::Input`]: it cannot show a text for
    /// so long.
    pub async fn display(&self, text: &str, within: Duration) -> Result<()> {
        self.operate(Operation::Display { text: text.to_owned(), within }).await?.done().map(drop)
    }

    /// Asks whoever stands at the terminal. The question's default is returned if nothing is entered in its time.
    ///
    /// # Errors
    /// As [`Self::display`]. [`Kind::Unsupported`]: it cannot ask this kind of question.
    pub async fn input(&self, question: Question) -> Result<Answer> {
        self.operate(Operation::Input { question }).await?.answer()
    }

    /// Prints a text on the terminal's own printer; lines of it are separate.
    ///
    /// # Errors
    /// As [`Self::display`].
    pub async fn print(&self, text: &str) -> Result<()> {
        self.operate(Operation::Print { text: text.to_owned() }).await?.done().map(drop)
    }

    /// Has the terminal find out from a card whether its holder has reached an age, in years. It waits for a card for
    /// `within`, in whole seconds.
    ///
    /// # Errors
    /// As [`Self::display`]. No protocol of this crate can do it so far: [`Kind::Unsupported`], and nothing is sent; a
    /// vendor's own driver may.
    pub async fn age_check(&self, years: u8, within: Duration) -> Result<AgeCheck> {
        self.operate(Operation::AgeCheck { years, within }).await?.age()
    }

    /// Runs the terminal's end of day. Takes as long as the terminal does, at most [`Self::TRANSACTION`].
    ///
    /// # Errors
    /// It cannot be reached or refuses.
    pub async fn end_of_day(&self) -> Result<EndOfDay> {
        self.operate(Operation::EndOfDay).await?.day()
    }

    /// The terminal's turnover since the last end of day.
    ///
    /// # Errors
    /// It cannot be reached, cannot tell, or does not answer within [`Self::ANSWER`].
    pub async fn totals(&self) -> Result<Totals> {
        self.enquire(Operation::Totals, Self::ANSWER).await?.totals()
    }

    /// Has the terminal call its network operator, and returns what it printed about it. Takes as long as the terminal
    /// does, at most [`Self::TRANSACTION`].
    ///
    /// # Errors
    /// It cannot be reached or refuses.
    pub async fn diagnose(&self) -> Result<Vec<String>> {
        self.operate(Operation::Diagnosis).await?.done()
    }

    /// Has the terminal initialised at its host, and returns what it printed about it. Takes as long as the terminal
    /// does, at most [`Self::TRANSACTION`].
    ///
    /// # Errors
    /// It cannot be reached or refuses.
    pub async fn initialise(&self) -> Result<Vec<String>> {
        self.operate(Operation::Initialise).await?.done()
    }

    /// Repeats the last receipt.
    ///
    /// # Errors
    /// It cannot be reached, has none, or does not answer within [`Self::ANSWER`].
    pub async fn repeat_receipt(&self) -> Result<Vec<String>> {
        self.enquire(Operation::Reprint, Self::ANSWER).await?.receipt()
    }

    /// Queries the terminal's status.
    ///
    /// # Errors
    /// It cannot be reached, is serving a customer, or does not answer within [`Self::ANSWER`].
    pub async fn status(&self) -> Result<TerminalStatus> {
        self.ask(Terms::urgent("a status request", Self::ANSWER), |driver| driver.status()).await
    }
}
