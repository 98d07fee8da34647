//! What is undecided: payments, and the sales that wait for them.

use tresen_hal::Result;
use tresen_payment::{Intent, Payment};

use super::{Store, from_json, journal};

/// A payment whose outcome is undecided.
#[derive(Debug, Clone)]
pub(crate) struct OpenPayment {
    pub(crate) intent: Intent,
    /// The sale it belongs to.
    pub(crate) sale: Option<String>,
    /// What is known.
    pub(crate) why: String,
}

impl Store {
    /// The ids of open sales with an attempt that is in progress or has an unknown outcome.
    pub(crate) async fn pending_sales(&self) -> Result<Vec<String>> {
        self.read(|db| {
            let mut pending = db.prepare_cached(
                "SELECT DISTINCT tenders.sale FROM tenders JOIN sales ON sales.id = tenders.sale
                 WHERE tenders.state IN ('begun', 'unknown') AND sales.state = 'open' ORDER BY tenders.sale",
            )?;
            let ids = pending.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// The undecided payments of all terminals, also of those that are no longer configured. What cannot be read is left
    /// out: it is listed as unreadable elsewhere.
    pub(crate) async fn all_open_payments(&self) -> Result<Vec<OpenPayment>> {
        self.read(|db| {
            let mut open = db.prepare_cached(
                "SELECT id, intent, (SELECT sale FROM tenders WHERE tenders.key = intents.id) FROM intents
                 WHERE state IN ('open', 'approved', 'unknown') ORDER BY terminal, seq",
            )?;
            let mut rows = open.query([])?;
            let mut payments = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, intent): (String, String) = (row.get(0)?, row.get(1)?);
                let Ok(intent) = from_json::<Intent>(&intent) else { continue };
                let outcome = journal::find(db, &id).ok().flatten().and_then(|stored| stored.entry.outcome());
                let why = match outcome {
                    Some(Payment::Unknown(unknown)) => unknown.why,
                    _ => "the terminal has not been asked about it yet".to_owned(),
                };
                payments.push(OpenPayment { intent, sale: row.get(2)?, why });
            }
            Ok(payments)
        })
        .await
    }
}
