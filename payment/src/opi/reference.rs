//! How OPI names a transaction: by the terminal's id and trace number (STAN).

use super::dialect::{Dialect, Naming};
use super::wire::{Original, Response};
use crate::journal::Reference;
use crate::pan;

/// The reference of a transaction, with its numbers as they stand on the slip: to reverse what only the slip tells.
pub fn reference(terminal_id: Option<&str>, stan: &str) -> Reference {
    let new = Reference::new(PROTOCOL).with(STAN, stan);
    match terminal_id {
        Some(terminal) => new.with(TERMINAL, terminal).unique(),
        None => new,
    }
}

/// What names the transaction of this response. `None` if it has no trace number. A card number is no name.
pub(super) fn of(response: &Response, terminal_id: Option<&str>, dialect: &Dialect) -> Option<Reference> {
    let terminal = response.terminal_id.as_deref().or(terminal_id).filter(|id| pan::is_without(id));
    let mut new = reference(terminal, response.stan.as_deref().filter(|stan| pan::is_without(stan))?);
    if dialect.naming == Naming::Full {
        // A date and time may look like a card number.
        let at = response.authorisation.at.as_ref().filter(|at| response.at().is_some() || pan::is_without(at));
        let more = [(BATCH, response.batch.as_ref().filter(|batch| pan::is_without(batch))), (TIME, at)];
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
        if let Some(value) = value.as_ref().filter(|value| pan::is_without(value)) {
            new = new.with(name, value);
        }
    }
    let result = original.result.to_string();
    Some(new.with_fact(TYPE, original.request_type.to_ascii_lowercase()).with_fact(RESULT, result))
}

/// The terminal's last message is the one that it was before. Tills that were started again count their requests anew, so
/// its id alone does not tell.
pub(super) fn is_still(before: &Reference, response: &Response) -> bool {
    let Some(now) = self::before(response) else { return false };
    let same = |name| before.field(name) == now.field(name);
    request(before).is_some()
        && same(REQUEST)
        && same(STAN)
        && [TYPE, RESULT].iter().all(|f| before.fact(f) == now.fact(f))
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

fn request(reference: &Reference) -> Option<&str> {
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
const TYPE: &str = "type";
const RESULT: &str = "result";
