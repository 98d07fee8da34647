//! Devices of handhelds at a till, over connections in memory that are cut at every message.

mod classes;
mod cuts;
mod liars;
mod restarts;
mod served;
mod world;
