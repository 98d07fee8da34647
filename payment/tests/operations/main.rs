//! Operations of a ZVT terminal beyond payments: refunds and reversals in the sweep, and all that is held, booked, released,
//! tipped, loaded and read, against the simulator.

#[path = "../common/mod.rs"]
mod common;
mod plain;
mod sweep;
