//! The same API for programs without tokio. Each call blocks until it is done.
//!
//! The till runs on its own threads; calls may come from any thread outside an async runtime. A handle keeps the till
//! open; [`Tresen::close`] closes it even while there are handles.
//!
//! ```no_run
//! use tresen::{Amount, blocking::Tresen};
//!
//! let till = Tresen::open("till.toml")?;
//! let payment = till.terminal("counter")?.pay(Amount::eur(12_50))?;
//! println!("{payment:?}");
//! # Ok::<(), tresen::Error>(())
//! ```
//!
//! These handles run the commands of [`api`](crate::api), under the names of the async methods. Not commands, because
//! they take functions of the program or stay open, are [`Checkout`] with its signer and layout, [`Events`],
//! [`Tresen::attach`] and [`Tresen::reload_with`], and a camera's frames. Everything else, such as the listings of the
//! [`Store`](crate::Store), runs under [`Tresen::wait`].

mod camera;
mod checkout;
mod device;
mod events;
mod export;
mod follow_ups;
mod lease;
mod printer;
mod remote;
mod sale;
mod scanner;
mod server;
mod terminal;
mod till;

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tresen_hal::Result;

use crate::api::Command;
use crate::store::Origin;

pub use camera::Camera;
pub use checkout::Checkout;
pub use device::Device;
pub use events::Events;
pub use lease::{Lease, Place};
pub use printer::{PrintJob, Printer};
pub use sale::Sale;
pub use scanner::Scanner;
pub use terminal::Terminal;
pub use till::Tresen;

/// Requests a running transaction to abort; clones refer to the same request.
#[derive(Clone, Debug)]
pub struct Abort(watch::Sender<bool>);

impl Abort {
    /// A request that has not been made yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Makes the request, from any thread. The transaction may still succeed; check its outcome.
    pub fn abort(&self) {
        self.0.send_replace(true);
    }
}

impl Default for Abort {
    fn default() -> Self {
        Self::new()
    }
}

/// A handle, its till, and the threads they run on. The fields drop in this order: handles first.
#[derive(Clone)]
struct On<T> {
    inner: T,
    till: crate::Tresen,
    threads: Arc<Runtime>,
}

impl<T> On<T> {
    fn ask<C: Command>(&self, command: C) -> Result<C::Reply> {
        self.threads.block_on(self.till.ask(command))
    }

    /// Runs a transaction that `abort` can stop.
    fn ask_until<C: Command>(&self, command: C, abort: &Abort) -> Result<C::Reply> {
        self.threads.block_on(self.till.aborted_by(abort.0.subscribe()).ask(command))
    }

    fn wait<'a, R>(&'a self, work: impl Future<Output = R> + 'a) -> R {
        self.threads.block_on(work)
    }

    /// Another handle of the same till.
    fn beside<U>(&self, inner: U) -> On<U> {
        On { inner, till: self.till.clone(), threads: self.threads.clone() }
    }

    /// A handle on behalf of `origin`.
    fn on_behalf_of<U>(&self, origin: Origin, inner: U) -> On<U> {
        On { inner, till: self.till.on_behalf_of(origin), threads: self.threads.clone() }
    }
}

#[cfg(test)]
mod tests;
