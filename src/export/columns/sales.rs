//! Tickets, their lines, and their taxes.

use std::sync::Arc;

use tresen_hal::Amount;

use super::{Column, OPERATOR, SOURCE, STATION, TILL, column, operator, source, station, word};
use crate::export::cell::ColumnKind::{Decimal, Money, Number, Text, Time, Truth};
use crate::export::cell::Value;
use crate::sale::{Line, Quantity, Signing, Tender, TenderKind, TenderState, Tip, Vat, VatRow};
use crate::store::SaleView;

/// A line of a sale, or a tip: those come after the lines.
pub(in crate::export) struct LineRow {
    pub(in crate::export) sale: Arc<SaleView>,
    /// From 0; tips are counted on.
    pub(in crate::export) at: usize,
}

/// The totals of one tax rate and key of a sale.
pub(in crate::export) struct TaxRow {
    pub(in crate::export) sale: Arc<SaleView>,
    pub(in crate::export) row: VatRow,
}

impl LineRow {
    /// The line; `None` for a tip.
    fn line(&self) -> Option<&Line> {
        self.sale.ticket.lines().get(self.at)
    }

    fn tip(&self) -> Option<&Tip> {
        self.sale.ticket.tips().get(self.at.checked_sub(self.sale.ticket.lines().len())?)
    }

    fn of_line<T: Into<Value>>(&self, part: impl FnOnce(&Line) -> T) -> Value {
        self.line().map(part).into()
    }
}

pub(in crate::export) static TICKETS: &[Column<Arc<SaleView>>] = &[
    column("till", Text, TILL, |_, till| Value::Text(till.id.clone())),
    column("epoch", Number, EPOCH, |sale, _| sale.epoch.into()),
    column("number", Number, NUMBER, |sale, _| sale.ticket.number().into()),
    column("id", Text, ID, |sale, _| sale.ticket.id().into()),
    column("state", Text, STATE, |sale, _| word(&sale.state)),
    column("opened_at", Time, "when it was opened", |sale, _| sale.ticket.opened_at().into()),
    column("closed_at", Time, CLOSED_AT, |sale, _| sale.ticket.closed_at().into()),
    column("original", Text, ORIGINAL, |sale, _| sale.ticket.original().into()),
    column("lines", Number, "how many lines it has", |sale, _| count(sale.ticket.lines().len())),
    column("currency", Text, CURRENCY, |sale, _| currency(sale)),
    column("total", Money, "what the customer pays, tax included; negative for a refund", |sale, _| {
        sale.ticket.total().into()
    }),
    column("tip", Money, "of that tips", |sale, _| sale.ticket.tip().into()),
    column("net", Money, "the total without tips and tax", |sale, _| sum(sale, |row| row.net)),
    column("tax", Money, "the tax, rounded by rate", |sale, _| sum(sale, |row| row.tax)),
    column("cash", Money, "of that taken in cash, without the change", |sale, _| {
        taken(sale, |kind| *kind == TenderKind::Cash)
    }),
    column("card", Money, "of that taken at terminals", |sale, _| {
        taken(sale, |kind| matches!(kind, TenderKind::Card { .. }))
    }),
    column("other", Money, "of that taken by other means", |sale, _| {
        taken(sale, |kind| !matches!(kind, TenderKind::Cash | TenderKind::Card { .. }))
    }),
    column("due", Money, "what is not paid yet", |sale, _| sale.due.into()),
    column("note", Text, "the remark on the receipt", |sale, _| sale.ticket.note().into()),
    column("signed", Truth, "whether the fiscal device signed it; empty without one", |sale, _| {
        sale.signing.as_ref().map(|signing| matches!(signing, Signing::Signed(_))).into()
    }),
    column("drawer", Text, "how opening the drawer ended: `opened`, or why not", |sale, _| sale.drawer.as_ref().into()),
    column("revision", Number, "how often it was changed", |sale, _| sale.rev.into()),
    column("station", Text, STATION, |sale, _| station(&sale.origin)),
    column("source", Text, SOURCE, |sale, _| source(&sale.origin)),
    column("operator", Text, OPERATOR, |sale, _| operator(&sale.origin)),
];

