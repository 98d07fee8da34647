//! Scanners that send one line per code over a serial port, USB-serial (CDC) or Bluetooth serial.
//!
//! There is no standard: a scanner is set up by scanning codes of its manual. What all share is data,
//! usually ended by CR or CRLF, with an AIM identifier in front where that is switched on. [`Framing`]
//! says which.
//!
//! Left out: the packet protocols SSI (Zebra) and vendors' menu commands; of these only Honeywell's
//! trigger is known here.

mod code_id;
mod driver;
mod options;
pub mod sim;
mod wire;

pub use code_id::{CodeId, UpcE};
pub use driver::{Scanner, open};
pub use options::{Commands, Options};
pub use wire::{Counters, Decoder, Framing, Line, Suffix};
