//! Devices of handhelds at a till, over connections in memory that are cut at every message.

mod changed;
mod classes;
mod clients;
mod cuts;
#[path = "../described/mod.rs"]
mod described;
mod expected;
mod leases;
mod liars;
mod offers;
mod peer;
mod restarts;
mod scans;
mod schema;
mod served;
mod world;
