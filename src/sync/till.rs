//! What a till offers of its server.

use tokio::sync::watch;
use tresen_hal::Result;

use super::accounts::LISTED;
use super::{Accounts, Refreshed, SyncState, SyncStatus, no_server};
use crate::health::OutboxHealth;
use crate::store::{BookingState, ReferencePage, ReferenceRow, StoredBooking};
use crate::tresen::Tresen;

impl Tresen {
    /// The state of the exchange with the server: connected or local mode, and how far the server is behind.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn sync(&self) -> Result<SyncStatus> {
        let store = self.store();
        let outbox = store.outbox().await?;
        let unbooked = store.bookings(&[BookingState::Unbooked], LISTED).await?.len() as u32;
        let state = self.sync_state().borrow().clone();
        Ok(SyncStatus {
            state,
            acknowledged: outbox.acknowledged,
            end: outbox.end,
            behind: outbox.end - outbox.acknowledged,
            unbooked,
            lacks: self.0.sync.as_ref().and_then(|sync| sync.heard().lacks),
        })
    }

    /// The outbox for the till's health; `None` without a server, or if the database cannot be read.
    pub(crate) async fn outbox_health(&self) -> Option<OutboxHealth> {
        let sync = self.0.sync.as_ref()?;
        let status = self.sync().await.ok()?;
        let oldest = self.store().written_after(status.acknowledged).await.ok()?;
        let heard = sync.heard();
        Some(OutboxHealth { status, oldest, acknowledged_at: heard.acknowledged_at, clock: heard.clock })
    }

    /// Connected or local mode; changes can be awaited. Without a server it stays [`SyncState::Off`].
    pub fn sync_state(&self) -> watch::Receiver<SyncState> {
        self.0.sync.as_ref().map_or_else(|| watch::channel(SyncState::Off).1, |sync| sync.state())
    }

    /// Fetches the reference tables and balances that have changed: call it at the start of each service. They also
    /// come with each connection. If the server is away, the tables last received remain; waits at most 15 s.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn refresh_reference(&self) -> Result<Refreshed> {
        if let Some(sync) = &self.0.sync {
            sync.refresh().await;
        }
        let mut tables = Vec::new();
        for name in self.config().server.iter().flat_map(|server| &server.reference) {
            tables.extend(self.store().reference_table(name).await?);
        }
        Ok(Refreshed { state: self.sync_state().borrow().clone(), tables })
    }

    /// A page of a reference table as last received, in order of the rows' ids, at most `limit` rows (capped at
    /// 10,000); `after` is [`ReferencePage::next`] of the page before. Needs no server.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn reference(&self, table: &str, after: Option<&str>, limit: u32) -> Result<ReferencePage> {
        self.store().reference(table, after, limit).await
    }

    /// One row of a reference table as last received. Needs no server.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn reference_row(&self, table: &str, id: &str) -> Result<Option<ReferenceRow>> {
        self.store().reference_row(table, id).await
    }

    /// Customers' accounts at the server.
    ///
    /// # Errors
    /// No server is configured.
    pub fn accounts(&self) -> Result<Accounts> {
        Ok(self.0.sync.as_ref().ok_or_else(no_server)?.accounts(self.store()))
    }

    /// Tenders taken from accounts in local mode that did not fit the balance afterwards, oldest first, at most 10,000.
    /// They are asked for again with every refresh.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unbooked(&self) -> Result<Vec<StoredBooking>> {
        self.store().bookings(&[BookingState::Unbooked], LISTED).await
    }
}
