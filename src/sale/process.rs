//! A sale as stored steps.

use std::sync::Arc;

use tokio::sync::watch;
use tresen_hal::{Amount, Effect, Error, Kind, Result};
use tresen_payment::{IntentId, Payment, Request};

use super::line::{Line, ReturnLine};
use super::order::{KitchenTicket, Order};
use super::sign::Signing;
use super::tender::{Tender, TenderKind, TenderOperation, TenderState};
use super::ticket::{Ticket, too_much};
use super::tip::Tip;
use crate::config::Config;
use crate::lease::{Asker, Target};
use crate::manager::Terminal;
use crate::registry::to_its_end;
use crate::store::{Basis, Closing, NewJob, NewTender, OrderPlan, Origin, Parked, SaleState, SaleView, Store};

/// A sale, stored in the database from its first line. Each method writes before it returns, so a till that stops
/// resumes where it was: [`crate::Tresen::open_sales`].
///
/// This is a copy of the stored sale at a [revision](Sale::rev). If another station has changed the sale since, a
/// change is refused with [`Kind::Busy`] and nothing is written: [refresh](Sale::refresh) and decide again. So is a
/// change while somebody else has its [lease](crate::lease).
///
/// It is paid with one or more tenders. A declined card is a failed attempt: pay again, with the same or another
/// tender. An attempt with an unknown outcome counts as paid until it is settled; the rest can be paid meanwhile.
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
    /// Who takes further steps, as far as leases are concerned.
    asker: Asker,
    /// Further steps complete what has begun, whoever has the sale.
    completes: bool,
}

impl Sale {
    pub(crate) fn new(store: Store, record: SaleView) -> Self {
        let origin = record.origin.clone();
        let asker = Asker::default().named(&origin);
        Self { store, record, origin, asker, completes: false }
    }

    /// Its globally unique key.
    pub fn id(&self) -> &str {
        self.record.ticket.id()
    }

    /// The lines sold.
    pub fn ticket(&self) -> &Ticket {
        &self.record.ticket
    }

    /// The attempts to pay so far, in order.
    pub fn tenders(&self) -> &[Tender] {
        &self.record.tenders
    }

    /// The fiscal device's signature, or the record of its outage.
    pub fn signing(&self) -> Option<&Signing> {
        self.record.signing.as_ref()
    }

    /// Its state.
    pub fn state(&self) -> SaleState {
        self.record.state
    }

    /// Its revision; incremented with every change.
    pub fn rev(&self) -> i64 {
        self.record.rev
    }

    /// The till's epoch in which it was numbered: [`Store::epoch`].
    pub fn epoch(&self) -> Option<i64> {
        self.record.epoch
    }

    /// Under which name it is parked, since when and by whom; `None` if it is not.
    pub fn parked(&self) -> Option<&Parked> {
        self.record.parked.as_ref()
    }

    /// The result of opening the drawer: `asked`, `opened`, or why it did not open.
    pub fn drawer(&self) -> Option<&str> {
        self.record.drawer.as_deref()
    }

    /// The amount still to be paid; negative where the customer gets money back. An attempt with an unknown outcome
    /// counts as paid.
    pub fn open_amount(&self) -> Amount {
        self.record.due
    }

    /// Whether an attempt is in progress or has an unknown outcome.
    pub fn is_pending(&self) -> bool {
        self.record.pending
    }

    /// The whole sale as last read, for passing on.
    pub fn view(&self) -> &SaleView {
        &self.record
    }

    /// Replaces the state with one read elsewhere.
    pub(crate) fn show(&mut self, record: SaleView) {
        self.record = record;
    }

