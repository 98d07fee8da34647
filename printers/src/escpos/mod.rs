//! ESC/POS, the command language of most receipt printers.
//!
//! After Epson's "ESC/POS Command Reference" (download4.epson.biz/sec_pubs/pos/reference_en/escpos/)
//! and the status bits listed in the technical reference guides of the TM series.
//!
//! | module | contents |
//! |---|---|
//! | [`wire`], [`raster`] | receipts and images to bytes |
//! | [`status`] | bytes to replies |
//! | [`session`] | the dialogue, sans-IO |
//! | [`open`] and [`Printer`] | the driver |
//! | [`sim`] | the printer's side |
//!
//! Left out: page mode, Kanji, NV graphics, two-dimensional codes other than QR, impact printers'
//! two colours.

mod driver;
mod options;
mod probe;
pub mod raster;
pub mod session;
pub mod sim;
pub mod status;
pub mod wire;

pub use driver::{Printer, open};
pub use options::{Options, Overrides, ProofBy, Timing};
pub use probe::Probe;
pub use wire::encode;
