//! What a server must be able to do. The crate's own is PostgreSQL (feature `postgres`); a vendor can connect another.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, BoxFuture, Result};

use crate::store::{Hash, OutboxEntry, ReferenceRow};

/// A server that takes in the journals of tills, and holds customers' balances and reference tables.
///
/// Each call is bounded by the caller: its future is dropped when the time is over, and the next call may come on a new
/// connection. A call may therefore arrive although its caller never heard the answer, and it may arrive again: calls
/// with the same key have the effect of one.
///
/// Errors of kind [`Kind::Config`](tresen_hal::Kind::Config) and [`Kind::Permission`](tresen_hal::Kind::Permission) mean
/// that a person has to change something; the till tries again all the same.
pub trait Upstream: Send + Sync {
    /// Identifies a till. The answer covers every epoch that the server has of it, including those that the till does not
    /// know. An epoch begins with the first entry that arrives of it.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the login, or has another schema.
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>>;

    /// The hash of a stored entry.
    ///
    /// # Errors
    /// The server cannot be reached.
    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>>;

    /// Stores entries in one transaction. An entry whose key is stored with the same hash is left alone; one whose key
    /// is stored with another hash is put aside, and returned.
    ///
    /// # Errors
    /// The server cannot be reached; it may have stored them.
    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>>;

    /// A reference table, unless it is still at the version known to the till.
    ///
    /// # Errors
    /// The server cannot be reached, or has no such table.
    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>>;

    /// The balances of all accounts, less what is reserved.
    ///
    /// # Errors
    /// The server cannot be reached.
    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>>;

    /// Reserves an amount, if the balance suffices and the key was not released before.
    ///
    /// # Errors
    /// The server cannot be reached. With [`Effect::None`](tresen_hal::Effect::None) it certainly reserved nothing.
    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>>;

    /// Whether a reservation of this key exists. If it does not, it is released: none will exist afterwards.
    ///
    /// # Errors
    /// The server cannot be reached.
    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>>;

    /// Books an amount: of its reservation, otherwise of the balance if it suffices. What does not fit is listed at the
    /// server, and booked by a later call if it fits then.
    ///
    /// # Errors
    /// The server cannot be reached.
    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>>;

    /// Releases a reservation, also one that arrives later.
    ///
    /// # Errors
    /// The server cannot be reached.
    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>>;
}

/// How a till identifies itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// Its id: [`Store::till`](crate::Store::till).
    pub till: String,
    /// Its name in the configuration.
    pub name: String,
    /// The version of this library.
    pub version: String,
    /// Its clock.
    pub at: jiff::Timestamp,
}

/// The result of [`Upstream::hello`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What the server has of the till's epochs.
    pub acks: Vec<Ack>,
    /// The server's clock, if it tells.
    #[serde(default)]
    pub clock: Option<jiff::Timestamp>,
}

/// What a server has of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The epoch.
    pub epoch: i64,
    /// Its first sequence number.
    pub first: i64,
    /// The highest sequence number without gaps.
    pub through: i64,
    /// The hash stored there.
    pub hash: Option<Hash>,
}

impl Ack {
    /// Whether a server can have this: numbers begin with 1, and none is near the end of their range.
    pub(super) fn is_possible(&self) -> bool {
        const LAST: i64 = i64::MAX >> 8;
        (1..LAST).contains(&self.epoch)
            && (1..LAST).contains(&self.first)
            && (self.first - 1..LAST).contains(&self.through)
    }
}

/// The result of [`Upstream::push`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// What the server has of the epochs of these entries.
    pub acks: Vec<Ack>,
    /// Entries whose key was stored with another hash: epoch and sequence number.
    pub quarantined: Vec<(i64, i64)>,
}

/// A reference table at the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its version; changed with every change of a row.
    pub version: i64,
    /// All rows.
    pub rows: Vec<ReferenceRow>,
}

/// The balance of an account, less what is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The account.
    pub account: String,
    /// The balance.
    pub amount: Amount,
}

/// An amount to be taken from an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// The till's id.
    pub till: String,
    /// The tender's key: with the till's id it is unique.
    pub key: String,
    /// The account.
    pub account: String,
    /// The amount; negative if the account is credited.
    pub amount: Amount,
}

/// The result of [`Upstream::reserve`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The balance after it, less what is reserved; `None` for an unknown account.
    pub balance: Option<Amount>,
    /// Why nothing was reserved.
    pub refused: Option<String>,
}

/// The result of [`Upstream::book`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Booked {
    /// Booked, now or before.
    Booked,
    /// It does not fit, and is listed at the server.
    Unbooked {
        /// Why.
        why: String,
    },
}
