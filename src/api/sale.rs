//! Sales, step by step. `sale` is a sale's id; each reply shows the sale as it is then.
//!
//! `rev` is the revision that the caller has seen. If another station has changed the sale since, nothing happens and
//! the answer is [`Kind::Busy`]; without it, whatever is there is changed. `by` is who takes the step: unless told, the
//! station that calls, or else who opened the sale.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Error, Kind, Result};
use tresen_payment::Payment;
use tresen_printers::DrawerPin;

use super::Command;
use crate::sale::{Checkout, Line, Sale, Sold};
use crate::store::{Origin, SaleView, changed};
use crate::tresen::Tresen;

/// A new, empty sale: [`Tresen::open_sale_by`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Who opens it.
    #[serde(default)]
    pub by: Option<Origin>,
}

impl Command for Open {
    const NAME: &'static str = "sale.open";
    type Reply = SaleView;

    async fn run(self, till: &Tresen) -> Result<SaleView> {
        let sale = match self.by {
            Some(origin) => till.open_sale_by(origin).await?,
            None => till.open_sale().await?,
        };
        Ok(sale.into_view())
    }
}

/// A new sale that gives a closed one back: [`Tresen::open_refund`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRefund {
    /// The id of the closed sale.
    pub original: String,
    /// Who opens it.
    #[serde(default)]
    pub by: Option<Origin>,
}

impl Command for OpenRefund {
    const NAME: &'static str = "sale.open-refund";
    type Reply = SaleView;

    async fn run(self, till: &Tresen) -> Result<SaleView> {
        let origin = self.by.or_else(|| till.station()).unwrap_or_default();
        Ok(till.open_refund(&self.original, origin).await?.into_view())
    }
}

/// A sale as it is stored, open or closed: [`Tresen::sale`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Its id.
    pub sale: String,
}

impl Command for Find {
    const NAME: &'static str = "sale.find";
    type Reply = Option<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Option<SaleView>> {
        Ok(till.sale(&self.sale).await?.map(Sale::into_view))
    }
}

/// A closed sale by its number: [`Tresen::sale_by_number`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByNumber {
    /// Its number.
    pub number: i64,
}

impl Command for ByNumber {
    const NAME: &'static str = "sale.by-number";
    type Reply = Option<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Option<SaleView>> {
        Ok(till.sale_by_number(self.number).await?.map(Sale::into_view))
    }
}

/// Closed sales by number, for another system: [`Tresen::tickets_since`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The last number that is known; 0 at first.
    pub number: i64,
    /// How many at most; never more than 1000.
    pub limit: u32,
}

impl Command for Since {
    const NAME: &'static str = "sale.since";
    type Reply = Vec<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Vec<SaleView>> {
        let sales = till.tickets_since(self.number, self.limit.min(1000)).await?;
        Ok(sales.into_iter().map(Sale::into_view).collect())
    }
}

/// The sales that are open, oldest first: [`Tresen::open_sales`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListOpen {}

impl Command for ListOpen {
    const NAME: &'static str = "sale.list-open";
    type Reply = Vec<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Vec<SaleView>> {
        Ok(till.open_sales().await?.into_iter().map(Sale::into_view).collect())
    }
}

/// Reads in the journal what became of a sale's card payments: [`Sale::refresh`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Its id.
    pub sale: String,
}

impl Command for Refresh {
    const NAME: &'static str = "sale.refresh";
    type Reply = SaleView;

    async fn run(self, till: &Tresen) -> Result<SaleView> {
        till.store().follow_tenders(&self.sale).await
    }
}

/// A card payment and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CardPaid {
    /// How it ended.
    pub payment: Payment,
    /// The sale.
    pub sale: SaleView,
}

/// Cash that goes to the customer, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CashPaid {
    /// How much goes to the customer: change, or what is given back.
    pub back: Amount,
    /// The sale.
    pub sale: SaleView,
}

