//! Handhelds that reach the till through its server, by the client that programs use.
//!
//! They outlive the till: their clients run in the [`Air`], a runtime of its own that goes on while the till is dead. Each
//! connection is a [`way`] through memory, on which the seed loses, delays and holds up bytes; in each life of the till a
//! [`door`] accepts connections for its server. What somebody at a handheld does is the same as over a
//! [`Radio`](crate::radio::Radio) without a server; a [`Handset`] is what he holds in his hand.
//!
//! Held against the till, besides the shop's books: each call is answered, an answer is that of its own question, what was
//! told about money is true (`invariants/told.rs`), and events come without a gap that is not told
//! ([`listener`]).

mod air;
pub mod door;
mod handset;
pub mod listener;
pub mod way;

pub use air::{Air, TURN};
pub use door::Door;
pub use handset::{Handset, Learnt};
