//! Payments: the tenders of sales, and transactions at terminals that belong to no sale.

use std::sync::Arc;

use jiff::Timestamp;
use tresen_hal::Amount;
use tresen_payment::{Charge, Flow, Payment};

use super::{Column, OPERATOR, SOURCE, STATION, TILL, column, operator, source, station, word};
use crate::export::cell::ColumnKind::{LocalTime, Money, Number, Text, Time};
use crate::export::cell::Value;
use crate::sale::{Tender, TenderKind, TenderState};
use crate::store::{Origin, SaleView, StoredPayment};

/// An attempt to pay.
pub(in crate::export) struct PaymentRow {
    pub(in crate::export) key: String,
    sale: Option<Arc<SaleView>>,
    attempt: Option<i64>,
    kind: TenderKind,
    operation: &'static str,
    asked: Amount,
    taken: Amount,
    given: Option<Amount>,
    change: Option<Amount>,
    reference: Option<String>,
    state: TenderState,
    why: Option<String>,
    at: Timestamp,
    origin: Origin,
    charge: Option<Box<Charge>>,
    reversed_by: Option<String>,
}

impl PaymentRow {
    /// An attempt of a sale.
    pub(in crate::export) fn of_sale(sale: &Arc<SaleView>, tender: &Tender) -> Self {
        Self {
            key: tender.key.clone(),
            sale: Some(sale.clone()),
            attempt: Some(tender.attempt),
            kind: tender.kind.clone(),
            operation: tender.operation.word(),
            asked: tender.asked,
            taken: tender.taken,
            given: tender.given,
            change: tender.change(),
            reference: tender.reference.clone(),
            state: tender.state,
            why: tender.why.clone(),
            at: tender.at,
            origin: tender.origin.clone(),
            charge: tender.charge.clone(),
            reversed_by: tender.reversed_by.as_ref().map(|id| id.0.clone()),
        }
    }

    /// A transaction that belongs to no sale.
    pub(in crate::export) fn alone(stored: StoredPayment) -> Self {
        let intent = &stored.entry.intent;
        let flow = intent.operation.flow();
        let signed = |sign: i64, amount: Amount| Amount::new(sign * amount.minor(), amount.currency());
        let moved = |charge: &Charge| signed(flow.sign(), charge.amount);
        let outcome = stored.entry.outcome();
        let (state, why) = match &outcome {
            None => (TenderState::Begun, None),
            Some(Payment::Charged(_) | Payment::Partial(_)) => (TenderState::Taken, None),
            Some(Payment::NotCharged(not)) => (TenderState::Refused, Some(not.text.clone())),
            Some(Payment::Unknown(unknown)) => (TenderState::Unknown, Some(unknown.why.clone())),
            Some(_) => (TenderState::Unknown, None),
        };
        let charge = outcome.and_then(Payment::into_charge).map(Box::new);
        Self {
            key: intent.id.0.clone(),
            sale: None,
            attempt: None,
            kind: TenderKind::Card { terminal: intent.terminal.clone() },
            operation: intent.operation.name(),
            asked: signed(if flow == Flow::Out { -1 } else { 1 }, intent.amount),
            taken: charge.as_deref().map_or(Amount::zero(intent.amount.currency()), moved),
            given: None,
            change: None,
            reference: stored.original.as_ref().map(|id| id.0.clone()),
            state,
            why,
            at: intent.at,
            origin: stored.origin.clone(),
            charge,
            reversed_by: stored.reversed_by.as_ref().map(|id| id.0.clone()),
        }
    }

    fn charged(&self, part: impl Fn(&Charge) -> Option<&String>) -> Value {
        self.charge.as_deref().and_then(part).into()
    }
}

pub(in crate::export) static PAYMENTS: &[Column<PaymentRow>] = &[
    column("till", Text, TILL, |_, till| Value::Text(till.id.clone())),
    column("key", Text, "the payment's own key", |row, _| (&row.key).into()),
    column("sale", Text, "the id of the sale; empty for a transaction that belongs to none", |row, _| {
        row.sale.as_ref().map(|sale| sale.ticket.id()).into()
    }),
    column("epoch", Number, "the epoch of the sale's number", |row, _| {
        row.sale.as_ref().and_then(|sale| sale.epoch).into()
    }),
    column("number", Number, "the number of the sale", |row, _| {
        row.sale.as_ref().and_then(|sale| sale.ticket.number()).into()
    }),
    column("attempt", Number, "the number of the attempt in its sale, from 1", |row, _| row.attempt.into()),
    column("tender", Text, "`card`, `cash` or `other`", |row, _| row.kind.columns().0.into()),
    column("name", Text, "the terminal, or the name of the other means", |row, _| {
        Some(row.kind.columns().1).filter(|name| !name.is_empty()).into()
    }),
    column(
        "operation",
        Text,
        "`payment`, `refund` or `reversal`; of no sale also `pre-authorisation`, `increment`, `booking`, `release`, \
         `tip`, `top-up`",
        |row, _| row.operation.into(),
    ),
    column("state", Text, "`taken`, `refused`, `unknown` or `begun`", |row, _| word(&row.state)),
    column("why", Text, "why it was refused or is unknown", |row, _| row.why.as_ref().into()),
    column("at", Time, "when it began", |row, _| row.at.into()),
    column("currency", Text, "the currency of the amounts, as ISO 4217 letters", |row, _| {
        row.asked.currency().code().into()
    }),
    column("asked", Money, "the requested amount; negative where the customer gets money back", |row, _| {
        row.asked.into()
    }),
    column(
        "taken",
        Money,
        "the amount that moved; negative where the customer got money back, zero where it is only held",
        |row, _| row.taken.into(),
    ),
    column("given", Money, "cash: what the customer handed over", |row, _| row.given.into()),
    column("change", Money, "cash: what the customer got back of it", |row, _| row.change.into()),
    column(
        "reference",
        Text,
        "the attempt that it reverses, books or releases, or the reference of another means",
        |row, _| row.reference.as_ref().into(),
    ),
    column("reversed_by", Text, "the key of the transaction that reversed, booked or released it", |row, _| {
        row.reversed_by.as_ref().into()
    }),
    column("card", Text, "the name of the card", |row, _| row.charged(|charge| charge.card_name.as_ref())),
    column("card_number", Text, "the card number, masked", |row, _| row.charged(|charge| charge.masked_pan.as_ref())),
    column("receipt", Text, "the receipt number of the terminal", |row, _| {
        row.charged(|charge| charge.receipt_number.as_ref())
    }),
    column("trace", Text, "the trace number of the terminal", |row, _| row.charged(|charge| charge.trace.as_ref())),
    column("terminal_id", Text, "the terminal's own id", |row, _| row.charged(|charge| charge.terminal_id.as_ref())),
    column("merchant_id", Text, "the merchant number at the acquirer", |row, _| {
        row.charged(|charge| charge.merchant_id.as_ref())
    }),
    column("authorisation", Text, "the authorisation code", |row, _| {
        row.charged(|charge| charge.authorisation.as_ref())
    }),
    column("terminal_time", LocalTime, "date and time by the terminal's clock", |row, _| {
        row.charge.as_deref().and_then(|charge| charge.at).into()
    }),
    column("station", Text, STATION, |row, _| station(&row.origin)),
    column("source", Text, SOURCE, |row, _| source(&row.origin)),
    column("operator", Text, OPERATOR, |row, _| operator(&row.origin)),
];
