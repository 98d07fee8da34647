//! Payment terminals that never charge twice: one trait for all of them, [`Terminal`], with ZVT, OPI, nexo and PayTec.
//!
//! A payment is [`Charged`](Payment::Charged), [`NotCharged`](Payment::NotCharged) or
//! [`Unknown`](Payment::Unknown), and [`Partial`](Payment::Partial) at terminals that may approve less than was
//! asked for. The intent is journalled before anything is sent, and the result
//! before it is acknowledged. Nothing that moves money is sent twice; what a lost link left unknown,
//! [`Terminal::recover`] settles by asking the terminal, and says what that rests on.
//!
//! This crate is not a payment service and does not process card data; terminals do. Captures and `Debug`
//! output hide card numbers.
//!
//! ```
//! use std::sync::Arc;
//! use tresen_hal::{Amount, SystemClock, link::memory, sim};
//! use tresen_payment::zvt::{self, sim::{Profile, Simulator}};
//! use tresen_payment::{Host, MemoryJournal, Payment, Request, Terminal};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> tresen_hal::Result<()> {
//! // A simulated terminal at the far end; `tresen_hal::link::open` reaches a real one.
//! let (near, far) = memory::pair();
//! let device = sim::Shared::new(Simulator::new(Profile::default()));
//! tokio::spawn(async move { sim::link(&far, &device).await });
//!
//! let (options, journal) = (zvt::Options::new("counter"), Arc::new(MemoryJournal::new()));
//! let mut terminal = zvt::open(Box::new(near), options, journal, Arc::new(SystemClock)).await?;
//! terminal.recover().await?;
//! match terminal.pay(Request::new("sale 1", Amount::eur(12_50)), Host::none()).await? {
//!     Payment::Charged(charge) => assert_eq!(charge.receipt_number.as_deref(), Some("0417")),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod amount;
pub mod books;
mod card;
pub mod host;
pub mod journal;
mod ledger;
mod listening;
mod memory;
pub mod nexo;
pub mod operation;
pub mod opi;
pub mod outcome;
mod pan;
pub mod paytec;
mod planned;
pub mod probe;
pub mod profiles;
mod serving;
mod slips;
pub mod terminal;
pub mod testing;
mod times;
pub mod trace;
mod transaction;
mod verification;
mod waiting;
pub mod zvt;

pub use card::Card;
pub use host::{Answer, Asked, Host, Length, Pending, Progress, Question, Wanted};
pub use journal::{Decision, Entry, Intent, Journal, Reference, Transaction};
pub use memory::MemoryJournal;
pub use operation::{Operation, OperationKind, Outcome, Request};
pub use outcome::{Charge, Confirmation, IntentId, NotCharged, Payment, Reason, Unknown};
pub use slips::Slip;
pub use terminal::{
    Capabilities, CardTotal, Due, EndOfDay, Notice, Operations, Settled, Terminal, TerminalStatus, Totals,
};
pub use transaction::Flow;
pub use tresen_hal::Language;
pub use verification::{AgeCheck, CardEntry, Cvm};
