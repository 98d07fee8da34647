//! Leases: who has a device or an open sale, for how long, and who is next.
//!
//! A lease belongs to a holder: a handheld, a cashier, named by the [`Origin`](crate::Origin) of its calls. It lasts for
//! a time to live (`[till] lease`, default 180 s) and is renewed by every call of its holder, or by [`Lease::renew`]:
//! every 30 s will do. A holder that vanishes loses it. Others are refused at once and told who has it; they can
//! [queue](crate::Tresen::queue), [ask the holder](crate::Tresen::ask_holder), or
//! [take it over](crate::Tresen::take_over) with a reason, which the journal keeps.
//!
//! ```no_run
//! # async fn serve(till: tresen::Tresen) -> tresen::Result<()> {
//! use tresen::{Amount, Kind};
//!
//! let anna = till.on_behalf_of("handheld 7");
//! let lease = anna.lease(&anna.terminal("bar")?).await?;
//! // Calls of this till are refused as soon as the lease is lost.
//! let payment = lease.till().terminal("bar")?.pay(Amount::eur(12_50)).await?;
//! lease.release().await?;
//!
//! match till.on_behalf_of("handheld 8").terminal("bar")?.pay(Amount::eur(3_80)).await {
//!     Err(error) if error.kind() == Kind::Busy => println!("{error}"), // bar: leased by `handheld 7` …
//!     paid => println!("{paid:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each lease has a token, which grows from lease to lease of one target. A call made with a [`Key`] is refused once
//! that lease has ended, whoever has the next one. Calls without a key count as those of the holder of their name.
//!
//! | target | the lease concerns |
//! |---|---|
//! | a terminal | transactions, status, receipts; not `recover`, `settle`, `abort`, `reset`, which settle what is open |
//! | a printer | direct calls: status, identity, drawer; not print jobs, which the spool serves in their order |
//! | a scanner or camera | who gets the scans; settings and signals |
//! | an open sale | every change of it; not what becomes of its payments. Parking it ends the lease |
//!
//! **Transactions** are leases of their own: while a named caller's payment waits or runs, that of another named caller
//! is refused at once. A running transaction is never torn from its terminal: a lease that expires, is released or
//! taken over meanwhile ends with the transaction, and the journal says so under the payment's key.
//!
//! **Scans** go to the holder of the scanner's lease. Without one, the first named caller of
//! [`next`](crate::Scanner::next) becomes its listener, until it has not called `next` for the time to live, or another
//! leases the scanner. The other callers are refused, and told who gets the scans. Scans that nobody takes stay queued,
//! oldest first.
//!
//! Leases of devices are in memory and end with the till, or when the device is removed from it: detached, or left out by a
//! reload. A device that is away, or that a reload replaces, keeps its lease until its time. Those of sales are in the database: they survive a restart,
//! with at most their time to live left. All run on the monotonic clock, so a wall clock that jumps changes none.

mod clock;
mod desk;
mod gate;
mod handle;
mod refusal;
mod sales;
mod slot;
mod till;
mod words;

pub use handle::{Lease, Place};
pub use words::{End, Grant, Key, Nature, Target, Turn, View, Waiting, Wish};

pub(crate) use clock::SteadyClock;
pub(crate) use desk::{Alarm, Leases};
pub(crate) use gate::{Asker, Gate};
pub(crate) use slot::{Change, Claim, Slot, Use};

use std::time::Duration;

/// Default time to live.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(180);
/// How often a holder should renew: 30 s.
pub const RENEW_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
