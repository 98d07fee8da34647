//! How a sale is paid: by card, cash, the vendor's own means; and given back.

use tokio::sync::watch;
use tresen_hal::{Amount, Effect, Error, Kind, Result};
use tresen_payment::{IntentId, Journal, Payment, Request};

use super::process::Sale;
use super::tender::{Tender, TenderKind, TenderOperation, TenderState};
use super::ticket::too_much;
use crate::manager::Terminal;
use crate::registry::to_its_end;
use crate::store::NewTender;

impl Sale {
    /// Pays the open amount at a terminal, or refunds it there if it is negative; waits for the outcome. After a
    /// [`Payment::Partial`] the rest stays open. A tip that the customer adds at the terminal is added to the ticket. Set `abort` to ask the terminal to stop waiting for the customer.
    ///
    /// Dropping the future discards the answer, not the payment: [`Sale::refresh`] finds it.
    ///
    /// # Errors
    /// Nothing was sent, and the attempt is recorded as refused; or the database cannot be written: then the outcome is
    /// in the journal, and [`Sale::refresh`] finds it.
    pub async fn pay_card(&mut self, terminal: &Terminal, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.pay_card_part(terminal, self.open_amount(), abort).await
    }

    /// Pays part of the open amount at a terminal.
    ///
    /// # Errors
    /// [`Kind::Input`]: more than the open amount. Otherwise as [`Sale::pay_card`].
    pub async fn pay_card_part(
        &mut self,
        terminal: &Terminal,
        amount: Amount,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.fits(amount)?;
        let operation = if amount.minor() < 0 { TenderOperation::Refund } else { TenderOperation::Payment };
        let kind = TenderKind::Card { terminal: terminal.name().to_owned() };
        let (terminal, charged) = (terminal.clone(), positive(amount)?);
        let call = move |key: String| async move {
            let request = Request::new(key, charged);
            match operation {
                TenderOperation::Refund => terminal.refund_as(request, abort).await,
                _ => terminal.pay_as(request, abort).await,
            }
        };
        self.attempt(NewTender { operation, ..card(kind, amount) }, call).await
    }

    /// Reverses a card payment of this sale at its terminal, by its attempt.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such attempt, or it took no money. Otherwise as [`Sale::pay_card`].
    pub async fn reverse_card(
        &mut self,
        terminal: &Terminal,
        attempt: i64,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        let tender = self.tender(attempt)?.clone();
        let Some(paid) = tender.charge.as_ref().and_then(|charge| charge.reference.clone()) else {
            let what = format!("attempt {attempt} has no reference to reverse it by");
            return Err(Error::new(Kind::Input, what));
        };
        let amount = tender.taken;
        let back = Amount::zero(amount.currency()).checked_sub(amount).ok_or_else(too_much)?;
        let kind = TenderKind::Card { terminal: terminal.name().to_owned() };
        let reference = Some(tender.key);
        let new = NewTender { operation: TenderOperation::Reversal, reference, ..card(kind, back) };
        let terminal = terminal.clone();
        let call = move |key: String| async move { terminal.reverse_as(&paid, Request::new(key, amount), abort).await };
        self.attempt(new, call).await
    }

    /// Records cash handed over by the customer; returns the change. Less than the open amount is a part payment.
    ///
    /// # Errors
    /// [`Kind::Input`]: nothing is open, or nothing was given. Otherwise as [`Sale::add`].
    pub async fn pay_cash(&mut self, given: Amount) -> Result<Amount> {
        let open = self.open_amount();
        if open.currency() != given.currency() || given.minor() <= 0 || open.minor() <= 0 {
            return Err(Error::new(Kind::Input, format!("{given} cannot be accepted: the open amount is {open}")));
        }
        let asked = if given.minor() < open.minor() { given } else { open };
        let new = NewTender { given: Some(given), taken: true, ..card(TenderKind::Cash, asked) };
        self.begin(new).await?;
        given.checked_sub(asked).ok_or_else(too_much)
    }

