//! A till's methods around its capabilities.

use tokio::sync::watch;
use tresen_hal::Known;

use super::TillCapabilities;
use crate::event::{EventKind, Source};
use crate::manager::lock;
use crate::tresen::Tresen;

impl Tresen {
    /// What the till can do now: which tenders, refunds and reversals are possible, where receipts come out, which
    /// scanners read; each with the reason why not. Asks no device: it is what they told when they connected and since,
    /// what the configuration declares, and for a device that is away what it could do when it was last connected, also
    /// before a restart.
    ///
    /// What the configuration or a terminal excludes is also refused by [`Terminal`](crate::Terminal), before anything
    /// is sent. [`EventKind::CapabilitiesChanged`] tells when to look again.
    pub fn capabilities(&self) -> TillCapabilities {
        self.compose()
    }

    /// The same, to await changes.
    pub fn watch_capabilities(&self) -> watch::Receiver<TillCapabilities> {
        self.0.capabilities.published.subscribe()
    }

    /// Tells whether one of the vendor's own tenders can pay now, for [`Tresen::capabilities`]: an account while its
    /// server answers, a voucher service. `why` says why not. The till does not enforce it.
    pub fn set_tender(&self, name: &str, now: Known, why: Option<&str>) {
        lock(&self.0.capabilities.tenders).insert(name.to_owned(), (now, why.map(str::to_owned)));
        self.capabilities_changed();
    }

    /// Publishes the capabilities if they have changed.
    pub(crate) fn capabilities_changed(&self) {
        let now = self.compose();
        let changed = self.0.capabilities.published.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
        if changed {
            self.0.bus.publish(Source::Till, EventKind::CapabilitiesChanged);
        }
    }
}
