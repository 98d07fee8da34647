//! Statements are compiled once per connection: every sale, payment and look at the outbox runs the same few.

use rusqlite::{Connection, Params, Result, Row};

/// [`Connection::execute`] and [`Connection::query_row`] with a statement from the connection's cache.
pub(super) trait Cached {
    /// Runs a statement that returns no rows; the number of rows that it has changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize>;

    /// The first row of a query.
    fn one<T>(&self, sql: &str, params: impl Params, read: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T>;
}

impl Cached for Connection {
    fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    fn one<T>(&self, sql: &str, params: impl Params, read: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T> {
        self.prepare_cached(sql)?.query_row(params, read)
    }
}

/// How many statements a connection keeps: more than there are.
pub(super) const STATEMENTS: usize = 256;
