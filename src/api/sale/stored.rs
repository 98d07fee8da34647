//! Opening, refunding, finding and reading back sales.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use super::super::millis::{self, patience};
use super::super::{Command, Need, Right};
use crate::sale::{self, ReturnLine, Sale};
use crate::spool::Print;
use crate::store::{Origin, SaleFilter, SaleNumber, SalePage, SaleView};
use crate::tresen::Tresen;

/// A new, empty sale: [`Tresen::open_sale_by`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Who opens it.
    #[serde(default)]
    pub by: Option<Origin>,
    /// The sale's id, chosen by the caller: the same id is the same sale, as it is now. Generated if absent.
    #[serde(default)]
    pub id: Option<String>,
}

impl Command for Open {
    const NAME: &'static str = "sale.open";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = true;
    type Reply = SaleView;

    fn origin(&mut self) -> Option<&mut Origin> {
        self.by.as_mut()
    }

    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.id)
    }

    async fn run(self, till: &Tresen) -> Result<SaleView> {
        let origin = self.by.or_else(|| till.origin()).unwrap_or_default();
        let id = self.id.unwrap_or_else(|| till.new_id());
        Ok(till.open_sale_as(&id, origin).await?.into_view())
    }
}

/// A new sale that refunds a closed one: [`Tresen::open_refund`], [`Tresen::open_refund_of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenRefund {
    /// The id of the closed sale.
    pub original: String,
    /// The lines to give back; default all that is left.
    #[serde(default)]
    pub lines: Option<Vec<ReturnLine>>,
    /// Who opens it.
    #[serde(default)]
    pub by: Option<Origin>,
    /// The refund's id, chosen by the caller: the same id is the same refund, as it is now. Generated if absent.
    #[serde(default)]
    pub id: Option<String>,
}

impl Command for OpenRefund {
    const NAME: &'static str = "sale.open-refund";
    const RIGHT: Right = Right::Refund;
    const CHANGES: bool = true;
    type Reply = SaleView;

    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.id)
    }

    async fn needs(&mut self, _: &Tresen) -> Result<Vec<Need>> {
        Ok(vec![Need::all(Right::Sell), Need::all(Right::Refund)])
    }

    fn origin(&mut self) -> Option<&mut Origin> {
        self.by.as_mut()
    }

    async fn run(self, till: &Tresen) -> Result<SaleView> {
        let origin = self.by.or_else(|| till.origin()).unwrap_or_default();
        let id = self.id.unwrap_or_else(|| till.new_id());
        Ok(till.open_refund_as(&id, &self.original, self.lines.as_deref(), origin).await?.into_view())
    }
}

/// A stored sale, open or closed: [`Tresen::sale`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Its id.
    pub sale: String,
}

impl Command for Find {
    const NAME: &'static str = "sale.find";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Option<SaleView>> {
        Ok(till.sale(&self.sale).await?.map(Sale::into_view))
    }
}

/// A closed sale by its number: [`Tresen::sale_by_number`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ByNumber {
    /// Its number.
    pub number: i64,
    /// The epoch in which it was assigned; any if absent.
    #[serde(default)]
    pub epoch: Option<i64>,
}

impl Command for ByNumber {
    const NAME: &'static str = "sale.by-number";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Option<SaleView>> {
        Ok(till.sale_by_number(numbered(self.number, self.epoch)).await?.map(Sale::into_view))
    }
}

/// Closed sales in order of their numbers, for another system: [`Tresen::tickets_since`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The last known number; 0 at first.
    pub number: i64,
    /// The maximum number of sales; capped at 1000.
    pub limit: u32,
}

impl Command for Since {
    const NAME: &'static str = "sale.since";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Vec<SaleView>> {
        let sales = till.tickets_since(self.number, self.limit.min(1000)).await?;
        Ok(sales.into_iter().map(Sale::into_view).collect())
    }
}

/// Open sales, oldest first: [`Tresen::open_sales`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListOpen {}

impl Command for ListOpen {
    const NAME: &'static str = "sale.list-open";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Vec<SaleView>> {
        Ok(till.open_sales().await?.into_iter().map(Sale::into_view).collect())
    }
}

/// A page of closed sales, since a number, of a time, or both: [`Tresen::closed_sales`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListClosed {
    /// Which ones; default the first 100.
    #[serde(default)]
    pub filter: SaleFilter,
}

impl Command for ListClosed {
    const NAME: &'static str = "sale.list-closed";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = SalePage;

    async fn run(self, till: &Tresen) -> Result<SalePage> {
        till.closed_sales(&self.filter).await
    }
}

/// Parked sales, oldest first: [`Tresen::parked_sales`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListParked {}

impl Command for ListParked {
    const NAME: &'static str = "sale.list-parked";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<SaleView>;

    async fn run(self, till: &Tresen) -> Result<Vec<SaleView>> {
        Ok(till.parked_sales().await?.into_iter().map(Sale::into_view).collect())
    }
}

/// What of a closed sale can still be given back: [`Tresen::returnable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Returnable {
    /// The id of the closed sale.
    pub original: String,
}

impl Command for Returnable {
    const NAME: &'static str = "sale.returnable";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<sale::Returnable>;

    async fn run(self, till: &Tresen) -> Result<Vec<sale::Returnable>> {
        till.returnable(&self.original).await
    }
}

/// Prints a copy of a closed sale's receipt: [`Checkout::reprint`](sale::Checkout::reprint). The sale is named by its id
/// or its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reprint {
    /// The sale's id.
    #[serde(default)]
    pub sale: Option<String>,
    /// Its number.
    #[serde(default)]
    pub number: Option<i64>,
    /// The epoch of the number; any if absent.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// The printer or route.
    pub printer: String,
    /// How long to wait for the paper; default `patience` of the till.
    #[serde(rename = "within_ms", with = "millis", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub within: Option<Duration>,
}

impl Command for Reprint {
    const NAME: &'static str = "sale.reprint";
    const RIGHT: Right = Right::Print;
    const CHANGES: bool = true;
    type Reply = Print;

    fn device(&self) -> Option<&str> {
        Some(&self.printer)
    }

    async fn run(self, till: &Tresen) -> Result<Print> {
        let found = match (&self.sale, self.number) {
            (Some(id), None) => till.sale(id).await?.ok_or_else(|| format!("unknown sale `{id}`")),
            (None, Some(number)) => {
                let found = till.sale_by_number(numbered(number, self.epoch)).await?;
                found.ok_or_else(|| format!("no closed sale has the number {number}"))
            }
            _ => Err("a sale is named by its id or by its number".to_owned()),
        };
        let sale = found.map_err(|what| Error::new(Kind::Input, what))?;
        let within = patience(self.within, till.config().till.patience);
        till.checkout(&self.printer)?.reprint(&sale).await?.outcome(within).await
    }
}

fn numbered(number: i64, epoch: Option<i64>) -> SaleNumber {
    match epoch {
        Some(epoch) => SaleNumber::in_epoch(epoch, number),
        None => number.into(),
    }
}
