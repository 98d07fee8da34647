//! Scanners in keyboard mode ("wedge"): they type a code, usually with Enter after it.
//!
//! Most scanners come out of the box this way. HID POS or serial mode is better: it carries bytes, not keys,
//! and nobody else's typing looks like it. Where it has to be a keyboard, it is read as a device of its own,
//! from Linux's input events or from its HID reports, and its keys are turned into characters with the
//! **scanner's** keyboard layout, never the till's.
//!
//! What a scanner types beyond plain keys: characters that its layout lacks as Alt codes (Alt held, digits of
//! the keypad), control characters with Ctrl (GS as Ctrl and the key right of P's right neighbour), AIM
//! identifiers if it is set to.
//!
//! **Caps Lock.** Only Caps Lock keys of the scanner itself count. A scanner that watches the till's Caps Lock
//! light swaps upper and lower case while it is on: leave it off, or switch that feature of the scanner off.
//!
//! Left out: control characters that a scanner is set to send as function keys or arrows; layouts that need
//! an input method.

mod driver;
mod keys;
mod layout;
mod options;
pub mod sim;
mod wire;

pub use driver::{Scanner, open};
pub use layout::Layout;
pub use options::Options;
pub use wire::{Counters, Decoder, KeyReport, Source};
