//! The server: connected and local mode, reference tables, what could not be booked.

use serde::{Deserialize, Serialize};
use tresen_hal::Result;
use tresen_payment::Decision;

use super::{Command, Right};
use crate::store::{ReferencePage, ReferenceRow, StoredBooking};
use crate::sync::{Gap, Refreshed, SyncStatus};
use crate::tresen::Tresen;

/// The state of the exchange with the server: [`Tresen::sync`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sync {}

impl Command for Sync {
    const NAME: &'static str = "till.sync";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = SyncStatus;

    async fn run(self, till: &Tresen) -> Result<SyncStatus> {
        till.sync().await
    }
}

/// Goes on without entries that the server lacks and that this till has removed: [`Tresen::accept_gap`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptGap {}

impl Command for AcceptGap {
    const NAME: &'static str = "till.accept-gap";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = true;
    type Reply = Gap;

    async fn run(self, till: &Tresen) -> Result<Gap> {
        till.accept_gap().await
    }
}

/// Fetches the reference tables and balances that have changed: [`Tresen::refresh_reference`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefreshReference {}

impl Command for RefreshReference {
    const NAME: &'static str = "till.refresh-reference";
    const RIGHT: Right = Right::Sell;
    const CHANGES: bool = false;
    type Reply = Refreshed;

    async fn run(self, till: &Tresen) -> Result<Refreshed> {
        till.refresh_reference().await
    }
}

/// A page of a reference table: [`Tresen::reference`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The table.
    pub table: String,
    /// The id to continue after.
    #[serde(default)]
    pub after: Option<String>,
    /// The maximum number of rows; capped at 1000.
    pub limit: u32,
}

impl Command for Reference {
    const NAME: &'static str = "till.reference";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = ReferencePage;

    async fn run(self, till: &Tresen) -> Result<ReferencePage> {
        till.reference(&self.table, self.after.as_deref(), self.limit.min(1000)).await
    }
}

/// One row of a reference table: [`Tresen::reference_row`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FindReference {
    /// The table.
    pub table: String,
    /// The row's id.
    pub id: String,
}

impl Command for FindReference {
    const NAME: &'static str = "till.reference-row";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Option<ReferenceRow>;

    async fn run(self, till: &Tresen) -> Result<Option<ReferenceRow>> {
        till.reference_row(&self.table, &self.id).await
    }
}

/// Tenders taken from accounts in local mode that did not fit the balance: [`Tresen::unbooked`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unbooked {}

impl Command for Unbooked {
    const NAME: &'static str = "till.unbooked";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<StoredBooking>;

    async fn run(self, till: &Tresen) -> Result<Vec<StoredBooking>> {
        till.unbooked().await
    }
}

/// Tenders on customers' accounts that are in doubt: [`Tresen::accounts_in_doubt`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AccountsInDoubt {}

impl Command for AccountsInDoubt {
    const NAME: &'static str = "till.accounts-in-doubt";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<StoredBooking>;

    async fn run(self, till: &Tresen) -> Result<Vec<StoredBooking>> {
        till.accounts_in_doubt().await
    }
}

/// Settles a tender on a customer's account by hand: [`Tresen::settle_account`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SettleAccount {
    /// The tender's key.
    pub key: String,
    /// Whether it was taken, who decided it, and the reason.
    pub decision: Decision,
}

impl Command for SettleAccount {
    const NAME: &'static str = "till.settle-account";
    const RIGHT: Right = Right::Settle;
    const CHANGES: bool = true;
    type Reply = StoredBooking;

    async fn run(self, till: &Tresen) -> Result<StoredBooking> {
        till.settle_account(&self.key, self.decision).await
    }
}
