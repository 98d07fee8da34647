//! A shop in a box: a till with its real drivers, on simulated printers, payment terminals and scanners, with people
//! who sell and weather that breaks things, under virtual time. One seed drives all of it, and the same seed gives the
//! same run to the byte.
//!
//! The till dies at whatever await its seed picks: its runtime is dropped with all tasks, and its database is put back
//! to what it was at that moment. The next life opens the same files, while the devices and the people's notebook go on.
//! After every step [`invariants`] compare the till with the world: the terminals' ledgers, the paper on the rolls, the
//! lines at the server, and what people were told. On some seeds the disk is lost between two lives and a [backup is put
//! back](disaster), or a second till sells at the same server. What acts is an [`counter::Actor`]: cashiers at the till, up to 22
//! [`handheld`]s that send commands over a [`radio`] or through the till's server ([`remote`]), a manager, the weather. A [`Plan`] says how long and how much.
//!
//! On most seeds with handhelds some of them, or all, are clients of the till's server. Their calls and connections live
//! on while the till is dead, in a runtime of their own that runs in turns with the till's: see [`remote`].
//!
//! The command runs many seeds at once: `cargo run --release -p tresen-shop -- --seeds 200`; `--help` lists the options.
//! `tests/shop/mutate` puts deliberate defects into a copy of the tree and expects the shop to find each.
//!
//! Left out: damage within bytes (links carry what was sent, or nothing), power cuts that lose what SQLite has synced, and
//! threads. A copy that breaks off behind its mark leaves "COPY" on the paper above
//! the next job, since the till cannot know what hangs out of a printer; the next job then counts as marked.

pub mod cashier;
pub mod checkout;
pub mod closing;
pub mod counter;
pub mod customers;
pub mod dice;
pub mod disaster;
pub mod handheld;
pub mod invariants;
pub mod manager;
pub mod mortal;
pub mod notebook;
pub mod offers;
pub mod place;
pub mod plan;
pub mod radio;
pub mod remote;
pub mod run;
pub mod server;
pub mod setup;
pub mod story;
pub mod till;
pub mod weather;
pub mod world;

pub use plan::Plan;
pub use run::{Run, run};
