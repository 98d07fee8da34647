//! What barcodes are, whoever reads or prints them: symbologies and their AIM identifiers, check digits, UPC-E, and
//! GS1 application identifiers.
//!
//! Not here: how a symbol is drawn (printers), read (scanners, cameras), or what its data means to a shop (scanners).

mod check_digit;
pub mod gs1;
mod symbology;
pub mod upc_e;

pub use check_digit::check_digit;
pub use symbology::{AimId, Symbology};
