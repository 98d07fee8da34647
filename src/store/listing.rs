//! Listings: page by page; an unreadable row does not prevent the others from being listed.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Result};

use super::Store;
use super::failure::Failure;

/// A query for a page of rows, oldest first; await it.
///
/// ```no_run
/// # async fn look(store: &tresen::Store) -> tresen::Result<()> {
/// let mut after = Some(0);
/// while let Some(from) = after {
///     let page = store.jobs().after(from).limit(100).await?;
///     after = page.next;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug, Clone, Copy)]
pub struct Query<'a, T> {
    store: &'a Store,
    after: i64,
    limit: u32,
    rows: PhantomData<fn() -> T>,
}

/// One page of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ListingOf{T}"))]
#[non_exhaustive]
pub struct Listing<T> {
    /// The readable rows.
    pub rows: Vec<T>,
    /// The unreadable rows.
    pub unreadable: Vec<Unreadable>,
    /// If there may be more rows: the position to pass as `after`.
    pub next: Option<i64>,
}

/// A row that this version cannot read. It is left unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Unreadable {
    /// Its position in the listing.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// Why it cannot be read.
    pub why: String,
}

/// Rows that can be listed. The first two columns of `SQL` are the row's position and its id.
pub trait Listed: Sized + Send + 'static {
    #[doc(hidden)]
    const SQL: &'static str;
    #[doc(hidden)]
    fn read(row: &Row<'_>) -> std::result::Result<Self, String>;
}

impl<'a, T: Listed> Query<'a, T> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, after: 0, limit: 1000, rows: PhantomData }
    }

    /// Only rows after this position.
    pub fn after(self, seq: i64) -> Self {
        Self { after: seq, ..self }
    }

    /// At most this many rows; default 1000, capped at 10,000.
    pub fn limit(self, rows: u32) -> Self {
        Self { limit: rows.clamp(1, 10_000), ..self }
    }
}

impl<'a, T: Listed> IntoFuture for Query<'a, T> {
    type Output = Result<Listing<T>>;
    type IntoFuture = BoxFuture<'a, Result<Listing<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        let (after, limit) = (self.after, self.limit);
        Box::pin(self.store.list(move |db| {
            let mut listing = Listing::default();
            let (mut last, mut seen) = (after, 0);
            let mut query = db.prepare_cached(T::SQL)?;
            let mut rows = query.query(params![after, limit])?;
            while let Some(row) = rows.next()? {
                (last, seen) = (row.get(0)?, seen + 1);
                match T::read(row) {
                    Ok(row) => listing.rows.push(row),
                    Err(why) => {
                        listing.unreadable.push(Unreadable { seq: last, id: row.get(1)?, why });
                    }
                }
            }
            listing.next = (seen == limit).then_some(last);
            Ok::<_, Failure>(listing)
        }))
    }
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), unreadable: Vec::new(), next: None }
    }
}

impl<T> Deref for Listing<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.rows
    }
}

impl<T> DerefMut for Listing<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.rows
    }
}

impl<T> IntoIterator for Listing<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl<T: PartialEq, const N: usize> PartialEq<[T; N]> for Listing<T> {
    fn eq(&self, rows: &[T; N]) -> bool {
        self.rows == rows
    }
}