pub(in crate::export) static LINES: &[Column<LineRow>] = &[
    column("till", Text, TILL, |_, till| Value::Text(till.id.clone())),
    column("epoch", Number, EPOCH, |row, _| row.sale.epoch.into()),
    column("number", Number, NUMBER, |row, _| row.sale.ticket.number().into()),
    column("id", Text, ID, |row, _| row.sale.ticket.id().into()),
    column("state", Text, STATE, |row, _| word(&row.sale.state)),
    column("opened_at", Time, "when the sale was opened", |row, _| row.sale.ticket.opened_at().into()),
    column("closed_at", Time, CLOSED_AT, |row, _| row.sale.ticket.closed_at().into()),
    column("original", Text, ORIGINAL, |row, _| row.sale.ticket.original().into()),
    column("line", Number, "its position in the sale, from 1", |row, _| count(row.at + 1)),
    column("kind", Text, "`line` or `tip`; tips are no turnover", |row, _| match row.line() {
        Some(_) => "line".into(),
        None => "tip".into(),
    }),
    column("article", Text, "the article number", |row, _| row.of_line(|line| Value::from(line.article.as_ref()))),
    column("name", Text, "the name of the article; of a tip who receives it", |row, _| match (row.line(), row.tip()) {
        (Some(line), _) => (&line.name).into(),
        (None, tip) => tip.and_then(|tip| tip.recipient.as_ref()).into(),
    }),
    column("group", Text, "the group of the article", |row, _| row.of_line(|line| Value::from(line.group.as_ref()))),
    column("quantity", Decimal, "pieces, or kilograms", |row, _| {
        row.of_line(|line| match line.quantity {
            Quantity::Pieces(units) => Value::Decimal { units, places: 0 },
            Quantity::Grams(units) => Value::Decimal { units, places: 3 },
        })
    }),
    column("unit", Text, "the unit of the quantity: `piece` or `kg`", |row, _| {
        row.of_line(|line| match line.quantity {
            Quantity::Pieces(_) => "piece",
            Quantity::Grams(_) => "kg",
        })
    }),
    column("unit_price", Money, "price of one unit, tax included", |row, _| row.of_line(|line| line.unit_price)),
    column("vat", Decimal, RATE, |row, _| row.of_line(|line| rate(line.vat))),
    column("tax_key", Text, TAX_KEY, |row, _| row.of_line(|line| Value::from(line.tax_key.as_ref()))),
    column("tax_text", Text, "what the receipt says about the tax key", |row, _| {
        row.of_line(|line| Value::from(line.tax_text.as_ref()))
    }),
    column("returns", Number, "in a refund: the line of the original sale, from 1", |row, _| {
        row.of_line(|line| Value::from(line.returns.map(|at| count(at + 1))))
    }),
    column("currency", Text, CURRENCY, |row, _| currency(&row.sale)),
    column("total", Money, "price of the line, tax included, or the tip", |row, _| match (row.line(), row.tip()) {
        (Some(line), _) => line.total.into(),
        (None, tip) => tip.map(|tip| tip.amount).into(),
    }),
    column("ticket_total", Money, "the total of the sale", |row, _| row.sale.ticket.total().into()),
    column("station", Text, STATION, |row, _| station(&row.sale.origin)),
    column("source", Text, SOURCE, |row, _| source(&row.sale.origin)),
    column("operator", Text, OPERATOR, |row, _| operator(&row.sale.origin)),
];

pub(in crate::export) static TAXES: &[Column<TaxRow>] = &[
    column("till", Text, TILL, |_, till| Value::Text(till.id.clone())),
    column("epoch", Number, EPOCH, |row, _| row.sale.epoch.into()),
    column("number", Number, NUMBER, |row, _| row.sale.ticket.number().into()),
    column("id", Text, ID, |row, _| row.sale.ticket.id().into()),
    column("state", Text, STATE, |row, _| word(&row.sale.state)),
    column("closed_at", Time, CLOSED_AT, |row, _| row.sale.ticket.closed_at().into()),
    column("vat", Decimal, RATE, |row, _| rate(row.row.rate)),
    column("tax_key", Text, TAX_KEY, |row, _| row.row.key.as_ref().into()),
    column("currency", Text, CURRENCY, |row, _| currency(&row.sale)),
    column("gross", Money, "what the customer pays at this rate", |row, _| row.row.gross.into()),
    column("net", Money, "of that without tax", |row, _| row.row.net.into()),
    column("tax", Money, "of that tax", |row, _| row.row.tax.into()),
    column("station", Text, STATION, |row, _| station(&row.sale.origin)),
    column("source", Text, SOURCE, |row, _| source(&row.sale.origin)),
    column("operator", Text, OPERATOR, |row, _| operator(&row.sale.origin)),
];

fn currency(sale: &SaleView) -> Value {
    sale.ticket.total().currency().code().into()
}

fn count(number: usize) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

fn rate(vat: Vat) -> Value {
    Value::Decimal { units: vat.points().into(), places: 2 }
}

fn sum(sale: &SaleView, part: impl Fn(&VatRow) -> Amount) -> Value {
    let zero = Amount::zero(sale.ticket.total().currency());
    let sum = sale.ticket.vat().iter().try_fold(zero, |sum, row| sum.checked_add(part(row)));
    sum.into()
}

fn taken(sale: &SaleView, counts: impl Fn(&TenderKind) -> bool) -> Value {
    let zero = Amount::zero(sale.ticket.total().currency());
    let is_taken = |tender: &&Tender| tender.state == TenderState::Taken && counts(&tender.kind);
    let sum = sale.tenders.iter().filter(is_taken).try_fold(zero, |sum, tender| sum.checked_add(tender.taken));
    sum.into()
}

const EPOCH: &str = "the epoch of the number: it changes when a backup is restored";
const NUMBER: &str = "the number of the sale; empty while it is open or if it was voided";
const ID: &str = "the globally unique id of the sale";
const STATE: &str = "`closed`, `voided` or `open`";
const CLOSED_AT: &str = "when the sale was closed or voided";
const ORIGINAL: &str = "the id of the sale that this one refunds";
const CURRENCY: &str = "the currency of the amounts, as ISO 4217 letters";
const RATE: &str = "the tax rate in percent";
const TAX_KEY: &str = "the key of the tax office or fiscal device";
