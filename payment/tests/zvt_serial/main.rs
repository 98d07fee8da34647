//! ZVT over a serial line: against frames that other software is tested with, and with faults at every character.

mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod tap;