    pub(crate) fn into_view(self) -> SaleView {
        self.record
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Who is recorded for further steps.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Records further steps under `origin` instead of whoever opened the sale; they are those of the holder of that
    /// name.
    #[must_use]
    pub fn by(self, origin: Origin) -> Self {
        Self { asker: self.asker.named(&origin), origin, ..self }
    }

    /// Further steps are those of this caller, if it has a name, whoever they are recorded under.
    pub(crate) fn asked_by(self, asker: &Asker) -> Self {
        let asker = if asker.name().is_some() { asker.clone() } else { self.asker.with(asker.keys()) };
        Self { asker, ..self }
    }

    /// Further steps complete what has begun, whoever has the sale.
    pub(super) fn completing(&mut self, completes: bool) {
        self.completes = completes;
    }

    /// What a change is based on: the revision, and who has the sale.
    fn basis(&self) -> Basis {
        let claim = self.asker.claim(&Target::from(self));
        let (name, token) = (claim.name.map(str::to_owned), claim.token);
        let now = self.store.lease_clock().now();
        Basis { rev: self.rev(), name, token, completes: self.completes, now }
    }

    /// Reads the sale again, updating its card payments from the journal.
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
    /// [`Kind::Input`]: the total would overflow, the currency differs, its tax key stands for another rate on this
    /// ticket, or the sale is parked, closed or voided. [`Kind::Busy`]: another station changed the sale.
    /// [`Kind::Storage`].
    pub async fn add(&mut self, line: Line) -> Result<()> {
        self.change(|ticket| ticket.add(line)).await
    }

    /// Removes a line by its index, from 0.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such line. Otherwise as [`Sale::add`].
    pub async fn remove(&mut self, at: usize) -> Result<Line> {
        self.change(|ticket| ticket.remove(at)).await
    }

    /// Adds a tip, before the payment that includes it.
    ///
    /// # Errors
    /// [`Kind::Input`]: as [`Ticket::add_tip`]; or a refund would give back more tips than the sale had. Otherwise as
    /// [`Sale::add`].
    pub async fn add_tip(&mut self, tip: impl Into<Tip>) -> Result<()> {
        let tip = tip.into();
        self.change(|ticket| ticket.add_tip(tip)).await
    }

    /// Removes a tip by its index, from 0.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such tip. Otherwise as [`Sale::add`].
    pub async fn remove_tip(&mut self, at: usize) -> Result<Tip> {
        self.change(|ticket| ticket.remove_tip(at)).await
    }

    /// In a refund: gives back another line of the original sale, in full or in part.
    ///
    /// # Errors
    /// [`Kind::Input`]: this is no refund, no such line, or more than is left of it over all refunds of that sale.
    /// Otherwise as [`Sale::add`].
    pub async fn return_line(&mut self, line: ReturnLine) -> Result<()> {
        self.record = self.store.return_line(self.id(), self.basis(), line).await?;
        Ok(())
    }

    /// Parks the sale under a name, such as "table 12", until it is [resumed](Sale::resume), here or at another station:
    /// [`crate::Tresen::parked_sales`]. Until then no other step is taken. Payments go on: one with an unknown outcome is
    /// settled meanwhile. A [lease](crate::lease) of the sale ends.
    ///
    /// # Errors
    /// [`Kind::Input`]: the name is empty. Otherwise as [`Sale::add`].
    pub async fn park(&mut self, name: &str) -> Result<()> {
        self.record = self.store.park_sale(self.id(), self.basis(), name, &self.origin).await?;
        Ok(())
    }

    /// Resumes a parked sale. Of several stations that try, one succeeds.
    ///
    /// # Errors
    /// [`Kind::Input`]: it is not parked. Otherwise as [`Sale::add`].
    pub async fn resume(&mut self) -> Result<()> {
        self.record = self.store.resume_sale(self.id(), self.basis(), &self.origin).await?;
        Ok(())
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

    /// Pays the open amount at a terminal, or refunds it there if it is negative; waits for the outcome. After a
    /// [`Payment::Partial`] the rest stays open. Set `abort` to ask the terminal to stop waiting for the customer.
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

    /// Voids the sale before it is paid. Its lines stay in the database; it gets no number. What was
    /// [ordered](crate::Tresen::order) is cancelled by ordering again.
    ///
    /// # Errors
    /// [`Kind::Input`]: a payment was taken, or may have been, and not given back. Otherwise as [`Sale::add`].
    pub async fn void(&mut self, why: &str) -> Result<()> {
        self.refresh().await?;
        if self.is_pending() || self.open_amount() != self.ticket().total() {
            let what = format!("sale `{}` is partly paid", self.id());
            return Err(Error::new(Kind::Input, what).hint("give back the payments first"));
        }
        self.record = self.store.void_sale(self.id(), self.basis(), why, &self.origin).await?;
        Ok(())
    }

    /// Records the result of signing.
    pub(super) async fn signed(&mut self, signing: &Signing) -> Result<()> {
        self.record = self.store.sign_sale(self.id(), self.basis(), signing).await?;
        Ok(())
    }

    /// Numbers the sale and closes it, together with the print job that `compose` makes of the numbered sale.
    /// `order` is stored with it.
    pub(super) async fn close(
        &mut self,
        compose: impl Fn(&Sale) -> Result<Option<NewJob>>,
        order: Option<(OrderPlan, Origin)>,
    ) -> Result<()> {
        let at = self.store.time();
        let _one_by_one = self.store.closing().await;
        let number = self.store.next_number().await?;
        let mut closed = self.clone();
        closed.record.state = SaleState::Closed;
        closed.record.epoch = Some(number.epoch);
        closed.record.ticket.number = Some(number.number);
        closed.record.ticket.closed_at = Some(at);
        let paper = compose(&closed)?;
        self.record = self.store.close_sale(self.id(), self.basis(), Closing { number, at, paper, order }).await?;
        Ok(())
    }

    /// Orders what is new: [`crate::Tresen::order`].
    pub(crate) async fn order(&mut self, config: Arc<Config>, origin: Origin) -> Result<Vec<KitchenTicket>> {
        let plan = self.what_is_new(config, origin.clone(), None);
        let (record, tickets) = self.store.order_sale(self.id(), self.basis(), &origin, plan).await?;
        self.record = record;
        Ok(tickets)
    }

    /// The order for what is new; groups without a route go to `otherwise`, if that is given.
    pub(super) fn what_is_new(&self, config: Arc<Config>, origin: Origin, otherwise: Option<String>) -> OrderPlan {
        let at = self.store.time();
        Box::new(move |record, before, number| {
            let order = Order { config: &config, otherwise: otherwise.as_deref(), origin: &origin, at, number };
            order.tickets(&record.ticket, record.state == SaleState::Voided, before)
        })
    }

    async fn change<T>(&mut self, change: impl FnOnce(&mut Ticket) -> Result<T>) -> Result<T> {
        let mut ticket = self.record.ticket.clone();
        let done = change(&mut ticket)?;
        self.record = self.store.change_sale(self.basis(), &ticket).await?;
        Ok(done)
    }

    pub(super) async fn begin(&mut self, new: NewTender) -> Result<String> {
        let (record, key) = self.store.begin_tender(self.id(), self.basis(), new, &self.origin).await?;
        self.record = record;
        Ok(key)
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
            let (store, id, intent) = (sale.store.clone(), sale.id().to_owned(), IntentId(key.clone()));
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
            Ok((sale.record, intent, attempt))
        });
        let (record, intent, attempt) = begun.await?;
        self.record = record;
        let unknown = |why: String| Payment::unknown(&intent, why);
        match attempt.await {
            Ok((ended, Ok(record))) => {
                self.record = record;
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
