//! The device manager: one owner task per device, cheap handles by logical name.

mod camera;
mod hotplug;
mod open;
mod owner;
pub(crate) mod printer;
mod scanner;
mod scans;
mod terminal;

use std::sync::Arc;

use tokio::sync::broadcast;
use tresen_hal::Clock;

use crate::event::{Event, What};

pub use camera::{Camera, CameraScans};
pub use open::{open_camera, open_printer, open_scanner, open_terminal, protocols, redaction};
pub use owner::Phase;
pub use printer::Printer;
pub use scanner::Scanner;
pub use terminal::Terminal;

pub(crate) use hotplug::{HotPlug, Plugged, Ring};
pub(crate) use open::check_address;
pub(crate) use owner::{After, Owned, own};

/// The drivers that owner tasks hold, boxed.
pub(crate) type AnyPrinter = dyn tresen_printers::Printer;
pub(crate) type AnyTerminal = dyn tresen_payment::Terminal;
pub(crate) type AnyScanner = dyn tresen_scanners::Scanner;

/// Where events go; clones share it.
#[derive(Clone)]
pub(crate) struct Bus {
    events: broadcast::Sender<Event>,
    clock: Arc<dyn Clock>,
}

impl Bus {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { events: broadcast::Sender::new(256), clock }
    }

    /// Tells everyone who listens; nobody has to.
    pub(crate) fn tell(&self, device: &str, what: What) {
        let event = Event { device: device.to_owned(), at: self.clock.wall(), what };
        tracing::debug!(device, what = ?event.what, "event");
        self.events.send(event).ok();
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// What every class tells the bus about its devices.
struct Teller {
    name: String,
    bus: Bus,
}

impl Teller {
    fn tell(&self, what: What) {
        self.bus.tell(&self.name, what);
    }
    fn connected(&self, address: &str) {
        self.tell(What::Connected { address: address.to_owned() });
    }
    fn lost(&self, error: &tresen_hal::Error) {
        self.tell(What::Disconnected { why: error.to_string() });
    }
    fn faulted(&self, why: &str) {
        self.tell(What::Faulted { why: why.to_owned() });
    }
}
