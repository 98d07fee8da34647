//! Reference tables and balances, from the server.

use serde::{Deserialize, Serialize};
use tresen_hal::{Kind, Result};

use super::task::{ANSWER, Task};
use super::{SyncState, bounded};
use crate::store::ReferenceTable;

/// The result of refreshing the reference tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Refreshed {
    /// The mode afterwards; in local mode the tables are those last received.
    pub state: SyncState,
    /// The tables that the till has, in the order of the configuration.
    pub tables: Vec<ReferenceTable>,
}

impl Task {
    /// Fetches the tables and balances, tries again to book what did not fit, and answers whoever waits for that.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        for table in self.tables.clone() {
            let known = self.store.reference_table(&table).await?.map(|known| known.version);
            match bounded(TABLE, self.upstream.reference(&table, known)).await {
                Ok(received) => self.store.set_reference(&table, received).await?,
                // The server can be used all the same.
                Err(error) if matches!(error.kind(), Kind::Config | Kind::Input) => {
                    tracing::warn!(%table, %error, "no reference table");
                }
                Err(error) => return Err(error),
            }
        }
        if self.balances {
            let balances = bounded(ANSWER, self.upstream.balances()).await?;
            self.store.set_balances(balances).await?;
        }
        self.book_unbooked().await?;
        self.waiting.drain(..).for_each(|wish| _ = wish.send(()));
        Ok(())
    }
}

/// Longest wait for a table.
const TABLE: std::time::Duration = std::time::Duration::from_secs(60);
