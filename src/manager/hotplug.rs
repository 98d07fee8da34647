//! Opens a device as soon as it is plugged in, instead of at its next attempt.

use std::sync::Weak;

use tokio::task::JoinHandle;
use tresen_hal::Address;
use tresen_hal::address::LinkKind;
use tresen_hal::discovery::{self, Event};

use super::registry::Registry;

/// Watches for devices being plugged in until dropped.
pub(super) struct HotPlug(JoinHandle<()>);

impl HotPlug {
    /// Whether a device at `address` can be hot-plugged.
    pub(super) fn concerns(address: &Address) -> bool {
        let link = address.link();
        matches!(link, LinkKind::Usb(_) | LinkKind::Serial { .. } | LinkKind::Hid(_))
            || matches!(link, LinkKind::Evdev(_) | LinkKind::V4l2 { .. })
    }

    /// Wakes the devices of `registry` when something is plugged in at one of their addresses.
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
        // Permission changes count too: udev applies them shortly after the device appears.
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
