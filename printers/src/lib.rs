//! Receipt printing: documents, layout, ESC/POS printers, cash drawers, and a simulated printer.
//!
//! | module | contents |
//! |---|---|
//! | [`document`] | the receipt document, independent of any printer |
//! | [`content`] | what a job prints, and its stored form |
//! | [`layout`] | lines and columns, and a text preview |
//! | [`text`] | code pages |
//! | [`bitmap`] | images as dots |
//! | [`profile`] | what is known about printer models |
//! | [`escpos`] | the protocol: encoder, replies, session, driver, simulator |
//! | [`printer`], [`drawer`] | the traits an application codes against |
//! | [`panel`] | what can be used while a printer is busy |
//!
//! Print a receipt on a simulated printer and look at its paper:
//!
//! ```
//! use tresen_hal::{link::memory, sim};
//! use tresen_printers::document::{Receipt, Style};
//! use tresen_printers::escpos::{self, sim::Simulator};
//! use tresen_printers::{Job, Outcome, Printer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let receipt = Receipt::new()
//!     .styled("Café Tresen", Style::new().bold().centre())
//!     .row("2 Flat white", "7,60 €")
//!     .cut();
//!
//! let device = sim::Shared::new(Simulator::new(tresen_printers::Profile::epson_tm_m30()));
//! let (near, far) = memory::pair();
//! let served = device.clone();
//! tokio::spawn(async move { sim::link(&far, &served).await });
//!
//! let mut printer = escpos::open(Box::new(near), escpos::Options::default()).await?;
//! let job = Job::new("ticket-1", receipt);
//! assert!(matches!(printer.print(&job).await, Outcome::Printed(_)));
//! device.with(|d| assert!(d.sheets()[0].text().contains("2 Flat white")));
//! # Ok::<(), tresen_hal::Error>(())
//! # }).unwrap();
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod bitmap;
pub mod content;
pub mod document;
pub mod drawer;
pub mod escpos;
mod gs1;
pub mod layout;
pub mod panel;
pub mod preview;
pub mod printer;
pub mod profile;
mod symbols;
pub mod text;

pub use content::{Content, Raw};
pub use document::Receipt;
pub use drawer::{CashDrawer, GpioDrawer, Polarity, PrinterDrawer};
pub use panel::Panel;
pub use preview::{Preview, preview};
pub use printer::{Capabilities, DrawerPin, Identity, Job, Outcome, Paper, Printer, Proof, Status};
pub use profile::Profile;
