//! A shop in a box: a till with its real drivers, on simulated printers, payment terminals and scanners, with people
//! who sell and weather that breaks things, under virtual time. One seed drives all of it, and the same seed gives the
//! same run to the byte.
//!
//! The till dies at whatever await its seed picks: its runtime is dropped with all tasks, and its database is put back
//! to what it was at that moment. The next life opens the same files, while the devices and the people's notebook go on.
//! After every step [`invariants`] compare the till with the world: the terminals' ledgers, the paper on the rolls, and
//! what people were told.
//!
//! Left out: damage within bytes (links carry what was sent, or nothing), power cuts that lose what SQLite has synced,
//! and threads. What acts is an [`counter::Actor`]: handhelds, a server and more tills are actors to come.

pub mod cashier;
pub mod closing;
pub mod counter;
pub mod customers;
pub mod dice;
pub mod handheld;
pub mod invariants;
pub mod manager;
pub mod notebook;
pub mod place;
pub mod plan;
pub mod radio;
pub mod run;
pub mod story;
pub mod till;
pub mod weather;
pub mod world;

pub use plan::Plan;
pub use run::{Run, run};
