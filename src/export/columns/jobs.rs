//! Print jobs.

use super::{Column, OPERATOR, SOURCE, STATION, TILL, column, operator, source, station, word};
use crate::export::cell::ColumnKind::{Json, Number, Text, Time, Truth};
use crate::export::cell::Value;
use crate::store::SpooledJob;

pub(in crate::export) static JOBS: &[Column<SpooledJob>] = &[
    column("till", Text, TILL, |_, till| Value::Text(till.id.clone())),
    column("position", Number, "its position in the queue", |job, _| job.seq.into()),
    column("id", Text, "its key", |job, _| (&job.id).into()),
    column("route", Text, "the route or printer it was meant for", |job, _| (&job.route).into()),
    column(
        "state",
        Text,
        "`queued`, `printing`, `printed`, `accepted`, `unknown`, `cancelled` or `unreadable`",
        |job, _| word(&job.state),
    ),
    column("attempts", Number, "how often it was sent", |job, _| job.attempt.into()),
    column("copy", Truth, "whether it is marked as a copy", |job, _| job.copy.into()),
    column("printer", Text, "the printer it was last sent to", |job, _| job.printer.as_ref().into()),
    column("proof", Json, "the printer's proof that it is on paper", |job, _| {
        job.proof.as_ref().and_then(|proof| serde_json::to_string(proof).ok()).map(Value::Json).into()
    }),
    column("why", Text, "why it is waiting, unknown or unreadable", |job, _| job.error.as_ref().into()),
    column("queued_at", Time, "when it was queued", |job, _| job.queued_at.into()),
    column("changed_at", Time, "when its state last changed", |job, _| job.changed_at.into()),
    column("station", Text, STATION, |job, _| station(&job.origin)),
    column("source", Text, SOURCE, |job, _| source(&job.origin)),
    column("operator", Text, OPERATOR, |job, _| operator(&job.origin)),
];