/// A line that was taken out, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Removed {
    /// The line.
    pub line: Line,
    /// The sale.
    pub sale: SaleView,
}

/// How a checkout ended, and the sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckedOut {
    /// How it ended.
    pub sold: Sold,
    /// The sale.
    pub sale: SaleView,
}

/// One sale that was gone on with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resumed {
    /// The sale.
    pub sale: SaleView,
    /// How it ended, if it could be gone on with.
    #[serde(default)]
    pub sold: Option<Sold>,
    /// Why not.
    #[serde(default)]
    pub error: Option<Error>,
}

/// Steps of an open sale.
macro_rules! steps {
    ($($(#[$doc:meta])* $command:ident $name:literal { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* } -> $reply:ty,
        $run:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $command {
            /// The sale's id.
            pub sale: String,
            /// The revision that the caller has seen.
            #[serde(default)]
            pub rev: Option<i64>,
            /// Who takes the step.
            #[serde(default)]
            pub by: Option<Origin>,
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = $reply;

            async fn run(self, till: &Tresen) -> Result<$reply> {
                let sale = known(till, &self.sale, self.rev, self.by.clone()).await?;
                let run: fn(Self, Tresen, Sale) -> _ = $run;
                run(self, till.clone(), sale).await
            }
        }
    )*};
}

steps! {
    /// Adds a line: [`Sale::add`].
    Add "sale.add" {
        /// The line; its total is checked when it is added up.
        line: Line,
    } -> SaleView, |this, _, mut sale| async move {
        sale.add(this.line).await?;
        Ok(sale.into_view())
    };
    /// Takes a line out: [`Sale::remove`].
    Remove "sale.remove" {
        /// Which; counted from 0.
        at: usize,
    } -> Removed, |this, _, mut sale| async move {
        let line = sale.remove(this.at).await?;
        Ok(Removed { line, sale: sale.into_view() })
    };
    /// Sets the remark that is printed on the receipt: [`Sale::set_note`].
    SetNote "sale.set-note" {
        /// The remark.
        note: String,
    } -> SaleView, |this, _, mut sale| async move {
        sale.set_note(this.note).await?;
        Ok(sale.into_view())
    };
    /// Pays at a terminal, or gives back there what is negative: [`Sale::pay_card_part`]. The payment's key is the
    /// sale's id, a slash, and the number of the attempt, from 1.
    PayCard "sale.pay-card" {
        /// Which terminal.
        terminal: String,
        /// How much; all that is open unless told.
        #[serde(default)]
        amount: Option<Amount>,
    } -> CardPaid, |this, till, mut sale| async move {
        let (terminal, amount) = (till.terminal(&this.terminal)?, this.amount.unwrap_or_else(|| sale.open_amount()));
        let payment = sale.pay_card_part(&terminal, amount, till.abort()).await?;
        Ok(CardPaid { payment, sale: sale.into_view() })
    };
    /// Takes a card payment of the sale back at its terminal: [`Sale::reverse_card`].
    ReverseCard "sale.reverse-card" {
        /// Which terminal.
        terminal: String,
        /// The attempt that was taken.
        attempt: i64,
    } -> CardPaid, |this, till, mut sale| async move {
        let terminal = till.terminal(&this.terminal)?;
        let payment = sale.reverse_card(&terminal, this.attempt, till.abort()).await?;
        Ok(CardPaid { payment, sale: sale.into_view() })
    };
    /// Takes cash: [`Sale::pay_cash`].
    PayCash "sale.pay-cash" {
        /// What the customer hands over.
        given: Amount,
    } -> CashPaid, |this, _, mut sale| async move {
        let back = sale.pay_cash(this.given).await?;
        Ok(CashPaid { back, sale: sale.into_view() })
    };
    /// Gives back in cash what is open, which is negative: [`Sale::pay_out`].
    PayOut "sale.pay-out" {} -> CashPaid, |_, _, mut sale| async move {
        let back = sale.pay_out().await?;
        Ok(CashPaid { back, sale: sale.into_view() })
    };
    /// Takes an amount in the vendor's own way: [`Sale::pay_other`].
    PayOther "sale.pay-other" {
        /// The vendor's word for it, as printed.
        name: String,
        /// How much.
        amount: Amount,
        /// What is kept with it: a voucher's number.
        #[serde(default)]
        reference: Option<String>,
    } -> SaleView, |this, _, mut sale| async move {
        sale.pay_other(&this.name, this.amount, this.reference.as_deref()).await?;
        Ok(sale.into_view())
    };
    /// Gives a cash or the vendor's own tender back: [`Sale::give_back`].
    GiveBack "sale.give-back" {
        /// The attempt that was taken.
        attempt: i64,
    } -> SaleView, |this, _, mut sale| async move {
        sale.give_back(this.attempt).await?;
        Ok(sale.into_view())
    };
    /// Gives the sale up before it is paid: [`Sale::void`].
    Void "sale.void" {
        /// Why.
        why: String,
    } -> SaleView, |this, _, mut sale| async move {
        sale.void(&this.why).await?;
        Ok(sale.into_view())
    };
    /// Pays what is open at a terminal, signs, closes, prints: [`Checkout::run`].
    CheckOut "sale.check-out" {
        /// Which terminal.
        terminal: String,
        /// Which printer or route.
        printer: String,
        /// Opens the drawer by this pin.
        #[serde(default)]
        drawer: Option<DrawerPin>,
    } -> CheckedOut, |this, till, mut sale| async move {
        let checkout = checkout(&till, &this.printer, this.drawer)?;
        let sold = checkout.run(&mut sale, &this.terminal, till.abort()).await?;
        Ok(CheckedOut { sold, sale: sale.into_view() })
    };
    /// Signs, closes and prints a sale that is paid; of a closed one it tells what became of the paper:
    /// [`Checkout::close`].
    Close "sale.close" {
        /// Which printer or route.
        printer: String,
        /// Opens the drawer by this pin.
        #[serde(default)]
        drawer: Option<DrawerPin>,
    } -> CheckedOut, |this, till, mut sale| async move {
        let sold = checkout(&till, &this.printer, this.drawer)?.close(&mut sale).await?;
        Ok(CheckedOut { sold, sale: sale.into_view() })
    };
}

/// Goes on with what an earlier life of the till left open: [`Checkout::resume`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Which printer or route.
    pub printer: String,
    /// Opens the drawer by this pin.
    #[serde(default)]
    pub drawer: Option<DrawerPin>,
}

