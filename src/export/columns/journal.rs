//! The journal.

use super::{Column, OPERATOR, SOURCE, STATION, TILL, column, operator, source, station};
use crate::export::cell::ColumnKind::{Json, Number, Text, Time};
use crate::export::cell::Value;
use crate::store::records::FullEntry;

pub(in crate::export) static ENTRIES: &[Column<FullEntry>] = &[
    column("till", Text, TILL, |_, till| Value::Text(till.id.clone())),
    column("seq", Number, "its sequence number", |row, _| row.entry.seq.into()),
    column("at", Time, "when it was written", |row, _| row.entry.at.into()),
    column("kind", Text, "what happened: `intent`, `charged`, `closed`, …", |row, _| (&row.entry.kind).into()),
    column("key", Text, "the id of the payment or sale", |row, _| (&row.entry.key).into()),
    column("body", Json, "the content; card numbers are masked", |row, _| Value::Json(row.body.clone())),
    column("station", Text, STATION, |row, _| station(&row.entry.origin)),
    column("source", Text, SOURCE, |row, _| source(&row.entry.origin)),
    column("operator", Text, OPERATOR, |row, _| operator(&row.entry.origin)),
];
