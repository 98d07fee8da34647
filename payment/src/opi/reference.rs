//! How OPI names a transaction: by the terminal's id and trace number (STAN).

use super::dialect::{Dialect, Naming};
use super::wire::{Original, Response};
use crate::journal::Reference;

/// The reference of a transaction, with its numbers as they stand on the slip: to reverse what only the slip tells.
pub fn reference(terminal_id: Option<&str>, stan: &str) -> Reference {
    let new = Reference::new(PROTOCOL).with(STAN, stan);
    match terminal_id {
        Some(terminal) => new.with(TERMINAL, terminal).unique(),
        None => new,
    }
}

/// What names the transaction of this response. `None` if it has no trace number.
pub(super) fn of(response: &Response, terminal_id: Option<&str>, dialect: &Dialect) -> Option<Reference> {
    let terminal = response.terminal_id.as_deref().or(terminal_id);
    let mut new = reference(terminal, response.stan.as_deref()?);
    if dialect.naming == Naming::Full {
        let more = [(BATCH, &response.batch), (TIME, &response.authorisation.at)];
        for (name, value) in more {
            if let Some(value) = value {
                new = new.with(name, value);
            }
        }
    }
    Some(new)
}

/// The last message of the terminal before an intent.
pub(super) fn before(response: &Response) -> Option<Reference> {
    let original = response.original.as_ref()?;
    let mut new = Reference::new(PROTOCOL).with(REQUEST, &original.request_id);
    for (name, value) in [(STAN, &response.stan), (TERMINAL, &response.terminal_id)] {
        if let Some(value) = value {
            new = new.with(name, value);
        }
    }
    Some(new)
}

/// The original transaction that a reversal names.
pub(super) fn original(reference: &Reference, dialect: &Dialect) -> Option<Original> {
    let stan = stan(reference)?.to_owned();
    let full = |name| reference.field(name).filter(|_| dialect.naming == Naming::Full).map(str::to_owned);
    Some(Original { stan, terminal_id: full(TERMINAL), batch: full(BATCH), at: full(TIME) })
}

pub(super) fn stan(reference: &Reference) -> Option<&str> {
    ours(reference, STAN)
}

pub(super) fn terminal(reference: &Reference) -> Option<&str> {
    ours(reference, TERMINAL)
}

pub(super) fn request(reference: &Reference) -> Option<&str> {
    ours(reference, REQUEST)
}

/// `trace 021601 on terminal 68276185`
pub(super) fn name(reference: &Reference) -> String {
    match (stan(reference), terminal(reference)) {
        (Some(stan), Some(terminal)) => format!("trace {stan} on terminal {terminal}"),
        (Some(stan), None) => format!("trace {stan}"),
        _ => reference.to_string(),
    }
}

fn ours<'a>(reference: &'a Reference, field: &str) -> Option<&'a str> {
    reference.field(field).filter(|value| reference.protocol() == PROTOCOL && !value.is_empty())
}

const PROTOCOL: &str = "opi";
const STAN: &str = "stan";
const TERMINAL: &str = "terminal";
const BATCH: &str = "batch";
const TIME: &str = "time";
const REQUEST: &str = "request";