    /// Pays out the open amount, which is negative, in cash; returns the amount paid out.
    ///
    /// # Errors
    /// [`Kind::Input`]: nothing to pay out. Otherwise as [`Sale::add`].
    pub async fn pay_out(&mut self) -> Result<Amount> {
        let open = self.open_amount();
        if open.minor() >= 0 {
            return Err(Error::new(Kind::Input, "nothing to pay out"));
        }
        let operation = TenderOperation::Refund;
        self.begin(NewTender { operation, taken: true, ..card(TenderKind::Cash, open) }).await?;
        positive(open)
    }

    /// Records a payment by the vendor's own means, such as a voucher. `name` is printed on the receipt,
    /// `reference` is stored with it.
    ///
    /// # Errors
    /// [`Kind::Input`]: more than the open amount. Otherwise as [`Sale::add`].
    pub async fn pay_other(&mut self, name: &str, amount: Amount, reference: Option<&str>) -> Result<()> {
        self.fits(amount)?;
        let operation = if amount.minor() < 0 { TenderOperation::Refund } else { TenderOperation::Payment };
        let kind = TenderKind::Other { name: name.to_owned() };
        let reference = reference.map(str::to_owned);
        self.begin(NewTender { operation, reference, taken: true, ..card(kind, amount) }).await.map(drop)
    }

    /// Gives back a tender of this sale in cash or by the vendor's own means, by its attempt.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such attempt, or a card payment: use [`Sale::reverse_card`]. Otherwise as [`Sale::add`].
    pub async fn give_back(&mut self, attempt: i64) -> Result<()> {
        let tender = self.tender(attempt)?;
        if matches!(tender.kind, TenderKind::Card { .. }) {
            return Err(Error::new(Kind::Input, "a card payment must be reversed at its terminal"));
        }
        let back = Amount::zero(tender.taken.currency()).checked_sub(tender.taken).ok_or_else(too_much)?;
        let (kind, reference) = (tender.kind.clone(), Some(tender.key.clone()));
        let new = NewTender { operation: TenderOperation::Reversal, reference, taken: true, ..card(kind, back) };
        self.begin(new).await.map(drop)
    }

