//! Barcode scanners: drivers, the [`Scan`] event that all of them yield, and what its code means.
//!
//! | module | is |
//! |---|---|
//! | [`scan`] | the event: data, symbology, AIM identifier, device, time |
//! | [`gtin`] | article numbers and their short form, UPC-E |
//! | [`instore`] | labels of the shop and its scales: templates for price and weight |
//! | [`gs1`] | GS1 element strings: batch, expiry, weight, price |
//! | [`dedupe`] | suppression of repeated reads |
//! | [`serial`] | scanners on a serial port or USB-serial, and their simulator |
//! | [`hid`] | scanners in HID point-of-sale mode, and their simulator |
//! | [`wedge`] | scanners in keyboard mode, and their simulator |
//!
//! ```
//! use tresen_scanners::{Code, Scan, instore::{Quantity, Templates}};
//!
//! let templates: Templates = vec!["28PPPPXWWWWWC".parse()?].into();
//! let scan = Scan::reported("]E0".parse()?, b"2810275005024", "2026-01-02T08:00:00Z".parse().unwrap());
//! match scan.code(&templates)? {
//!     Code::InStore(label) => assert_eq!(label.quantity, Quantity::Weight { grams: 502 }),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), tresen_hal::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod dedupe;
pub mod gs1;
pub mod gtin;
pub mod hid;
pub mod instore;
mod listener;
pub mod scan;
mod scanner;
pub mod serial;
pub mod wedge;

pub use dedupe::Dedupe;
pub use gtin::Gtin;
pub use scan::{Code, Scan};
pub use scanner::{Capabilities, Scanner};
pub use tresen_hal::barcode::{AimId, Symbology};