impl Command for Resume {
    const NAME: &'static str = "sale.resume";
    type Reply = Vec<Resumed>;

    async fn run(self, till: &Tresen) -> Result<Vec<Resumed>> {
        let resumed = checkout(till, &self.printer, self.drawer)?.resume().await?;
        let resumed = resumed.into_iter().map(|(sale, sold)| {
            let (sold, error) = match sold {
                Ok(sold) => (Some(sold), None),
                Err(error) => (None, Some(error)),
            };
            Resumed { sale: sale.into_view(), sold, error }
        });
        Ok(resumed.collect())
    }
}

fn checkout(till: &Tresen, printer: &str, drawer: Option<DrawerPin>) -> Result<Checkout> {
    let checkout = till.checkout(printer)?;
    Ok(match drawer {
        Some(pin) => checkout.drawer(pin),
        None => checkout,
    })
}

/// The sale, if it is at the revision that the caller has seen.
async fn known(till: &Tresen, id: &str, rev: Option<i64>, by: Option<Origin>) -> Result<Sale> {
    let sale = till.sale(id).await?.ok_or_else(|| Error::new(Kind::Input, format!("there is no sale `{id}`")))?;
    if let Some(rev) = rev.filter(|rev| *rev != sale.rev()) {
        return Err(changed(id, sale.rev(), rev));
    }
    Ok(match by.or_else(|| till.station()) {
        Some(origin) => sale.by(origin),
        None => sale,
    })
}