    /// Begins a card attempt, runs it with its key and records its outcome from the journal. All of that completes even
    /// if the caller is dropped: an attempt that has begun gets its outcome.
    async fn attempt<C>(&mut self, new: NewTender, call: impl FnOnce(String) -> C + Send + 'static) -> Result<Payment>
    where
        C: Future<Output = Result<Payment>> + Send + 'static,
    {
        let mut sale = self.clone();
        let begun = to_its_end(async move {
            let key = sale.begin(new).await?;
            let (store, id, intent) = (sale.store().clone(), sale.id().to_owned(), IntentId(key.clone()));
            let running = store.run_attempt(&key);
            let attempt = tokio::spawn(async move {
                let ended = call(key.clone()).await;
                drop(running);
                if let Err(error) = &ended
                    && error.effect() == Effect::None
                {
                    store.never_sent(&key, &error.to_string());
                }
                (ended, store.follow_tenders(&id).await)
            });
            Ok((sale.into_view(), intent, attempt))
        });
        let (record, intent, attempt) = begun.await?;
        self.show(record);
        let unknown = |why: String| Payment::unknown(&intent, why);
        match attempt.await {
            Ok((ended, Ok(record))) => {
                self.show(record);
                ended
            }
            // The journal may contain the payment, so never return an error that means "nothing happened".
            Ok((Ok(payment), Err(error))) if payment.charge().is_some() => {
                Ok(unknown(format!("it was charged, but could not be recorded: {error}")))
            }
            Ok((ended, Err(_))) => ended,
            Err(panic) => Ok(unknown(format!("the call panicked: {panic}"))),
        }
    }

    /// The payment of the card attempt that was begun before under the key of this step: its call is made again under
    /// the key of the attempt, so that nothing is charged twice. `None`: there is none.
    ///
    /// # Errors
    /// As [`Terminal::pay_as`], for a payment that was begun before.
    pub(crate) async fn pay_card_again(
        &mut self,
        terminal: &Terminal,
        abort: watch::Receiver<bool>,
    ) -> Result<Option<Payment>> {
        let Some(tender) = self.begun_before().cloned() else { return Ok(None) };
        let (amount, terminal) = (positive(tender.asked)?, terminal.clone());
        let request = Request::new(tender.key.clone(), amount);
        let original = tender.reference.as_ref().and_then(|key| self.tenders().iter().find(|t| t.key == *key));
        let paid = original.and_then(|tender| tender.charge.as_ref()?.reference.clone());
        let (store, id, intent) = (self.store().clone(), self.id().to_owned(), request.intent.clone());
        let again = tokio::spawn(async move {
            let ended = match (tender.operation, paid) {
                (TenderOperation::Payment, _) => terminal.pay_as(request, abort).await,
                (TenderOperation::Refund, _) => terminal.refund_as(request, abort).await,
                (TenderOperation::Reversal, Some(paid)) => terminal.reverse_as(&paid, request, abort).await,
                (TenderOperation::Reversal, None) => {
                    Ok(Payment::unknown(&request.intent, "the payment that it reverses is not known any more"))
                }
            };
            (ended, store.follow_tenders(&id).await)
        });
        match again.await {
            Ok((ended, record)) => {
                if let Ok(record) = record {
                    self.show(record);
                }
                ended.map(Some)
            }
            Err(panic) => Ok(Some(Payment::unknown(&intent, format!("the call panicked: {panic}")))),
        }
    }

    /// How the card attempt stands that was begun before under the key of this step, where its terminal is gone: the error
    /// says what became of the question, not of the payment.
    ///
    /// # Errors
    /// `refused`: there is no such attempt, or nothing was sent for it. Otherwise the journal cannot be read.
    pub(crate) async fn payment_before(&self, refused: Error) -> Result<Payment> {
        let Some(tender) = self.begun_before() else { return Err(refused) };
        let intent = IntentId(tender.key.clone());
        let entry = Journal::find(self.store(), &intent).await.map_err(|e| e.with_effect(Effect::Unknown))?;
        let Some(entry) = entry else { return Err(refused) };
        Ok(entry.outcome().unwrap_or_else(|| Payment::unknown(&intent, refused.what())))
    }

    /// Checks that `amount` does not exceed the open amount.
    pub(super) fn fits(&self, amount: Amount) -> Result<()> {
        let open = self.open_amount();
        let between = if open.minor() < 0 { open.minor()..=-1 } else { 1..=open.minor() };
        if amount.currency() == open.currency() && between.contains(&amount.minor()) {
            return Ok(());
        }
        let error = Error::new(Kind::Input, format!("{amount} cannot be accepted: the open amount is {open}"));
        Err(if self.is_pending() { error.hint("an earlier attempt is not settled yet") } else { error })
    }

    fn tender(&self, attempt: i64) -> Result<&Tender> {
        let back = |key: &str| self.tenders().iter().any(|t| t.reference.as_deref() == Some(key) && counts(t));
        self.tenders()
            .iter()
            .find(|t| t.attempt == attempt && t.state == TenderState::Taken && t.taken.minor() > 0 && !back(&t.key))
            .ok_or_else(|| Error::new(Kind::Input, format!("attempt {attempt} has nothing to give back")))
    }
}

fn counts(tender: &Tender) -> bool {
    tender.operation == TenderOperation::Reversal && tender.state != TenderState::Refused
}

fn card(kind: TenderKind, asked: Amount) -> NewTender {
    let operation = TenderOperation::Payment;
    NewTender { kind, operation, asked, given: None, reference: None, taken: false }
}

fn positive(amount: Amount) -> Result<Amount> {
    let minor = amount.minor().checked_abs().ok_or_else(too_much)?;
    Ok(Amount::new(minor, amount.currency()))
}
