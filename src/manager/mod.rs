//! The device manager: one owner task per device, cheap handles by logical name.

mod calls;
mod camera;
mod hotplug;
mod open;
mod owner;
mod phase;
pub(crate) mod printer;
mod scanner;
mod scans;
mod state;
mod terminal;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use camera::{Camera, CameraScans};
pub use open::{open_camera, open_printer, open_scanner, open_terminal, protocols, redaction};
pub use phase::Phase;
pub use printer::Printer;
pub use scanner::Scanner;
pub use state::{Attention, DeviceCapabilities, DeviceState};
pub use terminal::Terminal;

pub(crate) use calls::{After, Failure, Terms};
pub(crate) use hotplug::{HotPlug, Plugged, Waker};
pub(crate) use open::check_address;
pub(crate) use owner::Owned;
pub(crate) use state::hindrance;

/// The drivers that owner tasks hold, boxed.
pub(crate) type AnyPrinter = dyn tresen_printers::Printer;
pub(crate) type AnyTerminal = dyn tresen_payment::Terminal;
pub(crate) type AnyScanner = dyn tresen_scanners::Scanner;

/// Locks state that every holder leaves valid, also one that panics.
pub(crate) fn lock<T: ?Sized>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
