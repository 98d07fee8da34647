//! Entries that neither side can supply any more: the server was set back to before entries that the till has removed
//! since. A person decides to go on without them; the journal records it, and nothing is sent twice.

use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use super::no_server;
use crate::tresen::Tresen;

/// Entries that the server lacks and this till no longer has: those between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Gap {
    /// Their epoch.
    pub epoch: i64,
    /// The last entry before them, which the server has.
    pub after: i64,
    /// The first entry after them, which this till has.
    pub before: i64,
}

impl Tresen {
    /// Goes on without the entries that the server lacks and that this till has removed since: [`SyncStatus::lacks`].
    /// Until then they are waited for: a newer backup of the server, once restored, supplies them, and it still does
    /// afterwards. The journal records the gap, and so does the server. What is sent after it may then be removed here.
    ///
    /// Dropping the future discards the answer, not the decision.
    ///
    /// [`SyncStatus::lacks`]: crate::sync::SyncStatus::lacks
    ///
    /// # Errors
    /// [`Kind::Config`]: no server is configured. [`Kind::Input`]: the server lacks nothing, as far as the till has heard.
    /// [`Kind::Storage`].
    pub async fn accept_gap(&self) -> Result<Gap> {
        let sync = self.0.sync.as_ref().ok_or_else(no_server)?;
        let Some(gap) = sync.heard().lacks else {
            return Err(Error::new(Kind::Input, "the server lacks no entries that this till has removed"));
        };
        self.store().accept_gap(gap).await?;
        Ok(gap)
    }
}
