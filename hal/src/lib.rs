//! What every device crate of tresen stands on: addresses, links that move bytes, errors that say
//! what happened in the world, units, clocks, and the plumbing that serves simulators.
//!
//! A device crate takes a [`Link`] and talks its protocol over it; which kind of link it is, only the [`Address`]
//! knows. Not here: protocols, reconnecting, and deciding what to print or charge.
//!
//! **Platforms.** TCP, TLS, serial ports and USB are for Linux, macOS and Windows, of which only Linux is tested.
//! HID, scanners in keyboard mode and Bluetooth serial ports are for Linux only. Bluetooth LE is btleplug's.
//!
//! **Permissions.** Each link's module names what the system asks for; [`link::permission`] has the udev rules that
//! errors print.
//!
//! **Bug reports.** The address option `record=FILE` writes down what passes, without card data and passwords; with
//! `RUST_LOG=tresen_hal=debug` a program that logs through `tracing` tells how devices come and go.
//!
//! ```
//! use tresen_hal::{Address, Amount};
//!
//! let printer: Address = "escpos+tcp://10.0.0.20:9100".parse()?;
//! assert_eq!(printer.protocol(), "escpos");
//! assert_eq!(Amount::eur(42_50).to_string(), "42.50 EUR");
//! # Ok::<(), tresen_hal::Error>(())
//! ```
// What only unsafe code reaches is in `sys`.
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
pub mod link;
mod random;
pub mod runtime;
pub mod sim;
#[cfg(target_os = "linux")]
mod sys;
mod units;

pub use address::Address;
pub use amount::{Amount, Currency};
pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock};
pub use driver::Driver;
pub use error::{Effect, Error, Kind, Result, Retry};
pub use known::Known;
pub use link::Link;
pub use runtime::{Runtime, SimulatedRuntime, SystemRuntime};
pub use units::Dots;

/// A boxed future: the one place where async meets a trait object.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
