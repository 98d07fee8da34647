//! A sale as stored steps.

use std::sync::Arc;

use tresen_hal::{Amount, Error, Kind, Result};

use super::line::{Line, ReturnLine};
use super::order::{KitchenTicket, Order};
use super::sign::Signing;
use super::tender::Tender;
use super::ticket::Ticket;
use super::tip::Tip;
use crate::config::Config;
use crate::lease::{Asker, Target};
use crate::store::{
    Basis, Closing, NewJob, NewTender, OrderPlan, Origin, Parked, SaleState, SaleView, StepKey, StepTaken, Store,
};

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
    /// The key under which the next step is taken.
    step: Option<StepKey>,
    /// The step that was taken under that key before.
    taken: Option<StepTaken>,
}

impl Sale {
    pub(crate) fn new(store: Store, record: SaleView) -> Self {
        let origin = record.origin.clone();
        let asker = Asker::default().named(&origin);
        Self { store, record, origin, asker, completes: false, step: None, taken: None }
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

    /// The next step is the one under this key. If it was taken before, [`Sale::is_repeated`] tells, and it is not to be
    /// taken again.
    pub(crate) async fn under(mut self, step: StepKey) -> Result<Self> {
        self.taken = self.store.step_taken(self.id(), &step).await?;
        if self.taken.is_some() {
            // An attempt of an earlier opening that was never sent is known as such from now on.
            self.refresh().await?;
            self.taken = self.store.step_taken(self.id(), &step).await?;
        }
        self.step = Some(step);
        Ok(self)
    }

    /// The step was taken before under its key.
    pub(crate) fn is_repeated(&self) -> bool {
        self.taken.is_some()
    }

    /// The attempt to pay that was begun before under the key of this step.
    pub(crate) fn begun_before(&self) -> Option<&Tender> {
        let key = self.taken.as_ref()?.tender.as_deref()?;
        self.tenders().iter().find(|tender| tender.key == key)
    }

    /// What a change is based on: the revision, and who has the sale.
    fn basis(&self) -> Basis {
        let claim = self.asker.claim(&Target::from(self));
        let (name, token) = (claim.name.map(str::to_owned), claim.token);
        let now = self.store.lease_clock().now();
        Basis { rev: self.rev(), name, token, completes: self.completes, step: self.step.clone(), now }
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
}
