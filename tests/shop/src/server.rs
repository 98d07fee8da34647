//! The way from the till to its server: what a dying till still does does not reach it.

use std::sync::Arc;

use tresen::hal::BoxFuture;
use tresen::sync::sim::Server;
use tresen::sync::{Balance, Booked, Booking, Hello, Pushed, Reserved, Table, Upstream, Welcome};
use tresen::{Hash, OutboxEntry, Result};

use crate::world::World;

/// The server as the till sees it.
pub struct Distant(pub Arc<World>);

impl Distant {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.0.alive().await;
        let done = call.await;
        self.0.alive().await;
        done
    }

    fn server(&self) -> &Server {
        &self.0.server
    }
}

impl Upstream for Distant {
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>> {
        Box::pin(self.call(self.server().hello(hello)))
    }
    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>> {
        Box::pin(self.call(self.server().hash_at(till, epoch, seq)))
    }
    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>> {
        Box::pin(self.call(self.server().push(till, entries)))
    }
    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>> {
        Box::pin(self.call(self.server().reference(table, known)))
    }
    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>> {
        Box::pin(self.call(self.server().balances()))
    }
    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>> {
        Box::pin(self.call(self.server().reserve(booking)))
    }
    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.call(self.server().decide(booking)))
    }
    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>> {
        Box::pin(self.call(self.server().book(booking)))
    }
    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(self.server().release(booking)))
    }
}
