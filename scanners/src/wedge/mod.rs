//! Scanners in keyboard mode ("wedge"): they type a code, usually with Enter after it.
//!
//! This is the factory setting of most scanners. HID POS or serial mode is better: it carries bytes instead of keys,
//! and cannot be confused with somebody typing. A scanner that has to stay in keyboard mode is read as a separate
//! device, from Linux's input events or its HID reports, and its keys become characters by the **scanner's** keyboard
//! layout, never the till's.
//!
//! Beyond plain keys, a scanner types characters that its layout lacks as Alt codes (Alt held, digits on the keypad),
//! control characters with Ctrl (GS is Ctrl and the key that is `]` on US keyboards), and AIM identifiers if
//! configured.
//!
//! **Caps Lock.** Only Caps Lock keys of the scanner itself count. Some scanners watch the till's Caps Lock light and
//! swap upper and lower case while it is on: leave it off, or switch that feature of the scanner off.
//!
//! Left out: control characters configured as function keys or arrows; layouts that need an input method.

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
