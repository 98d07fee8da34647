//! Devices of handhelds at a till, over connections in memory that are cut at every message.

mod classes;
mod clients;
mod cuts;
mod expected;
mod leases;
mod liars;
mod offers;
mod peer;
mod restarts;
mod scans;
mod served;
mod world;
