//! Keeps the capabilities of a till up to date.

use std::sync::Weak;

use crate::class::DeviceId;
use crate::event::{Event, EventKind, Events, Source};
use crate::manager::lock;
use crate::store::Remembered;
use crate::tresen::{Caller, Inner, Tresen};

/// Publishes changes, and remembers what devices can do, until the till is gone.
pub(crate) async fn keep(till: Weak<Inner>, mut events: Events) {
    let mut last = 0;
    while let Some(event) = events.next().await {
        let missed = std::mem::replace(&mut last, event.seq) + 1 != event.seq;
        if !missed && !matters(&event) {
            continue;
        }
        let Some(inner) = till.upgrade() else { return };
        let till = Tresen(inner, Caller::default());
        // A printer that was opened without paper tells what it is once it has some.
        let tells = matches!(event.kind, EventKind::Connected { .. } | EventKind::Printer(_));
        if let (Source::Device(device), true) = (&event.source, tells) {
            till.remember(device).await;
        }
        till.capabilities_changed();
    }
}

fn matters(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Attached
            | EventKind::Detached
            | EventKind::Connected { .. }
            | EventKind::Disconnected { .. }
            | EventKind::Ended { .. }
            | EventKind::Faulted { .. }
            | EventKind::Printer(_)
            | EventKind::Server(_)
    )
}

impl Tresen {
    /// Remembers what a device can do, also for the next start; written only if that is new.
    async fn remember(&self, device: &DeviceId) {
        let told = self.devices().into_iter().find(|state| state.id == *device).and_then(|state| state.capabilities);
        let Some(capabilities) = told else { return };
        let known = {
            let mut remembered = lock(&self.0.capabilities.remembered);
            let before = remembered.insert(device.clone(), Remembered { capabilities: capabilities.clone() });
            before.is_some_and(|before| before.capabilities == capabilities)
        };
        if known {
            return;
        }
        if let Err(error) = self.store().remember(device, &capabilities).await {
            tracing::warn!(%device, %error, "what it can do could not be written");
            // The next connection writes it.
            lock(&self.0.capabilities.remembered).remove(device);
        }
    }
}
