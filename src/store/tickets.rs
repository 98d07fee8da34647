//! Tickets in the database: numbered when opened, closed once.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use tresen_hal::{Amount, Error, Kind, Result};
use tresen_payment::IntentId;

use super::Store;
use crate::sale::Ticket;

/// A ticket as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredTicket {
    /// Its number; grows by one, without gaps in this database.
    pub number: i64,
    /// Its key, unique everywhere.
    pub id: String,
    /// When it was opened, RFC 3339.
    pub opened_at: String,
    /// When it was closed, RFC 3339; none while it is open.
    pub closed_at: Option<String>,
    /// Its total.
    pub total: Option<Amount>,
    /// The payment's intent.
    pub intent: Option<String>,
}

fn ticket(row: &Row<'_>) -> rusqlite::Result<StoredTicket> {
    let total: Option<String> = row.get(4)?;
    Ok(StoredTicket {
        number: row.get(0)?,
        id: row.get(1)?,
        opened_at: row.get(2)?,
        closed_at: row.get(3)?,
        total: total.map(|t| t.parse()).transpose().map_err(|e: Error| {
            rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(e))
        })?,
        intent: row.get(5)?,
    })
}

impl Store {
    /// All tickets, in order of their numbers.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn tickets(&self) -> Result<Vec<StoredTicket>> {
        self.call(|db| {
            db.prepare_cached("SELECT number, id, opened_at, closed_at, total, intent FROM tickets ORDER BY number")?
                .query_map([], ticket)?
                .collect()
        })
        .await
    }

    /// Opens a ticket and gives it the next number.
    pub(crate) async fn open_ticket(&self, id: &str) -> Result<i64> {
        let (id, at) = (id.to_owned(), self.clock.wall().to_string());
        self.call(move |db| {
            db.query_row("INSERT INTO tickets (id, opened_at) VALUES (?1, ?2) RETURNING number", params![id, at], |r| {
                r.get(0)
            })
        })
        .await
    }

    /// Closes a ticket, once. Closing it again with the same content does nothing.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such open ticket, or it was closed with another content.
    pub async fn close_ticket(&self, ticket: &Ticket, paid_by: Option<&IntentId>) -> Result<()> {
        let at = self.clock.wall().to_string();
        let body = super::json(ticket).map_err(|e| super::failed(e, &self.path))?;
        let (id, total, intent) = (ticket.id().to_owned(), ticket.total().to_string(), paid_by.map(|i| i.0.clone()));
        let closed = self
            .call(move |db| {
                let write = db.transaction()?;
                write.execute(
                    "UPDATE tickets SET closed_at = ?2, total = ?3, intent = ?4, body = ?5 WHERE id = ?1 AND closed_at IS NULL",
                    params![id, at, total, intent, body],
                )?;
                let same: Option<bool> =
                    write.query_row("SELECT body = ?2 FROM tickets WHERE id = ?1", params![id, body], |r| r.get(0)).optional()?;
                write.commit()?;
                Ok(same)
            })
            .await?;
        match closed {
            Some(true) => Ok(()),
            Some(false) => {
                Err(Error::new(Kind::Input, format!("ticket {} was closed with another content", ticket.number())))
            }
            None => Err(Error::new(Kind::Input, format!("there is no ticket `{}`", ticket.id()))
                .hint("open it with `Tresen::open_ticket`")),
        }
    }
}
