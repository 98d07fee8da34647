//! The till's health, its last events, and listings of its database page by page.
//!
//! A listing names the first position to look at and how many rows to return; [`Listing::next`] is where the next page
//! begins. The same filters serve a database that no till has open: [`Jobs::of`], [`Payments::of`], [`Journal::of`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::Result;

use super::{Command, Right};
use crate::event::Event;
use crate::health;
use crate::store::{JobState, JournalEntry, Listed, Listing, Query, SpooledJob, Store, StoredPayment};
use crate::tresen::Tresen;

/// The health of the till and its devices: [`Tresen::health`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Health {}

impl Command for Health {
    const NAME: &'static str = "till.health";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = health::Health;

    async fn run(self, till: &Tresen) -> Result<health::Health> {
        Ok(till.health().await)
    }
}

/// The last events: [`Tresen::recent_events`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecentEvents {}

impl Command for RecentEvents {
    const NAME: &'static str = "till.recent-events";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Vec<Event>;

    async fn run(self, till: &Tresen) -> Result<Vec<Event>> {
        Ok(till.recent_events())
    }
}

/// Print jobs, oldest first: [`Store::jobs`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Only jobs after this position; 0 for the first page.
    #[serde(default)]
    pub after: i64,
    /// At most this many; default 1000.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only jobs in one of these states; empty for all.
    #[serde(default)]
    pub states: Vec<JobState>,
    /// Only jobs of this route.
    #[serde(default)]
    pub route: Option<String>,
    /// Only jobs queued at or after this time.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Jobs {
    /// The jobs of a database.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn of(&self, store: &Store) -> Result<Listing<SpooledJob>> {
        let wanted = |job: &SpooledJob| {
            (self.states.is_empty() || self.states.contains(&job.state))
                && self.route.as_ref().is_none_or(|route| *route == job.route)
                && self.since.is_none_or(|since| job.queued_at >= since)
        };
        page(|| store.jobs(), self.after, self.limit, |job: &SpooledJob| job.seq, wanted).await
    }
}

impl Command for Jobs {
    const NAME: &'static str = "till.jobs";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Listing<SpooledJob>;

    async fn run(self, till: &Tresen) -> Result<Listing<SpooledJob>> {
        self.of(till.store()).await
    }
}

/// Payments, oldest first: [`Store::payments`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// Only payments after this position; 0 for the first page.
    #[serde(default)]
    pub after: i64,
    /// At most this many; default 1000.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only payments that are not decided.
    #[serde(default)]
    pub open: bool,
    /// Only payments at this terminal.
    #[serde(default)]
    pub terminal: Option<String>,
    /// Only payments begun at or after this time.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Payments {
    /// The payments of a database.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn of(&self, store: &Store) -> Result<Listing<StoredPayment>> {
        let wanted = |payment: &StoredPayment| {
            (!self.open || payment.is_open())
                && self.terminal.as_ref().is_none_or(|terminal| *terminal == payment.intent.terminal)
                && self.since.is_none_or(|since| payment.intent.at >= since)
        };
        page(|| store.payments(), self.after, self.limit, |payment: &StoredPayment| payment.seq, wanted).await
    }
}

impl Command for Payments {
    const NAME: &'static str = "till.payments";
    const RIGHT: Right = Right::Watch;
    const CHANGES: bool = false;
    type Reply = Listing<StoredPayment>;

    async fn run(self, till: &Tresen) -> Result<Listing<StoredPayment>> {
        self.of(till.store()).await
    }
}

/// Lines of the journal, oldest first: [`Store::journal`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Only lines after this sequence number; 0 for the first page.
    #[serde(default)]
    pub after: i64,
    /// At most this many; default 1000.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only lines of this payment or sale.
    #[serde(default)]
    pub key: Option<String>,
    /// Only lines written at or after this time.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Journal {
    /// The journal of a database.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn of(&self, store: &Store) -> Result<Listing<JournalEntry>> {
        let wanted = |line: &JournalEntry| {
            self.key.as_ref().is_none_or(|key| *key == line.key) && self.since.is_none_or(|since| line.at >= since)
        };
        page(|| store.journal(), self.after, self.limit, |line: &JournalEntry| line.seq, wanted).await
    }
}

impl Command for Journal {
    const NAME: &'static str = "till.journal";
    const RIGHT: Right = Right::Configure;
    const CHANGES: bool = false;
    type Reply = Listing<JournalEntry>;

    async fn run(self, till: &Tresen) -> Result<Listing<JournalEntry>> {
        self.of(till.store()).await
    }
}

/// Reads on until `limit` rows are wanted, or to the end.
async fn page<'a, T: Listed>(
    query: impl Fn() -> Query<'a, T>,
    after: i64,
    limit: Option<u32>,
    position: impl Fn(&T) -> i64,
    wanted: impl Fn(&T) -> bool,
) -> Result<Listing<T>> {
    let limit = limit.unwrap_or(USUAL).clamp(1, MOST) as usize;
    let (mut found, mut next) = (Listing::default(), Some(after));
    while let Some(from) = next {
        let read = query().after(from).limit(MOST).await?;
        found.unreadable.extend(read.unreadable);
        for row in read.rows {
            if !wanted(&row) {
                continue;
            }
            if found.rows.len() == limit {
                // There is another one: the next page begins after the last row of this one.
                found.next = found.rows.last().map(&position);
                let end = found.next.unwrap_or_default();
                found.unreadable.retain(|row| row.seq <= end);
                return Ok(found);
            }
            found.rows.push(row);
        }
        next = read.next;
    }
    Ok(found)
}

const USUAL: u32 = 1000;
const MOST: u32 = 10_000;
