//! The device manager: one owner task per device, cheap handles by logical name.

mod calls;
mod camera;
mod device;
mod hotplug;
mod owner;
mod phase;
mod plans;
pub(crate) mod possible;
pub(crate) mod printer;
mod registry;
mod scanner;
mod scans;
mod state;
mod task;
mod terminal;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use camera::{Camera, CameraScans, Cameras};
pub use device::{Device, DeviceClass};
pub use phase::Phase;
pub use printer::{Printer, Printers};
pub use scanner::{Scanner, Scanners};
pub use state::{Attention, DeviceCapabilities, DeviceState};
pub(crate) use terminal::made_before;
pub use terminal::{OpenQuestion, Terminal, Terminals};

pub(crate) use calls::{After, Failure, Terms};
pub(crate) use device::{Declarations, Till};
pub(crate) use registry::{Registry, no_device};
pub(crate) use state::hindrance;

/// The drivers that owner tasks hold, boxed.
pub(crate) type AnyPrinter = dyn tresen_printers::Printer;
pub(crate) type AnyTerminal = dyn tresen_payment::Terminal;
pub(crate) type AnyScanner = dyn tresen_scanners::Scanner;

/// The end of a wait that begins now; one for ever ends in a century.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(FOR_EVER)
}

/// Clocks hold this much on every platform.
const FOR_EVER: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Locks state that is valid even if a holder panics.
pub(crate) fn lock<T: ?Sized>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
