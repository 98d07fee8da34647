//! The server: what it has of the till's journal is the journal, each line once.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;
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
        return Err(format!("the journal has {here} lines, of which the server has {there}"));
    }
    Ok(())
}

/// What is on an account is available.
///
/// # Errors
/// Some of it is reserved, although all tills are at rest.
pub fn accounts_are_settled(counter: &Counter) -> Held {
    let server = &counter.world.server;
    if !counter.world.notebook().lost.is_empty() {
        // What was reserved for sales that were lost stays so until a person looks at it.
        return Ok(());
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

/// Compares line by line; returns how many of the journal's the server has. Others are those that were lost with a disk;
/// and what was acknowledged of those is there for good.
fn agrees(counter: &Counter, books: &mut Books, server: &Server) -> Result<i64, String> {
    if let Some((till, entry)) = server.quarantine().first() {
        return Err(format!("the server has put a line of {till} aside: {entry:?}"));
    }
    let entries = server.entries(counter.till.store().till());
    let db = books.db();
    let find = "SELECT kind, key, body FROM journal WHERE epoch = ?1 AND seq = ?2";
    let mut find = db.prepare_cached(find).map_err(unreadable)?;
    let (notebook, mut known) = (counter.world.notebook(), 0);
    for OutboxEntry { epoch, seq, kind, key, body, .. } in &entries {
        let line = find.query_row([epoch, seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional();
        let line: Option<(String, String, String)> = line.map_err(unreadable)?;
        if line.as_ref().is_some_and(|line| (&line.0, &line.1, &line.2) == (kind, key, body)) {
            known += 1;
        } else if !notebook.lost_lines.contains(&(*epoch, *seq, kind.clone(), key.clone(), body.clone())) {
            return Err(format!(
                "line {seq} of epoch {epoch} is {line:?} in the journal and {kind} {key} {body} at the server"
            ));
        }
    }
    let there: BTreeSet<(i64, i64)> = entries.iter().map(|entry| (entry.epoch, entry.seq)).collect();
    if let Some((epoch, seq)) = notebook.acknowledged.difference(&there).next() {
        return Err(format!("line {seq} of epoch {epoch} was acknowledged, and the server does not have it"));
    }
    Ok(known)
}

/// Customers' accounts.
pub const ACCOUNTS: [&str; 3] = ["Ada", "Bo", "Cleo"];
/// Every so many calls of the server it is compared while the shop is open.
const EVERY: u64 = 64;
