//! Sales of a till: opening, refunding, finding, reading back.

use tresen_hal::{Error, Kind, Result, Retry};

use super::checkout::Checkout;
use super::line::{ReturnLine, Returnable};
use super::order::KitchenTicket;
use super::process::Sale;
use crate::store::{Origin, SaleFilter, SaleNumber, SalePage, SaleState, SaleView};
use crate::tresen::Tresen;

impl Tresen {
    /// A new, empty sale; it is stored at once, and so is each line that is added.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_sale(&self) -> Result<Sale> {
        self.open_sale_by(self.origin().unwrap_or_default()).await
    }

    /// A new, empty sale of a station, source or operator.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_sale_by(&self, origin: Origin) -> Result<Sale> {
        self.open_sale_as(&self.new_id(), origin).await
    }

    /// The sale with this id, chosen by the caller; opened if there is none. Calling again with the same id returns the
    /// same sale as it is now, whoever opened it.
    ///
    /// # Errors
    /// [`Kind::Input`]: the id is empty or longer than 300 bytes, or it is that of a refund. Otherwise the database
    /// cannot be written.
    pub async fn open_sale_as(&self, id: &str, origin: Origin) -> Result<Sale> {
        let (store, currency) = (&self.0.store, self.config().till.currency);
        let record = store.new_sale(id, self.0.runtime.wall(), currency, &origin).await?;
        Ok(Sale::new(store.clone(), record).asked_by(&self.1.asker))
    }

    /// A new sale that refunds a closed one: all of its lines that were not given back yet, with the opposite sign; remove
    /// those that are not returned. The open amount is negative: pay it out with [`Sale::pay_out`] or [`Sale::pay_card`].
    /// A card payment of the same day can be reversed at its terminal instead. Tips are given back only if
    /// [added](Sale::add_tip) with a negative amount.
    ///
    /// # Errors
    /// No such closed sale, or nothing of it is left; or the database cannot be written.
    pub async fn open_refund(&self, original: &str, origin: Origin) -> Result<Sale> {
        self.open_refund_as(&self.new_id(), original, None, origin).await
    }

    /// A new sale that refunds single lines of a closed one, in full or in part: [`Tresen::returnable`] lists what is
    /// left. A part costs its share of the line, and all parts together cost exactly the line.
    ///
    /// ```no_run
    /// # async fn back(till: tresen::Tresen, sold: tresen::sale::Sale) -> tresen::Result<()> {
    /// use tresen::Origin;
    /// use tresen::sale::{Quantity, ReturnLine};
    ///
    /// let one = ReturnLine::part(0, Quantity::Pieces(1));
    /// let mut refund = till.open_refund_of(sold.id(), &[one], Origin::new()).await?;
    /// let paid_out = refund.pay_out().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Input`]: no such closed sale or line, or more than is left of it over all refunds of that sale that are
    /// not voided, open ones included. Otherwise the database cannot be written.
    pub async fn open_refund_of(&self, original: &str, lines: &[ReturnLine], origin: Origin) -> Result<Sale> {
        self.open_refund_as(&self.new_id(), original, Some(lines), origin).await
    }

    /// The refund with this id, chosen by the caller; opened if there is none, of these lines or of all that is left.
    /// Calling again with the same id returns the same refund as it is now.
    ///
    /// # Errors
    /// As [`Tresen::open_refund_of`]. [`Kind::Input`]: the id is empty or longer than 300 bytes, or it is that of another
    /// sale.
    pub async fn open_refund_as(
        &self,
        id: &str,
        original: &str,
        lines: Option<&[ReturnLine]>,
        origin: Origin,
    ) -> Result<Sale> {
        let record = self.0.store.new_refund(id, original, lines.map(<[_]>::to_vec), &origin).await?;
        Ok(Sale::new(self.0.store.clone(), record).asked_by(&self.1.asker))
    }

    /// What of a closed sale was not given back yet, line by line.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such closed sale. [`Kind::Storage`].
    pub async fn returnable(&self, original: &str) -> Result<Vec<Returnable>> {
        self.0.store.returnable(original).await
    }

    /// A sale by its id, open or closed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn sale(&self, id: &str) -> Result<Option<Sale>> {
        Ok(self.0.store.sale(id).await?.map(|record| self.known(record)))
    }

    /// A closed sale by its number, or by [number and epoch](SaleNumber::in_epoch).
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn sale_by_number(&self, number: impl Into<SaleNumber>) -> Result<Option<Sale>> {
        let record = self.0.store.sale_by_number(number.into()).await?;
        Ok(record.map(|record| self.known(record)))
    }

    /// A page of closed sales: since a number, of a time, or both.
    ///
    /// # Errors
    /// The database cannot be read. A sale that this version cannot read is listed as such.
    pub async fn closed_sales(&self, filter: &SaleFilter) -> Result<SalePage> {
        self.0.store.closed_sales(filter).await
    }

    /// Closed sales with their lines and tenders and numbers above `number`, in order, at most `limit`: for export to
    /// another system. Keep the last number for the next call; start with 0.
    ///
    /// # Errors
    /// The database cannot be read, or one of the sales cannot: [`Tresen::closed_sales`] reads the others.
    pub async fn tickets_since(&self, number: i64, limit: u32) -> Result<Vec<Sale>> {
        let (mut sales, mut after) = (Vec::new(), number);
        loop {
            let missing = limit - u32::try_from(sales.len()).unwrap_or(limit);
            if missing == 0 {
                return Ok(sales);
            }
            let page = self.closed_sales(&SaleFilter::since(after).limit(missing)).await?;
            if let Some(unreadable) = page.unreadable.first() {
                let what = format!("sale `{}` cannot be read: {}", unreadable.id, unreadable.why);
                return Err(Error::new(Kind::Storage, what).with_retry(Retry::Never));
            }
            sales.extend(page.sales.into_iter().map(|record| self.known(record)));
            let Some(next) = page.next else { return Ok(sales) };
            after = next;
        }
    }

    /// Parked sales, oldest first: [`Sale::resume`] goes on with one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn parked_sales(&self) -> Result<Vec<Sale>> {
        let mut parked = Vec::new();
        for id in self.0.store.parked_sales().await? {
            // It may have been resumed meanwhile.
            parked.extend(self.sale(&id).await?.filter(|sale| sale.parked().is_some()));
        }
        Ok(parked)
    }

    /// Open sales, oldest first: baskets, and sales not fully paid. This only reads. Payments of an earlier run of this
    /// till that certainly never reached a terminal count as refused since the till was opened.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_sales(&self) -> Result<Vec<Sale>> {
        let mut open = Vec::new();
        for id in self.0.store.open_sales().await? {
            match self.0.store.sale(&id).await {
                // It may have been closed meanwhile.
                Ok(record) => {
                    open.extend(record.filter(|r| r.state == SaleState::Open).map(|record| self.known(record)));
                }
                Err(error) => tracing::error!(sale = %id, %error, "an open sale cannot be read"),
            }
        }
        Ok(open)
    }

    /// A stored sale whose further steps are those of this till's caller, if it is named, or else of whoever opened it.
    fn known(&self, record: SaleView) -> Sale {
        let sale = Sale::new(self.0.store.clone(), record);
        let sale = match self.origin() {
            Some(origin) => sale.by(origin),
            None => sale,
        };
        sale.asked_by(&self.1.asker)
    }

    /// Sends what is new in a sale to those who make it: one kitchen ticket for each route of the groups of the new
    /// lines, and a marked cancellation for what was ordered before and is no longer in the sale; in a voided sale that
    /// is everything. Returns the tickets; none if nothing is new.
    ///
    /// What was ordered and the print jobs are stored in one commit: a crash neither loses nor doubles a ticket, and
    /// asking again orders nothing twice. Quantities of an article are compared, not lines, so a line that was replaced by
    /// one with another price is not ordered again. Discounts are left out.
    ///
    /// # Errors
    /// Nothing was ordered. [`Kind::Config`]: a group of a new line has no route. [`Kind::Busy`]: another station changed
    /// the sale. [`Kind::Storage`].
    pub async fn order(&self, sale: &mut Sale) -> Result<Vec<KitchenTicket>> {
        let origin = self.origin().unwrap_or_else(|| sale.origin().clone());
        self.order_by(sale, origin).await
    }

    /// The kitchen tickets of a sale, in the order in which they were sent.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn orders(&self, sale: &str) -> Result<Vec<KitchenTicket>> {
        self.0.store.orders(sale).await
    }

    /// Has the spool look at the kitchen tickets of a sale.
    pub(crate) async fn print_orders(&self, sale: &str) -> Result<()> {
        let tickets = self.orders(sale).await?;
        tickets.iter().for_each(|ticket| _ = self.0.spool.queued(&ticket.job, &ticket.route));
        Ok(())
    }

    pub(crate) async fn order_by(&self, sale: &mut Sale, origin: Origin) -> Result<Vec<KitchenTicket>> {
        let tickets = sale.order(self.config(), origin).await?;
        tickets.iter().for_each(|ticket| _ = self.0.spool.queued(&ticket.job, &ticket.route));
        Ok(tickets)
    }

    /// Everything after the basket, in order: pay, sign, close, print, with receipts at `printer`. Starts with the
    /// setup of [`Builder::checkout`](crate::Builder::checkout).
    ///
    /// # Errors
    /// Unknown printer.
    pub fn checkout(&self, printer: &str) -> Result<Checkout> {
        self.printer(printer)?;
        let checkout = Checkout::new(self.clone(), printer);
        Ok(match &self.0.checkout {
            Some(setup) => setup(checkout),
            None => checkout,
        })
    }
}
