//! Scanners that send one line per code over a serial port, USB-serial (CDC) or Bluetooth serial.
//!
//! There is no standard: a scanner is configured by scanning codes in its manual. They all send the data, usually
//! followed by CR or CRLF, and an AIM identifier in front if that is switched on: see [`Framing`].
//!
//! Left out: the packet protocol SSI (Zebra), and vendors' menu commands except Honeywell's trigger.

mod code_id;
mod driver;
mod options;
pub mod sim;
mod wire;

pub use code_id::{CodeId, UpcE};
pub use driver::{Scanner, open};
pub use options::{Commands, Options};
pub use wire::{Counters, Decoder, Framing, Line, Suffix};
