//! A sale as stored steps.

use tokio::sync::watch;
use tresen_hal::{Amount, Effect, Error, Kind, Result};
use tresen_payment::{IntentId, Payment, Request};

use super::sign::Signing;
use super::tender::{Tender, TenderKind, TenderOperation, TenderState};
use super::ticket::{Line, Ticket};
use crate::manager::Terminal;
use crate::store::{Closing, NewTender, Origin, Paper, SaleState, SaleView, Store};

/// A sale that is in the database from its first line on. Each method writes before it returns, so that
/// a till that stops goes on where it was: [`crate::Tresen::open_sales`].
///
/// It is a copy of what is stored, at a [revision](Sale::rev). If another station has changed the sale
/// since, a change is refused with [`Kind::Busy`] and nothing is written: [refresh](Sale::refresh) and
/// look again.
///
/// It is paid with one tender or several. A declined card is an attempt that came to nothing: pay
/// again, with the same or another tender. An attempt whose outcome is not known counts as paid until it
/// is settled; the rest can be paid meanwhile.
///
/// ```no_run
/// # async fn sell(till: tresen::Tresen) -> tresen::Result<()> {
/// use tresen::Amount;
/// use tresen::sale::{Line, Vat};
///
/// let mut sale = till.open_sale().await?;
/// sale.add(Line::pieces("Flat white", 2, Amount::eur(3_80), Vat::percent(19))?).await?;
/// sale.pay_other("Voucher", Amount::eur(5_00), Some("V-4711")).await?;
/// let change = sale.pay_cash(Amount::eur(5_00)).await?;
/// assert_eq!((change, sale.open_amount()), (Amount::eur(2_40), Amount::eur(0)));
/// let sold = till.checkout("receipt")?.close(&mut sale).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sale {
    store: Store,
    record: SaleView,
    origin: Origin,
}

impl Sale {
    pub(crate) fn new(store: Store, record: SaleView) -> Self {
        let origin = record.origin.clone();
        Self { store, record, origin }
    }

    /// Its key, unique everywhere.
    pub fn id(&self) -> &str {
        self.record.ticket.id()
    }

    /// What is sold.
    pub fn ticket(&self) -> &Ticket {
        &self.record.ticket
    }

    /// How it was paid so far, attempt by attempt.
    pub fn tenders(&self) -> &[Tender] {
        &self.record.tenders
    }

    /// What the fiscal device said, or that it was out of order.
    pub fn signing(&self) -> Option<&Signing> {
        self.record.signing.as_ref()
    }

    /// How far it is.
    pub fn state(&self) -> SaleState {
        self.record.state
    }

    /// Counts its changes.
    pub fn rev(&self) -> i64 {
        self.record.rev
    }

    /// The epoch of the till in which it was numbered: [`Store::epoch`].
    pub fn epoch(&self) -> Option<i64> {
        self.record.epoch
    }

    /// What came of opening the drawer: `asked`, `opened`, or why it did not open.
    pub fn drawer(&self) -> Option<&str> {
        self.record.drawer.as_deref()
    }

    /// What nobody has paid yet; negative where the customer gets money back. An attempt whose outcome is
    /// not known counts as paid.
    pub fn open_amount(&self) -> Amount {
        self.record.due
    }

    /// An attempt is under way or its outcome is not known.
    pub fn is_pending(&self) -> bool {
        self.record.pending
    }

    /// All of it as it is known here, to be handed on.
    pub fn view(&self) -> &SaleView {
        &self.record
    }

    /// The same sale as it was read elsewhere.
    pub(crate) fn show(&mut self, record: SaleView) {
        self.record = record;
    }

    pub(crate) fn into_view(self) -> SaleView {
        self.record
    }

