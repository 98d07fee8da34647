//! Removal of completed records.

use super::cached::Cached;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;
use tresen_hal::Result;

use super::{Origin, Store, journal, outbox, stamp};

/// The number of removed records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Print jobs.
    pub jobs: usize,
    /// Sales.
    pub sales: usize,
    /// Payments.
    pub payments: usize,
    /// Lines of the journal.
    pub journal: usize,
}

impl Store {
    /// Removes records completed before `before`: print jobs that are printed, accepted, cancelled or unreadable,
    /// closed and voided sales, unless an open refund refers to them, refunds together with the sale that they refund, and
    /// decided payments that belong to no remaining sale. Open records are never removed, however old; nor is the last charge of each terminal, which recovery needs as evidence. A journal line stays as
    /// long as its payment or sale, and the last line always; the chain of hashes begins at it. What a configured
    /// server has not acknowledged yet stays with everything it belongs to. Numbering continues. The audit table has a time
    /// of its own: [`Store::prune_audit`].
    ///
    /// Which records have to be kept, and for how long, is a legal matter: export them first.
    ///
    /// # Errors
    /// [`Kind::Storage`](tresen_hal::Kind::Storage); then nothing was removed.
    pub async fn prune(&self, before: Timestamp) -> Result<Pruned> {
        let (before, at) = (stamp(before), self.now());
        self.write(move |db| {
            let acknowledged = outbox::may_go(db)?;
            // Numbering continues even if every closed sale is removed.
            db.run(
                "INSERT INTO meta (key, value) SELECT 'number', CAST(max(number) AS TEXT) FROM sales WHERE number IS NOT NULL
                 HAVING max(number) IS NOT NULL ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [],
            )?;
            let pruned = Pruned {
                jobs: db.run(
                    "DELETE FROM jobs WHERE state IN ('printed', 'accepted', 'cancelled', 'unreadable')
                     AND changed_at < ?1",
                    [&before],
                )?,
                sales: sales(db, &before, acknowledged)?,
                payments: db.run(
                    "DELETE FROM intents WHERE state IN ('charged', 'not-charged', 'reversed') AND at < ?1
                     AND NOT EXISTS (SELECT 1 FROM tenders WHERE tenders.key = intents.id)
                     AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.key = intents.id AND journal.seq > ?2)
                     AND seq NOT IN (SELECT max(seq) FROM intents WHERE state = 'charged' GROUP BY terminal)",
                    params![before, acknowledged],
                )?,
                journal: db.run(
                    "DELETE FROM journal WHERE at < ?1 AND seq <= ?2
                     AND seq < (SELECT max(seq) FROM journal)
                     AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.id = journal.key)
                     AND NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = journal.key)",
                    params![before, acknowledged],
                )?,
            };
            if pruned != Pruned::default() {
                let body = super::json(&pruned)?;
                journal::append(db, &at, "pruned", &before, &body, &Origin::new())?;
            }
            Ok(pruned)
        })
        .await
    }
}

/// Removes completed sales. A refund stays as long as the sale that it refunds: what was given back must not be given
/// back again.
fn sales(db: &Connection, before: &str, acknowledged: i64) -> rusqlite::Result<usize> {
    let mut remove = db.prepare(
        "DELETE FROM sales WHERE state IN ('closed', 'voided') AND changed_at < ?1
         AND id NOT IN (SELECT original FROM sales WHERE state = 'open' AND original IS NOT NULL)
         AND (state = 'voided' OR original IS NULL OR original NOT IN (SELECT id FROM sales))
         AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.key = sales.id AND journal.seq > ?2)
         AND NOT EXISTS (SELECT 1 FROM bookings WHERE bookings.sale = sales.id AND bookings.open)",
    )?;
    let mut removed = 0;
    // The refunds of what is removed go next.
    loop {
        match remove.execute(params![before, acknowledged])? {
            0 => return Ok(removed),
            some => removed += some,
        }
    }
}
