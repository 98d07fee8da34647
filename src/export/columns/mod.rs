//! The columns of each export. A new column is one entry in its table.

mod jobs;
mod journal;
mod payments;
mod sales;

use serde::Serialize;

use super::What;
use super::cell::{ColumnKind, Value};
use crate::store::Origin;

pub(super) use jobs::JOBS;
pub(super) use journal::ENTRIES;
pub(super) use payments::{PAYMENTS, PaymentRow};
pub(super) use sales::{LINES, LineRow, TAXES, TICKETS, TaxRow};

/// A column of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnInfo {
    /// Its name: the `field` of a mapping.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: ColumnKind,
    /// What it means.
    pub about: &'static str,
}

/// The columns of an export, in their order without a mapping.
pub fn columns(what: What) -> Vec<ColumnInfo> {
    fn infos<R>(table: &[Column<R>]) -> Vec<ColumnInfo> {
        table.iter().map(|column| column.info).collect()
    }
    match what {
        What::Tickets => infos(TICKETS),
        What::Lines => infos(LINES),
        What::Taxes => infos(TAXES),
        What::Payments => infos(PAYMENTS),
        What::Jobs => infos(JOBS),
        What::Journal => infos(ENTRIES),
    }
}

/// A column of rows of type `R`.
pub(super) struct Column<R> {
    info: ColumnInfo,
    read: fn(&R, &Till) -> Value,
}

/// What is the same in every row.
pub(super) struct Till {
    pub(super) id: String,
}

impl<R> Column<R> {
    pub(super) fn read(&self, row: &R, till: &Till) -> Value {
        (self.read)(row, till)
    }
}

const fn column<R>(
    name: &'static str,
    kind: ColumnKind,
    about: &'static str,
    read: fn(&R, &Till) -> Value,
) -> Column<R> {
    Column { info: ColumnInfo { name, kind, about }, read }
}

/// The word by which a value is stored.
fn word(value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Value::Text(word),
        _ => Value::Missing,
    }
}

fn station(origin: &Origin) -> Value {
    origin.station.as_ref().into()
}

fn source(origin: &Origin) -> Value {
    origin.source.as_ref().into()
}

fn operator(origin: &Origin) -> Value {
    origin.operator.as_ref().into()
}

const STATION: &str = "the station that requested it";
const SOURCE: &str = "the source of the request, such as an order number";
const OPERATOR: &str = "the operator";
const TILL: &str = "the till's id";