    /// Who writes further steps.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Writes further steps in this name, instead of that of who opened the sale.
    #[must_use]
    pub fn by(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Reads it again, with what the journal knows by now of its card payments.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn refresh(&mut self) -> Result<()> {
        self.record = self.store.follow_tenders(self.id()).await?;
        Ok(())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Kind::Input`]: it does not fit. [`Kind::Busy`]: another station was faster. [`Kind::Storage`].
    pub async fn add(&mut self, line: Line) -> Result<()> {
        self.change(|ticket| ticket.add(line)).await
    }

    /// Takes a line out; counted from 0.
    ///
    /// # Errors
    /// [`Kind::Input`]: there is none. Else as [`Sale::add`].
    pub async fn remove(&mut self, at: usize) -> Result<Line> {
        self.change(|ticket| ticket.remove(at)).await
    }

    /// Sets the remark that is printed on the receipt.
    ///
    /// # Errors
    /// As [`Sale::add`].
    pub async fn set_note(&mut self, note: impl Into<String>) -> Result<()> {
        self.change(|ticket| {
            ticket.set_note(note);
            Ok(())
        })
        .await
    }

    /// Pays all that is open at a terminal, or gives it back there if it is negative; waits until it is
    /// decided. After a [`Payment::Partial`] the rest stays open. Set `abort` to ask the terminal to stop
    /// waiting for the customer.
    ///
    /// Dropping this discards the answer, not the payment: [`Sale::refresh`] finds it.
    ///
    /// # Errors
    /// Nothing was sent, and the attempt is written as refused; or the database cannot be written: then
    /// what happened is in the journal, and [`Sale::refresh`] finds it.
    pub async fn pay_card(&mut self, terminal: &Terminal, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.pay_card_part(terminal, self.open_amount(), abort).await
    }

    /// Pays a part at a terminal.
    ///
    /// # Errors
    /// [`Kind::Input`]: more than is open. Else as [`Sale::pay_card`].
    pub async fn pay_card_part(
        &mut self,
        terminal: &Terminal,
        amount: Amount,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        self.fits(amount)?;
        let operation = if amount.minor() < 0 { TenderOperation::Refund } else { TenderOperation::Payment };
        let kind = TenderKind::Card { terminal: terminal.name().to_owned() };
        let key = self.begin(NewTender { operation, ..card(kind, amount) }).await?;
        let request = Request::new(key.clone(), positive(amount)?);
        let terminal = terminal.clone();
        let call = async move {
            match operation {
                TenderOperation::Refund => terminal.refund_as(request, abort).await,
                _ => terminal.pay_as(request, abort).await,
            }
        };
        self.ended(key, call).await
    }

    /// Takes a card payment of this sale back at its terminal, by its attempt.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such attempt, or nothing was taken with it. Else as [`Sale::pay_card`].
    pub async fn reverse_card(
        &mut self,
        terminal: &Terminal,
        attempt: i64,
        abort: watch::Receiver<bool>,
    ) -> Result<Payment> {
        let tender = self.tender(attempt)?.clone();
        let Some(paid) = tender.charge.as_ref().and_then(|charge| charge.reference.clone()) else {
            let what = format!("attempt {attempt} has no reference to take it back by");
            return Err(Error::new(Kind::Input, what));
        };
        let amount = tender.taken;
        let back = Amount::zero(amount.currency()).checked_sub(amount).ok_or_else(too_much)?;
        let kind = TenderKind::Card { terminal: terminal.name().to_owned() };
        let reference = Some(tender.key);
        let new = NewTender { operation: TenderOperation::Reversal, reference, ..card(kind, back) };
        let key = self.begin(new).await?;
        let (terminal, request) = (terminal.clone(), Request::new(key.clone(), amount));
        self.ended(key, async move { terminal.reverse_as(&paid, request, abort).await }).await
    }

    /// Takes what the customer hands over in cash; returns the change. Less than is open is a part of
    /// it.
    ///
    /// # Errors
    /// [`Kind::Input`]: nothing is open, or nothing was given. Else as [`Sale::add`].
    pub async fn pay_cash(&mut self, given: Amount) -> Result<Amount> {
        let open = self.open_amount();
        if open.currency() != given.currency() || given.minor() <= 0 || open.minor() <= 0 {
            return Err(Error::new(Kind::Input, format!("{given} cannot be taken: {open} is open")));
        }
        let asked = if given.minor() < open.minor() { given } else { open };
        let new = NewTender { given: Some(given), taken: true, ..card(TenderKind::Cash, asked) };
        self.begin(new).await?;
        given.checked_sub(asked).ok_or_else(too_much)
    }

    /// Gives back in cash what is open, which is negative; returns how much goes to the customer.
    ///
    /// # Errors
    /// [`Kind::Input`]: nothing is to be given back. Else as [`Sale::add`].
    pub async fn pay_out(&mut self) -> Result<Amount> {
        let open = self.open_amount();
        if open.minor() >= 0 {
            return Err(Error::new(Kind::Input, "there is nothing to give back"));
        }
        let operation = TenderOperation::Refund;
        self.begin(NewTender { operation, taken: true, ..card(TenderKind::Cash, open) }).await?;
        positive(open)
    }

    /// Takes an amount in the vendor's own way: a voucher, an account. `name` is printed on the receipt,
    /// `reference` is kept with it.
    ///
    /// # Errors
    /// [`Kind::Input`]: more than is open. Else as [`Sale::add`].
    pub async fn pay_other(&mut self, name: &str, amount: Amount, reference: Option<&str>) -> Result<()> {
        self.fits(amount)?;
        let operation = if amount.minor() < 0 { TenderOperation::Refund } else { TenderOperation::Payment };
        let kind = TenderKind::Other { name: name.to_owned() };
        let reference = reference.map(str::to_owned);
        self.begin(NewTender { operation, reference, taken: true, ..card(kind, amount) }).await.map(drop)
    }

    /// Gives a cash or the vendor's own tender of this sale back, by its attempt.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such attempt, or a card's: that is [`Sale::reverse_card`]. Else as
    /// [`Sale::add`].
    pub async fn give_back(&mut self, attempt: i64) -> Result<()> {
        let tender = self.tender(attempt)?;
        if matches!(tender.kind, TenderKind::Card { .. }) {
            return Err(Error::new(Kind::Input, "a card payment is taken back at its terminal"));
        }
        let back = Amount::zero(tender.taken.currency()).checked_sub(tender.taken).ok_or_else(too_much)?;
        let (kind, reference) = (tender.kind.clone(), Some(tender.key.clone()));
        let new = NewTender { operation: TenderOperation::Reversal, reference, taken: true, ..card(kind, back) };
        self.begin(new).await.map(drop)
    }

    /// Gives the sale up before it is paid. Its lines stay in the database; it gets no number.
    ///
    /// # Errors
    /// [`Kind::Input`]: something was paid and not given back, or may have been. Else as [`Sale::add`].
    pub async fn void(&mut self, why: &str) -> Result<()> {
        self.refresh().await?;
        if self.is_pending() || self.open_amount() != self.ticket().total() {
            let what = format!("sale `{}` is paid in part", self.id());
            return Err(Error::new(Kind::Input, what).hint("give back first what was taken"));
        }
        self.record = self.store.void_sale(self.id(), self.rev(), why, &self.origin).await?;
        Ok(())
    }

    /// Writes what the fiscal device said.
    pub(super) async fn signed(&mut self, signing: &Signing) -> Result<()> {
        self.record = self.store.sign_sale(self.id(), self.rev(), signing).await?;
        Ok(())
    }

    /// Gives it its number and closes it with its paper, which `compose` makes of it as it will be.
    pub(super) async fn close(&mut self, compose: impl Fn(&Sale) -> Option<Paper>) -> Result<()> {
        let at = self.store.time();
        let _one_by_one = self.store.closing().await;
        let number = self.store.next_number().await?;
        let mut closed = self.clone();
        closed.record.state = SaleState::Closed;
        closed.record.epoch = Some(number.epoch);
        closed.record.ticket.number = Some(number.number);
        closed.record.ticket.closed_at = Some(at);
        let paper = compose(&closed);
        self.record = self.store.close_sale(self.id(), self.rev(), Closing { number, at, paper }).await?;
        Ok(())
    }

    async fn change<T>(&mut self, change: impl FnOnce(&mut Ticket) -> Result<T>) -> Result<T> {
        let mut ticket = self.record.ticket.clone();
        let done = change(&mut ticket)?;
        self.record = self.store.change_sale(self.rev(), &ticket).await?;
        Ok(done)
    }

    async fn begin(&mut self, new: NewTender) -> Result<String> {
        let (record, key) = self.store.begin_tender(self.id(), self.rev(), new, &self.origin).await?;
        self.record = record;
        Ok(key)
    }

    /// Runs a card attempt and writes what became of it, by the journal; both also if the caller leaves.
    async fn ended(
        &mut self,
        key: String,
        call: impl Future<Output = Result<Payment>> + Send + 'static,
    ) -> Result<Payment> {
        let (store, id, intent) = (self.store.clone(), self.id().to_owned(), IntentId(key.clone()));
        let attempt = tokio::spawn(async move {
            let ended = call.await;
            if let Err(error) = &ended
                && error.effect() == Effect::None
            {
                store.never_sent(&key, &error.to_string());
            }
            (ended, store.follow_tenders(&id).await)
        });
        let unknown = |why: String| Payment::unknown(&intent, why);
        match attempt.await {
            Ok((ended, Ok(record))) => {
                self.record = record;
                ended
            }
            // The journal may have it: never an error that says "nothing happened".
            Ok((Ok(payment), Err(error))) if payment.charge().is_some() => {
                Ok(unknown(format!("it was charged, but not written: {error}")))
            }
            Ok((ended, Err(_))) => ended,
            Err(panic) => Ok(unknown(format!("the call ended in a panic: {panic}"))),
        }
    }

    /// Nothing may be paid that is not open.
    fn fits(&self, amount: Amount) -> Result<()> {
        let open = self.open_amount();
        let between = if open.minor() < 0 { open.minor()..=-1 } else { 1..=open.minor() };
        if amount.currency() == open.currency() && between.contains(&amount.minor()) {
            return Ok(());
        }
        let error = Error::new(Kind::Input, format!("{amount} cannot be taken: {open} is open"));
        Err(if self.is_pending() { error.hint("an attempt to pay is not settled yet") } else { error })
    }

    fn tender(&self, attempt: i64) -> Result<&Tender> {
        let back = |key: &str| self.tenders().iter().any(|t| t.reference.as_deref() == Some(key) && counts(t));
        self.tenders()
            .iter()
            .find(|t| t.attempt == attempt && t.state == TenderState::Taken && t.taken.minor() > 0 && !back(&t.key))
            .ok_or_else(|| Error::new(Kind::Input, format!("nothing of attempt {attempt} can be given back")))
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

fn too_much() -> Error {
    Error::new(Kind::Input, "the amount does not fit")
}
