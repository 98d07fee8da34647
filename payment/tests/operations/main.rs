//! Operations of a ZVT terminal beyond payments: refunds and reversals in the sweep, and all that is held, booked, released,
//! tipped, loaded and read, against the simulator, and against a terminal that shares no code with it.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/ended.rs"]
mod ended;
mod peer;
mod plain;
mod sweep;
