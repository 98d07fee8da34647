//! The foundation of tresen's device crates: addresses, links that move bytes, errors with their effect on the world,
//! units, clocks, barcode tables, and the serving of simulators.
//!
//! A device crate talks its protocol over a [`Link`]; the kind of link depends on the [`Address`] alone. Left out:
//! protocols, reconnecting, and deciding what to print or charge.
//!
//! **Platforms.** TCP, TLS, serial ports and USB are for Linux, macOS and Windows, of which only Linux is tested.
//! HID, scanners in keyboard mode and Bluetooth serial ports are for Linux only. Bluetooth LE is btleplug's.
//!
//! **Permissions.** Each link's module names the permissions that it needs; [`link::permission`] has the udev rules
//! that errors print.
//!
//! **Bug reports.** The address option `record=FILE` records the traffic, without card data and passwords. With
//! `RUST_LOG=tresen_hal=debug`, a program that logs through `tracing` logs devices that come and go.
//!
//! ```
//! use tresen_hal::{Address, Amount};
//!
//! let printer: Address = "escpos+tcp://10.0.0.20:9100".parse()?;
//! assert_eq!(printer.protocol(), "escpos");
//! assert_eq!(Amount::eur(42_50).to_string(), "42.50 EUR");
//! # Ok::<(), tresen_hal::Error>(())
//! ```
//!
//! # Features
#![doc = document_features::document_features!()]
// All unsafe code is in `sys`.
#![deny(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod address;
mod amount;
pub mod backoff;
pub mod barcode;
mod clock;
pub mod discovery;
mod driver;
mod error;
mod known;
mod language;
pub mod link;
pub mod probe;
mod random;
pub mod runtime;
#[cfg(feature = "schema")]
mod schema;
pub mod sim;
#[cfg(target_os = "linux")]
mod sys;
pub mod trace;
mod units;

pub use address::Address;
pub use amount::{Amount, Currency};
pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock};
pub use driver::Driver;
pub use error::{Effect, Error, Kind, Result, Retry};
pub use known::Known;
pub use language::Language;
pub use link::Link;
pub use runtime::{Runtime, SimulatedRuntime, SystemRuntime};
pub use units::Dots;

/// A boxed future, for async methods of trait objects.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
