//! The server: what it has of the till's journal is the journal, each line once.

use tresen::OutboxEntry;
use tresen::sync::sim::Server;

use super::books::unreadable;
use super::{Books, Held};
use crate::counter::Counter;

/// Nothing at the server contradicts the till, and what is new there is in the journal.
///
/// # Errors
/// What does not hold.
pub(super) fn has_what_was_journalled(counter: &Counter, books: &mut Books) -> Held {
    let server = &counter.world.server;
    // The server's copy is large; its calls tell whether anything can be new.
    let calls = server.calls();
    if std::mem::replace(&mut books.server_calls, calls) == calls || !calls.is_multiple_of(EVERY) {
        return Ok(());
    }
    agrees(counter, books, server).map(drop)
}

/// The server has all of it.
///
/// # Errors
/// What does not hold.
pub(super) fn has_everything(counter: &Counter, books: &mut Books) -> Held {
    let server = &counter.world.server;
    let (there, here) = (agrees(counter, books, server)?, books.replay.last());
    if there != here {
        return Err(format!("the journal has {here} lines, the server {there}"));
    }
    for account in ACCOUNTS {
        let Some((available, balance)) = server.balance(account) else {
            return Err(format!("the server has lost the account {account}"));
        };
        if available != balance {
            return Err(format!("of {balance} on account {account} only {available} is available at the end"));
        }
    }
    Ok(())
}

/// Compares line by line; returns how many the server has.
fn agrees(counter: &Counter, books: &mut Books, server: &Server) -> Result<i64, String> {
    if let Some((till, entry)) = server.quarantine().first() {
        return Err(format!("the server has put a line of {till} aside: {entry:?}"));
    }
    let entries = server.entries(counter.till.store().till());
    let db = books.db();
    let mut find = db.prepare_cached("SELECT kind, key, body FROM journal WHERE seq = ?1").map_err(unreadable)?;
    for OutboxEntry { seq, kind, key, body, .. } in &entries {
        let line: (String, String, String) =
            find.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .map_err(|e| format!("line {seq} at the server is not in the journal: {e}"))?;
        if (&line.0, &line.1, &line.2) != (kind, key, body) {
            return Err(format!("line {seq} is {line:?} in the journal and {kind} {key} {body} at the server"));
        }
    }
    Ok(entries.len() as i64)
}

/// Customers' accounts.
pub const ACCOUNTS: [&str; 3] = ["Ada", "Bo", "Cleo"];
/// Every so many calls of the server it is compared while the shop is open.
const EVERY: u64 = 64;
