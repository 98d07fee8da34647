//! A device that is plugged in is opened at once, instead of when its next try is due.

use tokio::task::JoinHandle;
use tresen_hal::Address;
use tresen_hal::address::LinkKind;
use tresen_hal::discovery::{self, Event};

/// Tells one owner that its device may be there.
pub(crate) type Waker = Box<dyn Fn() + Send + Sync>;

/// A device that can be plugged in, and how to wake its owner.
pub(crate) struct Plugged {
    pub(crate) addresses: Vec<Address>,
    pub(crate) waker: Waker,
}

impl Plugged {
    fn can_be_plugged(&self) -> bool {
        let plugged = |a: &Address| {
            matches!(
                a.link(),
                LinkKind::Usb(_)
                    | LinkKind::Serial { .. }
                    | LinkKind::Hid(_)
                    | LinkKind::Evdev(_)
                    | LinkKind::V4l2 { .. }
            )
        };
        self.addresses.iter().any(plugged)
    }
}

/// Watches as long as it is held; nothing if no device can be plugged in.
pub(crate) struct HotPlug(Option<JoinHandle<()>>);

impl HotPlug {
    pub(crate) fn watch(devices: Vec<Plugged>) -> Self {
        let devices: Vec<_> = devices.into_iter().filter(Plugged::can_be_plugged).collect();
        Self((!devices.is_empty()).then(|| tokio::spawn(run(devices))))
    }
}

impl Drop for HotPlug {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn run(devices: Vec<Plugged>) {
    let mut watch = discovery::watch();
    loop {
        let event = watch.next().await;
        // Changed permissions count too: udev grants them a moment after the device has come.
        if matches!(event, Event::Left(_)) {
            continue;
        }
        for device in devices.iter().filter(|d| d.addresses.iter().any(|a| event.found().fits(a))) {
            (device.waker)();
        }
    }
}
