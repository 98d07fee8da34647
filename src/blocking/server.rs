//! The till's server.

use tresen_hal::Result;

use super::Tresen;
use crate::api::server as api;
use crate::store::{ReferencePage, ReferenceRow, StoredBooking};
use crate::sync::{Accounts, Gap, Refreshed, SyncState, SyncStatus};

impl Tresen {
    /// The state of the exchange with the server.
    ///
    /// # Errors
    /// As [`crate::Tresen::sync`].
    pub fn sync(&self) -> Result<SyncStatus> {
        self.ask(api::Sync {})
    }

    /// Connected or local mode.
    pub fn sync_state(&self) -> SyncState {
        self.inner().sync_state().borrow().clone()
    }

    /// Goes on without the entries that the server lacks and that this till has removed since.
    ///
    /// # Errors
    /// As [`crate::Tresen::accept_gap`].
    pub fn accept_gap(&self) -> Result<Gap> {
        self.ask(api::AcceptGap {})
    }

    /// Fetches the reference tables and balances that have changed.
    ///
    /// # Errors
    /// As [`crate::Tresen::refresh_reference`].
    pub fn refresh_reference(&self) -> Result<Refreshed> {
        self.ask(api::RefreshReference {})
    }

    /// A page of a reference table as last received.
    ///
    /// # Errors
    /// As [`crate::Tresen::reference`].
    pub fn reference(&self, table: &str, after: Option<&str>, limit: u32) -> Result<ReferencePage> {
        self.wait(self.inner().reference(table, after, limit))
    }

    /// One row of a reference table as last received.
    ///
    /// # Errors
    /// As [`crate::Tresen::reference_row`].
    pub fn reference_row(&self, table: &str, id: &str) -> Result<Option<ReferenceRow>> {
        self.wait(self.inner().reference_row(table, id))
    }

    /// Customers' accounts at the server.
    ///
    /// # Errors
    /// As [`crate::Tresen::accounts`].
    pub fn accounts(&self) -> Result<Accounts> {
        self.inner().accounts()
    }

    /// Tenders taken from accounts in local mode that did not fit the balance afterwards.
    ///
    /// # Errors
    /// As [`crate::Tresen::unbooked`].
    pub fn unbooked(&self) -> Result<Vec<StoredBooking>> {
        self.ask(api::Unbooked {})
    }
}
