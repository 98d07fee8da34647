//! Parked sales.

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use super::cached::Cached;
use super::leases::{self, Basis};
use super::sales::{known, overtaken, step};
use super::{Origin, SaleView, Store, journal, json};
use crate::lease::End;

/// Under which name a sale is parked, since when and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Parked {
    /// The name: `table 12`.
    pub name: String,
    /// Since when.
    pub at: Timestamp,
    /// Who parked it.
    #[serde(default)]
    pub by: Origin,
}

impl Store {
    /// Parks an open sale.
    pub(crate) async fn park_sale(&self, id: &str, basis: Basis, name: &str, origin: &Origin) -> Result<SaleView> {
        if name.trim().is_empty() {
            return Err(Error::new(Kind::Input, "the name of a parked sale must not be empty"));
        }
        let (id, at, now, origin) = (id.to_owned(), self.now(), basis.now, origin.clone());
        let parked = json(&Parked { name: name.to_owned(), at: self.time(), by: origin.clone() })?;
        self.write(move |db| {
            step(db, &id, &basis, &at)?;
            db.run("UPDATE sales SET parked = ?2 WHERE id = ?1", [&id, &parked])?;
            journal::append(db, &at, "parked", &id, &parked, &origin)?;
            let leased = leases::end(db, &id, End::Released, (&at, now), &origin)?;
            Ok((known(db, &id)?, leased))
        })
        .await
        .map(|(record, leased)| self.end_lease(record, leased, now))
    }

    /// Resumes a parked sale.
    pub(crate) async fn resume_sale(&self, id: &str, basis: Basis, origin: &Origin) -> Result<SaleView> {
        let (id, at, origin) = (id.to_owned(), self.now(), origin.clone());
        self.write(move |db| {
            leases::admit(db, &id, &basis)?;
            let (before, rev) = (known(db, &id)?, basis.rev);
            let resumed = db.run(
                "UPDATE sales SET parked = NULL, rev = rev + 1, changed_at = ?3
                 WHERE id = ?1 AND rev = ?2 AND state = 'open' AND parked IS NOT NULL",
                params![id, rev, at],
            )?;
            match &before.parked {
                Some(parked) if resumed == 1 => {
                    journal::append(db, &at, "resumed", &id, &json(parked)?, &origin)?;
                    known(db, &id)
                }
                // Somebody else was faster, or it never was.
                None if before.rev == rev => Err(Error::new(Kind::Input, format!("sale `{id}` is not parked")).into()),
                _ => Err(overtaken(db, &id, rev)?.into()),
            }
        })
        .await
    }

    /// The ids of parked sales, oldest first.
    pub(crate) async fn parked_sales(&self) -> Result<Vec<String>> {
        self.read(|db| {
            let mut parked =
                db.prepare_cached("SELECT id FROM sales WHERE state = 'open' AND parked IS NOT NULL ORDER BY seq")?;
            let ids = parked.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
