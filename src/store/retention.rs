//! How long what is done is kept.

use jiff::Timestamp;
use serde::Serialize;
use tresen_hal::Result;

use super::{Origin, Store, journal, stamp};

/// How much was thrown away.
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
    /// Throws away what ended before `before`: print jobs that are printed, taken, given up or
    /// unreadable, closed and voided sales, and payments that are decided and belong to no sale that
    /// is still here. What is open is never thrown away, however old; nor is the last charge of each
    /// terminal, which recovery needs as evidence. A line of the journal stays as long as its payment
    /// or sale does. Numbers go on where they were.
    ///
    /// Which rows have to be kept, and for how long, is the law's affair: export them first.
    ///
    /// # Errors
    /// [`Kind::Storage`](tresen_hal::Kind::Storage); then all of it is still there.
    pub async fn prune(&self, before: Timestamp) -> Result<Pruned> {
        let (before, at) = (stamp(before), self.now());
        self.write(move |db| {
            // Numbers go on even if every closed sale is thrown away.
            db.execute(
                "INSERT INTO meta (key, value) SELECT 'number', CAST(max(number) AS TEXT) FROM sales WHERE number IS NOT NULL
                 HAVING max(number) IS NOT NULL ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [],
            )?;
            let pruned = Pruned {
                jobs: db.execute(
                    "DELETE FROM jobs WHERE state IN ('printed', 'accepted', 'cancelled', 'unreadable')
                     AND changed_at < ?1",
                    [&before],
                )?,
                sales: db.execute("DELETE FROM sales WHERE state IN ('closed', 'voided') AND changed_at < ?1", [&before])?,
                payments: db.execute(
                    "DELETE FROM intents WHERE state IN ('charged', 'not-charged', 'reversed') AND at < ?1
                     AND NOT EXISTS (SELECT 1 FROM tenders WHERE tenders.key = intents.id)
                     AND seq NOT IN (SELECT max(seq) FROM intents WHERE state = 'charged' GROUP BY terminal)",
                    [&before],
                )?,
                journal: db.execute(
                    "DELETE FROM journal WHERE at < ?1
                     AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.id = journal.key)
                     AND NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = journal.key)",
                    [&before],
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
