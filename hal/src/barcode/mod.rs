//! What printers, scanners and cameras all need to know of barcodes: symbologies and their AIM identifiers, check
//! digits, UPC-E, and GS1 application identifiers.
//!
//! Left out: drawing symbols (printers), reading them (scanners, cameras) and interpreting their data (scanners).

mod check_digit;
pub mod gs1;
mod symbology;
pub mod upc_e;

pub use check_digit::check_digit;
pub use symbology::{AimId, Symbology};
