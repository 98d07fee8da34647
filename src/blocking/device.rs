//! What the handles of all classes have in common.

use tresen_hal::Result;

use super::On;
use crate::class::DeviceId;
use crate::health::DeviceHealth;
use crate::manager::{DeviceClass, DeviceState, Phase};
use crate::store::Origin;

/// A device by its logical name, as [`crate::Device`]. Clones are cheap.
pub struct Device<C: DeviceClass>(pub(super) On<crate::Device<C>>);

impl<C: DeviceClass> Clone for Device<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: DeviceClass> Device<C> {
    /// Its logical name.
    pub fn name(&self) -> &str {
        self.0.inner.name()
    }

    /// Its class and name.
    pub fn id(&self) -> DeviceId {
        self.0.inner.id()
    }

    /// Everything known about it without a query.
    pub fn state(&self) -> DeviceState {
        self.0.inner.state()
    }

    /// Its state and its past, without a query.
    pub fn health(&self) -> DeviceHealth {
        self.0.inner.health()
    }

    /// The same device for calls on behalf of `origin`.
    #[must_use]
    pub fn on_behalf_of(&self, origin: impl Into<Origin>) -> Self {
        let origin = origin.into();
        let inner = self.0.inner.on_behalf_of(origin.clone());
        Self(self.0.on_behalf_of(origin, inner))
    }

    /// Its current state.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Reopens it at once.
    ///
    /// # Errors
    /// The till was closed, or the device was detached.
    pub fn reset(&self) -> Result<()> {
        self.0.wait(self.0.inner.reset())
    }
}
