//! A device that is plugged in is opened at once, instead of when its next attempt is due.

use std::sync::Weak;

use tokio::task::JoinHandle;
use tresen_hal::Address;
use tresen_hal::address::LinkKind;
use tresen_hal::discovery::{self, Event};

use super::registry::Registry;

/// Watches what is plugged in for as long as it is held.
pub(super) struct HotPlug(JoinHandle<()>);

impl HotPlug {
    /// Whether a device at `address` can be plugged in.
    pub(super) fn concerns(address: &Address) -> bool {
        let link = address.link();
        matches!(link, LinkKind::Usb(_) | LinkKind::Serial { .. } | LinkKind::Hid(_))
            || matches!(link, LinkKind::Evdev(_) | LinkKind::V4l2 { .. })
    }

    /// Wakes the devices of `registry` at whose addresses something arrives.
    pub(super) fn watch(registry: Weak<Registry>) -> Self {
        Self(tokio::spawn(run(registry)))
    }
}

impl Drop for HotPlug {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(registry: Weak<Registry>) {
    let mut watch = discovery::watch();
    loop {
        let event = watch.next().await;
        // Changed permissions count too: udev grants them a moment after the device has come.
        if matches!(event, Event::Left(_)) {
            continue;
        }
        let Some(registry) = registry.upgrade() else { return };
        for (addresses, device) in registry.places() {
            if addresses.iter().any(|address| event.found().fits(address)) {
                device.arrived();
            }
        }
    }
}
